"""One database: its connections, the settings of each session, and transactions that end whole.

`read()` and `write()` each give a connection inside one transaction. `write()` commits at its end; anything raised
inside rolls everything back (a lock wait timeout undoes only its statement by itself, so the rollback is explicit).
A connection whose call was cut short, by a cancel or by the timeout, is thrown away: its protocol state is unknown.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.errors import RefusedDatabaseError, ReplacedDatabaseError, translated
from db.sessions import name_sessions
from db.url import DatabaseUrl, parse_url

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
    "/*M!100300 , idle_transaction_timeout = {idle_transaction_seconds}, tx_read_only = 0 */"
    "/*!80000 , wait_timeout = {idle_connection_seconds}, transaction_read_only = 0 */"
)
_IDLE_CONNECTION_SECONDS_MIN = 30
_IN_MEMORY = ":memory:"
# What is left of the write-ahead log once its pages are in the database. It grows to what one transaction changes, which
# may be every page of a large index, and without a limit SQLite would keep it at the largest size that it ever had.
WAL_BYTES_MAX = 16 * 1024 * 1024
_SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    f"journal_size_limit={WAL_BYTES_MAX}",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
)
# The pool logs a traceback for each connection that is lost before it can be rolled back, beside the error that whoever
# used it gets.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


def _nobody_counts(_seconds: float) -> None:
    pass


class Database:
    """A database and its connection pool.

    Args:
        url: as `parse_url` takes it.
        pool_size_max: connections at most.
        timeout_seconds: one transaction may take this long.
        lock_wait_seconds: one statement may wait this long for a row that another transaction holds.
        idle_transaction_seconds: the server ends a transaction in which nothing happens for this long.
        connect_timeout_seconds: connecting to one host of the URL may take this long; then the next one is tried.

    Raises:
        DatabaseUrlError: the URL cannot be right, or names files that cannot be used.
        RefusedDatabaseError: the folder of an embedded database cannot be made.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size_max: int = 10,
        timeout_seconds: float = 60.0,
        lock_wait_seconds: int = 10,
        idle_transaction_seconds: int = 8,
        connect_timeout_seconds: float = 3.0,
    ) -> None:
        self.url = parse_url(url)
        self.timeout_seconds = timeout_seconds
        self.pool_size_max = pool_size_max
        # Told how long a transaction waited for its connection.
        self.on_connection: Callable[[float], None] = _nobody_counts
        # By which other programs know the sessions of this one; see sessions.py.
        self.session_name = uuid.uuid4().hex[:12]
        self.is_sqlite = self.url.is_sqlite
        self.engine: AsyncEngine = (
            _sqlite_engine(self.url.database, pool_size_max)
            if self.is_sqlite
            else _mysql_engine(
                self.url, pool_size_max, lock_wait_seconds, idle_transaction_seconds, connect_timeout_seconds
            )
        )
        self._file_identity = _identity_of(self.file) if self.file is not None else None
        if not self.is_sqlite:
            name_sessions(self.engine, self.session_name)

    @property
    def file(self) -> Path | None:
        """The file of an embedded database; None for a server or a database in memory."""
        return Path(self.url.database) if self.is_sqlite and self.url.database != _IN_MEMORY else None

    def _check_file(self) -> None:
        """Make sure that the file of an embedded database is still the one that was opened.

        A program that holds a file open reads and writes it also when it was deleted or replaced; all of that would be gone
        at its end.

        Raises:
            ReplacedDatabaseError
        """
        if self.file is None:
            return
        # A disk that fails is found out by whoever reads it.
        with suppress(OSError):
            if _identity_of(self.file) != self._file_identity:
                raise ReplacedDatabaseError(self.file)

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
        self._check_file()
        with translated():
            async with asyncio.timeout(timeout_seconds or self.timeout_seconds):
                loop = asyncio.get_running_loop()
                asked_at_seconds = loop.time()
                async with self.engine.connect() as connection:
                    self.on_connection(loop.time() - asked_at_seconds)
                    await connection.execution_options(sync_writes=writes)
                    try:
                        yield connection
                        if writes:
                            await connection.commit()
                        else:
                            await connection.rollback()
                    except BaseException as error:
                        await _undo(connection, error)
                        raise

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


async def _undo(connection: AsyncConnection, error: BaseException) -> None:
    """Roll back. Where the work was cut short, or this is, or it fails, throw the connection away instead."""
    is_undone = False
    try:
        if not isinstance(error, asyncio.CancelledError) and not connection.invalidated:
            # What went wrong before tells more than what goes wrong here.
            with suppress(SQLAlchemyError):
                await connection.rollback()
                is_undone = True
    finally:
        if not is_undone:
            await connection.invalidate()


def _mysql_engine(
    url: DatabaseUrl,
    pool_size_max: int,
    lock_wait_seconds: int,
    idle_transaction_seconds: int,
    connect_timeout_seconds: float,
) -> AsyncEngine:
    # Comes with the first server: an embedded database needs neither the driver nor TLS.
    from db.checked_connection import CheckedConnection
    from db.connector import NOT_READY, Connector

    session_sql = _SESSION_SQL.format(
        lock_wait_seconds=lock_wait_seconds,
        idle_transaction_seconds=idle_transaction_seconds,
        idle_connection_seconds=max(_IDLE_CONNECTION_SECONDS_MIN, idle_transaction_seconds),
    )
    connector = Connector(url, session_sql, connect_timeout_seconds)
    engine = create_async_engine(
        # Where to connect to, and as whom, the connector alone knows.
        URL.create(url.driver, database=url.database),
        async_creator=connector.connect,
        pool_size=pool_size_max,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,
        pool_recycle=1800,
        # Each transaction has ended before its connection is given back; the pool would roll back once more.
        pool_reset_on_return=None,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        # A Galera node that has lost its cluster answers on each connection, and will for as long as it is out of it:
        # all of them are made anew, elsewhere if the URL names another host.
        if getattr(context.original_exception, "args", ())[:1] == (NOT_READY,):
            context.is_disconnect = True
            driver = context.connection and context.connection.connection.driver_connection
            if isinstance(driver, CheckedConnection):
                connector.leave(driver)

    return engine


def _identity_of(file: Path) -> tuple[int, int] | None:
    """Which file stands there, None for none; an error of the disk itself is none of the answers.

    Raises:
        OSError
    """
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _make_writable(file: Path) -> None:
    """Find out before the driver does: it tells no reason, and its thread may fall over the end of the program."""
    place = file.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        place = file
        # For its owner alone, as are the files that SQLite puts beside it: there are texts of sources in it.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise RefusedDatabaseError(f"the database at {place} cannot be used: {error.strerror}") from error


def _sqlite_engine(database: str, pool_size_max: int) -> AsyncEngine:
    if database != _IN_MEMORY:
        _make_writable(Path(database))
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=database),
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
        for pragma in _SQLITE_PRAGMAS:
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
