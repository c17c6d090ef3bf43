"""What waits in the database, and how long ago sources succeeded, on each kind of database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from db.dialect import minutes_before_now, now_ms
from db.engine import Database
from db.records import RunStatus
from db.repositories.backlog import Backlog, read_backlog, success_ages
from db.repositories.transitions import move_to
from db.schema import sync_runs, sync_sources

HOUR_MS = 3_600_000
SLACK_SECONDS = 60


async def stored(database: Database, status: str, **columns: Any) -> int:
    """A run as some program left it."""
    values = {"source_type": "csv", "source_identifier": "a.csv", "status": status} | columns
    async with database.write() as connection:
        key = (await connection.execute(insert(sync_runs).values(values))).inserted_primary_key
    assert key is not None
    return int(key[0])


async def backlog(database: Database) -> Backlog:
    async with database.read() as connection:
        return await read_backlog(connection)


async def test_an_empty_database_has_no_backlog(database: Database) -> None:
    assert await backlog(database) == Backlog(0, 0, 0, 0, 0.0)


async def test_each_run_that_waits_is_counted_once(database: Database) -> None:
    await stored(database, "pending")
    await stored(database, "pending", not_before_ms=now_ms() - 1)
    await stored(database, "pending", not_before_ms=now_ms() + HOUR_MS)
    await stored(database, "pending", paused=True)
    await stored(database, "pending", paused=True, not_before_ms=now_ms() + HOUR_MS)
    await stored(database, "in_progress", lease_expires_at_ms=now_ms() + HOUR_MS)
    await stored(database, "in_progress", lease_expires_at_ms=now_ms() - 1)
    await stored(database, "in_progress")
    for status in ("completed", "failed", "cancelled", "of the bot"):
        await stored(database, status)
    found = await backlog(database)
    assert (found.due, found.delayed, found.paused, found.unowned) == (2, 1, 2, 2)


@pytest.mark.parametrize(
    ("columns", "hours"),
    [
        ({}, 0),
        ({"not_before_ms": now_ms() - 3 * HOUR_MS}, 3),
        ({"not_before_ms": now_ms() + 3 * HOUR_MS}, 0),
        ({"not_before_ms": now_ms() - 3 * HOUR_MS, "paused": True}, 0),
    ],
)
async def test_the_age_is_that_of_the_run_that_is_due_for_longest(
    database: Database, columns: dict[str, Any], hours: int
) -> None:
    await stored(database, "pending")
    await stored(database, "pending", **columns)
    assert (await backlog(database)).oldest_seconds == pytest.approx(hours * 3600, abs=SLACK_SECONDS)


async def test_a_run_that_became_pending_again_counts_from_then(database: Database) -> None:
    run_id = await stored(database, "in_progress", created_at=_hours_ago(9), updated_at=_hours_ago(9))
    async with database.write() as connection:
        await connection.execute(move_to(RunStatus.PENDING).where(sync_runs.c.id == run_id))
    assert (await backlog(database)).due == 1
    assert (await backlog(database)).oldest_seconds < SLACK_SECONDS


async def test_the_last_success_of_each_source_is_found_behind_later_failures(database: Database) -> None:
    keys = {name: name * 64 for name in "abc"}
    async with database.write() as connection:
        await connection.execute(insert(sync_sources), [{"source_key": key} for key in keys.values()])
    old, older = (
        {"completed_at": _hours_ago(2), "source_key": keys["a"]},
        {"completed_at": _hours_ago(5), "source_key": keys["a"]},
    )
    await stored(database, "completed", **old)
    await stored(database, "completed", **older)
    await stored(database, "failed", source_key=keys["a"], completed_at=_hours_ago(1))
    await stored(database, "failed", source_key=keys["b"], completed_at=_hours_ago(1))
    async with database.read() as connection:
        found = await success_ages(connection, [keys["a"], keys["b"], keys["c"], "d" * 64])
        assert await success_ages(connection, []) == {}
    assert found == {keys["a"]: pytest.approx(2 * 3600, abs=SLACK_SECONDS)}


def _hours_ago(hours: int) -> Any:
    return minutes_before_now(hours * 60)
