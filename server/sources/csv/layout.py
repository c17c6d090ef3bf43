"""Where the records of a window stand, and which of them are bad.

Two ways lead to the same answer. When the quotes of the whole window are in order, the parity of quotes tells which
delimiters and line breaks count, for all records at once. Otherwise each line is judged by itself, and the lines that
cannot be (`lines.py`) go through the scanner one by one. So a bad record costs its own scan, not its block's speed.

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

from server.sources.csv.dialect import Dialect
from server.sources.csv.lines import (
    Flags,
    LineFacts,
    Positions,
    Window,
    comment_lines,
    line_facts,
    misplaced_quotes,
    window_of,
)
from server.sources.csv.scan import Scan, scan_record

# Lines that are tried as the place where a broken file is right again.
_CANDIDATES_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a bad record.

    Args:
        kind: as in `Reject`.
        column: index of the column at fault, or None.
    """

    kind: str
    column: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The records of a window, in order. Arrays have one element for each record.

    Args:
        window: the bytes.
        starts, ends: where each begins and ends, without its last line break.
        lines: index in the window of the line on which each begins.
        fields: fields counted; meaningless for a record in `faults`.
        good: which can be loaded.
        odd: which of them only `record_fields` can read.
        faults: what is wrong with a bad record, by its index; one that is not here has the wrong number of fields.
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
    faults: dict[int, Fault]
    consumed: int
    lines_consumed: int

    def fault(self, record: int, width: int) -> Fault:
        """What is wrong with a bad record."""
        known = self.faults.get(record)
        if known is not None:
            return known
        fields = int(self.fields[record])
        return Fault("missing_columns", fields) if fields < width else Fault("too_many_columns", None)


def layout_of(data: bytes, dialect: Dialect, width: int, *, at_end: bool, record_bytes_max: int) -> Layout:
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


def _by_parity(window: Window, dialect: Dialect, width: int, record_bytes_max: int) -> Layout | None:
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
    return Layout(
        window=window,
        starts=starts[kept],
        ends=ends[kept],
        lines=lines[kept],
        fields=fields,
        good=fields == width,
        odd=np.zeros(len(fields), np.bool_),
        faults={},
        consumed=cut,
        lines_consumed=int(np.searchsorted(window.breaks, cut)),
    )


def _empty(window: Window) -> Layout:
    """No complete record yet."""
    nothing, no_flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return Layout(window, nothing, nothing, nothing, nothing, no_flags, no_flags, {}, 0, 0)


class _Undecided(Exception):
    """More bytes are needed to judge a record."""


class _LineWalk:
    """Judges the lines of a window in order; plain ones all at once, hard ones through the scanner."""

    def __init__(self, window: Window, dialect: Dialect, width: int, record_bytes_max: int) -> None:
        self._window = window
        self._dialect = dialect
        self._width = width
        self._record_bytes_max = record_bytes_max
        self._facts: LineFacts = line_facts(window, dialect, record_bytes_max)
        self._count = len(window.line_starts)
        self._comments = comment_lines(window, dialect)
        self._is_record = ~self._facts.blank
        self._ends = window.line_ends.copy()
        self._fields = self._facts.fields.copy()
        self._odd = np.zeros(self._count, np.bool_)
        self._faults: dict[int, Fault] = {}

    def layout(self) -> Layout:
        """Walk, and put the answer together."""
        window = self._window
        stop = self._walk()
        lines = np.flatnonzero(self._is_record[:stop])
        good = self._fields[lines] == self._width
        faulty = np.array(sorted(line for line in self._faults if line < stop), np.int64)
        records = np.searchsorted(lines, faulty)
        good[records] = False
        if stop < self._count:
            consumed = int(window.line_starts[stop])
        elif window.at_end:
            consumed = len(window.data)
        else:
            consumed = int(window.breaks[-1]) + 1 if window.breaks.size else 0
        return Layout(
            window=window,
            starts=window.line_starts[lines],
            ends=self._ends[lines],
            lines=lines,
            fields=self._fields[lines],
            good=good,
            odd=self._odd[lines],
            faults={record: self._faults[line] for record, line in zip(records.tolist(), faulty.tolist(), strict=True)},
            consumed=consumed,
            lines_consumed=int(np.searchsorted(window.breaks, consumed)),
        )

    def _walk(self) -> int:
        """Judge the hard lines; answer the first line that is left to the next window."""
        hard = np.flatnonzero(self._facts.hard)
        at = 0
        line = 0
        while True:
            at = int(np.searchsorted(hard, line)) if at < len(hard) else at
            if at >= len(hard):
                return self._count
            line = int(hard[at])
            try:
                line = self._judge(line)
            except _Undecided:
                return line

    def _judge(self, line: int) -> int:
        """Judge the record that begins at a hard line; answer the line after it."""
        if self._comments[line]:
            self._is_record[line] = False
            return line + 1
        found = self._scan(line)
        if found.problem == "incomplete":
            raise _Undecided
        if found.problem is not None:
            return self._resume(line, found)
        next_line = self._line_at(found.next_start)
        if found.fields != self._width and next_line > line + 1 and self._width > 1:
            candidate = self._right_again(line + 1, next_line)
            if candidate is not None:
                return self._reject("unclosed_quote", line, candidate, self._quote_column(line))
        self._fields[line] = found.fields
        self._odd[line] = found.odd
        return self._take(line, next_line, found.content_end)

    def _resume(self, line: int, found: Scan) -> int:
        """Reject the record at `line`, whose quotes are wrong, and answer where the file is right again."""
        start = int(self._window.line_starts[line])
        if found.problem == "record_too_long":
            if self._window.line_ends[line] - start >= self._record_bytes_max:
                return self._reject("record_too_long", line, line + 1, None)
            # Only lines that end within the longest record: what lies beyond may not be in memory yet.
            last = self._line_of(start + self._record_bytes_max)
            candidate = self._right_again(line + 1, last)
            return self._reject("unclosed_quote", line, candidate or line + 1, self._quote_column(line))
        last = self._line_of(found.at if found.problem == "stray_quote" else len(self._window.data) - 1)
        if last >= self._count:
            raise _Undecided
        if last == line:
            return self._reject(found.problem or "", line, line + 1, found.fields)
        candidate = self._right_again(line + 1, last + 1)
        if candidate is not None:
            return self._reject("unclosed_quote", line, candidate, self._quote_column(line))
        if last - line > _CANDIDATES_MAX:
            return self._reject("unclosed_quote", line, line + 1, self._quote_column(line))
        return self._reject(found.problem or "", line, last + 1, found.fields)

    def _right_again(self, first: int, last: int) -> int | None:
        """The first line from `first` on, before `last`, at which a right record begins."""
        for line in range(first, min(last, first + _CANDIDATES_MAX, self._count)):
            if self._facts.blank[line] or self._comments[line]:
                continue
            if not self._facts.hard[line]:
                if self._facts.fields[line] == self._width:
                    return line
                continue
            found = self._scan(line)
            if found.problem == "incomplete":
                raise _Undecided
            if found.problem is None and found.fields == self._width:
                return line
        return None

    def _reject(self, kind: str, line: int, next_line: int, column: int | None) -> int:
        self._faults[line] = Fault(kind, column if column is not None and column < self._width else None)
        return self._take(line, next_line, int(self._window.line_ends[next_line - 1]))

    def _take(self, line: int, next_line: int, end: int) -> int:
        """Make the lines before `next_line` one record, and answer `next_line`."""
        self._is_record[line + 1 : next_line] = False
        self._ends[line] = end
        return next_line

    def _scan(self, line: int) -> Scan:
        return scan_record(
            self._window.data,
            int(self._window.line_starts[line]),
            self._dialect,
            at_end=self._window.at_end,
            record_bytes_max=self._record_bytes_max,
        )

    def _quote_column(self, line: int) -> int:
        """The field that the first line's last quote leaves open."""
        start, end = int(self._window.line_starts[line]), int(self._window.line_ends[line])
        return column_at(self._window.data[start:end], self._dialect)

    def _line_of(self, offset: int) -> int:
        """The line that holds an offset."""
        return int(np.searchsorted(self._window.breaks, offset))

    def _line_at(self, start: int) -> int:
        """The number of the line that begins at `start`, or of the first one after it."""
        return int(np.searchsorted(self._window.line_starts, start))


def column_at(record_head: bytes, dialect: Dialect) -> int:
    """Index of the field in which a piece of a record ends."""
    found = scan_record(record_head, 0, dialect, at_end=True, record_bytes_max=len(record_head) + 1)
    return found.fields if found.problem is not None else max(found.fields - 1, 0)
