"""The records of a window, and what is wrong with the bad ones."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from server.core.reject_kinds import RejectKind
from server.sources.csv.dialect import Dialect
from server.sources.csv.structure.arrays import Flags, Positions
from server.sources.csv.structure.line_facts import Window
from server.sources.csv.structure.record_scanner import scan_record

# What is wrong with a record that was not simply miscounted, by number; 0 is nothing or a wrong number of fields.
STRAY_QUOTE, UNCLOSED_QUOTE, RECORD_TOO_LONG, BAD_ENCODING, REPEATED_HEADER, STRAY_LINE_BREAK = range(1, 7)
KINDS: Final = {
    STRAY_QUOTE: RejectKind.STRAY_QUOTE,
    UNCLOSED_QUOTE: RejectKind.UNCLOSED_QUOTE,
    RECORD_TOO_LONG: RejectKind.RECORD_TOO_LONG,
    BAD_ENCODING: RejectKind.BAD_ENCODING,
    REPEATED_HEADER: RejectKind.REPEATED_HEADER,
    STRAY_LINE_BREAK: RejectKind.STRAY_LINE_BREAK,
}
# Marks in a row that are counted; all of them are left out.
_MARKS_COUNTED_MAX: Final = 16
# In place of a column's index: the whole record is at fault.
NO_COLUMN: Final = -1
NO_LINES: Final[Positions] = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """The records of a window, in order. Arrays have one element for each record; later steps mark bad ones in place.

    Args:
        window: the bytes.
        starts, ends: where each begins and ends, without its last line break.
        lines: index in the window of the line on which each begins.
        fields: fields counted; meaningless where `faults` says more.
        good: which can be loaded.
        odd: which of them only `record_fields` can read.
        faults: what is wrong with each, as an index of KINDS.
        columns: index of the column at fault, or NO_COLUMN.
        consumed: where the next window begins.
        lines_consumed: line breaks before that.
        blanks: lines of blank records that are not empty; they are no records.
        comments: lines that were left out as comments.
        width: fields of a record that lacks none.
    """

    window: Window
    starts: Positions
    ends: Positions
    lines: Positions
    fields: Positions
    good: Flags
    odd: Flags
    faults: npt.NDArray[np.uint8]
    columns: npt.NDArray[np.int32]
    consumed: int
    lines_consumed: int
    blanks: Positions
    comments: Positions
    width: int

    def marked_lines(self, mark: bytes) -> Positions:
        """The line of each record that begins behind a byte order mark, once for each mark."""
        found: list[int] = []
        if self.window.has_marks:
            for start, line in zip(self.starts.tolist(), self.lines.tolist(), strict=True):
                text = self.window.data[max(0, start - _MARKS_COUNTED_MAX * len(mark)) : start]
                while text.endswith(mark):
                    text = text.removesuffix(mark)
                    found.append(line)
        return np.array(found, np.int64)

    def inner_marks(self, mark: bytes) -> Positions:
        """The line of each good record that holds a byte order mark, once for each."""
        # A single byte is found ten times as fast as three.
        if not mark or mark[:1] not in self.window.data or mark not in self.window.data or not self.starts.size:
            return np.array([], np.int64)
        at = [match.start() for match in re.finditer(re.escape(mark), self.window.data[: self.consumed])]
        records = np.searchsorted(self.starts, at, "right") - 1
        places = zip(at, records.tolist(), strict=True)
        inside = [record for place, record in places if record >= 0 and place < self.ends[record] and self.good[record]]
        return self.lines[inside]

    def filled_lines(self, width: int) -> Positions:
        """The lines of the good records that have less than so many fields."""
        return self.lines[self.good & (self.fields < width)]

    def cut_line(self, width: int) -> Positions:
        """The line of a good last record that has less than so many fields and no line break behind it."""
        is_last = self.starts.size > 0 and int(self.ends[-1]) == len(self.window.data)
        is_cut = is_last and bool(self.good[-1]) and int(self.fields[-1]) < width
        return self.lines[-1:] if is_cut else self.lines[:0]

    def without_last(self) -> RecordIndex:
        """The same without its last record, which is none; what it consumed is consumed."""
        return replace(
            self,
            starts=self.starts[:-1],
            ends=self.ends[:-1],
            lines=self.lines[:-1],
            fields=self.fields[:-1],
            good=self.good[:-1],
            odd=self.odd[:-1],
            faults=self.faults[:-1],
            columns=self.columns[:-1],
        )

    def mark(self, record: int, fault: int, column: int = NO_COLUMN) -> None:
        """Make a record a bad one."""
        self.good[record] = False
        self.faults[record] = fault
        self.columns[record] = column

    def fault(self, record: int, dialect: Dialect, width: int) -> tuple[RejectKind, int]:
        """The kind of a bad record, as in `Reject`, and the index of the column at fault or NO_COLUMN."""
        fault = int(self.faults[record])
        if fault == UNCLOSED_QUOTE:
            # The quote that the first line leaves open. Looked for only now, because most are never asked for.
            start = int(self.starts[record])
            end = int(self.window.line_ends[self.lines[record]])
            return KINDS[fault], column_at(self.window.data[start:end], dialect)
        if fault:
            return KINDS[fault], int(self.columns[record])
        fields = int(self.fields[record])
        return (RejectKind.MISSING_COLUMNS, fields) if fields < width else (RejectKind.TOO_MANY_COLUMNS, NO_COLUMN)


def column_at(record_head: bytes, dialect: Dialect) -> int:
    """Index of the field in which a piece of a record ends."""
    found = scan_record(record_head, 0, dialect, at_end=True, record_bytes_max=len(record_head) + 1)
    return found.fields if found.problem is not None else max(found.fields - 1, 0)
