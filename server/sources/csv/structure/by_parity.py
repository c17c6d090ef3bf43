"""The fast way to the records of a window: all at once, by the parity of its quotes, where these are in order."""

from __future__ import annotations

import numpy as np

from server.sources.csv.dialect import Dialect
from server.sources.csv.structure.blank_records import blank_records
from server.sources.csv.structure.line_facts import Window, comment_lines, misplaced_quotes
from server.sources.csv.structure.record_index import NO_COLUMN, NO_LINES, RecordIndex


def by_parity(window: Window, dialect: Dialect, width: int, record_bytes_max: int) -> RecordIndex | None:
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
        return _empty(window, width)
    lines = np.searchsorted(window.line_starts, starts)
    last_lines = np.append(lines[1:], np.searchsorted(window.breaks, cut) + tail_is_record) - 1
    ends = window.line_ends[last_lines]
    delimiters = window.delimiters
    if quotes.size:
        delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
    fields = np.diff(np.searchsorted(delimiters, np.append(starts, cut))) + 1
    if window.has_marks:
        starts = window.line_starts[lines]
    blank = blank_records(window.data, window.array, dialect, width, starts, ends)
    several_lines = last_lines > lines
    if bool(((ends - starts) >= record_bytes_max).any()) or bool(((fields != width) & several_lines & ~blank).any()):
        return None
    kept = ~blank
    fields = fields[kept]
    return RecordIndex(
        window=window,
        starts=starts[kept],
        ends=ends[kept],
        lines=lines[kept],
        fields=fields,
        good=(fields <= width) & (fields >= width - dialect.missing_max),
        # What lacks fields is written anew.
        odd=fields < width,
        faults=np.zeros(len(fields), np.uint8),
        columns=np.full(len(fields), NO_COLUMN, np.int32),
        consumed=cut,
        lines_consumed=int(np.searchsorted(window.breaks, cut)),
        blanks=lines[blank & (starts < ends)],
        comments=NO_LINES,
        width=width,
    )


def _empty(window: Window, width: int) -> RecordIndex:
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
        blanks=NO_LINES,
        comments=NO_LINES,
        width=width,
    )
