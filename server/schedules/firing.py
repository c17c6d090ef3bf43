"""Fires recurring syncs, with the same guarantees as the nightly retry.

Once per local wall time, whichever replica is first and however the clock is set; a missed fire is caught up once, within
the schedule's window; what a fire starts is committed with its row. A schedule that is changed or removed while it is
about to fire does not: the fire holds its row and looks at its revision.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from db.engine import Database
from db.records import FireOutcome, OverlapPolicy, Schedule
from db.repositories.fires import try_fire
from db.repositories.schedules import enabled_schedules, hold_for_fire, record_fire
from server.core.clock import Clock
from server.core.config import Settings
from server.core.cron import cron_problem, is_missed, last_fire, time_zone_problem
from server.core.instruments import NO_INSTRUMENTS, Instruments
from server.core.waits import Wait
from server.execution.periodic import repeated
from server.execution.source_keys import SourceKeys
from server.runs.triggers import insert_for_schedule, schedule_request
from server.schedules.database_clock import FireTime, own_time

log = structlog.get_logger()


class RecurringSyncs:
    """Fires the schedules of one database.

    Args:
        keys: tells which runs are of one source.
        wake: called after a run was stored.
        fire_time: see `database_clock`; without it, this machine's own.
        instruments: who counts fires.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        keys: SourceKeys,
        wake: Callable[[], None],
        fire_time: FireTime | None = None,
        instruments: Instruments = NO_INSTRUMENTS,
    ) -> None:
        self._instruments = instruments
        self._database = database
        self._settings = settings
        self._clock = clock
        self._fire_time = fire_time or own_time(clock)
        self._keys = keys
        self._wake = wake
        # By schedule: the revision and the fire that are done with.
        self._settled: dict[int, tuple[int, str]] = {}

    async def run(self) -> None:
        """Fire the due schedules, until cancelled."""
        await repeated(
            self.fire_due,
            lambda: self._clock.sleep(self._settings.schedule_interval_seconds),
            Wait(self._clock, "schedule"),
        )

    async def fire_due(self) -> list[tuple[int, FireOutcome, int | None]]:
        """Fire the schedules that are due and that nobody has fired; return schedule, outcome and run of each.

        Raises:
            DatabaseError: the fires that are not yet committed come at the next look.
        """
        now = await self._fire_time()
        if now is None:
            return []
        async with self._database.read() as connection:
            schedules = await enabled_schedules(connection, self._settings.schedules_max)
        self._settled = {row.id: self._settled[row.id] for row in schedules if row.id in self._settled}
        done = []
        for schedule in schedules:
            if problem := cron_problem(schedule.cron) or time_zone_problem(schedule.time_zone):
                # It was stored by a replica that knows other time zones; it must not block the other schedules.
                if self._settled.get(schedule.id) != (schedule.revision, problem):
                    log.warning("schedule_not_usable", action="schedule", schedule_id=schedule.id, problem=problem)
                self._settled[schedule.id] = (schedule.revision, problem)
                continue
            fire, instant = last_fire(schedule.cron, ZoneInfo(schedule.time_zone), now)
            if self._settled.get(schedule.id) == (schedule.revision, fire):
                continue
            if _counts(schedule, instant, now):
                outcome = await self._fire(schedule, fire)
                done += [outcome] if outcome is not None else []
            self._settled[schedule.id] = (schedule.revision, fire)
        if any(run_id is not None for _schedule, _outcome, run_id in done):
            self._wake()
        return done

    async def _fire(self, schedule: Schedule, fire: str) -> tuple[int, FireOutcome, int | None] | None:
        await self._keys.assign_missing_keys(self._database)
        request = await schedule_request(schedule, self._keys)
        # The name includes the time zone: the same wall time in another zone is another fire.
        name = f"schedule-{schedule.id}/{schedule.time_zone}"
        async with self._database.write() as connection:
            if not await hold_for_fire(connection, schedule) or not await try_fire(connection, name, fire):
                return None
            outcome, run_id = await insert_for_schedule(
                connection, request, queues=schedule.overlap_policy is OverlapPolicy.QUEUE
            )
            await record_fire(connection, schedule.id, fire, outcome, run_id)
        self._instruments.schedule_fired(outcome)
        say = log.warning if outcome is FireOutcome.REFUSED else log.info
        say("schedule_fired", action="schedule", schedule_id=schedule.id, fire=fire, outcome=outcome, run_id=run_id)
        return schedule.id, outcome, run_id


def _counts(schedule: Schedule, instant: datetime, now: datetime) -> bool:
    starts = instant.timestamp() * 1000 >= schedule.starts_at_ms
    return starts and not is_missed(instant, now, schedule.catch_up_seconds)
