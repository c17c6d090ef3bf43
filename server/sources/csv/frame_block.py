"""A block of records of a format that comes to them without looking for their bounds: a frame, and rejects between its rows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from server.sources.contract import Reject
from server.sources.csv.blocks import BlockStart, Limits, Part
from server.sources.csv.findings import NOTHING_FOUND, Findings


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a block.

    Args:
        frame: the good ones, one String column for each column of the file.
        lines: per row, its line or row in the file, from 1.
        record_nos: per row, its number in the file, from 1.
        byte_offsets: per row, where it begins; empty where there is no such thing.
        rejects: number in the file -> what is wrong with it.
        raw_text: the record of a row, by its index.
    """

    frame: pl.DataFrame
    lines: Sequence[int]
    record_nos: Sequence[int]
    byte_offsets: Sequence[int]
    rejects: Sequence[tuple[int, Reject]]
    raw_text: Callable[[int], str]


class FrameBlock:
    """Records in parts of at most `batch_rows_max`.

    Args:
        records: what it holds.
        place: where it begins.
        next_place: where the next one does.
        limits: of the run.
        bytes_before, bytes_after: how far the file is read at its beginning and its end.
        findings: what it holds beside records.
    """

    def __init__(
        self,
        records: Records,
        place: BlockStart,
        next_place: BlockStart,
        limits: Limits,
        *,
        bytes_before: int = 0,
        bytes_after: int = 0,
        findings: Findings = NOTHING_FOUND,
    ) -> None:
        self._records = records
        self._first = place.record_no
        self._count = next_place.record_no - place.record_no
        self.next_place = next_place
        self.findings = findings
        self.part_count = -(-self._count // limits.batch_rows_max)
        self._part_records = -(-self._count // self.part_count) if self._count else 0
        self._bytes = (bytes_before, bytes_after)

    def part(self, index: int) -> Part:
        """One part, by its index from 0."""
        records = self._records
        first = self._first + index * self._part_records
        last = min(first + self._part_records, self._first + self._count)
        begin, end = bisect_left(records.record_nos, first), bisect_left(records.record_nos, last)
        before, after = self._bytes
        return Part(
            frame=records.frame.slice(begin, end - begin),
            lines=pl.Series("line", records.lines[begin:end], pl.UInt64),
            record_nos=pl.Series("record_no", records.record_nos[begin:end], pl.UInt64),
            byte_offsets=pl.Series("byte_offset", records.byte_offsets[begin:end], pl.UInt64),
            rejects=tuple(reject for number, reject in records.rejects if first <= number < last),
            end_offset=before + (after - before) * (last - self._first) // self._count,
            raw_text=lambda row: records.raw_text(begin + row),
        )
