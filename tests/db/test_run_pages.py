"""Pages of runs: what they cost does not depend on how many runs they hold."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, update

from db.engine import Database
from db.records import Batch, Lease, Ledger, RunStatus
from db.repositories.batches import insert_batch
from db.repositories.runs import insert_run, list_runs
from db.schema import sync_runs


@pytest.mark.parametrize("count", [1, 30])
async def test_a_page_of_runs_is_one_statement_and_each_run_has_its_own_counts(database: Database, count: int) -> None:
    async with database.write() as connection:
        for number in range(count):
            run_id = await insert_run(connection, source_type="csv", source_identifier=f"{number}.csv", options={})
            for batch_no in range(number % 3):
                batch = Batch(batch_no, Ledger(read=number + 1, inserted=number + 1), {}, bytes_done=100 * batch_no)
                # The last reading counts, not the one before it.
                for restart_no in (0, 7):
                    await insert_batch(connection, Lease(run_id, "owner", 1), restart_no, batch)
        # Runs that nobody ever claimed have the bot's counts.
        await connection.execute(update(sync_runs).values(lease_epoch=1))
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append(statement)

    async with database.read() as connection:
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        page = await list_runs(connection, before_id=None, limit=count)
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    assert len(statements) == 1
    assert [run.id for run in page] == sorted((run.id for run in page), reverse=True)
    numbers = list(reversed(range(count)))
    assert [run.ledger.inserted for run in page] == [(number + 1) * (number % 3) for number in numbers]
    assert [run.batch_count for run in page] == [2 * (number % 3) for number in numbers]


@pytest.mark.parametrize("before_id", [None, 6])
async def test_a_filter_takes_its_characters_for_themselves(database: Database, before_id: int | None) -> None:
    names = ["a_c", "abc", "a%", "a", "a\\_c", "a_c", "a_c"]
    async with database.write() as connection:
        ids = [
            await insert_run(connection, source_type=name, source_identifier=f"{number}.csv", options={})
            for number, name in enumerate(names)
        ]
    before = None if before_id is None else ids[before_id]
    for name in set(names):
        expected = [run_id for run_id, given in zip(ids, names, strict=True) if given == name]
        async with database.read() as connection:
            page = await list_runs(connection, before_id=before, limit=10, source_type=name, status=RunStatus.PENDING)
            alike = await list_runs(connection, before_id=before, limit=10, source_type=name)
        assert [run.id for run in page] == [
            run_id for run_id in reversed(expected) if before is None or run_id < before
        ]
        assert alike == page
