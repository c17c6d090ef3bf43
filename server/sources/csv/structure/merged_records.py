"""Values over several lines of which some are right records by themselves: a quote may be missing there.

RFC 4180 allows such a value, so it is loaded as it stands; only a person can tell, and is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from server.sources.csv.structure.record_index import RecordIndex

# In a file of two columns a line with one delimiter is nothing special: an address, a verse.
_WIDTH_TELLING_MIN = 3


@dataclass(frozen=True, slots=True)
class MergedRecord:
    """Such a record.

    Args:
        line: index in the window of the line on which it begins.
        right_lines: lines of it that are right records by themselves.
    """

    line: int
    right_lines: int


def merged_records(index: RecordIndex, width: int) -> Iterator[MergedRecord]:
    """The good records that hold lines which would be good records, without a quote in them.

    Args:
        width: fields of a good record.
    """
    window = index.window
    if width < 2 or not index.starts.size or not window.quotes.size:
        return
    last_lines = np.searchsorted(window.line_starts, index.ends, "right") - 1
    for record in np.flatnonzero(index.good & (last_lines > index.lines + 1)).tolist():
        # The first line opens the quote and the last one closes it; those between may be anything.
        first, last = int(index.lines[record]) + 1, int(last_lines[record])
        bounds = np.append(window.line_starts[first:last], window.line_starts[last])
        fields = np.diff(np.searchsorted(window.delimiters, bounds)) + 1
        quotes = np.diff(np.searchsorted(window.quotes, bounds))
        filled = int((bounds[:-1] < window.line_ends[first:last]).sum())
        right = int(((fields == width) & (quotes == 0)).sum())
        if right and (width >= _WIDTH_TELLING_MIN or (right > 1 and right == filled)):
            yield MergedRecord(int(index.lines[record]), right)
