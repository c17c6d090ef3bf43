"""The nightly retry: when it is due is computed from a time passed in, who fires is decided by the database.

A fire is named by its local wall time, `2026-11-01 03:00`. That name is the key of a row in sync_schedule_fires, so each
local time fires once: where the clock goes back and 03:00 comes twice, the second finds the row; where the clock goes
forward over 03:00, the fire comes at the instant that 03:00 would have been. A fire missed while every replica was down
is caught up once, when it is not older than the catch-up window. What a fire starts is committed with its row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from croniter import croniter

from db.engine import Database
from db.errors import DatabaseError
from db.repositories import runs
from db.repositories.fires import forget_before, try_fire
from server.core.clock import Clock
from server.core.config import Settings

log = structlog.get_logger()

RETRY_SCHEDULE: Final = "retry-failed-runs"
_LOOK_AGAIN_SECONDS_MAX: Final = 30.0
_RUNS_PER_FIRE_MAX: Final = 10_000
# Longer than any step of a clock; the search for the last fire begins this far ahead of the local time.
_CLOCK_STEP_MAX: Final = timedelta(hours=3)
_FIRES_KEPT_DAYS: Final = 30


def last_fire(cron: str, time_zone: ZoneInfo, now: datetime) -> tuple[str, datetime]:
    """The latest fire that is due: its local wall time as text, and its instant in UTC (at or before `now`).

    Args:
        cron: five fields.
        now: aware.
    """
    local = now.astimezone(time_zone).replace(tzinfo=None) + _CLOCK_STEP_MAX
    # croniter sees naive local times only: its own handling of time zones fires twice where the clock goes back.
    times = croniter(cron, local)
    while True:
        fire = times.get_prev(datetime)
        instant = fire.replace(tzinfo=time_zone, fold=0).astimezone(UTC)
        if instant <= now:
            return fire.strftime("%Y-%m-%d %H:%M"), instant


class RetryScheduler:
    """Fires the nightly retry.

    Args:
        wake: called after runs were made pending.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock, wake: Callable[[], None]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._wake = wake
        self._time_zone = ZoneInfo(settings.time_zone)
        self._last_seen = ""

    async def run(self) -> None:
        """Fire whenever it is due, until cancelled."""
        while True:
            try:
                await self.fire_if_due()
            except DatabaseError as error:
                log.warning("retry_not_fired", action="retry", error=error.message)
            await self._clock.sleep(_LOOK_AGAIN_SECONDS_MAX)

    async def fire_if_due(self) -> list[int] | None:
        """Fire when a fire is due that nobody has taken; answer the ids of the runs made pending, None without a fire.

        Raises:
            DatabaseError: nothing was fired.
        """
        settings = self._settings
        now = self._clock.now()
        fire, instant = last_fire(settings.retry_cron, self._time_zone, now)
        if fire == self._last_seen or (now - instant).total_seconds() > settings.retry_catch_up_seconds:
            return None
        async with self._database.write() as connection:
            if not await try_fire(connection, RETRY_SCHEDULE, fire):
                self._last_seen = fire
                return None
            ids = await runs.requeue_failed(
                connection,
                retry_count_max=settings.retry_count_max,
                age_days_max=settings.retry_age_days_max,
                limit=_RUNS_PER_FIRE_MAX,
            )
            await forget_before(connection, _FIRES_KEPT_DAYS * 24 * 60)
        self._last_seen = fire
        log.info("retry_fired", action="retry", fire=fire, time_zone=settings.time_zone, runs=len(ids))
        self._wake()
        return ids
