"""Which records say nothing: all their fields are empty or white space, as spreadsheets write rows that were emptied."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server.sources.csv.dialect import Dialect
from server.sources.csv.structure.arrays import Flags, Positions


def blank_records(
    data: bytes, array: npt.NDArray[np.uint8], dialect: Dialect, width: int, starts: Positions, ends: Positions
) -> Flags:
    """Flags of the stretches of bytes that are blank records by themselves.

    Args:
        data, array: working bytes, twice.
        width: of a good record.
        starts, ends: where each stretch begins and ends, without its line break.
    """
    blank: Flags = starts == ends
    if not starts.size:
        return blank
    # The bytes at both ends rule out nearly all; what is left is looked at whole.
    last_byte = len(array) - 1
    likely = np.flatnonzero(dialect.blank_opens[array[np.minimum(starts, last_byte)]])
    likely = likely[starts[likely] < ends[likely]]
    lasts = ends[likely] - 1
    seconds = np.minimum(starts[likely] + 1, lasts)
    likely = likely[dialect.blank_opens[array[seconds]] & dialect.blank_closes[array[lasts]]]
    matches = dialect.blank_record(width).fullmatch
    for record in likely.tolist():
        blank[record] = matches(data, int(starts[record]), int(ends[record])) is not None
    return blank
