"""One database: its connections, the settings of each session, and transactions that end whole.

`read()` and `write()` each give a connection inside one transaction. `write()` commits at its end; anything raised
inside rolls everything back (a lock wait timeout undoes only its statement by itself, so the rollback is explicit).
A connection whose call was cut short, by a cancel or by the timeout, is thrown away: its protocol state is unknown.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.errors import RefusedDatabaseError, translated
from db.sessions import name_sessions

_DRIVERS = ("sqlite+aiosqlite", "mysql+aiomysql")

# Strict, so that a value that does not fit is an error and never cut or turned to zero.
_SESSION_SQL = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', innodb_lock_wait_timeout = {lock_wait_seconds}, "
    # Of a whole table: without it a statement waits for a day behind LOCK TABLES or an ALTER of others.
    "lock_wait_timeout = {lock_wait_seconds}, "
    # Warnings of a load name the rows that the server would damage: every kind of them is needed, in one language. What
    # a server may have as its default and would change what a statement does is set here too. Nothing may need a
    # privilege: on MySQL even max_error_count needs one.
    "sql_notes = 1, lc_messages = 'en_US', "
    "sql_safe_updates = 0, sql_big_selects = 1, sql_select_limit = 18446744073709551615, sql_auto_is_null = 0, "
    "sql_quote_show_create = 1, unique_checks = 1, foreign_key_checks = 1, completion_type = 'NO_CHAIN' "
    # A worker that is stopped or cut off inside a transaction must not keep its run from the next one for hours, also
    # where the next one cannot end its sessions (sessions.py). MySQL has no such limit for transactions only; there
    # connections that wait in the pool are ended and made anew as well.
    "/*M!100300 , idle_transaction_timeout = {idle_transaction_seconds} */"
    "/*!80000 , wait_timeout = {idle_connection_seconds} */"
)
_IDLE_CONNECTION_SECONDS_MIN = 30


def parse_url(text: str) -> URL:
    """The database URL, checked.

    Raises:
        ValueError: it is malformed, or names a driver that the service does not use.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("is no database URL, such as mysql+aiomysql://USER:PASSWORD@HOST/DATABASE") from None
    if url.drivername not in _DRIVERS:
        raise ValueError(f"has driver {url.drivername!r}; this service uses {' and '.join(_DRIVERS)}")
    if url.drivername.startswith("mysql"):
        if not url.database:
            raise ValueError("names no database")
        url = url.update_query_dict({"charset": "utf8mb4"})
    return url


class Database:
    """A database and its connection pool.

    Args:
        url: as `parse_url` takes it.
        pool_size_max: connections at the most.
        timeout_seconds: one transaction may take this long.
        lock_wait_seconds: one statement may wait this long for a row that another transaction holds.
        idle_transaction_seconds: the server ends a transaction in which nothing happens for this long.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size_max: int = 10,
        timeout_seconds: float = 60.0,
        lock_wait_seconds: int = 10,
        idle_transaction_seconds: int = 8,
    ) -> None:
        self.url = parse_url(url)
        self.timeout_seconds = timeout_seconds
        self.pool_size_max = pool_size_max
        # By which other programs know the sessions of this one; see sessions.py.
        self.session_name = uuid.uuid4().hex[:12]
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        self.engine: AsyncEngine = (
            _sqlite_engine(self.url, pool_size_max)
            if self.is_sqlite
            else _mysql_engine(self.url, pool_size_max, lock_wait_seconds, idle_transaction_seconds)
        )
        if not self.is_sqlite:
            name_sessions(self.engine, self.session_name)

    @property
    def file(self) -> Path | None:
        """The file of an embedded database; None for a server or a database in memory."""
        if not self.is_sqlite or self.url.database in (None, "", ":memory:"):
            return None
        return Path(str(self.url.database))

    @asynccontextmanager
    async def read(self, *, timeout_seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is rolled back at its end.

        Raises:
            DatabaseError
        """
        async with self._connection(writes=False, timeout_seconds=timeout_seconds) as connection:
            yield connection

    @asynccontextmanager
    async def write(self, *, timeout_seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is committed at its end, or rolled back whole.

        Raises:
            DatabaseError: after a TransientDatabaseError at the commit itself, the transaction may or may not stand.
        """
        async with self._connection(writes=True, timeout_seconds=timeout_seconds) as connection:
            yield connection

    @asynccontextmanager
    async def _connection(
        self, *, writes: bool, timeout_seconds: float | None = None
    ) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with asyncio.timeout(timeout_seconds or self.timeout_seconds):
                async with self.engine.connect() as connection:
                    await connection.execution_options(sync_writes=writes)
                    try:
                        yield connection
                        if writes:
                            await connection.commit()
                        else:
                            await connection.rollback()
                    except asyncio.CancelledError:
                        await connection.invalidate()
                        raise
                    except BaseException:
                        if not connection.invalidated:
                            await connection.rollback()
                        raise

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def _mysql_engine(url: URL, pool_size_max: int, lock_wait_seconds: int, idle_transaction_seconds: int) -> AsyncEngine:
    session_sql = _SESSION_SQL.format(
        lock_wait_seconds=lock_wait_seconds,
        idle_transaction_seconds=idle_transaction_seconds,
        idle_connection_seconds=max(_IDLE_CONNECTION_SECONDS_MIN, idle_transaction_seconds),
    )
    return create_async_engine(
        url,
        pool_size=pool_size_max,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
        connect_args={
            "init_command": session_sql,
            "connect_timeout": 10,
            "local_infile": True,
        },
        hide_parameters=True,
    )


def _sqlite_engine(url: URL, pool_size_max: int) -> AsyncEngine:
    database = str(url.database or "")
    if database not in ("", ":memory:"):
        folder = Path(database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RefusedDatabaseError(f"the database folder {folder} cannot be made: {error.strerror}") from error
    engine = create_async_engine(
        url,
        pool_size=pool_size_max,
        max_overflow=0,
        pool_timeout=30,
        connect_args={"timeout": 30},
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The driver's own implicit BEGIN comes too late for DDL and takes its lock too late for writers.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "close")
    def _on_close(connection: Any, _record: Any) -> None:
        # A connection is closed in the middle of its transaction when its task was cancelled. Where a cursor of it is
        # still in memory, in a traceback say, SQLite puts the closing off, and with it the end of the transaction: the
        # write lock would stay, for as long as it takes until something collects that cursor. It goes into the queue of
        # aiosqlite's thread, as SQLAlchemy's own dialect does it, since nothing can be awaited here.
        driver = connection.driver_connection
        if driver is not None and driver._connection is not None:  # noqa: SLF001
            driver._tx.put_nowait((None, driver._connection.rollback))  # noqa: SLF001

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        # A writer takes the write lock at once: upgrading a read lock later fails without waiting.
        writes = connection.get_execution_options().get("sync_writes", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
