"""By which clock schedules fire: the database's, and by none where this machine's is plainly another one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from db.engine import Database
from server.schedules.database_clock import DatabaseClock
from tests.support.clock import FakeClock


def ahead(seconds: float) -> FakeClock:
    return FakeClock(datetime.now(UTC) + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [0, 20, -20, 50, -50])
async def test_the_time_is_the_databases_whatever_this_machines_clock_says(database: Database, seconds: float) -> None:
    clock = ahead(seconds)
    found = await DatabaseClock(database, clock).now()
    assert found is not None and found.tzinfo is not None
    expected = clock.now() if database.is_sqlite else datetime.now(UTC)
    assert abs((found - expected).total_seconds()) < 10


@pytest.mark.parametrize("seconds", [90, -90, 600, -600, 86_400 * 400])
async def test_nothing_fires_where_the_clocks_are_far_apart_and_again_when_they_agree(
    database: Database, seconds: float
) -> None:
    clock = ahead(seconds)
    asked = DatabaseClock(database, clock)
    with capture_logs() as logs:
        times = [await asked.now() for _ in range(3)]
        clock.moment = datetime.now(UTC)
        again = await asked.now()
    assert again is not None
    if database.is_sqlite:
        # One machine, one clock.
        assert None not in times and logs == []
        return
    assert times == [None] * 3
    assert [line["event"] for line in logs] == ["clocks_differ", "clocks_agree_again"]
    assert (logs[0]["fires"], abs(logs[0]["ahead_seconds"] - seconds) < 10) == (False, True)


async def test_a_difference_of_seconds_is_said_once(database: Database) -> None:
    asked = DatabaseClock(database, ahead(20))
    with capture_logs() as logs:
        for _ in range(3):
            assert await asked.now() is not None
    assert [(line["event"], line["fires"]) for line in logs] == (
        [] if database.is_sqlite else [("clocks_differ", True)]
    )
