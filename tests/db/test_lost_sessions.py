"""A worker that stands still inside a transaction keeps nobody out for long, whatever the server's patience is."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from db.engine import Database
from db.errors import RefusedDatabaseError, TransientDatabaseError
from db.migrate import migrate
from db.sessions import end_sessions
from tests.support.database_server import DatabaseServer
from tests.support.grants import AFTERWARDS

CHANGE = text("UPDATE sync_sources SET locked_count = locked_count + 1")
MAKE = text("INSERT INTO sync_sources (source_key) VALUES (REPEAT('a', 64))")


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(text("SELECT locked_count FROM sync_sources"))).scalar_one())


async def test_sessions_are_ended_by_their_name_and_what_they_locked_is_free(database_server: DatabaseServer) -> None:
    url = database_server.url(database_server.new_database())
    lost, next_one = Database(url, pool_size_max=4), Database(url, lock_wait_seconds=5)
    await migrate(lost)
    async with lost.write() as connection:
        await connection.execute(MAKE)

    async def stand_still() -> None:
        async with lost.write() as connection, lost.read() as another:
            await another.execute(text("SELECT 1"))
            await connection.execute(CHANGE)
            async with next_one.write() as faster:
                # Two that were in use just now, and whatever waits in the pool.
                assert await end_sessions(faster, lost.session_name) >= 2
                await faster.execute(CHANGE)
            await connection.execute(CHANGE)

    with pytest.raises(TransientDatabaseError, match="connection"):
        await stand_still()
    assert await count(next_one) == 1
    # The one that was lost is well again by itself, under the same name.
    async with lost.write() as connection:
        await connection.execute(CHANGE)
    async with next_one.read() as connection:
        assert await end_sessions(connection, "0" * 12) == 0
        assert await end_sessions(connection, lost.session_name) >= 1
    await lost.close()
    await next_one.close()


async def test_sessions_of_another_user_are_left_alone(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    stranger = database_server.new_user(name, AFTERWARDS)
    ours, theirs = Database(database_server.url(name)), Database(database_server.url(name, user=stranger))
    await migrate(ours)
    async with ours.write() as connection:
        await connection.execute(MAKE)
        with pytest.raises(RefusedDatabaseError):
            async with theirs.read() as other:
                await end_sessions(other, ours.session_name)
    assert await count(theirs) == 0
    await ours.close()
    await theirs.close()


async def test_a_transaction_that_stands_still_is_ended_by_mariadb_itself(database_server: DatabaseServer) -> None:
    if database_server.kind != "mariadb":
        pytest.skip("only MariaDB has idle_transaction_timeout")
    url = database_server.url(database_server.new_database())
    still, other = Database(url, idle_transaction_seconds=1), Database(url)
    await migrate(still)
    async with still.write() as connection:
        await connection.execute(MAKE)

    async def stand_still() -> None:
        async with still.write() as connection:
            await connection.execute(CHANGE)
            # Waits for the row until the server has ended the transaction above.
            async with other.write() as faster:
                await faster.execute(CHANGE)
            await connection.execute(CHANGE)

    with pytest.raises(TransientDatabaseError):
        await stand_still()
    assert await count(other) == 1
    await still.close()
    await other.close()
