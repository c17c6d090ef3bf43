"""Watermarks of incremental sources: they rise, and only a full reading may lower them."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from db.engine import Database
from db.repositories.watermarks import Watermark, advance, get_value


async def move(database: Database, rank: str, *, full: bool = False, run_id: int = 1) -> None:
    async with database.write() as connection:
        await advance(connection, run_id, Watermark("k", f"v{rank}", rank, full))


async def value(database: Database, days: int = 30) -> str | None:
    async with database.read() as connection:
        return await get_value(connection, "k", days)


async def test_a_mark_rises_and_a_full_reading_sets_it(database: Database) -> None:
    assert await value(database) is None
    await move(database, "5", full=True)
    assert await value(database) == "v5"
    await move(database, "7")
    assert await value(database) == "v7"
    await move(database, "6")
    assert await value(database) == "v7"
    await move(database, "3", full=True)
    assert await value(database) == "v3"


async def test_everything_is_read_again_when_that_is_due_or_was_never_done(database: Database) -> None:
    await move(database, "5")
    assert await value(database) is None
    await move(database, "6", full=True)
    async with database.write() as connection:
        await connection.execute(text("UPDATE sync_watermarks SET full_at = '2001-01-01 00:00:00'"))
    assert await value(database) is None
    await move(database, "7", full=True)
    assert await value(database) == "v7"


async def test_runs_that_end_at_once_leave_the_highest(database: Database) -> None:
    await asyncio.gather(*(move(database, str(rank), full=rank == 5, run_id=rank) for rank in (5, 6, 7)))
    async with database.read() as connection:
        found = (await connection.execute(text("SELECT source_key, value_rank FROM sync_watermarks"))).all()
    assert len(found) == 1
    assert found[0][1] in ("5", "6", "7")


async def test_keys_and_values_are_told_apart_by_case(database: Database) -> None:
    async with database.write() as connection:
        await advance(connection, 1, Watermark("a", "x", "x", is_full=True))
        await advance(connection, 1, Watermark("A", "X", "X", is_full=True))
    async with database.read() as connection:
        assert await get_value(connection, "a", 30) == "x"
        assert await get_value(connection, "A", 30) == "X"
