"""The nightly retry: once per local day in every zone, through every clock change, by one replica only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, update

from db.dialect import now_ms
from db.engine import Database
from db.repositories.leases import claim_next
from db.repositories.runs import get_run, make_due
from db.schema import sync_errors, sync_runs
from server.core.config import Settings
from server.core.cron import last_fire, next_fire
from server.core.errors import RetryableError
from server.core.reasons import Reason
from server.execution.outcome import store_ending
from server.schedules.nightly_retry import RetryScheduler
from tests.support.clock import FakeClock

ZONES = ("America/Bogota", "Europe/Helsinki", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC")


@pytest.mark.parametrize("zone", ZONES)
def test_each_local_day_fires_once(zone: str) -> None:
    time_zone = ZoneInfo(zone)
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    fires: list[str] = []
    while moment < datetime(2027, 1, 1, tzinfo=UTC):
        fire, instant = last_fire("0 3 * * *", time_zone, moment)
        assert instant <= moment
        if fire not in fires[-2:]:
            fires.append(fire)
        moment += timedelta(minutes=151)
    days = [fire.split()[0] for fire in fires]
    assert len(days) == len(set(days))
    first = datetime.strptime(days[0], "%Y-%m-%d").replace(tzinfo=UTC)
    assert days == [(first + timedelta(days=n)).strftime("%Y-%m-%d") for n in range(len(days))]


def test_where_the_clock_goes_back_the_second_three_oclock_is_the_first_ones_fire() -> None:
    helsinki = ZoneInfo("Europe/Helsinki")
    # 2026-10-25: 04:00 summer time becomes 03:00 winter time, so 03:00 comes at 00:00 UTC and again at 01:00 UTC.
    first = last_fire("0 3 * * *", helsinki, datetime(2026, 10, 25, 0, 0, tzinfo=UTC))
    second = last_fire("0 3 * * *", helsinki, datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert first == second == ("2026-10-25 03:00", datetime(2026, 10, 25, 0, 0, tzinfo=UTC))


async def failed_run(database: Database, **values: object) -> int:
    base = {"source_type": "csv", "source_identifier": "a.csv", "status": "failed", "error_retryable": True}
    async with database.write() as connection:
        result = await connection.execute(insert(sync_runs).values(base | values))
        assert result.inserted_primary_key is not None
        return int(result.inserted_primary_key[0])


async def status_of(database: Database, run_id: int) -> tuple[str, int]:
    async with database.read() as connection:
        row = (await connection.execute(select(sync_runs).where(sync_runs.c.id == run_id))).one()
        return row.status, row.retry_count


def scheduler(database: Database, clock: FakeClock) -> RetryScheduler:
    return RetryScheduler(database, Settings(time_zone="UTC"), clock, lambda: None)


async def test_only_retryable_runs_are_taken_up_and_only_once_a_night(database: Database) -> None:
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC))
    retryable = await failed_run(database)
    fatal = await failed_run(database, error_retryable=False)
    first, second = scheduler(database, clock), scheduler(database, clock)
    assert await first.fire_if_due() == [retryable]
    assert await second.fire_if_due() is None
    assert await first.fire_if_due() is None
    assert await status_of(database, retryable) == ("pending", 1)
    assert await status_of(database, fatal) == ("failed", 0)


async def test_a_run_is_retried_three_nights_and_then_left_alone(database: Database) -> None:
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC))
    run_id = await failed_run(database)
    nightly = scheduler(database, clock)
    for _night in range(5):
        await nightly.fire_if_due()
        async with database.write() as connection:
            await connection.execute(update(sync_runs).values(status="failed", error_retryable=True))
        clock.move(86400)
    assert await status_of(database, run_id) == ("failed", 3)


async def test_a_failed_run_of_the_old_service_is_judged_by_its_errors(database: Database) -> None:
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC))
    network = await failed_run(database, error_retryable=None)
    validation = await failed_run(database, error_retryable=None, source_identifier="b.csv")
    async with database.write() as connection:
        for run_id, retryable in ((network, True), (validation, False)):
            await connection.execute(
                insert(sync_errors).values(
                    sync_run_id=run_id, error_type="x", error_message="x", is_retryable=retryable
                )
            )
    assert await scheduler(database, clock).fire_if_due() == [network]


async def test_a_run_whose_source_completed_since_is_not_retried(database: Database) -> None:
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC))
    await failed_run(database)
    await failed_run(database, status="completed")
    assert await scheduler(database, clock).fire_if_due() == []


@pytest.mark.parametrize(("hours_late", "fires"), [(0, True), (5, True), (7, False)])
async def test_a_missed_fire_is_caught_up_within_its_window(database: Database, hours_late: int, fires: bool) -> None:
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC) + timedelta(hours=hours_late))
    run_id = await failed_run(database)
    assert (await scheduler(database, clock).fire_if_due() == [run_id]) is fires


async def test_retried_runs_start_at_moments_of_their_own(database: Database) -> None:
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC))
    ids = [await failed_run(database, source_identifier=f"{n}.csv", source_key=f"{n}") for n in range(40)]
    async with database.read() as connection:
        before = int((await connection.execute(select(now_ms()))).scalar_one())
    assert await scheduler(database, clock).fire_if_due() == ids
    async with database.read() as connection:
        after = int((await connection.execute(select(now_ms()))).scalar_one())
        due = (await connection.execute(select(sync_runs.c.not_before_ms))).scalars().all()
    assert all(before <= moment <= after + 300_000 for moment in due)
    assert len({moment // 1000 for moment in due}) > 30
    assert max(due) - min(due) > 200_000
    async with database.write() as connection:
        lease = await claim_next(
            connection, owner="w", source_types=frozenset({"csv", "api"}), ttl_ms=1000, legacy_grace_minutes=15
        )
        assert lease is None or min(due) <= after + 1000
        # «Resume» is for people who want them now.
        await make_due(connection)
        assert (
            await claim_next(
                connection, owner="w", source_types=frozenset({"csv", "api"}), ttl_ms=1000, legacy_grace_minutes=15
            )
            is not None
        )


async def test_a_run_superseded_under_another_spelling_is_not_retried(database: Database) -> None:
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC))
    await failed_run(database, source_identifier="a.csv", source_key="k")
    await failed_run(database, source_identifier="./a.csv", source_key="k", status="completed")
    assert await scheduler(database, clock).fire_if_due() == []


@pytest.mark.parametrize(("retries", "gives_up"), [(2, False), (3, True)])
async def test_a_run_that_fails_after_its_last_retry_says_that_it_is_given_up(
    database: Database, retries: int, gives_up: bool
) -> None:
    run_id = await failed_run(database, status="pending", retry_count=retries, source_key="k")
    async with database.write() as connection:
        lease = await claim_next(
            connection, owner="w", source_types=frozenset({"csv", "api"}), ttl_ms=60_000, legacy_grace_minutes=15
        )
    assert lease is not None
    error = RetryableError(Reason.SOURCE_UNAVAILABLE, "page 7 answered 503")
    verdict = await store_ending(database, Settings(), FakeClock(), lease, error)
    assert verdict.ending == "failed"
    async with database.read() as connection:
        run = await get_run(connection, run_id)
    assert run is not None
    assert run.failure is not None
    assert run.failure.retryable is not gives_up
    assert ("Given up after 3 nightly retries" in run.failure.message) is gives_up
    assert run.notices == (("given up after 3 nightly retries",) if gives_up else ())
    clock = FakeClock(datetime(2026, 3, 1, 3, 0, 5, tzinfo=UTC))
    assert await scheduler(database, clock).fire_if_due() == ([] if gives_up else [run_id])


@pytest.mark.parametrize("zone", ZONES)
def test_the_next_fire_is_the_one_that_comes_next(zone: str) -> None:
    time_zone, moment = ZoneInfo(zone), datetime(2026, 1, 1, tzinfo=UTC)
    while moment < datetime(2027, 1, 1, tzinfo=UTC):
        following = next_fire("30 3 * * *", time_zone, moment)
        assert moment < following <= moment + timedelta(hours=25)
        assert last_fire("30 3 * * *", time_zone, following)[1] == following
        assert last_fire("30 3 * * *", time_zone, following - timedelta(seconds=1))[1] < following
        moment += timedelta(minutes=307)
