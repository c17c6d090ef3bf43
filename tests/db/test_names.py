"""Names that are StrEnums in Python reach the tables as their plain text, and come back as it."""

from __future__ import annotations

import pytest
from sqlalchemy import literal, select, update

from db.engine import Database
from db.records import ErrorRow, RunStatus
from db.repositories.errors import insert_errors, list_errors
from db.repositories.runs import get_run, insert_run, list_runs
from db.schema import sync_runs
from server.core.reasons import Category, Reason


async def _stored(database: Database) -> int:
    async with database.write() as connection:
        return await insert_run(connection, source_type="csv", source_identifier="a.csv", options={})


@pytest.mark.parametrize("status", list(RunStatus))
async def test_a_status_is_bound_as_its_text(database: Database, status: RunStatus) -> None:
    run_id = await _stored(database)
    async with database.write() as connection:
        await connection.execute(update(sync_runs).values(status=status))
        text = (await connection.execute(select(sync_runs.c.status, literal(status)))).one()
        raw = (await connection.exec_driver_sql(f"SELECT id FROM sync_runs WHERE status = '{status.value}'")).one()
    assert tuple(text) == (status.value, status.value)
    assert [type(value) for value in text] == [str, str]
    assert raw == (run_id,)


async def test_many_rows_at_once_are_bound_as_their_text(database: Database) -> None:
    run_id = await _stored(database)
    rows = [ErrorRow(category, reason, "m", True) for category, reason in zip(Category, Reason, strict=False)]
    async with database.write() as connection:
        await insert_errors(connection, run_id, 0, rows)
    async with database.read() as connection:
        found = await list_errors(connection, run_id, limit=10)
    expected = [(category.value, reason.value) for category, reason in zip(Category, Reason, strict=False)]
    assert [(row.error_type, row.error_code) for row in reversed(found)] == expected


async def test_a_status_that_only_another_program_knows_is_read_as_it_is(database: Database) -> None:
    run_id = await _stored(database)
    async with database.write() as connection:
        await connection.execute(update(sync_runs).values(status="on_hold"))
    async with database.read() as connection:
        run = await get_run(connection, run_id)
        assert await list_runs(connection, before_id=None, limit=10, status=RunStatus.PENDING) == []
    assert run is not None
    assert run.status == "on_hold"
