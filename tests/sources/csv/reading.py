"""Reads CSV content the way the service does, with everything that matters settable and the rest by default."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from server.core.config import Settings
from server.sources.contract import Reject, SourceBatch, SourceContext, SourceInfo
from server.sources.csv.options import CsvOptions, parse_options
from server.sources.csv.reader import open_csv


class StillClock:
    """A clock that stands still and never waits; `waited` tells for how long it was asked to."""

    def __init__(self, now: datetime = datetime(2001, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self.waited: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic_seconds(self) -> float:
        return 0.0

    def random(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


@dataclass(frozen=True)
class Row:
    values: tuple[Any, ...]
    line: int
    record_no: int
    byte_offset: int


@dataclass(frozen=True)
class Reading:
    info: SourceInfo
    batches: tuple[SourceBatch, ...]
    rows: tuple[Row, ...]
    rejects: tuple[Reject, ...]
    notices: tuple[str, ...]

    @property
    def values(self) -> list[tuple[Any, ...]]:
        return [row.values for row in self.rows]

    @property
    def faults(self) -> list[tuple[str, int, int | None, str | None, str]]:
        return [(r.kind, r.line, r.byte_offset, r.column, r.raw) for r in self.rejects]


def context_for(*roots: Path, clock: StillClock | None = None, **settings: Any) -> SourceContext:
    """Settings may lie below the limits that the environment may set: small blocks make small tests."""
    known = {"csv_settle_seconds": 0.0, **settings}
    return SourceContext(_defaults(":".join(map(str, roots))).model_copy(update=known), clock or StillClock())


@cache
def _defaults(data_roots: str) -> Settings:
    """Reading the environment for each of a thousand tables takes longer than reading the tables."""
    return Settings(data_roots=data_roots)


def rows_of(batch: SourceBatch) -> list[Row]:
    values = batch.frame.rows()
    # A workbook has none.
    offsets = list(batch.byte_offsets) or [0] * batch.frame.height
    columns = zip(values, batch.lines, batch.record_nos, offsets, strict=True)
    return [Row(*parts) for parts in columns]


async def read_path(
    identifier: str,
    context: SourceContext,
    options: CsvOptions | Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Reading:
    checked = options if isinstance(options, CsvOptions) else parse_options(options or {})
    reader = await open_csv(identifier, checked, context)
    try:
        batches = tuple([batch async for batch in reader.batches(after, 1)])
        return Reading(
            info=reader.info,
            batches=batches,
            rows=tuple(row for batch in batches for row in rows_of(batch)),
            rejects=tuple(reject for batch in batches for reject in batch.rejects),
            notices=reader.notices(),
        )
    finally:
        await reader.close()


def read_bytes(
    folder: Path,
    content: bytes,
    options: CsvOptions | Mapping[str, Any] | None = None,
    *,
    name: str = "songs.csv",
    **settings: Any,
) -> Reading:
    (folder / name).write_bytes(content)
    return asyncio.run(read_path(name, context_for(folder, **settings), options))
