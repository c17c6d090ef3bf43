"""A worker that stands still inside a transaction keeps nobody out for long."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from db.engine import Database
from db.errors import TransientDatabaseError
from db.migrate import migrate
from tests.support.database_server import DatabaseServer

CHANGE = text("UPDATE sync_sources SET locked_count = locked_count + 1")


async def test_a_transaction_that_stands_still_is_ended_and_its_locks_are_free(database_server: DatabaseServer) -> None:
    url = database_server.url(database_server.new_database())
    still, other = Database(url, idle_transaction_seconds=1), Database(url)
    await migrate(still)
    async with still.write() as connection:
        await connection.execute(text("INSERT INTO sync_sources (source_key) VALUES (REPEAT('a', 64))"))

    async def stand_still() -> None:
        async with still.write() as connection:
            await connection.execute(CHANGE)
            # Waits for the row until the server has ended the transaction above.
            async with other.write() as faster:
                await faster.execute(CHANGE)
            await connection.execute(CHANGE)

    with pytest.raises(TransientDatabaseError):
        await stand_still()
    async with other.read() as connection:
        assert (await connection.execute(text("SELECT locked_count FROM sync_sources"))).scalar_one() == 1
    await still.close()
    await other.close()
