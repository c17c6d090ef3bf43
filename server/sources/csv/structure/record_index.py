"""Where the records of a window stand, and which of them are bad.

Two ways lead to the same answer. When the quotes of the whole window are in order, the parity of quotes tells which
delimiters and line breaks count, for all records at once. Otherwise each line is judged by itself, and the lines that
cannot be (`line_facts.py`) go through the scanner one by one. So a bad record costs its own scan, not its block's speed.

Getting back into step after a bad record, so that a quote that is never closed does not swallow the file:

- a fault inside the record's first line rejects that line;
- a fault in a later line, or a wrong number of fields in a record of several lines, is blamed on the quote that kept the
  lines together when one of the later lines is a right record by itself: then the lines before that one are rejected
  together. When none is, all lines up to the fault are.

The answer depends on the bytes from the record's start on, never on where the window begins or ends: what cannot be
decided yet is left to the next window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from server.sources.csv.dialect import Dialect
from server.sources.csv.structure.line_facts import (
    Flags,
    LineFacts,
    Positions,
    Window,
    comment_lines,
    line_facts,
    misplaced_quotes,
    window_of,
)
from server.sources.csv.structure.record_scanner import Scan, scan_record

# Lines that are tried as the place where a broken file is right again.
_CANDIDATES_MAX: Final = 1000
# Most records of several lines have few; further away a line is searched for.
_NEAR_LINES: Final = 8


# What is wrong with a record that was not simply miscounted, by number; 0 is nothing or a wrong number of fields.
KINDS: Final = (
    "",
    "stray_quote",
    "unclosed_quote",
    "record_too_long",
    "bad_encoding",
    "repeated_header",
)
STRAY_QUOTE, UNCLOSED_QUOTE, RECORD_TOO_LONG, BAD_ENCODING, REPEATED_HEADER = range(1, 6)
# In place of a column's index: the whole record is at fault.
NO_COLUMN: Final = -1


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

    def mark(self, record: int, fault: int, column: int = NO_COLUMN) -> None:
        """Make a record a bad one."""
        self.good[record] = False
        self.faults[record] = fault
        self.columns[record] = column

    def fault(self, record: int, dialect: Dialect, width: int) -> tuple[str, int]:
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
        return ("missing_columns", fields) if fields < width else ("too_many_columns", NO_COLUMN)


def layout_of(data: bytes, dialect: Dialect, width: int, *, at_end: bool, record_bytes_max: int) -> RecordIndex:
    """Find the records of a window that begins at a record start.

    Args:
        data: working bytes; no CR at the end unless the file ends there.
        dialect: the file's.
        width: fields of a good record.
        at_end: whether the file ends where the data ends.
        record_bytes_max: content of this length or more is too long.

    Returns:
        A layout; `consumed` is 0 when more bytes are needed for even one record.
    """
    window = window_of(data, dialect, at_end=at_end)
    found = _by_parity(window, dialect, width, record_bytes_max)
    if found is not None:
        return found
    return _LineWalk(window, dialect, width, record_bytes_max).layout()


def _by_parity(window: Window, dialect: Dialect, width: int, record_bytes_max: int) -> RecordIndex | None:
    """The layout of a window whose quotes are in order; None when they are not, or a rare case needs the scanner."""
    if window.overlapping or (dialect.escape >= 0 and bytes([dialect.escape]) in window.data):
        return None
    if bool(comment_lines(window, dialect).any()):
        return None
    quotes = window.quotes
    break_counts = np.searchsorted(quotes, window.breaks) % 2 == 0 if quotes.size else slice(None)
    breaks = window.breaks[break_counts]
    cut = int(breaks[-1]) + 1 if breaks.size else 0
    tail_is_record = window.at_end and cut < len(window.data)
    if tail_is_record:
        if quotes.size % 2:
            return None
        cut = len(window.data)
    if len(window.data) - cut >= record_bytes_max:
        return None
    if quotes.size:
        opening = np.arange(len(quotes)) % 2 == 0
        if bool((misplaced_quotes(window, dialect, opening) & (quotes < cut)).any()):
            return None
    starts = np.concatenate((np.zeros(1, np.int64), breaks + 1))
    if not tail_is_record:
        starts = starts[:-1]
    if not starts.size:
        return _empty(window)
    lines = np.searchsorted(window.line_starts, starts)
    last_lines = np.append(lines[1:], np.searchsorted(window.line_starts, cut)) - 1
    ends = window.line_ends[last_lines]
    delimiters = window.delimiters
    if quotes.size:
        delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
    fields = np.diff(np.searchsorted(delimiters, np.append(starts, cut))) + 1
    blank = starts == ends
    several_lines = last_lines > lines
    if bool(((ends - starts) >= record_bytes_max).any()) or bool(((fields != width) & several_lines).any()):
        return None
    kept = ~blank
    fields = fields[kept]
    return RecordIndex(
        window=window,
        starts=starts[kept],
        ends=ends[kept],
        lines=lines[kept],
        fields=fields,
        good=fields == width,
        odd=np.zeros(len(fields), np.bool_),
        faults=np.zeros(len(fields), np.uint8),
        columns=np.full(len(fields), NO_COLUMN, np.int32),
        consumed=cut,
        lines_consumed=int(np.searchsorted(window.breaks, cut)),
    )


def _empty(window: Window) -> RecordIndex:
    """No complete record yet."""
    nothing, no_flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return RecordIndex(
        window=window,
        starts=nothing,
        ends=nothing,
        lines=nothing,
        fields=nothing,
        good=no_flags,
        odd=no_flags,
        faults=np.zeros(0, np.uint8),
        columns=np.zeros(0, np.int32),
        consumed=0,
        lines_consumed=0,
    )


def overlong_layout(head: bytes, dialect: Dialect, breaks: int) -> RecordIndex:
    """The layout of a line that is too long for a record, of which only the head is in memory.

    Args:
        head: how the line begins.
        dialect: the file's.
        breaks: line breaks behind it: 1, or 0 at the end of the file.
    """
    window = window_of(head, dialect, at_end=True)
    records = 0 if comment_lines(window, dialect).any() else 1
    zeros = np.zeros(records, np.int64)
    return RecordIndex(
        window=window,
        starts=zeros,
        ends=zeros + len(head),
        lines=zeros,
        fields=zeros,
        good=np.zeros(records, np.bool_),
        odd=np.zeros(records, np.bool_),
        faults=np.full(records, RECORD_TOO_LONG, np.uint8),
        columns=np.full(records, NO_COLUMN, np.int32),
        consumed=len(head),
        lines_consumed=breaks,
    )


class _UndecidedError(Exception):
    """More bytes are needed to judge a record."""


class _LineWalk:
    """Judges the lines of a window in order; plain ones all at once, hard ones through the scanner.

    Arrays are looked at through memoryviews: reading one number from them is several times faster.
    """

    def __init__(self, window: Window, dialect: Dialect, width: int, record_bytes_max: int) -> None:
        self._window = window
        self._dialect = dialect
        self._width = width
        self._record_bytes_max = record_bytes_max
        self._facts: LineFacts = line_facts(window, dialect, record_bytes_max)
        self._count = len(window.line_starts)
        self._starts = window.line_starts.data
        self._line_ends = window.line_ends.data
        self._comments = comment_lines(window, dialect).tobytes()
        self._blank = self._facts.blank.tobytes()
        self._hard = self._facts.hard.tobytes()
        # What becomes of the lines; `_ends`, `_fields` and so on count for the first line of a record.
        self._is_record = ~self._facts.blank
        self._ends = window.line_ends.copy()
        self._fields = self._facts.fields
        self._odd = np.zeros(self._count, np.bool_)
        self._faults = np.zeros(self._count, np.uint8)
        self._columns = np.full(self._count, NO_COLUMN, np.int32)

    def layout(self) -> RecordIndex:
        """Walk, and put the answer together."""
        window = self._window
        stop = self._walk()
        lines = np.flatnonzero(self._is_record[:stop])
        fields, faults = self._fields[lines], self._faults[lines]
        if stop < self._count:
            consumed = int(window.line_starts[stop])
        elif window.at_end:
            consumed = len(window.data)
        else:
            consumed = int(window.breaks[-1]) + 1 if window.breaks.size else 0
        return RecordIndex(
            window=window,
            starts=window.line_starts[lines],
            ends=self._ends[lines],
            lines=lines,
            fields=fields,
            good=(fields == self._width) & (faults == 0),
            odd=self._odd[lines],
            faults=faults,
            columns=self._columns[lines],
            consumed=consumed,
            lines_consumed=int(np.searchsorted(window.breaks, consumed)),
        )

    def _walk(self) -> int:
        """Judge the hard lines; answer the first line that is left to the next window."""
        following = 0
        for line in np.flatnonzero(self._facts.hard).tolist():
            if line < following:
                # It belongs to a record that has been judged.
                continue
            try:
                following = self._judge(line)
            except _UndecidedError:
                return int(line)
        return self._count

    def _judge(self, line: int) -> int:
        """Judge the record that begins at a hard line; answer the line after it."""
        if self._comments[line]:
            self._is_record[line] = False
            return line + 1
        if self._line_ends[line] - self._starts[line] >= self._record_bytes_max:
            return self._reject(RECORD_TOO_LONG, line, line + 1)
        found = self._scan(line)
        if found.problem == "incomplete":
            raise _UndecidedError
        if found.problem is not None:
            return self._resume(line, found)
        next_line = self._line_at(found.next_start, line + 1)
        if found.fields != self._width and next_line > line + 1 and self._width > 1:
            candidate = self._right_again(line + 1, next_line)
            if candidate is not None:
                return self._reject(UNCLOSED_QUOTE, line, candidate)
        self._fields[line] = found.fields
        self._odd[line] = found.odd
        self._ends[line] = found.content_end
        self._is_record[line + 1 : next_line] = False
        return next_line

    def _resume(self, line: int, found: Scan) -> int:
        """Reject the record at `line`, whose quotes are wrong, and answer where the file is right again."""
        if found.problem == "record_too_long":
            # Only lines that end within the longest record: what lies beyond may not be in memory yet.
            last = self._line_of(self._starts[line] + self._record_bytes_max, line)
            return self._reject(UNCLOSED_QUOTE, line, self._right_again(line + 1, last) or line + 1)
        is_stray = found.problem == "stray_quote"
        fault = STRAY_QUOTE if is_stray else UNCLOSED_QUOTE
        if is_stray and found.at <= self._line_ends[line]:
            return self._reject(fault, line, line + 1, found.fields)
        last = self._line_of(found.at if is_stray else len(self._window.data) - 1, line)
        if last >= self._count:
            raise _UndecidedError
        candidate = self._right_again(line + 1, last + 1)
        if candidate is not None:
            return self._reject(UNCLOSED_QUOTE, line, candidate)
        if last - line > _CANDIDATES_MAX:
            return self._reject(UNCLOSED_QUOTE, line, line + 1)
        return self._reject(fault, line, last + 1, found.fields)

    def _right_again(self, first: int, last: int) -> int | None:
        """The first line from `first` on, before `last`, at which a right record begins."""
        for line in range(first, min(last, first + _CANDIDATES_MAX, self._count)):
            if self._blank[line] or self._comments[line]:
                continue
            if not self._hard[line]:
                if self._fields[line] == self._width:
                    return line
                continue
            found = self._scan(line)
            if found.problem == "incomplete":
                raise _UndecidedError
            if found.problem is None and found.fields == self._width:
                return line
        return None

    def _reject(self, fault: int, line: int, next_line: int, column: int = NO_COLUMN) -> int:
        """Make the lines before `next_line` one bad record, and answer `next_line`."""
        self._faults[line] = fault
        self._columns[line] = column if column < self._width else NO_COLUMN
        self._ends[line] = self._line_ends[next_line - 1]
        if next_line > line + 1:
            self._is_record[line + 1 : next_line] = False
        return next_line

    def _scan(self, line: int) -> Scan:
        return scan_record(
            self._window.data,
            self._starts[line],
            self._dialect,
            at_end=self._window.at_end,
            record_bytes_max=self._record_bytes_max,
        )

    def _line_of(self, offset: int, first: int) -> int:
        """The line that holds an offset; not below `first`."""
        for line in range(first, min(first + _NEAR_LINES, self._count)):
            if self._line_ends[line] >= offset:
                return line
        return int(np.searchsorted(self._window.breaks, offset))

    def _line_at(self, start: int, first: int) -> int:
        """The number of the line that begins at `start`, or of the first one after it; not below `first`."""
        for line in range(first, min(first + _NEAR_LINES, self._count)):
            if self._starts[line] >= start:
                return line
        return int(np.searchsorted(self._window.line_starts, start))


def column_at(record_head: bytes, dialect: Dialect) -> int:
    """Index of the field in which a piece of a record ends."""
    found = scan_record(record_head, 0, dialect, at_end=True, record_bytes_max=len(record_head) + 1)
    return found.fields if found.problem is not None else max(found.fields - 1, 0)
