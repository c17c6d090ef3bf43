"""What a file format brings: how a file begins, and its blocks of records. Each format is a folder beside this one.

A format is a function that looks at the beginning of an opened file. What it answers reads blocks, each of which depends
only on the file's content, the place where it begins and the limits: read again it is the same. A module is imported when
its format is first met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, Protocol

from server.core.config import Settings
from server.sources.csv.blocks import BlockStart, Limits, Part
from server.sources.csv.findings import Findings
from server.sources.csv.options import CsvOptions
from server.sources.storage.opened_file import OpenedFile
from server.sources.storage.streams import ByteSource


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A file that is open for reading."""

    opened: OpenedFile
    stream: ByteSource

    def close(self) -> None:
        """Let go of the file. Call once."""
        self.stream.close()
        self.opened.close()


class FileBeginning(Protocol):
    """What is known of a file before its first record."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names, unique, one for each column."""
        ...

    @property
    def offset(self) -> int:
        """Where the first record begins, as the format counts."""
        ...

    @property
    def line(self) -> int:
        """Its line or row, from 1."""
        ...

    @property
    def detected(self) -> Mapping[str, Any]:
        """What was found out, JSON-able."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know."""
        ...

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the file may be read otherwise than it is meant: clauses, with the file's name."""
        ...

    @property
    def findings(self) -> Findings:
        """What was left out above the first record."""
        ...


class FileBlock(Protocol):
    """Consecutive records of a file, in parts."""

    @property
    def part_count(self) -> int:
        """How many parts there are; 0 for a block without records."""
        ...

    @property
    def next_place(self) -> BlockStart:
        """Where the next block begins."""
        ...

    @property
    def findings(self) -> Findings:
        """What the block holds beside rows and rejects."""
        ...

    def part(self, index: int) -> Part:
        """One part, by its index from 0."""
        ...


# The block at a place; None at the end of the file. Called by one thread at a time.
ReadBlock = Callable[[OpenStream, BlockStart, Limits], FileBlock | None]


@dataclass(frozen=True, slots=True)
class Table:
    """A file as its format reads it.

    Args:
        beginning: what is known before the first record.
        read_block: reads it.
    """

    beginning: FileBeginning
    read_block: ReadBlock


@dataclass(frozen=True, slots=True)
class PlainBeginning:
    """The beginning of a file of a format that has neither encodings nor dialects; see FileBeginning."""

    columns: tuple[str, ...]
    offset: int
    line: int
    detected: Mapping[str, Any]
    notices: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    findings: Findings = Findings()  # noqa: RUF009 - frozen, and empty


# Other readings of a file's header: what to set, and the columns that it brings.
HeaderCandidates = Callable[[OpenStream, CsvOptions, Settings], Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]]

# Raises InvalidRequestError for a file that is none of the format, FatalError for a damaged one.
Begin = Callable[[OpenStream, CsvOptions, Settings], Table]

_FORMATS: Final = {
    "csv": "server.sources.csv.csv_format:begin",
    "xlsx": "server.sources.workbook.workbook_format:begin",
    "ods": "server.sources.workbook.workbook_format:begin",
    "parquet": "server.sources.parquet.parquet_format:begin",
    "ndjson": "server.sources.ndjson.ndjson_format:begin",
}


# Formats whose header may stand elsewhere than it is looked for.
_OTHER_HEADERS: Final = dict.fromkeys(("xlsx", "ods"), "server.sources.workbook.header_candidates:header_candidates")


@cache
def begin_of(name: str) -> Begin:
    """What opens files of the format of that name."""
    found: Begin = _loaded(_FORMATS[name])
    return found


@cache
def header_candidates_of(name: str) -> HeaderCandidates | None:
    """What tells where else the header of a file of that format may stand; None where there is no choice."""
    found: HeaderCandidates | None = _loaded(_OTHER_HEADERS[name]) if name in _OTHER_HEADERS else None
    return found


def _loaded(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
