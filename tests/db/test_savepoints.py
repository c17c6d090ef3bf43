"""A transaction that the server has ended is tried again, whatever the server calls what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pymysql
import pytest

from db.engine import Database
from db.error_numbers import DatabaseReason
from db.errors import TransientDatabaseError
from db.loaders.sparing import CAREFUL
from db.loaders.upsert import load
from db.migrate import migrate
from db.savepoints import Savepoint
from tests.db.test_refused_rows import numbered, put
from tests.db.test_upsert import CONTENT, rows_of, songs
from tests.support.database_server import DatabaseServer

MINE = songs({"external_id": "mine"})
INSERT_MINE = (
    "INSERT INTO content_index (content_type, title, external_id, source_type, source_identifier) "
    "SELECT 'music', 'theirs', 'mine', source_type, source_identifier FROM content_index LIMIT 1"
)


@pytest.mark.parametrize("then", ["undo", "release"])
async def test_a_savepoint_of_a_transaction_that_has_ended_is_a_fault_that_passes(
    database_server: DatabaseServer, then: str
) -> None:
    database = Database(database_server.url(database_server.new_database()))
    async with database.write() as connection:
        savepoint = Savepoint(connection, "here")
        await savepoint.begin()
        await connection.exec_driver_sql("ROLLBACK")
        with pytest.raises(TransientDatabaseError) as raised:
            await (savepoint.undo() if then == "undo" else savepoint.release())
    assert raised.value.reason == DatabaseReason.LOCKED
    await database.close()


@pytest.fixture
async def database(database_server: DatabaseServer) -> AsyncIterator[Database]:
    """One with rows, whose writers wait a second for a lock; AUTO_INCREMENT values are given out statement by statement."""
    if database_server.kind != "mariadb":
        pytest.skip("MySQL gives AUTO_INCREMENT values out without a lock")
    name = database_server.new_database()
    opened = Database(database_server.url(name), lock_wait_seconds=1)
    await migrate(opened)
    await put(opened, numbered(2000))
    yield opened
    await opened.close()
    database_server.drop_database(name)


@contextmanager
def another_writer(server: DatabaseServer, database: Database) -> Iterator[pymysql.cursors.Cursor]:
    """A transaction of somebody else, who has more to lose than we will: more rows, and some that cannot be rolled back."""
    with server.connect(database.url.database, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SET innodb_lock_wait_timeout = 20, tx_isolation = 'READ-COMMITTED'")
        cursor.execute("CREATE TEMPORARY TABLE loose (id INT) ENGINE = MyISAM")
        cursor.execute("INSERT INTO loose VALUES (1)")
        cursor.execute("UPDATE content_index SET genre = 'theirs'")
        yield cursor
        connection.rollback()


@asynccontextmanager
async def numbers_held(server: DatabaseServer, cursor: pymysql.cursors.Cursor) -> AsyncIterator[None]:
    """While the block runs, somebody's statement holds the AUTO_INCREMENT lock and waits for the row `mine`."""

    def insert() -> None:
        try:
            cursor.execute(INSERT_MINE)
        except pymysql.err.OperationalError as error:
            assert error.args[0] == 1205

    waiting = asyncio.create_task(asyncio.to_thread(insert))
    # information_schema.INNODB_TRX is not renewed for whoever asks more often than ten times a second.
    while "LOCK WAIT" not in server.execute("SHOW ENGINE INNODB STATUS")[0][2]:
        assert not waiting.done()
        await asyncio.sleep(0)
    try:
        yield
    finally:
        await waiting


@pytest.mark.parametrize("expect_new", [True, False])
async def test_a_deadlock_over_the_numbers_of_new_rows_is_a_fault_that_passes(
    database: Database, database_server: DatabaseServer, expect_new: bool
) -> None:
    async def deadlock(cursor: pymysql.cursors.Cursor) -> None:
        async with database.write() as connection:
            await load(connection, CONTENT, MINE, expect_new=expect_new, care=CAREFUL)
            async with numbers_held(database_server, cursor):
                await load(connection, CONTENT, songs({"external_id": "new"}), expect_new=expect_new, care=CAREFUL)

    with (
        another_writer(database_server, database) as cursor,
        pytest.raises(TransientDatabaseError, match="two transactions waited for each other") as raised,
    ):
        await deadlock(cursor)
    assert raised.value.reason == DatabaseReason.LOCKED
    assert len(await rows_of(database)) == 2000


async def test_numbers_that_are_locked_for_long_are_not_taken_for_a_table_without_any(
    database: Database, database_server: DatabaseServer
) -> None:
    with (
        another_writer(database_server, database) as cursor,
        database_server.connect(database.url.database, autocommit=False) as third,
    ):
        third.cursor().execute(INSERT_MINE)
        async with numbers_held(database_server, cursor):
            with pytest.raises(TransientDatabaseError, match="AUTO_INCREMENT lock") as raised:
                await put(database, songs({"external_id": "new"}))
            third.rollback()
    assert raised.value.reason == DatabaseReason.LOCKED
    assert len(await rows_of(database)) == 2000
