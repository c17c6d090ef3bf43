"""What is known of a file before its first record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server.sources.contract import Reject
from server.sources.csv.dialect import Dialect
from server.sources.csv.encodings import Encoding
from server.sources.csv.findings import NOTHING_FOUND, Findings


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of a file before its first record.

    Args:
        encoding, dialect: to read it with.
        columns: names, unique, one for each field.
        offset: byte offset of the first record.
        line: its line, from 1.
        header: the names as they stand in the file, when they can be trusted; None when there are none.
        header_reject: the header line, when it cannot be trusted: it counts as a record that is not loaded.
        detected: what was found out, JSON-able.
        notices: what a person should know.
        doubts: why it may be read otherwise than it is meant.
        findings: what was left out above the header.
        has_surplus_field: whether the records have an empty field more than there are columns, behind their last delimiter.
    """

    encoding: Encoding
    dialect: Dialect
    columns: tuple[str, ...]
    offset: int
    line: int
    header: tuple[str, ...] | None
    header_reject: Reject | None
    detected: dict[str, Any]
    notices: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    findings: Findings = NOTHING_FOUND
    has_surplus_field: bool = False

    @property
    def width(self) -> int:
        """Fields of a record that lacks none."""
        return len(self.columns) + self.has_surplus_field
