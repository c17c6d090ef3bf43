"""What the service knows of a kind of source: how its options become a source that can be opened, looked at and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from server.core.config import Settings
from server.core.number_format import NO_NUMBER_OPTIONS, NumberOptions
from server.core.secret_box import SecretPlaces, SecretValue
from server.sources.contract import SourceBatch, SourceContext, SourceReader, WatermarkRule
from server.sources.write_options import DEFAULT_WRITE_OPTIONS, WriteOptions

# Names of fields that a preview tells, at most.
FIELDS_MAX: Final = 200

# Opens a secret that is sent to a URL.
Reveal = Callable[[SecretValue, str], str]


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """What the beginning of a source holds.

    Args:
        columns: names that the mapping may use; for an API the target columns that it fills.
        fields: names of the fields that the records have, in order; at most FIELDS_MAX.
        samples: the first records as the source has them, by field.
        batch: the first records as a run would get them; None when there are none.
        is_whole: whether the source ends there.
        detected: what was found out, such as pagination or encoding; short texts.
        notices: what a person should know.
    """

    columns: tuple[str, ...]
    fields: tuple[str, ...]
    samples: tuple[Mapping[str, Any], ...]
    batch: SourceBatch | None
    is_whole: bool
    detected: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MappingRequest:
    """What the options of a source say about the target.

    Args:
        target: name of the target table.
        columns: target column -> source column, as requested.
        constants: target column -> canonical text.
        aliases: target column -> other names that its source column may have.
        numbers, null_tokens, strip_text, checked_json: see pipeline/plan.py.
        write: what becomes of rows that are edited in the table, or gone from the source.
    """

    target: str
    columns: Mapping[str, str]
    constants: Mapping[str, str]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: NumberOptions = NO_NUMBER_OPTIONS
    null_tokens: frozenset[str] = frozenset()
    strip_text: bool = True
    checked_json: frozenset[str] = frozenset()
    write: WriteOptions = DEFAULT_WRITE_OPTIONS


class Source(Protocol):
    """A source with its options checked: ready to be opened."""

    @property
    def mapping(self) -> MappingRequest:
        """What its options say about the target."""
        ...

    @property
    def watermark(self) -> WatermarkRule | None:
        """Where its watermark is kept; None for a source that is always read whole."""
        ...

    async def open(self, context: SourceContext, reveal: Reveal) -> SourceReader:
        """Open it for one reading.

        Raises:
            InvalidRequestError: it is not there, or is not what it should be.
            RetryableError, FatalError: see sources/contract.py.
        """
        ...

    async def check(self, context: SourceContext) -> tuple[str, ...] | None:
        """Look at it without reading it through; return its column names, or None when that needs the network.

        Raises:
            InvalidRequestError
        """
        ...

    async def preview(self, context: SourceContext, reveal: Reveal, rows_max: int) -> SourcePreview:
        """Read its beginning, with at most so many samples, for a person who sets it up.

        Raises:
            InvalidRequestError, RetryableError, FatalError: as for a run.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceType:
    """One kind of source.

    Args:
        name: the contract's sourceType.
        load: checks an options document and makes a `Source` for an identifier; `from_caller` refuses what only the
            database may hold, such as sealed secrets. Raises InvalidRequestError.
        secret_places: answers where an options document holds secrets.
        identity: what an identifier means, the same for each of its spellings. May look at the disk; never raises.
        secret_origin: where the secrets of the options are sent, such as scheme, host and port; never raises.
        check_identifier: refuses an identifier that no run can ever read, also where nothing is there yet. May look at the
            disk. Raises InvalidRequestError.
        places: all that an identifier may come to mean: the URL, or the real paths of files, where there is none yet too. May look
            at the disk; never raises. By default it is nowhere, and out of reach of keys that are narrowed to folders or hosts.
        further_urls: where an options document has requests sent, beside the identifier; never raises.
    """

    name: str
    load: Callable[[str, Mapping[str, Any], bool], Source]
    secret_places: Callable[[], SecretPlaces]
    identity: Callable[[str, Settings], str]
    secret_origin: Callable[[str], str]
    check_identifier: Callable[[str, Settings], None] = lambda _identifier, _settings: None
    places: Callable[[str, Settings], tuple[str, ...]] = lambda identifier, _settings: (f"unknown://{identifier}",)
    further_urls: Callable[[Mapping[str, Any]], tuple[str, ...]] = lambda _options: ()
