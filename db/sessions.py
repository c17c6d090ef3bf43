"""The sessions of one program at the server, known by name to every other one, so that they can be ended.

A program that hangs, or whose machine is lost, leaves transactions open at the server, and what
they have locked stays locked until the server times out: a lease that has expired is then of no use.
So each session holds a user-level lock (GET_LOCK) whose name has the program's session name and a slot: the server
itself answers which connection that is (IS_USED_LOCK), forgets it with the connection, and on a cluster knows the
sessions of each node apart. The next owner ends them by KILL, which a user may do to sessions of its own without any
privilege. Nothing else rests on these locks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# More than a pool may have (settings.database_pool_size_max): a session that the server has not yet missed keeps its slot.
_SLOTS: Final = 256
_SLOTS_PER_STATEMENT: Final = 64
_NO_SUCH_THREAD: Final = 1094


def name_sessions(engine: AsyncEngine, name: str) -> None:
    """Let each new connection of the engine take a slot under the program's session name."""
    turns = itertools.count()

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        first = next(turns)
        cursor = connection.cursor()
        for slot in range(first, first + _SLOTS):
            cursor.execute("SELECT GET_LOCK(%s, 0)", (_lock_name(name, slot % _SLOTS),))
            if cursor.fetchone()[0] == 1:
                break
        cursor.close()


async def end_sessions(connection: AsyncConnection, name: str) -> int:
    """End every session under a name at this server; return how many there were.

    Raises:
        DatabaseError: by way of the connection's context; the user may not end them, say.
    """
    found: list[int] = []
    for start in range(0, _SLOTS, _SLOTS_PER_STATEMENT):
        found += await _holders(
            connection, [_lock_name(name, slot) for slot in range(start, start + _SLOTS_PER_STATEMENT)]
        )
    for thread_id in found:
        try:
            await connection.exec_driver_sql(f"KILL CONNECTION {thread_id:d}")
        except DBAPIError as error:
            if getattr(error.orig, "args", (0,))[0] != _NO_SUCH_THREAD:
                raise
    return len(found)


async def _holders(connection: AsyncConnection, names: Sequence[str]) -> list[int]:
    asked = ", ".join(f"IS_USED_LOCK(:n{index})" for index in range(len(names)))
    values = {f"n{index}": name for index, name in enumerate(names)}
    holders = (await connection.execute(text(f"SELECT {asked}"), values)).one()
    return [int(holder) for holder in holders if holder is not None]


def _lock_name(name: str, slot: int) -> str:
    return f"techaura_sync/{name}/{slot}"
