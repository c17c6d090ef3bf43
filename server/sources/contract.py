"""What a source is: a spec (its options, as data) and a reader that yields batches of text columns.

A reader is opened for one run, read once from the start or from a checkpoint, and closed. It MUST

- yield batches in order, numbered without a gap, and yield the same batches for the same content and the same
  settings each time, so that a resumed run can skip the numbers that are committed;
- hand over every value as text, exactly as it stands in the source, or None where the source has no value;
- account for every record: it is in a frame or in `rejects`, never in both, never in neither;
- raise RetryableError for a passing fault and FatalError for one that stays, never end early without an error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from server.core.clock import Clock
from server.core.config import Settings
from server.core.instruments import NO_INSTRUMENTS, Instruments
from server.core.reasons import Category
from server.sources.page_cache import NoPages, PageCache
from server.sources.throttle.circuit import Circuits
from server.sources.throttle.host_pace import HostPaces

if TYPE_CHECKING:
    import polars as pl

# Raw text of a reject is cut at this many characters; the whole record stands in the source.
REJECT_RAW_CHARS_MAX = 64 * 1024
# What a run keeps of a source's fingerprint and of its digest.
DIGEST_CHARS_MAX: Final = 64


class ColumnNames(tuple[str, ...]):  # noqa: SLOT001 - a tuple can have no slots of its own
    """The names of a source's columns, each once, with what became of names that its header has more than once.

    Args:
        names: as columns are called.
        repeated: a name that stands more than once in the header -> the places of its columns, from 1.
    """

    repeated: Mapping[str, tuple[int, ...]]

    def __new__(cls, names: Iterable[str], repeated: Mapping[str, tuple[int, ...]] | None = None) -> Self:
        """The names as a tuple."""
        made = super().__new__(cls, names)
        made.repeated = repeated or {}
        return made


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that is not loaded.

    Args:
        kind: what is wrong, as a stable name: a `RejectKind`, or a custom source's own.
        category: parsing (the record's form) or validation (one of its values).
        message: what is wrong, in a sentence, without the value.
        line: physical line on which the record begins, from 1; for an API the item's number, from 1.
        byte_offset: where the record begins in the file's bytes; None when there is no such thing.
        column: source column at fault, or None when it is the whole record.
        raw: the record as it stands in the source.
    """

    kind: str
    category: Category
    message: str
    line: int
    byte_offset: int | None
    column: str | None
    raw: str


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """A run of consecutive records.

    Args:
        batch_no: from 1, without gaps.
        frame: one String column for each source column, in source order; one row for each good record.
        lines: UInt64, per row of `frame`, the line (or item number) on which the record begins.
        record_nos: UInt64, per row, the record's number in the source, from 1; rejected records count too.
        byte_offsets: UInt64, per row, where the record begins; empty for a source without bytes.
        rejects: records of this batch that are not in `frame`, in source order.
        position: where the next batch begins; goes into the checkpoint as JSON and comes back to `batches`.
        raw_text: the raw record of a row of `frame`, by its index in it.
        bytes_done: bytes of the source up to the end of this batch.
    """

    batch_no: int
    frame: pl.DataFrame
    lines: pl.Series
    record_nos: pl.Series
    byte_offsets: pl.Series
    rejects: tuple[Reject, ...]
    position: Mapping[str, Any]
    raw_text: Callable[[int], str]
    bytes_done: int = 0


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of an opened source before its first record.

    Args:
        columns: source column names, in order; for an API the target columns that its mapping fills. `ColumnNames` where
            the source has names that stand more than once.
        fingerprint: changes when the content changes, at most DIGEST_CHARS_MAX characters; empty when the source has none.
        bytes_total: size, or 0 when unknown.
        rereadable: whether `batches` may be called again from the start for the same content.
        modified_at: when the source was last changed, UTC without a time zone; None when it does not say.
        detected: what was found out rather than told, such as the encoding; JSON-able.
    """

    columns: tuple[str, ...]
    fingerprint: str
    bytes_total: int = 0
    rereadable: bool = False
    detected: Mapping[str, Any] = field(default_factory=dict)
    modified_at: datetime | None = None


def _nobody_asks() -> None:
    pass


def _nobody_looks(_secret: str) -> None:
    pass


class SourceMemory(Protocol):
    """What sources keep from one run to the next; sealed where it is stored."""

    async def get(self, key: str) -> str | None:
        """The text that was kept under a key, or None."""
        ...

    async def put(self, key: str, text: str) -> None:
        """Keep a text in place of what was kept under the key."""
        ...


class InMemorySourceState:
    """Keeps texts as long as it lives."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        """The text that was kept under a key, or None."""
        return self._texts.get(key)

    async def put(self, key: str, text: str) -> None:
        """Keep a text in place of what was kept under the key."""
        self._texts[key] = text


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What every source is given beside its own options.

    Args:
        moved: to be called with each piece that the source delivers, so that a slow source is told from a hung one.
        circuits: what this replica knows of the hosts of sources.
        watermark: how far completed runs have seen the source, as the source wrote it; None when
            everything is to be read. A run that goes on keeps to the one that it began with, by its checkpoint.
        memory: what sources keep from one run to the next.
        paces: how fast requests go to each host, shared by all runs of the replica.
        kept_pages: what earlier runs of the same source and options have kept of its pages.
        secret_seen: told each secret that requests carry, as they carry it.
        instruments: who counts requests.
    """

    settings: Settings
    clock: Clock
    moved: Callable[[], None] = _nobody_asks
    circuits: Circuits = field(default_factory=Circuits)
    watermark: str | None = None
    memory: SourceMemory = field(default_factory=InMemorySourceState)
    paces: HostPaces = field(default_factory=HostPaces)
    kept_pages: PageCache = field(default_factory=NoPages)
    secret_seen: Callable[[str], None] = _nobody_looks
    instruments: Instruments = NO_INSTRUMENTS


@dataclass(frozen=True, slots=True)
class WatermarkRule:
    """Where the watermark of an incremental source is kept.

    A reader of such a source puts its mark into the positions that it gives, under POSITION_MARK: `value`, `rank` (a
    text with the order of the values) and `isFull` (whether the reading leaves nothing out); nothing while it has none.

    Args:
        key: names the source and what is read of it, at most 32 characters.
        full_after_days: everything is read when that has not been done for so long.
    """

    key: str
    full_after_days: int


POSITION_MARK: Final = "watermark"
# In the positions of a source whose records may come twice because its list moves while it is read: how many came with
# a key that another record of the same page has, which is how the list is. A mirror compares the rows that it has met.
POSITION_SAME_PAGE: Final = "samePageRepeats"
# The only thing in the position of a batch without records that begins a second look (execution/mirror.py): the first one.
# The source is read from its start behind it.
POSITION_SECOND_LOOK: Final = "secondLookAfter"


class SourceReader(Protocol):
    """An opened source."""

    @property
    def info(self) -> SourceInfo:
        """What is known before the first record."""
        ...

    def batches(self, after: Mapping[str, Any] | None, first_batch_no: int) -> AsyncGenerator[SourceBatch, None]:
        """Yield the batches after a position (None: from the start), the first one numbered `first_batch_no`.

        Raises:
            RetryableError: a passing fault.
            FatalError: a fault that stays; the source changed since it was opened.
        """
        ...

    async def content_digest(self) -> str:
        """A digest of the whole content, at most DIGEST_CHARS_MAX characters; empty when the source has none.

        Two readings with one digest find the same.

        Raises:
            RetryableError: a passing fault; the source changed since it was opened.
        """
        ...

    def notices(self) -> tuple[str, ...]:
        """What a person should know about the reading so far, such as pages that were left out on request."""
        ...

    def doubts(self) -> tuple[str, ...]:
        """What makes it doubtful that the records so far were read as they are meant; a mirror switches off nothing then."""
        ...

    def came_in_parts(self) -> bool:
        """Whether the records came in several answers, between which the source may have changed without a sign."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Safe to call twice."""
        ...
