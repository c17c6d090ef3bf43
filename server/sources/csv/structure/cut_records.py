"""Lines that a CR cuts in two, in a file whose lines end in LF or CR LF.

There a CR ends a record only when all the pieces of its line are right records (or say nothing); otherwise it is a stray
character, and the whole line is one bad record, whichever piece of it looks right. A line is put together up to the
longest record; beyond that its pieces stay apart, so that a file without LF can be read at all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from server.sources.csv.dialect import LF
from server.sources.csv.structure.arrays import Flags, Positions
from server.sources.csv.structure.record_index import NO_COLUMN, STRAY_LINE_BREAK, RecordIndex


def with_whole_lines(index: RecordIndex, record_bytes_max: int) -> RecordIndex:
    """The records with those put together that one line was cut into, where one of them is bad.

    A line whose end is not in the window is left to the next one.

    Args:
        index: records of a window with a CR that stands alone.
        record_bytes_max: pieces of this length together, or more, stay apart.
    """
    if not index.starts.size:
        return index
    feeds = np.flatnonzero(index.window.array == LF)
    firsts, is_long = _lines(index, feeds, record_bytes_max)
    if not (index.window.at_end or is_long[-1] or _is_closed(index, feeds)):
        index = _before(index, int(firsts[-1]))
        firsts, is_long = firsts[:-1], is_long[:-1]
        if not firsts.size:
            return index
    count = len(index.starts)
    lasts = np.append(firsts[1:], count) - 1
    is_right = np.logical_and.reduceat(index.good, firsts)
    bad = (lasts > firsts) & ~is_right & ~is_long
    if not bad.any():
        return index
    kept = np.ones(count, np.bool_)
    ends, faults, columns, good = index.ends.copy(), index.faults.copy(), index.columns.copy(), index.good.copy()
    for first, last in zip(firsts[bad].tolist(), lasts[bad].tolist(), strict=True):
        kept[first + 1 : last + 1] = False
        ends[first] = ends[last]
        faults[first], columns[first], good[first] = STRAY_LINE_BREAK, NO_COLUMN, False
    changed = replace(index, ends=ends, faults=faults, columns=columns, good=good)
    return _chosen(changed, kept)


def _lines(index: RecordIndex, feeds: Positions, record_bytes_max: int) -> tuple[Positions, Flags]:
    """The first record of each line, and whether the line was cut off because it is too long."""
    # A record and the next one are of one line when no LF stands between them.
    joined = np.searchsorted(feeds, index.ends[:-1]) == np.searchsorted(feeds, index.starts[1:])
    firsts = np.flatnonzero(np.append(True, ~joined))
    lasts = np.append(firsts[1:], len(index.starts)) - 1
    is_long = index.ends[lasts] - index.starts[firsts] >= record_bytes_max
    if not (is_long & (lasts > firsts)).any():
        return firsts, is_long & (lasts > firsts)
    pieces: list[tuple[int, bool]] = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        begin = first
        for record in range(first, last + 1):
            if record > begin and index.ends[record] - index.starts[begin] >= record_bytes_max:
                pieces.append((begin, True))
                begin = record + 1
        if begin <= last:
            pieces.append((begin, False))
    return np.array([piece[0] for piece in pieces], np.int64), np.array([piece[1] for piece in pieces], np.bool_)


def _is_closed(index: RecordIndex, feeds: Positions) -> bool:
    """Whether an LF ends the line of the last record in the window."""
    return bool(np.searchsorted(feeds, index.ends[-1]) < np.searchsorted(feeds, index.consumed))


def _before(index: RecordIndex, record: int) -> RecordIndex:
    """What comes before the line on which a record begins; the rest is left to the next window."""
    line = int(index.lines[record])
    kept = np.arange(len(index.starts)) < record
    return replace(
        _chosen(index, kept),
        consumed=int(index.window.breaks[line - 1]) + 1 if line else 0,
        lines_consumed=line,
        blanks=index.blanks[index.blanks < line],
        comments=index.comments[index.comments < line],
    )


def _chosen(index: RecordIndex, kept: Flags) -> RecordIndex:
    return replace(
        index,
        starts=index.starts[kept],
        ends=index.ends[kept],
        lines=index.lines[kept],
        fields=index.fields[kept],
        good=index.good[kept],
        odd=index.odd[kept],
        faults=index.faults[kept],
        columns=index.columns[kept],
    )
