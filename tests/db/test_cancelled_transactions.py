"""A transaction that is cancelled, wherever it is, lets go of what it has locked, while its remains are still in memory."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import insert, select

from db.engine import Database
from db.schema import sync_source_memory


async def _work(database: Database, number: int) -> None:
    async with database.write() as connection:
        for step in range(3):
            key = {"memory_key": f"{number}-{step}", "content": "x"}
            await connection.execute(insert(sync_source_memory).values(key))
            await connection.execute(select(sync_source_memory).limit(5))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_cancelled_transaction_keeps_nobody_out(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    remains: list[object] = []
    for number in range(60):
        tasks = [asyncio.create_task(_work(database, number * 10 + n)) for n in range(3)]
        for _ in range(chance.randrange(60)):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
        # Tracebacks hold frames, and those the cursors of what was cut short.
        remains.append(await asyncio.gather(*tasks, return_exceptions=True))
        async with database.write(timeout_seconds=5) as connection:
            await connection.execute(insert(sync_source_memory).values(memory_key=f"after-{number}", content="x"))
    assert len(remains) == 60
