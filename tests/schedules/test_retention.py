"""Old ended runs go, with what hangs on them, in small transactions; the last completed run of a source stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from db.dialect import minutes_before_now
from db.engine import Database
from db.repositories.run_counts import count_by_status
from db.schema import sync_batches, sync_errors, sync_kept_pages, sync_runs, sync_schedule_fires, sync_sources
from server.core.config import Settings
from server.schedules.counting import RunCounting
from server.schedules.retention import Removed, Retention
from tests.support.clock import FakeClock

DAY_MINUTES = 24 * 60


async def ended(database: Database, status: str, days: int, *, source: str = "a", errors: int = 0) -> int:
    """A run that ended so many days ago, with errors and as many batches."""
    moment = minutes_before_now(days * DAY_MINUTES + 5)
    async with database.write() as connection:
        result = await connection.execute(
            insert(sync_runs).values(
                source_type="csv", source_identifier=source, source_key=source, status=status, completed_at=moment,
                created_at=moment, updated_at=moment,
            )
        )  # fmt: skip
        assert result.inserted_primary_key is not None
        run_id = int(result.inserted_primary_key[0])
        for number in range(errors):
            await connection.execute(insert(sync_errors).values(sync_run_id=run_id, error_type="x", error_message="x"))
            counts = dict.fromkeys(
                ("rows_read", "rows_inserted", "rows_updated", "rows_unchanged", "rows_rejected", "rows_skipped"), 0
            )
            await connection.execute(
                insert(sync_batches).values(
                    sync_run_id=run_id,
                    restart_no=0,
                    batch_no=number,
                    lease_epoch=1,
                    bytes_done=0,
                    position={},
                    **counts,
                )
            )
    return run_id


async def left(database: Database) -> list[int]:
    async with database.read() as connection:
        return list((await connection.execute(select(sync_runs.c.id).order_by(sync_runs.c.id))).scalars())


async def count(database: Database, table) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


def retention(database: Database, **settings: Any) -> Retention:
    return Retention(database, Settings(**settings), FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC)))


async def test_old_runs_go_and_the_last_completed_one_of_each_source_stays(database: Database) -> None:
    old = [await ended(database, status, 31) for status in ("completed", "failed", "cancelled")]
    last = await ended(database, "completed", 31)
    alone = await ended(database, "completed", 400, source="b")
    spelled = await ended(database, "failed", 31, source="b")
    young = await ended(database, "failed", 29)
    waiting = await ended(database, "pending", 90)
    removed = await retention(database).clean()
    assert removed.runs == len([*old, spelled])
    assert await left(database) == [last, alone, young, waiting]


async def test_errors_and_batches_go_in_small_transactions_and_a_bounded_number_of_them(database: Database) -> None:
    run_id = await ended(database, "failed", 31, errors=25)
    young = await ended(database, "failed", 1, errors=3)
    bounded = retention(database, retention_rows_per_transaction=10, retention_transactions_max=2)
    assert await bounded.clean() == Removed(0, 20, 0, 2)
    assert await left(database) == [run_id, young]
    while await bounded.clean() != Removed():
        pass
    assert await left(database) == [young]
    assert (await count(database, sync_errors), await count(database, sync_batches)) == (3, 3)


async def test_one_replica_cleans_up_each_hour(database: Database) -> None:
    await ended(database, "failed", 31)
    first, second = retention(database), retention(database)
    assert [await first.clean_if_due() is None, await second.clean_if_due() is None] == [False, True]
    assert await first.clean_if_due() is None


@pytest.mark.parametrize(("days", "stays"), [(29, 1), (31, 0)])
async def test_the_lock_of_a_source_that_is_used_no_more_goes_too(database: Database, days: int, stays: int) -> None:
    async with database.write() as connection:
        moment = minutes_before_now(days * DAY_MINUTES)
        await connection.execute(insert(sync_sources).values(source_key="k", locked_at=moment))
    await retention(database).clean()
    assert await count(database, sync_sources) == stays


@pytest.mark.parametrize(("days", "stays"), [(6, 1), (8, 0)])
async def test_pages_that_are_too_old_to_be_asked_for_go_too(database: Database, days: int, stays: int) -> None:
    values = {
        "source_key": "s",
        "options_digest": "o",
        "page_key": "p",
        "etag": "e",
        "last_modified": "",
    }
    async with database.write() as connection:
        moment = minutes_before_now(days * DAY_MINUTES)
        await connection.execute(
            insert(sync_kept_pages).values(**values, content=b"x", content_bytes=1, kept_at=moment)
        )
    await retention(database).clean()
    assert await count(database, sync_kept_pages) == stays


async def test_many_runs_go_in_few_transactions(database: Database) -> None:
    for number in range(250):
        await ended(database, "failed", 31, source=str(number))
    removed = await retention(database, retention_transactions_max=20).clean()
    assert (removed.runs, await left(database)) == (250, [])


@pytest.mark.parametrize(("days", "stays"), [(29, 5), (31, 0)])
async def test_old_fires_go_a_few_at_a_time(database: Database, days: int, stays: int) -> None:
    moment = minutes_before_now(days * DAY_MINUTES)
    async with database.write() as connection:
        for number in range(5):
            values = {"schedule_name": "s", "fire_at_local": str(number), "fired_at": moment}
            await connection.execute(insert(sync_schedule_fires).values(values))
    await retention(database, retention_rows_per_transaction=2).clean()
    assert await count(database, sync_schedule_fires) == stays


async def test_runs_that_go_are_out_of_the_numbers_in_the_same_transaction(database: Database) -> None:
    for status in ("completed", "failed", "cancelled"):
        await ended(database, status, 31)
        await ended(database, status, 1)
    counting = RunCounting(database, FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC)))
    assert await counting.count() == 6
    await ended(database, "failed", 31)
    assert (await retention(database).clean()).runs == 4
    async with database.read() as connection:
        counts = await count_by_status(connection)
    assert {status: count for status, count in counts.items() if count} == {"completed": 1, "failed": 1, "cancelled": 1}
    assert await counting.check() == 0
