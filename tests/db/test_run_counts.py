"""Runs by status: right in every moment, whoever changes a run, and at a cost that does not grow with their number."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.migrate import migrate
from db.records import TERMINAL_STATUSES, RunStatus
from db.repositories.run_counts import (
    BLOCK_IDS,
    count_by_status,
    count_ended,
    mend,
    remove_runs,
    uncounted_ids,
    wrong_numbers,
)
from db.schema import sync_run_counts, sync_runs
from server.core.clock import SystemClock
from server.schedules.counting import RunCounting
from tests.db.test_migrate import CONTRACT_TABLES
from tests.support.database_server import DatabaseServer, opened

UNKNOWN = "archived"


async def store(connection: AsyncConnection, *statuses: str, first_id: int = 1) -> None:
    """As the bot stores runs: with the contract's columns."""
    for run_id, status in enumerate(statuses, first_id):
        await connection.execute(
            text(
                "INSERT INTO sync_runs (id, source_type, source_identifier, status) VALUES (:id, 'csv', 'a.csv', :status)"
            ),
            {"id": run_id, "status": status},
        )


async def counted(database: Database) -> dict[str, int]:
    async with database.read() as connection:
        return await count_by_status(connection)


async def truth(database: Database) -> dict[str, int]:
    """By reading every run."""
    async with database.read() as connection:
        rows = await connection.execute(select(sync_runs.c.status, func.count()).group_by(sync_runs.c.status))
        found = {str(status): int(count) for status, count in rows}
    return {status: found.get(status, 0) for status in RunStatus}


async def numbers(database: Database) -> int:
    """How many runs sync_run_counts has."""
    async with database.read() as connection:
        found = (await connection.execute(select(func.sum(sync_run_counts.c.run_count)))).scalar_one()
    return int(found or 0)


def counting(database: Database) -> RunCounting:
    return RunCounting(database, SystemClock())


async def checked(database: Database) -> int:
    """Go through all blocks once; answer how many numbers were mended."""
    replica, mended = counting(database), 0
    async with database.read() as connection:
        blocks = (await connection.execute(select(func.count(sync_run_counts.c.block_no.distinct())))).scalar_one()
    for _block in range(int(blocks)):
        mended += await replica.check()
    return mended


async def test_runs_are_counted_before_and_after_they_have_a_number(database: Database) -> None:
    statuses = [*RunStatus, RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.FAILED, UNKNOWN]
    async with database.write() as connection:
        await store(connection, *statuses)
    expected = {status: statuses.count(status) for status in RunStatus}
    assert await counted(database) == expected
    ended = sum(status in TERMINAL_STATUSES for status in statuses)
    assert await counting(database).count() == ended
    assert await numbers(database) == ended
    assert await counted(database) == expected
    assert await counting(database).count() == 0


@pytest.mark.parametrize("later", [*RunStatus, UNKNOWN])
@pytest.mark.parametrize("before", [RunStatus.COMPLETED, RunStatus.PENDING, UNKNOWN])
async def test_a_status_that_another_program_changes_is_counted_at_once(
    database: Database, before: str, later: str
) -> None:
    async with database.write() as connection:
        await store(
            connection, before, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.IN_PROGRESS
        )
    await counting(database).count()
    async with database.write() as connection:
        await connection.execute(text("UPDATE sync_runs SET status = :later WHERE id = 1"), {"later": later})
    assert await counted(database) == await truth(database)
    await counting(database).count()
    assert await counted(database) == await truth(database)
    async with database.read() as connection:
        assert await uncounted_ids(connection, 10) == []
    assert await checked(database) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_numbers_are_right_after_any_mixture_of_changes(database: Database, seed: int) -> None:
    """By the bot, by our own code, by two replicas that count; over more than one block of ids."""
    chance = random.Random(seed)
    ids = [chance.randrange(1, 3 * BLOCK_IDS) for _run in range(30)]
    async with database.write() as connection:
        for run_id in dict.fromkeys(ids):
            await store(connection, chance.choice([*RunStatus, UNKNOWN]), first_id=run_id)
    for _change in range(25):
        some = chance.sample(ids, 3)
        kind = chance.choice(["change", "change", "count", "remove", "check"])
        if kind == "count":
            async with database.read() as connection:
                found = await uncounted_ids(connection, 7)
            async with database.write() as connection:
                await count_ended(connection, found)
        elif kind == "check":
            assert await checked(database) == 0
        else:
            async with database.write() as connection:
                if kind == "remove":
                    await remove_runs(connection, some)
                else:
                    status = chance.choice([*RunStatus, UNKNOWN])
                    await connection.execute(update(sync_runs).where(sync_runs.c.id.in_(some)).values(status=status))
        assert await counted(database) == await truth(database), kind


async def test_a_run_that_another_program_removes_is_out_of_the_numbers_after_one_round_of_checks(
    database: Database,
) -> None:
    async with database.write() as connection:
        for block in range(3):
            await store(
                connection,
                RunStatus.COMPLETED,
                RunStatus.COMPLETED,
                RunStatus.FAILED,
                RunStatus.PENDING,
                first_id=block * BLOCK_IDS + 1,
            )
    await counting(database).count()
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM sync_runs WHERE id IN (1, 3, 4, 20001)"))
    # Nothing tells of it: this is how far the numbers can be off, and for how long.
    late = await counted(database)
    assert late == {**await truth(database), RunStatus.COMPLETED: 6, RunStatus.FAILED: 3}
    assert await checked(database) == 3
    assert await counted(database) == await truth(database)
    assert await checked(database) == 0


async def test_runs_that_were_counted_elsewhere_and_came_without_their_numbers_are_found(database: Database) -> None:
    async with database.write() as connection:
        await store(connection, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.COMPLETED, first_id=7 * BLOCK_IDS)
    await counting(database).count()
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM sync_run_counts"))
    replica = counting(database)
    assert await replica.check() == 2
    assert await counted(database) == await truth(database)
    # The end of a round, and the next one.
    assert [await replica.check(), await replica.check()] == [0, 0]


async def test_a_run_whose_status_changed_before_it_was_removed_is_out_of_them_too(database: Database) -> None:
    async with database.write() as connection:
        await store(connection, RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.COMPLETED)
    await counting(database).count()
    async with database.write() as connection:
        await connection.execute(text("UPDATE sync_runs SET status = 'failed' WHERE id = 1"))
        await connection.execute(text("UPDATE sync_runs SET status = 'failed' WHERE id = 2"))
        await connection.execute(text("DELETE FROM sync_runs WHERE id = 1"))
    assert await checked(database) == 1
    assert await counted(database) == await truth(database)


async def test_replicas_that_count_at_once_count_each_run_once(database_url: str) -> None:
    async with opened(database_url) as database, opened(database_url) as other:
        await migrate(database)
        async with database.write() as connection:
            await connection.execute(
                insert(sync_runs),
                [
                    {"source_type": "csv", "source_identifier": "a", "status": RunStatus.COMPLETED}
                    for _run in range(300)
                ],
            )

        async def until_done(replica: RunCounting) -> None:
            while True:
                await replica.count()
                async with database.read() as connection:
                    if not await uncounted_ids(connection, 1):
                        return

        await asyncio.gather(*(until_done(counting(each)) for each in (database, other, database, other)))
        assert await numbers(database) == 300
        assert await checked(database) == 0


async def test_two_replicas_that_find_the_same_wrong_number_mend_it_once(database: Database) -> None:
    async with database.write() as connection:
        await store(connection, RunStatus.COMPLETED, RunStatus.COMPLETED)
    await counting(database).count()
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM sync_runs WHERE id = 1"))
    async with database.read() as connection:
        found = [await wrong_numbers(connection, 0) for _replica in range(2)]
    async with database.write() as connection:
        await store(connection, RunStatus.COMPLETED, first_id=7)
    mended = []
    for wrong in found:
        async with database.write() as connection:
            mended.append(await mend(connection, wrong))
    assert mended == [1, 0]
    await counting(database).count()
    assert await counted(database) == await truth(database)


async def test_numbers_that_changed_since_they_were_compared_are_left_for_the_next_time(database: Database) -> None:
    async with database.write() as connection:
        await store(connection, RunStatus.COMPLETED, RunStatus.COMPLETED)
    await counting(database).count()
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM sync_runs WHERE id = 1"))
    async with database.read() as connection:
        wrong = await wrong_numbers(connection, 0)
    async with database.write() as connection:
        await store(connection, RunStatus.COMPLETED, first_id=7)
    await counting(database).count()
    async with database.write() as connection:
        assert await mend(connection, wrong) == 0
    assert await checked(database) == 1
    assert await counted(database) == await truth(database)


async def test_a_replica_that_is_lost_while_it_counts_has_counted_nothing(database: Database) -> None:
    async with database.write() as connection:
        await store(connection, RunStatus.COMPLETED, RunStatus.FAILED)

    def lost(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO sync_run_counts"):
            raise KeyboardInterrupt

    event.listen(database.engine.sync_engine, "before_cursor_execute", lost)
    with pytest.raises(KeyboardInterrupt):
        await counting(database).count()
    event.remove(database.engine.sync_engine, "before_cursor_execute", lost)
    assert await numbers(database) == 0
    assert await counted(database) == await truth(database)
    assert await counting(database).count() == 2
    assert await counted(database) == await truth(database)


async def test_counting_leaves_the_time_of_a_run_as_it_is(database_server: DatabaseServer) -> None:
    name = database_server.new_database("utf8mb4_general_ci")
    changing = CONTRACT_TABLES["sync_runs"].replace(
        "updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
        "updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
    )
    assert "ON UPDATE" in changing
    database_server.execute(changing, database=name)
    async with opened(database_server.url(name)) as database:
        await migrate(database)
        database_server.execute(
            "INSERT INTO sync_runs (source_type, source_identifier, status, updated_at) VALUES "
            "('csv', 'a', 'Completed', '2020-01-01'), ('csv', 'a', 'FAILED', '2020-01-01')",
            database=name,
        )
        assert await counting(database).count() == 2
        times = database_server.execute("SELECT DISTINCT YEAR(updated_at) FROM sync_runs", database=name)
        assert times == [(2020,)]
        # The bot's column does not tell these from our own spelling.
        found = await counted(database)
    assert (found[RunStatus.COMPLETED], found[RunStatus.FAILED]) == (1, 1)
