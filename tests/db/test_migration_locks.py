"""A migration gives way: while it waits for a table that someone has open, everyone else still reads it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql
import pytest

from db.errors import TransientDatabaseError
from db.migrate import HEAD_REVISION, current_revision, migrate
from tests.db.test_migrate import CONTRACT_TABLES, described, execute
from tests.support.database_server import DatabaseServer, opened

# A read of the bot's that stands behind a statement of ours for longer than this fails.
READ_SECONDS_MAX = 2


class Reader(threading.Thread):
    """The bot, reading a table all the time."""

    def __init__(self, server: DatabaseServer, name: str, table: str) -> None:
        super().__init__()
        self._connection = server.connect(name)
        self._table = table
        self.reads = 0
        self.failures: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        with self._connection as connection, connection.cursor() as cursor:
            cursor.execute(f"SET SESSION lock_wait_timeout = {READ_SECONDS_MAX}")
            while not self.ended.is_set():
                try:
                    cursor.execute(f"SELECT 1 FROM {self._table} LIMIT 1")
                    self.reads += 1
                except pymysql.err.Error as error:
                    self.failures.append(str(error))


@contextmanager
def reading(server: DatabaseServer, name: str, table: str) -> Iterator[Reader]:
    reader = Reader(server, name, table)
    reader.start()
    try:
        yield reader
    finally:
        reader.ended.set()
        reader.join()


@pytest.mark.parametrize(
    ("table", "held_by"),
    [
        ("content_index", "SELECT * FROM content_index"),
        ("sync_runs", "UPDATE sync_runs SET status = 'pending'"),
        ("catalog_items", "SELECT * FROM catalog_items FOR UPDATE"),
    ],
)
async def test_others_read_on_while_a_migration_waits_for_an_open_transaction(
    database_server: DatabaseServer, table: str, held_by: str
) -> None:
    name = database_server.new_database()
    execute(database_server, name, *CONTRACT_TABLES.values())
    holder = database_server.connect(name, autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute(held_by)
    waited_for: list[TransientDatabaseError] = []
    reads: list[int] = []

    with reading(database_server, name, table) as reader:

        async def tries_again(error: TransientDatabaseError, _faults: int) -> bool:
            waited_for.append(error)
            reads.append(reader.reads)
            if len(waited_for) == 3:
                holder.rollback()
            return True

        async with opened(database_server.url(name)) as database:
            assert await migrate(database, tries_again=tries_again)
            assert await current_revision(database) == HEAD_REVISION
    holder.close()
    assert reader.failures == []
    assert reads == sorted(set(reads)), "it read between any two tries"
    assert {(error.reason, error.code, error.statement) for error in waited_for} == {
        ("DATABASE_LOCKED", 1205, f"ALTER {table}")
    }
    assert f"lock on {table}" in waited_for[0].message
    assert "row_hash" in described(database_server, name, "content_index")


async def test_a_migration_that_waits_for_too_long_says_for_what(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    execute(database_server, name, *CONTRACT_TABLES.values())
    with database_server.connect(name, autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT * FROM sync_runs")
        async with opened(database_server.url(name)) as database:
            with pytest.raises(TransientDatabaseError, match="lock on sync_runs that another connection holds"):
                await migrate(database, tries_again=lambda _error, faults: _once(faults))


async def _once(faults: int) -> bool:
    return faults < 2


async def test_the_columns_of_a_table_come_by_one_statement(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    execute(database_server, name, *CONTRACT_TABLES.values())
    before = _alters(database_server)
    async with opened(database_server.url(name)) as database:
        await migrate(database)
    assert _alters(database_server) - before <= len(CONTRACT_TABLES)


def _alters(server: DatabaseServer) -> int:
    return int(server.execute("SHOW GLOBAL STATUS LIKE 'Com_alter_table'")[0][1])
