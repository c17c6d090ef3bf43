"""Under which spelling of a source its rows stand: remembered, so that it need not be looked for among all its runs."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.repositories.runs import insert_run
from db.repositories.sources import lock_source, remember_row_identifier, row_identifier
from db.schema import content_index, sync_runs

KEY = "k"


async def run_of(connection: AsyncConnection, spelling: str) -> int:
    await lock_source(connection, KEY)
    return await insert_run(
        connection, source_type="csv", source_identifier=spelling, options={}, source_key=KEY, options_digest="d"
    )


async def store_row(connection: AsyncConnection, spelling: str) -> None:
    await connection.execute(
        insert(content_index).values(
            content_type="music", title="t", source_type="csv", source_identifier=spelling, external_id="1"
        )
    )


@pytest.mark.parametrize("stored", ["./a.csv", "a.csv", "/data/a.csv"])
async def test_rows_are_looked_for_under_every_spelling_that_a_run_had(database: Database, stored: str) -> None:
    async with database.write() as connection:
        await run_of(connection, "./a.csv")
        await run_of(connection, "/data/a.csv")
        run_id = await run_of(connection, "a.csv")
        await store_row(connection, stored)
        assert await row_identifier(connection, run_id) == (stored, False)
        await remember_row_identifier(connection, run_id, stored)
        assert await row_identifier(connection, run_id) == (stored, True)


async def test_a_remembered_spelling_outlives_the_runs_that_had_it(database: Database) -> None:
    async with database.write() as connection:
        first = await run_of(connection, "./a.csv")
        await store_row(connection, "./a.csv")
        await remember_row_identifier(connection, first, "./a.csv")
        await connection.execute(delete(sync_runs))
        later = await run_of(connection, "a.csv")
        assert await row_identifier(connection, later) == ("./a.csv", True)


async def test_a_run_writes_under_its_own_spelling_where_no_row_stands_any_more(database: Database) -> None:
    async with database.write() as connection:
        first = await run_of(connection, "./a.csv")
        await remember_row_identifier(connection, first, "./a.csv")
        later = await run_of(connection, "a.csv")
        assert await row_identifier(connection, later) == ("a.csv", False)
        await remember_row_identifier(connection, later, "a.csv")
        await store_row(connection, "a.csv")
        assert await row_identifier(connection, first) == ("a.csv", True)
