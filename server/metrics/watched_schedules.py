"""The schedules that have metrics, looked for once a minute beside the scrapes.

Which source a schedule is of is a look at the disk, which may hang: there is one look at a time, and scrapes have what the last
one found. A schedule is known by its id and the type of its source, never by an address, which may hold a secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from db.engine import Database
from db.records import Schedule
from db.repositories.schedules import enabled_schedules
from server.core.clock import Clock
from server.core.config import Settings
from server.core.cron import cron_problem, longest_gap_seconds, time_zone_problem
from server.core.waits import Wait
from server.execution.periodic import repeated
from server.execution.source_keys import SourceKeys
from server.sources.registry import source_types

INTERVAL_SECONDS: Final = 60.0


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


class WatchedSchedules:
    """Keeps the list of one database's.

    Args:
        keys: tells which source a schedule is of.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock, keys: SourceKeys) -> None:
        self._database = database
        self._schedules_max = settings.metrics_schedules_max
        self._clock = clock
        self._keys = keys
        # The oldest that are switched on, and whether there are more than may have metrics.
        self.found: Sequence[WatchedSchedule] = ()
        self.has_more = False

    async def run(self) -> NoReturn:
        """Look again and again, until cancelled."""
        await repeated(self.look, lambda: self._clock.sleep(INTERVAL_SECONDS), Wait(self._clock, "metrics"))

    async def look(self) -> None:
        """Look once.

        Raises:
            DatabaseError: the list stays as it is.
        """
        async with self._database.read() as connection:
            stored = await enabled_schedules(connection, self._schedules_max + 1)
        now, watched = self._clock.now(), stored[: self._schedules_max]
        self.found = await asyncio.to_thread(lambda: [_watched(one, self._keys, now) for one in watched])
        self.has_more = len(stored) > len(watched)


def _watched(schedule: Schedule, keys: SourceKeys, now: datetime) -> WatchedSchedule:
    is_usable = not (cron_problem(schedule.cron) or time_zone_problem(schedule.time_zone))
    return WatchedSchedule(
        labels=(str(schedule.id), schedule.source_type if schedule.source_type in source_types() else "other"),
        source_key=keys.source_key(schedule.source_type, schedule.source_identifier),
        interval_seconds=longest_gap_seconds(schedule.cron, now.astimezone(UTC)) if is_usable else None,
        starts_at_seconds=schedule.starts_at_ms / 1000,
    )
