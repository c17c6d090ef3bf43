"""The nightly retry: when it is due is computed from a time passed in, who fires is decided by the database.

A fire is named by its local wall time (cron.py). That name is the key of a row in sync_schedule_fires, so each local time
fires once, whichever replica is first. A fire missed while every replica was down is caught up once, when it is not
older than the catch-up window. What a fire starts is committed with its row. The retried runs become due at moments of
their own, spread over some minutes, so that their sources are not all asked at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from db.engine import Database
from db.repositories import runs
from db.repositories.fires import try_fire
from server.core.clock import Clock
from server.core.config import Settings
from server.core.cron import is_missed, last_fire
from server.core.instruments import NO_INSTRUMENTS, Instruments
from server.core.waits import Wait
from server.execution.periodic import repeated
from server.schedules.database_clock import FireTime, own_time
from server.sources.registry import source_types

log = structlog.get_logger()

RETRY_SCHEDULE: Final = "retry-failed-runs"
_LOOK_AGAIN_SECONDS_MAX: Final = 30.0
_RUNS_PER_FIRE_MAX: Final = 10_000


class RetryScheduler:
    """Fires the nightly retry.

    Args:
        wake: called after runs were made pending.
        fire_time: see `database_clock`; without it, this machine's own.
        instruments: who counts fires.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        wake: Callable[[], None],
        fire_time: FireTime | None = None,
        instruments: Instruments = NO_INSTRUMENTS,
    ) -> None:
        self._instruments = instruments
        self._database = database
        self._settings = settings
        self._clock = clock
        self._fire_time = fire_time or own_time(clock)
        self._wake = wake
        self._time_zone = ZoneInfo(settings.time_zone)
        self._last_seen = ""

    async def run(self) -> None:
        """Fire whenever it is due, until cancelled."""
        await repeated(self.fire_if_due, lambda: self._clock.sleep(_LOOK_AGAIN_SECONDS_MAX), Wait(self._clock, "retry"))

    async def fire_if_due(self) -> list[int] | None:
        """Fire when a fire is due that nobody has taken; return the ids of the runs made pending, None without a fire.

        Raises:
            DatabaseError: nothing was fired.
        """
        settings = self._settings
        now = await self._fire_time()
        if now is None:
            return None
        fire, instant = last_fire(settings.retry_cron, self._time_zone, now)
        if fire == self._last_seen or is_missed(instant, now, settings.retry_catch_up_seconds):
            return None
        async with self._database.write() as connection:
            if not await try_fire(connection, RETRY_SCHEDULE, fire):
                self._last_seen = fire
                return None
            ids = await runs.requeue_failed(
                connection,
                source_types=source_types(),
                retry_count_max=settings.retry_count_max,
                age_days_max=settings.retry_age_days_max,
                limit=_RUNS_PER_FIRE_MAX,
                spread_ms=settings.retry_spread_seconds * 1000,
            )
        self._last_seen = fire
        log.info("retry_fired", action="retry", fire=fire, time_zone=settings.time_zone, runs=len(ids))
        self._instruments.runs_retried(len(ids))
        self._wake()
        return ids
