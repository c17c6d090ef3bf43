"""sync_source_memory: sealed texts that sources keep from one run to the next."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import minutes_before_now, now
from db.schema import sync_source_memory

_M = sync_source_memory.c


async def get(connection: AsyncConnection, memory_key: str) -> str | None:
    """The text under a key, or None."""
    found = await connection.execute(select(_M.content).where(_M.memory_key == memory_key))
    return found.scalar_one_or_none()


async def put(connection: AsyncConnection, memory_key: str, content: str) -> None:
    """Keep a text in place of what stands under the key."""
    values = {"memory_key": memory_key, "content": content, "kept_at": now()}
    again = {"content": content, "kept_at": now()}
    if connection.dialect.name == "sqlite":
        await connection.execute(
            sqlite.insert(sync_source_memory)
            .values(values)
            .on_conflict_do_update(index_elements=["memory_key"], set_=again)
        )
    else:
        await connection.execute(mysql.insert(sync_source_memory).values(values).on_duplicate_key_update(again))


async def forget_before(connection: AsyncConnection, age_minutes: int) -> None:
    """Remove old entries: their source is gone, or its options have changed."""
    await connection.execute(delete(sync_source_memory).where(_M.kept_at < minutes_before_now(age_minutes)))
