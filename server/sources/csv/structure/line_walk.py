"""The careful way to the records of a window: line by line, with the scanner where a line cannot be judged by itself."""

from __future__ import annotations

from typing import Final

import numpy as np

from server.sources.csv.dialect import Dialect
from server.sources.csv.structure.kept_quotes import KeptQuotes
from server.sources.csv.structure.line_facts import LineFacts, Window, comment_lines, line_facts
from server.sources.csv.structure.record_index import (
    NO_COLUMN,
    RECORD_TOO_LONG,
    STRAY_QUOTE,
    UNCLOSED_QUOTE,
    RecordIndex,
)
from server.sources.csv.structure.record_scanner import Scan, lenient_fields, scan_record

# Lines that are tried as the place where a broken file is right again.
_CANDIDATES_MAX: Final = 1000
# Most records of several lines have few; further away a line is searched for.
_NEAR_LINES: Final = 8


class _UndecidedError(Exception):
    """More bytes are needed to judge a record."""


class LineWalk:
    """Judges the lines of a window in order; plain ones all at once, hard ones through the scanner.

    Arrays are looked at through memoryviews: reading one number from them is several times faster.
    """

    def __init__(self, window: Window, dialect: Dialect, width: int, record_bytes_max: int) -> None:
        self._window = window
        self._dialect = dialect
        self._width = width
        self._record_bytes_max = record_bytes_max
        self._facts: LineFacts = line_facts(window, dialect, width, record_bytes_max)
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
        self._blanks = self._facts.blank & (window.line_starts < window.line_ends)
        self._comments_met = np.zeros(self._count, np.bool_)
        self._scans: dict[int, Scan] = {}
        self._kept_quotes = KeptQuotes() if dialect.keeps_inner_quotes else None
        # Lines of which none begins a right record: from the first to before the second.
        self._none_right = (0, 0)

    def layout(self) -> RecordIndex:
        """Walk, and put the answer together."""
        window = self._window
        stop = self._walk()
        lines = np.flatnonzero(self._is_record[:stop])
        fields, faults = self._fields[lines], self._faults[lines]
        if stop < self._count:
            consumed = int(window.breaks[stop - 1]) + 1 if stop else 0
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
            good=(fields <= self._width) & (fields >= self._width - self._dialect.missing_max) & (faults == 0),
            odd=self._odd[lines] | (fields < self._width),
            faults=faults,
            columns=self._columns[lines],
            consumed=consumed,
            lines_consumed=int(np.searchsorted(window.breaks, consumed)),
            blanks=np.flatnonzero(self._blanks[:stop]),
            comments=np.flatnonzero(self._comments_met[:stop]),
            width=self._width,
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
            self._comments_met[line] = True
            return line + 1
        if self._line_ends[line] - self._starts[line] >= self._record_bytes_max:
            return self._reject(RECORD_TOO_LONG, line, line + 1)
        found = self._scan(line)
        if self._ends_at_its_line(line, found):
            self._fields[line] = self._width
            self._odd[line] = True
            return line + 1
        if found.problem == "incomplete":
            raise _UndecidedError
        if found.problem is not None:
            return self._resume(line, found)
        next_line = self._line_at(found.next_start, line + 1)
        if next_line > line + 1 and self._is_blank(line, found.content_end):
            self._leave_out(line + 1, next_line)
            self._is_record[line], self._blanks[line] = False, True
            return next_line
        if found.fields != self._width and next_line > line + 1 and self._width > 1:
            candidate = self._right_again(line + 1, next_line)
            if candidate is not None:
                return self._reject(UNCLOSED_QUOTE, line, candidate)
        self._fields[line] = found.fields
        self._odd[line] = found.odd
        self._ends[line] = found.content_end
        self._leave_out(line + 1, next_line)
        return next_line

    def _ends_at_its_line(self, line: int, found: Scan) -> bool:
        """Whether a quote was kept in a line that is a right record by itself, with that quote as text.

        Then a line break ends the record: the quote that the field began with was text, too, and closes nothing later.
        """
        end = self._line_ends[line]
        if not self._starts[line] < found.kept < end:
            return False
        if found.problem is None and found.content_end <= end and found.fields == self._width:
            return False
        return len(lenient_fields(self._window.data[self._starts[line] : end], self._dialect)) == self._width

    def _is_blank(self, line: int, end: int) -> bool:
        return self._dialect.blank_record(self._width).fullmatch(self._window.data, self._starts[line], end) is not None

    def _leave_out(self, first: int, last: int) -> None:
        """Lines that belong to a record that began before them."""
        self._is_record[first:last] = False
        self._blanks[first:last] = False

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
        last = min(last, first + _CANDIDATES_MAX, self._count)
        none_from, none_to = self._none_right
        is_known = none_from <= first <= none_to
        line = none_to if is_known else first
        while line < last and not self._is_right(line):
            line += 1
        self._none_right = (none_from if is_known else first, max(line, none_to) if is_known else line)
        return line if line < last else None

    def _is_right(self, line: int) -> bool:
        """Whether a right record begins at a line."""
        if self._blank[line] or self._comments[line]:
            return False
        if not self._hard[line]:
            return bool(self._fields[line] == self._width)
        found = self._scan(line)
        if self._ends_at_its_line(line, found):
            return True
        if found.problem == "incomplete":
            raise _UndecidedError
        return found.problem is None and found.fields == self._width

    def _reject(self, fault: int, line: int, next_line: int, column: int = NO_COLUMN) -> int:
        """Make the lines before `next_line` one bad record, and answer `next_line`."""
        self._faults[line] = fault
        self._columns[line] = column if column < self._width else NO_COLUMN
        self._ends[line] = self._line_ends[next_line - 1]
        self._leave_out(line + 1, next_line)
        return next_line

    def _scan(self, line: int) -> Scan:
        """The record that would begin at a line; where many are broken, the same line is asked for again and again."""
        found = self._scans.get(line)
        if found is None:
            found = self._scans[line] = scan_record(
                self._window.data,
                self._starts[line],
                self._dialect,
                at_end=self._window.at_end,
                record_bytes_max=self._record_bytes_max,
                kept_quotes=self._kept_quotes,
            )
        return found

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
