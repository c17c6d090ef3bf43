"""What stands in the database, as a scrape shows it: runs by status, what waits, how long ago sources last succeeded.

It is read at a scrape, at most once in TECHAURA_SYNC_METRICS_DATABASE_INTERVAL_SECONDS whoever scrapes, within a deadline, in
three statements. While the database does not answer, its values are left out and `techaura_sync_database_up` is 0. A schedule
is shown by its id and the type of its source, never by an address, which may hold a secret; there is a limit to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.errors import DatabaseError
from db.records import Schedule
from db.repositories.backlog import Backlog, read_backlog, success_ages
from db.repositories.run_counts import count_by_status
from db.repositories.schedules import enabled_schedules
from server.core.clock import Clock
from server.core.config import Settings
from server.core.cron import cron_problem, longest_gap_seconds, time_zone_problem
from server.execution.source_keys import SourceKeys
from server.metrics import definitions
from server.sources.registry import source_types

log = structlog.get_logger()

# Schedules change seldom, and the key of a source is a look at the disk.
_SCHEDULES_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class WatchedSchedule:
    """A schedule that has metrics.

    Args:
        labels: its id and source type.
        interval_seconds: the longest time between two of its next fires; None where this machine cannot tell.
        starts_at_seconds: since when it counts, by the machine's clock.
    """

    labels: tuple[str, str]
    source_key: str
    interval_seconds: float | None
    starts_at_seconds: float


@dataclass(frozen=True, slots=True)
class _Values:
    """What was read last."""

    runs: Mapping[str, int]
    backlog: Backlog
    ages: Mapping[tuple[str, ...], float] = field(default_factory=dict)


class StoredValues(Collector):
    """Reads one database for scrapes.

    Args:
        registry: where it is registered.
        keys: tells which source a schedule is of.
    """

    def __init__(
        self, registry: CollectorRegistry, database: Database, settings: Settings, clock: Clock, keys: SourceKeys
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._keys = keys
        self._reading = asyncio.Lock()
        self._due_seconds = float("-inf")
        self._schedules_due_seconds = float("-inf")
        self._schedules: Sequence[WatchedSchedule] = ()
        self._has_more_schedules = False
        self._values: _Values | None = None
        registry.register(self)

    async def refresh(self) -> None:
        """Read again, if it is time; raises nothing that the database does."""
        async with self._reading:
            if self._clock.monotonic_seconds() < self._due_seconds:
                return
            try:
                async with asyncio.timeout(self._settings.metrics_database_timeout_seconds):
                    self._values = await self._read()
            except (DatabaseError, TimeoutError) as error:
                if self._values is not None:
                    reason = error.reason if isinstance(error, DatabaseError) else "TIMEOUT"
                    log.warning("scrape_without_database", action="metrics", reason=reason)
                self._values = None
            self._due_seconds = self._clock.monotonic_seconds() + self._settings.metrics_database_interval_seconds

    def collect(self) -> Iterable[Metric]:
        """The gauges of what was read last."""
        values = self._values
        yield definitions.DATABASE_UP.family({(): float(values is not None)})
        if values is None:
            return
        backlog = values.backlog
        queued = {"due": backlog.due, "delayed": backlog.delayed, "paused": backlog.paused}
        yield definitions.RUNS.family({(status,): count for status, count in values.runs.items()})
        yield definitions.QUEUE_RUNS.family({(state,): count for state, count in queued.items()})
        yield definitions.QUEUE_AGE.family({(): backlog.oldest_seconds})
        yield definitions.RUNS_UNOWNED.family({(): backlog.unowned})
        yield definitions.SCHEDULE_AGE.family(dict(values.ages))
        yield definitions.SCHEDULE_INTERVAL.family(
            {one.labels: one.interval_seconds for one in self._schedules if one.interval_seconds is not None}
        )
        yield definitions.SCHEDULES_UNSEEN.family({(): float(self._has_more_schedules)})

    async def _read(self) -> _Values:
        async with self._database.read() as connection:
            if self._clock.monotonic_seconds() >= self._schedules_due_seconds:
                await self._read_schedules(connection)
            runs, backlog = await count_by_status(connection), await read_backlog(connection)
            ages = await self._ages(connection)
        return _Values(runs, backlog, ages)

    async def _read_schedules(self, connection: AsyncConnection) -> None:
        schedules_max = self._settings.metrics_schedules_max
        found = await enabled_schedules(connection, schedules_max + 1)
        self._has_more_schedules = len(found) > schedules_max
        self._schedules = await asyncio.to_thread(
            lambda: [_watched(one, self._keys, self._clock.now()) for one in found[:schedules_max]]
        )
        self._schedules_due_seconds = self._clock.monotonic_seconds() + _SCHEDULES_SECONDS

    async def _ages(self, connection: AsyncConnection) -> dict[tuple[str, ...], float]:
        if not self._schedules:
            return {}
        found = await success_ages(connection, sorted({one.source_key for one in self._schedules}))
        now_seconds = self._clock.now().timestamp()
        return {
            one.labels: found.get(one.source_key, max(0.0, now_seconds - one.starts_at_seconds))
            for one in self._schedules
        }


def _watched(schedule: Schedule, keys: SourceKeys, now: datetime) -> WatchedSchedule:
    """What is shown of a schedule. Looks at the disk."""
    source_type = schedule.source_type if schedule.source_type in source_types() else "other"
    is_usable = not (cron_problem(schedule.cron) or time_zone_problem(schedule.time_zone))
    return WatchedSchedule(
        labels=(str(schedule.id), source_type),
        source_key=keys.source_key(schedule.source_type, schedule.source_identifier),
        interval_seconds=longest_gap_seconds(schedule.cron, now.astimezone(UTC)) if is_usable else None,
        starts_at_seconds=schedule.starts_at_ms / 1000,
    )
