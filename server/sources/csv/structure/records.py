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

import numpy as np

from server.sources.csv.dialect import Dialect
from server.sources.csv.structure.by_parity import by_parity
from server.sources.csv.structure.cut_records import with_whole_lines
from server.sources.csv.structure.line_facts import comment_lines, window_of
from server.sources.csv.structure.line_walk import LineWalk
from server.sources.csv.structure.record_index import NO_COLUMN, NO_LINES, RECORD_TOO_LONG, RecordIndex


def find_records(data: bytes, dialect: Dialect, width: int, *, at_end: bool, record_bytes_max: int) -> RecordIndex:
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
    found = by_parity(window, dialect, width, record_bytes_max)
    if found is None:
        found = LineWalk(window, dialect, width, record_bytes_max).layout()
    if window.has_lone_cr and not dialect.cr_ends_lines:
        found = with_whole_lines(found, record_bytes_max)
    return found


def overlong_layout(head: bytes, dialect: Dialect, breaks: int) -> RecordIndex:
    """The layout of a line that is too long for a record, of which only the head is in memory.

    Args:
        head: how the line begins.
        dialect: the file's.
        breaks: line breaks behind it: 1, or 0 at the end of the file.
    """
    window = window_of(head, dialect, at_end=True)
    is_comment = bool(comment_lines(window, dialect).any())
    records = 0 if is_comment else 1
    zeros = np.zeros(records, np.int64)
    return RecordIndex(
        window=window,
        starts=window.line_starts[:records],
        ends=zeros + len(head),
        lines=zeros,
        fields=zeros,
        good=np.zeros(records, np.bool_),
        odd=np.zeros(records, np.bool_),
        faults=np.full(records, RECORD_TOO_LONG, np.uint8),
        columns=np.full(records, NO_COLUMN, np.int32),
        consumed=len(head),
        lines_consumed=breaks,
        blanks=NO_LINES,
        comments=np.zeros(1 - records, np.int64),
        width=0,
    )
