"""What callers may do with schedules: create, get, list, update, delete, run now. Checked before anything is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from db.engine import Database
from db.records import OverlapPolicy, Schedule
from db.repositories import schedules
from server.access.call_records import CallRecords
from server.core.callers import ANYONE, Call, Caller
from server.core.clock import Clock
from server.core.config import Settings
from server.core.cron import cron_problem, next_fire, shortest_period_seconds, time_zone_problem
from server.core.errors import InvalidRequestError, NotFoundError, StateConflictError
from server.core.reasons import Reason
from server.core.secret_box import SecretBox
from server.execution.source_keys import SourceKeys
from server.runs.reach import check_reach, within_reach
from server.runs.service import Runs
from server.runs.triggers import schedule_request
from server.sources.registry import source_type
from server.targets.registry import find_target

CATCH_UP_SECONDS_DEFAULT: Final = 3600
CATCH_UP_SECONDS_MAX: Final = 7 * 86_400
_UPDATE_TRIES_MAX: Final = 5
_ID_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ScheduleDraft:
    """What a caller wants of a schedule; None leaves a field as it is, or at its default for a new one."""

    source_type: str | None = None
    source_identifier: str | None = None
    options: Mapping[str, Any] | None = None
    cron: str | None = None
    time_zone: str | None = None
    overlap_policy: str | None = None
    catch_up_seconds: int | None = None
    enabled: bool | None = None


class Schedules:
    """The schedules of one database.

    Args:
        box: seals secrets before options are stored.
        keys: tells which runs are of one source.
        runs: what start a run for run-now.
        records: keeps who changed what.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        box: SecretBox,
        keys: SourceKeys,
        runs: Runs,
        records: CallRecords,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._box = box
        self._keys = keys
        self._runs = runs
        self._records = records

    async def create(self, draft: ScheduleDraft, call: Call | None = None) -> Schedule:
        """Store a schedule; its first fire is the first after now.

        Raises:
            InvalidRequestError: it is wrong. A source that is not there is no fault: it may come later.
            StateConflictError: SCHEDULE_LIMIT_REACHED.
        """
        return await self.get(await self._records.once(call, lambda: self._create(draft, call)), _caller(call))

    async def _create(self, draft: ScheduleDraft, call: Call | None) -> int:
        new = Schedule(
            id=0,
            source_type="",
            source_identifier="",
            options={},
            options_digest=self._keys.options_digest({}),
            cron="",
            time_zone=self._settings.time_zone,
            overlap_policy=OverlapPolicy.SKIP,
            catch_up_seconds=CATCH_UP_SECONDS_DEFAULT,
            enabled=True,
            starts_at_ms=self._now_ms(),
        )
        schedule = await self._changed(new, draft)
        await self._check_reach(schedule, call)
        async with self._database.write() as connection:
            if await schedules.count_schedules(connection) >= self._settings.schedules_max:
                raise StateConflictError(
                    Reason.SCHEDULE_LIMIT_REACHED,
                    f"there are {self._settings.schedules_max} schedules, the most there may be",
                )
            schedule_id = await schedules.insert_schedule(connection, schedule)
            await self._records.record(connection, call, schedule_id=schedule_id)
        return schedule_id

    async def get(self, schedule_id: int, caller: Caller = ANYONE) -> Schedule:
        """The schedule.

        Raises:
            NotFoundError: there is none, or its source is out of the caller's reach.
        """
        if 0 < schedule_id <= _ID_MAX:
            async with self._database.read() as connection:
                found = await schedules.get_schedule(connection, schedule_id)
            if found is not None and await within_reach(caller, [found], self._settings):
                return found
        raise _no_such_schedule()

    async def page(self, before_id: int | None, limit: int, caller: Caller = ANYONE) -> list[Schedule]:
        """A page of schedules within the caller's reach, newest first."""
        if not caller.reach.is_narrow:
            return await self._list(before_id, limit)
        # There are not many, and a page of those that are reached may be spread over all of them.
        return (await within_reach(caller, await self._list(before_id, self._settings.schedules_max), self._settings))[
            :limit
        ]

    async def _list(self, before_id: int | None, limit: int) -> list[Schedule]:
        async with self._database.read() as connection:
            return await schedules.list_schedules(connection, before_id=before_id, limit=limit)

    async def update(
        self, schedule_id: int, draft: ScheduleDraft, revision: int | None, call: Call | None = None
    ) -> Schedule:
        """Change a schedule; return it. Fires that were due before the change are not caught up under new times.

        Args:
            revision: the one that the caller has read; None changes it whatever its revision.

        Raises:
            NotFoundError, InvalidRequestError
            StateConflictError: SCHEDULE_CHANGED.
        """
        change = partial(self._update_again, schedule_id, draft, revision, call)
        return await self.get(await self._records.once(call, change), _caller(call))

    async def _update_again(
        self, schedule_id: int, draft: ScheduleDraft, revision: int | None, call: Call | None
    ) -> int:
        """A change of whatever the schedule is now is made again when another one comes in between."""
        for _try in range(_UPDATE_TRIES_MAX - 1):
            try:
                return await self._update(schedule_id, draft, revision, call)
            except StateConflictError:
                if revision is not None:
                    raise
        return await self._update(schedule_id, draft, revision, call)

    async def _update(self, schedule_id: int, draft: ScheduleDraft, revision: int | None, call: Call | None) -> int:
        present = await self.get(schedule_id, _caller(call))
        changed = await self._changed(present, draft)
        await self._check_reach(changed, call)
        is_stored = revision in (None, present.revision)
        if is_stored and changed == present:
            # It is a change for its caller: sent again, it must not undo what others did meanwhile.
            async with self._database.write() as connection:
                await self._records.record(connection, call, schedule_id=schedule_id)
            return schedule_id
        if _times(changed) != _times(present):
            changed = replace(changed, starts_at_ms=self._now_ms())
        if is_stored:
            async with self._database.write() as connection:
                is_stored = await schedules.replace_schedule(connection, changed)
                if is_stored:
                    await self._records.record(connection, call, schedule_id=schedule_id)
        if not is_stored:
            raise StateConflictError(
                Reason.SCHEDULE_CHANGED,
                f"schedule {schedule_id} was changed by another caller meanwhile",
                field="revision",
            )
        return schedule_id

    async def delete(self, schedule_id: int, call: Call | None = None) -> None:
        """Remove a schedule; the runs that it started stay.

        Raises:
            NotFoundError
        """
        await self._records.once(call, lambda: self._delete(schedule_id, call))

    async def _delete(self, schedule_id: int, call: Call | None) -> int:
        await self.get(schedule_id, _caller(call))
        async with self._database.write() as connection:
            if not await schedules.delete_schedule(connection, schedule_id):
                raise _no_such_schedule()
            await self._records.record(connection, call, schedule_id=schedule_id)
        return schedule_id

    async def run_now(self, schedule_id: int, call: Call | None = None) -> int:
        """Start what the schedule syncs, or find the live run that does; return its id. The fires stay as they are.

        Raises:
            NotFoundError
        """

        async def start() -> int:
            schedule = await self.get(schedule_id, _caller(call))
            await self._check_reach(schedule, call)
            return await self._runs.start(await schedule_request(schedule, self._keys), call)

        run_id = await self._records.once(call, start)
        if _caller(call).reach.is_narrow:
            await self._runs.get(run_id, _caller(call))
        return run_id

    async def _check_reach(self, schedule: Schedule, call: Call | None) -> None:
        await check_reach(
            _caller(call), schedule.source_type, schedule.source_identifier, schedule.options, self._settings
        )

    def next_fire_at(self, schedule: Schedule) -> datetime | None:
        """When the schedule fires next, in UTC; None while it is switched off, or cannot be used here."""
        if not schedule.enabled or cron_problem(schedule.cron) or time_zone_problem(schedule.time_zone):
            return None
        return next_fire(schedule.cron, ZoneInfo(schedule.time_zone), self._clock.now())

    async def _changed(self, schedule: Schedule, draft: ScheduleDraft) -> Schedule:
        given = {
            name: getattr(draft, name)
            for name in ScheduleDraft.__dataclass_fields__
            if getattr(draft, name) is not None
        }
        if given.get("time_zone") == "":
            given["time_zone"] = self._settings.time_zone
        if draft.overlap_policy is not None:
            given["overlap_policy"] = _overlap_policy(draft.overlap_policy)
        changed = replace(schedule, **given)
        _check(changed)
        if draft.cron is not None:
            self._check_period(changed.cron)
        kind = source_type(changed.source_type)
        if changed.source_type != schedule.source_type and schedule.source_type and draft.options is None:
            raise InvalidRequestError(
                Reason.INVALID_REQUEST, "another sourceType needs options of its own", field="options"
            )
        is_elsewhere = kind.secret_origin(changed.source_identifier) != kind.secret_origin(schedule.source_identifier)
        if is_elsewhere and schedule.source_identifier and draft.options is None and _has_secret(schedule.options):
            raise InvalidRequestError(
                Reason.INVALID_REQUEST,
                "the options hold secrets for another scheme, host or port; send options with the new sourceIdentifier",
                field="options",
            )
        source = kind.load(changed.source_identifier, changed.options, draft.options is not None)
        find_target(source.mapping.target)
        if draft.source_identifier is not None:
            await asyncio.to_thread(kind.check_identifier, changed.source_identifier, self._settings)
        if draft.options is None:
            return changed
        return replace(
            changed,
            options=self._box.seal(draft.options, kind.secret_places()),
            options_digest=self._keys.options_digest(draft.options),
        )

    def _check_period(self, cron: str) -> None:
        seconds, least = shortest_period_seconds(cron), self._settings.schedule_period_seconds_min
        if seconds < least:
            raise InvalidRequestError(
                Reason.INVALID_REQUEST,
                f"{cron!r} fires twice within {seconds:g} seconds; at least {least} must lie between two fires "
                "(TECHAURA_SYNC_SCHEDULE_PERIOD_SECONDS_MIN)",
                field="cron",
            )

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)


def _no_such_schedule() -> NotFoundError:
    return NotFoundError(Reason.SCHEDULE_NOT_FOUND, "Schedule not found", field="scheduleId")


def _caller(call: Call | None) -> Caller:
    return ANYONE if call is None else call.caller


def _has_secret(value: Any) -> bool:
    """Whether stored options hold a secret, in whatever form."""
    if isinstance(value, Mapping):
        return value.keys() in ({"encrypted"}, {"env"}, {"file"}) or any(map(_has_secret, value.values()))
    return isinstance(value, list) and any(map(_has_secret, value))


def _times(schedule: Schedule) -> tuple[str, str, bool]:
    return schedule.cron, schedule.time_zone, schedule.enabled


def _overlap_policy(text: str) -> OverlapPolicy:
    try:
        return OverlapPolicy(text)
    except ValueError:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "overlapPolicy must be skip or queue", field="overlapPolicy"
        ) from None


def _check(schedule: Schedule) -> None:
    if not schedule.source_type or not schedule.source_identifier:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "sourceType and sourceIdentifier are required", field="sourceType"
        )
    if len(schedule.source_identifier) > 255:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "sourceIdentifier has more than 255 characters", field="sourceIdentifier"
        )
    if not schedule.cron:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "cron is required: five fields, such as 0 3 * * *", field="cron"
        )
    if problem := cron_problem(schedule.cron):
        raise InvalidRequestError(Reason.INVALID_REQUEST, problem, field="cron")
    if problem := time_zone_problem(schedule.time_zone):
        raise InvalidRequestError(Reason.INVALID_REQUEST, problem, field="timeZone")
    if not 0 <= schedule.catch_up_seconds <= CATCH_UP_SECONDS_MAX:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST,
            f"catchUpSeconds must be between 0 and {CATCH_UP_SECONDS_MAX}",
            field="catchUpSeconds",
        )
