"""Escapes that other programs read as a tab, a line break or a zero byte, and that are text here."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import numpy as np

from server.sources.csv.dialect import NO_BYTE, Dialect
from server.sources.csv.structure.record_index import RecordIndex

_LETTERS: Final = b"tnr0"


def escape_sequences(index: RecordIndex, dialect: Dialect) -> list[tuple[int, str]]:
    """The sequences in good records: the line of the window on which each stands, and how it is written."""
    if dialect.escape == NO_BYTE:
        return []
    data = index.window.data
    at = [match.start() for match in _escaped(dialect.escape).finditer(data, 0, index.consumed) if match[1]]
    if not at:
        return []
    records = np.searchsorted(index.starts, at, "right") - 1
    lines = np.searchsorted(index.window.breaks, at)
    return [
        (int(line), data[offset : offset + 2].decode("ascii", "backslashreplace"))
        for offset, record, line in zip(at, records.tolist(), lines.tolist(), strict=True)
        if record >= 0 and index.good[record] and offset < index.ends[record]
    ]


@lru_cache(maxsize=16)
def _escaped(escape: int) -> re.Pattern[bytes]:
    """An escape with what is behind it; the first group is one of the letters."""
    return re.compile(re.escape(bytes([escape])) + b"(?:([" + _LETTERS + b"])|.)", re.DOTALL)
