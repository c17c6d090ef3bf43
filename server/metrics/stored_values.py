"""What stands in the database, as a scrape shows it: runs by status, what waits, how long ago sources last succeeded.

It is read at a scrape, at most once in TECHAURA_SYNC_METRICS_DATABASE_INTERVAL_SECONDS whoever scrapes, within a deadline, in
three statements. While the database does not answer, its values are left out and `techaura_sync_database_up` is 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.errors import DatabaseError
from db.repositories.backlog import Backlog, read_backlog, success_ages
from db.repositories.run_counts import count_by_status
from server.core.clock import Clock
from server.core.config import Settings
from server.metrics import definitions
from server.metrics.watched_schedules import WatchedSchedules

log = structlog.get_logger()


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
        schedules: those that have metrics.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        database: Database,
        settings: Settings,
        clock: Clock,
        schedules: WatchedSchedules,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._schedules = schedules
        self._reading = asyncio.Lock()
        self._due_seconds = float("-inf")
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
            {one.labels: one.interval_seconds for one in self._schedules.found if one.interval_seconds is not None}
        )
        yield definitions.SCHEDULES_UNSEEN.family({(): float(self._schedules.has_more)})

    async def _read(self) -> _Values:
        async with self._database.read() as connection:
            runs, backlog = await count_by_status(connection), await read_backlog(connection)
            ages = await self._ages(connection)
        return _Values(runs, backlog, ages)

    async def _ages(self, connection: AsyncConnection) -> dict[tuple[str, ...], float]:
        schedules = self._schedules.found
        if not schedules:
            return {}
        found = await success_ages(connection, sorted({one.source_key for one in schedules}))
        now_seconds = self._clock.now().timestamp()
        return {
            one.labels: found.get(one.source_key, max(0.0, now_seconds - one.starts_at_seconds)) for one in schedules
        }
