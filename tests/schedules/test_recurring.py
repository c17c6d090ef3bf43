"""Recurring syncs: once at each local time on all replicas, caught up once, skipped or queued behind a live run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from db.engine import Database
from db.records import Schedule
from db.schema import sync_runs, sync_schedules
from server.access.call_records import CallRecords
from server.core.config import Settings
from server.core.errors import InvalidRequestError, NotFoundError, StateConflictError
from server.core.secret_box import SecretBox
from server.core.waits import RunWaits
from server.execution.local_runs import LocalRuns
from server.execution.source_keys import SourceKeys
from server.runs.service import Runs
from server.schedules.firing import RecurringSyncs
from server.schedules.service import ScheduleDraft, Schedules
from tests.support.clock import FakeClock
from tests.support.service import TEST_KEY

NIGHT = datetime(2026, 3, 2, 3, 0, 2, tzinfo=UTC)
Make = Callable[..., "Replica"]


class Replica:
    """Schedules and their fires on one replica."""

    def __init__(self, database: Database, clock: FakeClock, **settings: Any) -> None:
        values = Settings(**({"time_zone": "UTC"} | settings))
        box = SecretBox(TEST_KEY)
        keys = SourceKeys(values, box)
        self.clock, self.database = clock, database
        records = CallRecords(database, key_days_max=7)
        runs = Runs(database, values, clock, box, keys, LocalRuns(), RunWaits(clock), records)
        self.schedules = Schedules(database, values, clock, box, keys, runs, records)
        self.recurring = RecurringSyncs(database, values, clock, keys, lambda: None)

    async def create(self, **fields: Any) -> Schedule:
        given = {"source_type": "csv", "source_identifier": "a.csv", "cron": "0 3 * * *"} | fields
        return await self.schedules.create(ScheduleDraft(**given))

    async def fired(self) -> list[str]:
        return [outcome for _schedule, outcome, _run in await self.recurring.fire_due()]


@pytest.fixture
def replica(database: Database) -> Replica:
    return Replica(database, FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC)))


def at(replica: Replica, moment: datetime) -> None:
    replica.clock.moment = moment


async def test_a_fire_happens_once_on_three_replicas_and_again_the_next_night(
    database: Database, replica: Replica
) -> None:
    schedule = await replica.create()
    others = [Replica(database, replica.clock) for _ in range(2)]
    assert await replica.fired() == []
    at(replica, NIGHT)
    fired = await asyncio.gather(replica.fired(), *(other.fired() for other in others))
    assert sorted(fired) == [[], [], ["started"]]
    assert await replica.fired() == []
    at(replica, datetime(2026, 3, 3, 3, 0, 1, tzinfo=UTC))
    async with database.write() as connection:
        await connection.execute(update(sync_runs).values(status="completed"))
    assert sorted([await replica.fired(), await others[0].fired()]) == [[], ["started"]]
    stored = await replica.schedules.get(schedule.id)
    assert (stored.last_fire_at_local, stored.last_outcome, stored.last_run_id) == ("2026-03-03 03:00", "started", 2)
    async with database.read() as connection:
        rows = (await connection.execute(select(sync_runs.c.sync_schedule_id, sync_runs.c.status))).all()
    assert [tuple(row) for row in rows] == [(schedule.id, "completed"), (schedule.id, "pending")]


async def test_where_the_clock_goes_back_the_hour_that_comes_twice_fires_once(replica: Replica) -> None:
    at(replica, datetime(2026, 10, 24, 12, tzinfo=UTC))
    await replica.create(time_zone="Europe/Helsinki", overlap_policy="queue")
    fires = []
    # 2026-10-25: 04:00 summer time becomes 03:00, so 03:00 comes at 00:00 UTC and again at 01:00 UTC.
    for minute in range(-30, 150):
        at(replica, datetime(2026, 10, 25, tzinfo=UTC))
        replica.clock.move(minute * 60)
        fires += [minute] * len(await replica.fired())
    assert fires == [0]


async def test_without_a_window_a_fire_happens_in_its_own_minute_only(replica: Replica) -> None:
    await replica.create(catch_up_seconds=0)
    at(replica, NIGHT)
    replica.clock.move(55)
    assert await replica.fired() == ["started"]
    replica.clock.move(86_400 + 10)
    assert await replica.fired() == []


async def test_a_schedule_that_this_replica_cannot_use_holds_up_no_other(database: Database, replica: Replica) -> None:
    other = await replica.create(source_identifier="b.csv")
    await replica.create()
    async with database.write() as connection:
        which = update(sync_schedules).where(sync_schedules.c.id == other.id)
        await connection.execute(which.values(time_zone="America/New_Zone"))
    at(replica, NIGHT)
    assert await replica.fired() == ["started"]
    assert replica.schedules.next_fire_at((await replica.schedules.page(None, 10))[1]) is None


async def test_a_change_that_changes_nothing_leaves_the_revision(replica: Replica) -> None:
    schedule = await replica.create()
    same = await replica.schedules.update(schedule.id, ScheduleDraft(cron="0 3 * * *"), None)
    assert same.revision == schedule.revision


async def test_secrets_do_not_follow_a_schedule_to_another_host(replica: Replica) -> None:
    bearer = {"auth": {"type": "bearer", "token": "t"}}
    schedule = await replica.create(source_type="api", source_identifier="https://a.example/songs", options=bearer)
    for elsewhere in ("https://b.example/songs", "http://a.example/songs", "https://a.example:8443/songs"):
        with pytest.raises(InvalidRequestError) as caught:
            await replica.schedules.update(schedule.id, ScheduleDraft(source_identifier=elsewhere), None)
        assert caught.value.field == "options"
    moved = ScheduleDraft(source_identifier="https://a.example/others")
    assert (await replica.schedules.update(schedule.id, moved, None)).options == schedule.options
    again = ScheduleDraft(source_identifier="https://b.example/songs", options=bearer)
    assert (await replica.schedules.update(schedule.id, again, None)).source_identifier == "https://b.example/songs"


@pytest.mark.parametrize(("minutes_late", "outcomes"), [(0, ["started"]), (59, ["started"]), (61, [])])
async def test_a_missed_fire_is_caught_up_once_within_its_window(
    replica: Replica, minutes_late: int, outcomes: list[str]
) -> None:
    await replica.create(catch_up_seconds=3600)
    at(replica, NIGHT)
    replica.clock.move(3 * 86_400 + minutes_late * 60)
    assert await replica.fired() == outcomes
    assert await replica.fired() == []


async def test_a_new_or_changed_schedule_does_not_catch_up_what_came_before_it(replica: Replica) -> None:
    at(replica, NIGHT)
    replica.clock.move(600)
    schedule = await replica.create()
    assert await replica.fired() == []
    await replica.schedules.update(schedule.id, ScheduleDraft(cron="5 3 * * *"), None)
    assert await replica.fired() == []
    await replica.schedules.update(schedule.id, ScheduleDraft(enabled=False), None)
    replica.clock.move(86_400)
    assert await replica.fired() == []
    await replica.schedules.update(schedule.id, ScheduleDraft(enabled=True), None)
    assert await replica.fired() == []
    replica.clock.move(86_400)
    assert await replica.fired() == ["started"]


async def test_a_fire_over_a_live_run_is_skipped_or_queued_once(database: Database, replica: Replica) -> None:
    await replica.create(overlap_policy="skip")
    await replica.create(overlap_policy="queue")
    await replica.create(overlap_policy="queue")
    async with database.write() as connection:
        # The bot's own spelling of the same file.
        await connection.execute(
            insert(sync_runs).values(source_type="csv", source_identifier="./a.csv", status="in_progress")
        )
    at(replica, NIGHT)
    assert await replica.fired() == ["skipped", "queued", "queued"]
    async with database.read() as connection:
        statuses = (await connection.execute(select(sync_runs.c.status).order_by(sync_runs.c.id))).scalars().all()
    assert statuses == ["in_progress", "pending"]


async def test_run_now_starts_a_run_or_finds_the_live_one(database: Database, replica: Replica) -> None:
    schedule = await replica.create(options={"contentType": "video"})
    first = await replica.schedules.run_now(schedule.id)
    assert await replica.schedules.run_now(schedule.id) == first
    async with database.read() as connection:
        row = (await connection.execute(select(sync_runs))).one()
    assert (row.sync_metadata, row.sync_schedule_id) == ({"contentType": "video"}, schedule.id)
    with pytest.raises(NotFoundError):
        await replica.schedules.run_now(99)


async def test_secrets_are_sealed_and_stay_so_through_a_change(database: Database, replica: Replica) -> None:
    url = "https://api.example.com/x"
    auth = {"type": "bearer", "token": "canary-77"}
    schedule = await replica.create(source_type="api", source_identifier=url, options={"auth": auth})
    changed = await replica.schedules.update(schedule.id, ScheduleDraft(cron="0 4 * * *"), schedule.revision)
    assert (changed.options, changed.cron) == (schedule.options, "0 4 * * *")
    async with database.read() as connection:
        stored = (await connection.execute(select(sync_schedules.c.options))).scalar_one()
    assert set(stored["auth"]["token"]) == {"encrypted"}
    assert "canary" not in str(stored)


async def test_a_change_that_another_caller_was_faster_with_is_refused(replica: Replica) -> None:
    schedule = await replica.create()
    await replica.schedules.update(schedule.id, ScheduleDraft(enabled=False), schedule.revision)
    with pytest.raises(StateConflictError) as caught:
        await replica.schedules.update(schedule.id, ScheduleDraft(enabled=True), schedule.revision)
    assert caught.value.reason == "SCHEDULE_CHANGED"
    await replica.schedules.delete(schedule.id)
    with pytest.raises(NotFoundError):
        await replica.schedules.get(schedule.id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron": "0 3 * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "R * * * *"}, "cron"),
        ({"cron": "H 3 * * *"}, "cron"),
        ({"time_zone": "localtime"}, "timeZone"),
        ({"time_zone": "Mars/Olympus"}, "timeZone"),
        ({"overlap_policy": "twice"}, "overlapPolicy"),
        ({"catch_up_seconds": -1}, "catchUpSeconds"),
        ({"source_identifier": ""}, "sourceType"),
        ({"source_type": "ftp"}, "sourceType"),
        ({"options": {"nope": 1}}, "options.nope"),
        ({"source_type": "api"}, "sourceIdentifier"),
        ({"source_type": "api", "source_identifier": "https://ann:s3cret@api.example.com/"}, "sourceIdentifier"),
    ],
)
async def test_a_wrong_schedule_is_refused_and_nothing_is_stored(
    database: Database, replica: Replica, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await replica.create(**fields)
    assert caught.value.field == field
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(sync_schedules))).scalar_one() == 0


async def test_there_are_only_so_many_schedules(database: Database, tmp_path: Path) -> None:
    replica = Replica(database, FakeClock(), schedules_max=2)
    await replica.create()
    await replica.create()
    with pytest.raises(StateConflictError, match="the most there may be"):
        await replica.create()
