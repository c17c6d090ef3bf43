"""Vectorised facts about the lines of a window of bytes: where they are, and which are records by themselves.

A line is *plain* when, read from its start outside quotes, its quotes stand only at field edges and close on the same line;
then its field count is exact and it means the same to `scan_record`. Every other line is *hard* and left to the scanner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.sources.csv.dialect import CR, LF, NO_BYTE, Dialect
from server.sources.csv.structure.arrays import Flags, Positions
from server.sources.csv.structure.blank_records import blank_records


@dataclass(frozen=True, slots=True)
class Window:
    """Bytes of a file from a record start on, with the positions that structure is made of.

    Args:
        data: working bytes; the last one is no CR unless the file ends there.
        array: the same bytes.
        at_end: whether the file ends where the data ends.
        breaks: last byte of each line break.
        line_starts: where each complete line begins, behind the byte order marks of files that were put together; at the
            end of the file a line needs no break.
        line_ends: where its content ends.
        quotes: every quote byte.
        delimiters: first byte of each delimiter, in quotes or not.
        overlapping: whether delimiters overlap, so that only the scanner can tell which ones count.
        has_lone_cr: whether a CR without LF is among the breaks.
        has_marks: whether a line begins with a byte order mark.
    """

    data: bytes
    array: npt.NDArray[np.uint8]
    at_end: bool
    breaks: Positions
    line_starts: Positions
    line_ends: Positions
    quotes: Positions
    delimiters: Positions
    overlapping: bool
    has_lone_cr: bool
    has_marks: bool = False


def window_of(data: bytes, dialect: Dialect, *, at_end: bool) -> Window:
    """Find the positions in one pass per kind of byte."""
    array = np.frombuffer(data, np.uint8)
    breaks, line_ends, has_lone_cr = _breaks(data, array)
    line_starts = np.concatenate((np.zeros(1, np.int64), breaks + 1))
    if at_end and int(line_starts[-1]) < len(data):
        line_ends = np.append(line_ends, len(data))
    else:
        line_starts = line_starts[:-1]
    behind = _behind_marks(data, array, dialect.mark, line_starts, line_ends)
    has_marks = behind is not line_starts
    line_starts = behind
    quotes = _positions(array, dialect.quote) if dialect.quote != NO_BYTE else np.zeros(0, np.int64)
    delimiters = _delimiters(array, dialect.delimiter)
    width = len(dialect.delimiter)
    overlapping = width > 1 and bool((np.diff(delimiters) < width).any())
    return Window(
        data, array, at_end, breaks, line_starts, line_ends, quotes, delimiters, overlapping, has_lone_cr, has_marks
    )


def _behind_marks(
    data: bytes, array: npt.NDArray[np.uint8], mark: bytes, starts: Positions, ends: Positions
) -> Positions:
    """Where the text of each line begins: files that were put together have a mark at the beginning of each."""
    if not mark or mark not in data:
        return starts
    padded = np.append(array, np.zeros(len(mark), np.uint8))
    while True:
        marked = starts + len(mark) <= ends
        for distance, byte in enumerate(mark):
            marked &= padded[np.minimum(starts + distance, len(array))] == byte
        if not marked.any():
            return starts
        starts = starts + len(mark) * marked


def _positions(array: npt.NDArray[np.uint8], byte: int) -> Positions:
    return np.flatnonzero(array == byte)


def _breaks(data: bytes, array: npt.NDArray[np.uint8]) -> tuple[Positions, Positions, bool]:
    """Last byte of each line break, where the line before it ends, and whether a CR stands alone."""
    feeds = _positions(array, LF)
    if b"\r" not in data:
        return feeds, feeds, False
    returns = _positions(array, CR)
    following = array[np.minimum(returns + 1, len(array) - 1)]
    alone = returns[(following != LF) | (returns + 1 >= len(array))]
    breaks = np.sort(np.concatenate((feeds, alone))) if alone.size else feeds
    pairs = (array[breaks] == LF) & (array[np.maximum(breaks - 1, 0)] == CR) & (breaks > 0)
    return breaks, breaks - pairs, bool(alone.size)


def _delimiters(array: npt.NDArray[np.uint8], delimiter: bytes) -> Positions:
    found = _positions(array, delimiter[0])
    for distance, byte in enumerate(delimiter[1:], 1):
        found = found[found + distance < len(array)]
        found = found[array[found + distance] == byte]
    return found


def misplaced_quotes(window: Window, dialect: Dialect, opening: Flags) -> Flags:
    """Which quotes stand where none may, given which of them open a field.

    A quote that opens follows a delimiter or a line break; one that closes comes before one. A closing and an
    opening quote side by side are one quote in the value when the dialect doubles them.
    """
    array, quotes, width = window.array, window.quotes, len(dialect.delimiter)
    before = array[np.maximum(quotes - 1, 0)]
    after = array[np.minimum(quotes + 1, len(array) - 1)]
    if width == 1:
        after_delimiter = before == dialect.delimiter[0]
        before_delimiter = after == dialect.delimiter[0]
    else:
        starts = np.zeros(len(array) + 1, np.bool_)
        starts[window.delimiters] = True
        after_delimiter = starts[np.maximum(quotes - width, 0)] & (quotes >= width)
        before_delimiter = starts[quotes + 1]
    opens_well = after_delimiter | (before == LF) | (before == CR) | (quotes == 0)
    if window.has_marks:
        opens_well |= np.isin(quotes, window.line_starts)
    closes_well = before_delimiter | (after == LF) | (after == CR) | (quotes == len(array) - 1)
    if dialect.rule == "double":
        # `quotes == 0` has itself as its neighbour above; it opens well anyway, and the last one closes well.
        opens_well |= before == dialect.quote
        closes_well |= after == dialect.quote
    misplaced: Flags = np.where(opening, ~opens_well, ~closes_well)
    return misplaced


@dataclass(frozen=True, slots=True)
class LineFacts:
    """Per line of a window: whether it says nothing, whether only the scanner can read it, else its fields."""

    blank: Flags
    hard: Flags
    fields: Positions


def line_facts(window: Window, dialect: Dialect, width: int, record_bytes_max: int) -> LineFacts:
    """Classify every line as if it began outside quotes."""
    starts, ends, count = window.line_starts, window.line_ends, len(window.line_starts)
    blank = blank_records(window.data, window.array, dialect, width, starts, ends)
    hard = (ends - starts) >= record_bytes_max
    delimiter_lines = np.searchsorted(window.breaks, window.delimiters)
    outside = np.ones(len(window.delimiters), np.bool_)
    if window.quotes.size:
        # What stands in the tail, behind the last break, counts as one more line; it is cut off where it is not one.
        quote_lines = np.searchsorted(window.breaks, window.quotes)
        line_firsts = np.searchsorted(window.quotes, np.append(0, window.breaks + 1))
        ordinals = np.arange(len(window.quotes)) - line_firsts[quote_lines]
        misplaced = misplaced_quotes(window, dialect, ordinals % 2 == 0)
        broken = quote_lines[misplaced]
        hard[broken[broken < count]] = True
        hard |= _counts(quote_lines, count) % 2 == 1
        before = np.searchsorted(window.quotes, window.delimiters) - line_firsts[delimiter_lines]
        outside = before % 2 == 0
    if dialect.escape != NO_BYTE:
        marked = np.searchsorted(window.breaks, _positions(window.array, dialect.escape))
        hard[marked[marked < count]] = True
    hard |= comment_lines(window, dialect)
    if window.overlapping:
        hard[:] = True
    fields = _counts(delimiter_lines[outside], count) + 1
    return LineFacts(blank, hard & ~blank, fields)


def _counts(lines: Positions, count: int) -> Positions:
    """How often each of the first `count` line numbers occurs."""
    counts: Positions = np.bincount(lines, minlength=count)[:count]
    return counts


def comment_lines(window: Window, dialect: Dialect) -> Flags:
    """Which lines begin with the comment prefix."""
    comments = np.zeros(len(window.line_starts), np.bool_)
    if dialect.comment:
        marked = _delimiters(window.array, dialect.comment)
        comments[np.isin(window.line_starts, marked)] = True
    return comments
