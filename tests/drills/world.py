"""A simulated world: one SQLite database whose clock the simulation moves, and replicas whose wall clocks are a bit off.

The database's clock is replaced by taking the place of SQLite's own date functions, so the service's real SQL runs.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiosqlite
from sqlalchemy import delete, event

from db.engine import Database
from db.migrate import migrate
from db.schema import metadata

_UNIX_EPOCH_JULIAN_DAY: Final = 2440587.5
_MEMORY_FOLDER: Final = Path("/dev/shm")


class World:
    """The time of the world, and chance.

    Args:
        start: when it begins, aware.
    """

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.seconds = 0.0
        self.chance = random.Random(0)

    def begin(self, seed: int, start: datetime) -> None:
        """Start over."""
        self.start, self.seconds, self.chance = start, 0.0, random.Random(seed)

    @property
    def moment(self) -> datetime:
        """The present time."""
        return self.start + timedelta(seconds=self.seconds)


class ReplicaClock:
    """The clock of one replica; sleeping moves the world."""

    def __init__(self, world: World, skew_seconds: float = 0.0) -> None:
        self._world = world
        self._skew = timedelta(seconds=skew_seconds)

    def now(self) -> datetime:
        return (self._world.moment + self._skew).astimezone(UTC)

    def monotonic_seconds(self) -> float:
        return self._world.seconds

    def random(self) -> float:
        return self._world.chance.random()

    async def sleep(self, seconds: float) -> None:
        self._world.seconds += seconds


@asynccontextmanager
async def simulated_database(world: World) -> AsyncIterator[Database]:
    """A migrated database that lives in memory and in the world's time."""
    folder = str(_MEMORY_FOLDER) if _MEMORY_FOLDER.is_dir() else None
    with TemporaryDirectory(prefix="techaura-simulation-", dir=folder) as place:
        database = Database(f"sqlite+aiosqlite:///{place}/world.db", pool_size_max=2)

        @event.listens_for(database.engine.sync_engine, "do_connect")
        def _do_connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
            parameters["async_creator_fn"] = _connection_in_place

        @event.listens_for(database.engine.sync_engine, "connect")
        def _on_connect(connection: Any, _record: Any) -> None:
            connection.create_function("julianday", 1, lambda _now: _julian_day(world.moment))
            connection.create_function("datetime", 1, lambda _now: _text(world.moment))
            connection.create_function("datetime", 2, lambda _now, shift: _text(world.moment + _minutes(shift)))
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.close()

        await migrate(database)
        try:
            yield database
        finally:
            await database.close()


class _InPlace:
    """Takes the place of the queue to aiosqlite's thread: what is put in is done at once.

    A story makes thousands of calls one after the other; handing each to a thread and back took half of its time.
    """

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = item
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is the caller's, as it would be from the thread
            if future is not None:
                future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class _ConnectionInPlace(aiosqlite.Connection):
    """A connection without a thread."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._tx: Any = _InPlace()

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._connect().__await__()


async def _connection_in_place(database: str, **parameters: Any) -> aiosqlite.Connection:
    return await _ConnectionInPlace(lambda: sqlite3.connect(database, **parameters))


async def emptied(database: Database) -> None:
    """Remove every row."""
    async with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(delete(table))


def _julian_day(moment: datetime) -> float:
    return _UNIX_EPOCH_JULIAN_DAY + moment.timestamp() / 86_400


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _minutes(shift: str) -> timedelta:
    """What `-15 minutes` means."""
    return timedelta(minutes=int(shift.split(maxsplit=1)[0]))
