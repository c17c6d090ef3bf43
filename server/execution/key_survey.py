"""Finds the keys that occur more than once in a source that can be read twice, before a row of it is written.

Only so can «the last one wins» be exact when a file is resumed in its middle or synced again: whether a row is
superseded depends on the file alone, not on what happened to be written before.

Each row's 128-bit key digest and record number go to a temporary file, 24 bytes a row; then the file is gone through
once for each share of the digests that fits into `rows_in_memory_max`, sorted, and the repeated ones are kept. So memory
is bounded by that number and by the repeats, not by the file. Two different keys with one digest would be taken for one;
at 10^9 rows the chance is below 10^-20.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import polars as pl

from server.core.errors import FatalError
from server.core.reasons import Category, Reason

_FIELDS: Final = 3  # key_high, key_low, record_no
_CHUNK_ROWS: Final = 65_536
REPEATED_ROWS_MAX: Final = 5_000_000
_ROWS: Final = {"record_no": pl.UInt64, "ordinal": pl.UInt32, "last_record_no": pl.UInt64}


@dataclass(frozen=True, slots=True)
class DuplicateKeys:
    """Rows whose key occurs more than once.

    Args:
        rows: record_no (UInt64), `ordinal` (UInt32, from 1, in record order within the key) and `last_record_no` (UInt64, of the
            last row with the key, by which a key is known here), sorted by record_no.
    """

    rows: pl.DataFrame

    def between(self, first_record_no: int, last_record_no: int) -> pl.DataFrame:
        """The duplicates among those records."""
        numbers = self.rows["record_no"]
        start = numbers.search_sorted(first_record_no, side="left")
        end = numbers.search_sorted(last_record_no, side="right")
        return self.rows.slice(int(start), int(end) - int(start))

    def without(self, record_nos: pl.Series) -> DuplicateKeys:
        """The duplicates that are left without these records, which validation refuses; keys left alone stay (ordinal 1)."""
        left = self.rows.filter(~pl.col("record_no").is_in(record_nos))
        numbers, keys = left["record_no"].to_numpy(), left["last_record_no"].to_numpy()
        order = np.lexsort((numbers, keys))
        return DuplicateKeys(_in_record_order([_ranked(numbers[order], _begins(keys[order]))]))


def _begins(*keys: np.ndarray) -> np.ndarray:
    """Which rows of sorted ones are the first of their key."""
    begins = np.ones(len(keys[0]), dtype=bool)
    begins[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return begins


def _ranked(record_nos: np.ndarray, begins: np.ndarray) -> pl.DataFrame:
    """Rows as `DuplicateKeys` has them, in the order in which they come: by key, and by record within it.

    In numpy, and the keys themselves let go: rank().over() of Polars takes ten times the memory of its result.
    """
    first = np.flatnonzero(begins)
    sizes = np.diff(first, append=len(begins))
    ordinals = np.arange(1, len(begins) + 1, dtype=np.uint32) - np.repeat(first.astype(np.uint32), sizes)
    lasts = np.repeat(record_nos[first + sizes - 1], sizes)
    return pl.DataFrame(
        {"record_no": record_nos.astype(np.uint64), "ordinal": ordinals, "last_record_no": lasts.astype(np.uint64)},
        schema=_ROWS,
    )


def _in_record_order(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts, rechunk=True).sort("record_no") if parts else pl.DataFrame(schema=_ROWS)


class KeySurvey:
    """Collects key digests, then finds the duplicates. Use as a context manager: it owns a temporary file.

    Args:
        rows_in_memory_max: digests that are sorted at once.
    """

    def __init__(self, rows_in_memory_max: int = 1_000_000) -> None:
        self._file = tempfile.TemporaryFile(  # noqa: SIM115 - closed by __exit__
            prefix="techaura-sync-keys-"
        )
        self._row_count = 0
        self._rows_in_memory_max = rows_in_memory_max

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def add(self, digests: pl.DataFrame) -> None:
        """Add rows: key_high, key_low, record_no, each UInt64.

        Raises:
            FatalError: the disk of the temporary folder is full.
        """
        table = np.column_stack([digests[name].to_numpy() for name in ("key_high", "key_low", "record_no")])
        try:
            self._file.write(np.ascontiguousarray(table, dtype=np.uint64).tobytes())
        except OSError as error:
            raise FatalError(
                Reason.INTERNAL,
                f"the list of keys could not be written to the temporary folder ({error.strerror}); free some space",
                category=Category.SYSTEM,
            ) from error
        self._row_count += digests.height

    def repeats(self) -> DuplicateKeys:
        """Rows whose key occurs more than once.

        Raises:
            FatalError: there are more than REPEATED_ROWS_MAX.
        """
        self._file.flush()
        shares = max(1, -(-self._row_count // self._rows_in_memory_max))
        found: list[pl.DataFrame] = []
        count = 0
        for share in range(shares):
            repeated = self._repeated(share, shares)
            count += len(repeated)
            if count > REPEATED_ROWS_MAX:
                raise FatalError(
                    Reason.SOURCE_MALFORMED,
                    f"more than {REPEATED_ROWS_MAX} rows repeat the key of another row; is the right column the key?",
                    category=Category.VALIDATION,
                )
            if len(repeated):
                found.append(_ranked(repeated[:, 2].copy(), _begins(repeated[:, 0], repeated[:, 1])))
        return DuplicateKeys(_in_record_order(found))

    def _repeated(self, share: int, shares: int) -> np.ndarray:
        """The rows of one share of the digests whose two halves both equal those of another row.

        Nearly always there are none, and sorting the low halves alone shows it, in a third of the time and memory that
        whole rows take. Only rows whose low half does repeat are looked at whole.
        """
        lows = [chunk[:, 1].copy() for chunk in self._chunks(share, shares)]
        low = np.concatenate(lows) if lows else np.empty(0, np.uint64)
        del lows
        low.sort()
        twice = np.unique(low[1:][low[1:] == low[:-1]])
        if not len(twice):
            return np.empty((0, _FIELDS), np.uint64)
        candidates = np.concatenate([chunk[np.isin(chunk[:, 1], twice)] for chunk in self._chunks(share, shares)])
        ordered = candidates[np.lexsort((candidates[:, 1], candidates[:, 0]))]
        same = (ordered[1:, 0] == ordered[:-1, 0]) & (ordered[1:, 1] == ordered[:-1, 1])
        repeated = np.zeros(len(ordered), dtype=bool)
        repeated[1:] |= same
        repeated[:-1] |= same
        return ordered[repeated]

    def _chunks(self, share: int, shares: int) -> Iterator[np.ndarray]:
        """The digests of one share, by their low half (which a digest spreads evenly), some at a time."""
        self._file.seek(0)
        while raw := self._file.read(_CHUNK_ROWS * _FIELDS * 8):
            table = np.frombuffer(raw, np.uint64).reshape(-1, _FIELDS)
            yield table if shares == 1 else table[table[:, 1] % np.uint64(shares) == share]
