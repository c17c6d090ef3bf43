"""How close to each other the fires of a schedule may come."""

from __future__ import annotations

import math

import pytest

from db.engine import Database
from server.core.cron import shortest_period_seconds
from server.core.errors import InvalidRequestError
from tests.schedules.test_recurring import Replica
from tests.support.clock import FakeClock


@pytest.mark.parametrize(
    ("cron", "seconds"),
    [
        ("* * * * *", 60),
        ("*/5 * * * *", 300),
        ("0,7 * * * *", 420),
        ("58,2 * * * *", 240),
        ("0 3 * * *", 86_400),
        ("0 3,4 1 * *", 3600),
        ("59 23 * * *", 86_400),
        ("0 0 29 2 *", 1461 * 86_400),
        ("0,1 3 29 2 *", 60),
    ],
)
def test_the_shortest_time_between_two_fires(cron: str, seconds: float) -> None:
    assert shortest_period_seconds(cron) == seconds
    assert shortest_period_seconds(cron) < math.inf


async def test_a_schedule_that_fires_too_often_is_refused(database: Database) -> None:
    replica = Replica(database, FakeClock(), schedule_period_seconds_min=300)
    made = await replica.create(cron="*/5 * * * *")
    for cron in ("* * * * *", "*/4 * * * *", "0,4 3 * * *"):
        with pytest.raises(InvalidRequestError, match="TECHAURA_SYNC_SCHEDULE_PERIOD_SECONDS_MIN") as refused:
            await replica.create(cron=cron)
        assert refused.value.field == "cron"
    assert (await replica.schedules.page(None, 10)) == [made]
