"""A few stories of the simulation and one zone of the clock drill, and that the oracle sees what it must."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from db.engine import Database
from db.schema import sync_batches, sync_runs
from tests.drills.clock_changes import FIRST, drill
from tests.drills.oracle import Oracle, ViolationError
from tests.drills.simulation import START, Story, simulate
from tests.drills.world import World, simulated_database


@pytest.fixture
def world() -> World:
    made = World(START)
    made.begin(7, START)
    return made


@pytest.fixture
async def simulated(world: World) -> AsyncIterator[Database]:
    async with simulated_database(world) as database:
        yield database


async def test_some_stories_end_well() -> None:
    figures = await simulate(seed=0, count=6, steps=60)
    assert figures.failures == []
    assert figures.takeovers > 0


@pytest.mark.parametrize("first", [FIRST, datetime(2040, 1, 1, tzinfo=UTC)], ids=["past", "future"])
async def test_a_year_in_helsinki_has_one_fire_a_night(first: datetime) -> None:
    figures = await drill(seed=0, names=["Europe/Helsinki"], years=1, first=first)
    assert figures.failures == []
    assert figures.caught_up > 0


@pytest.mark.parametrize(
    "damage",
    [
        update(sync_batches).where(sync_batches.c.batch_no == 2).values(batch_no=9),
        update(sync_batches).where(sync_batches.c.batch_no == 1).values(lease_epoch=99),
        update(sync_runs).where(sync_runs.c.status == "completed").values(rows_read=1000),
        update(sync_runs).where(sync_runs.c.status == "completed").values(status="in_progress"),
        update(sync_runs).where(sync_runs.c.status == "completed").values(status="failed", cancel_requested=True),
    ],
    ids=["a batch is missing", "a stale owner wrote", "the ledger is wrong", "a run began again", "a cancel was lost"],
)
async def test_the_oracle_sees_damage(simulated: Database, world: World, damage) -> None:
    story = Story(simulated, world)
    await story.tell(60)
    async with simulated.write() as connection:
        result = await connection.execute(damage)
        assert result.rowcount
    with pytest.raises(ViolationError):
        await _looked(story.oracle)


async def _looked(oracle: Oracle) -> None:
    await oracle.look()
    await oracle.final()
