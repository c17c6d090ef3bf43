"""What a scrape reads of the database: no more often than it may, of no more schedules than it may, whatever their sources are called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import insert, update

from db.dialect import minutes_before_now
from db.engine import Database
from db.repositories.sources import source_key_of
from db.schema import sync_runs, sync_schedules, sync_sources
from server.core.config import Settings
from server.core.secret_box import SecretBox
from server.execution.source_keys import SourceKeys
from server.metrics.stored_values import StoredValues
from server.metrics.watched_schedules import WatchedSchedules
from tests.support.clock import FakeClock
from tests.support.service import TEST_KEY

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FOREIGN = "of another program"


class Scrapes:
    """The values of one database, at a clock that stands still."""

    def __init__(self, database: Database, **settings: Any) -> None:
        values = Settings(**{"metrics_database_timeout_seconds": 60} | settings)
        self.clock = FakeClock(NOW)
        self.registry = CollectorRegistry()
        self.schedules = WatchedSchedules(database, values, self.clock, SourceKeys(values, SecretBox(TEST_KEY)))
        self._stored = StoredValues(self.registry, database, values, self.clock, self.schedules)

    async def value(self, name: str, **labels: str) -> float | None:
        await self._stored.refresh()
        return self.registry.get_sample_value(f"techaura_sync_{name}", labels)

    async def labels(self, name: str) -> list[dict[str, str]]:
        await self.schedules.look()
        await self._stored.refresh()
        families = [family for family in self.registry.collect() if family.name == f"techaura_sync_{name}"]
        return [sample.labels for family in families for sample in family.samples]


async def insert_run(database: Database, status: str = "pending", **columns: Any) -> None:
    values = {"source_type": "csv", "source_identifier": "a.csv", "status": status} | columns
    async with database.write() as connection:
        await connection.execute(insert(sync_runs).values(values))


async def insert_schedule(database: Database, **columns: Any) -> None:
    values = {
        "source_type": "csv",
        "source_identifier": "a.csv",
        "options": {},
        "options_digest": "0" * 64,
        "cron": "0 * * * *",
        "time_zone": "UTC",
        "overlap_policy": "skip",
        "catch_up_seconds": 0,
        "starts_at_ms": round(NOW.timestamp() * 1000) - 7_200_000,
    } | columns
    async with database.write() as connection:
        await connection.execute(insert(sync_schedules).values(values))


async def test_the_database_is_asked_no_more_often_than_it_may(database: Database) -> None:
    scrapes = Scrapes(database, metrics_database_interval_seconds=5)
    await insert_run(database)
    assert await scrapes.value("runs", status="pending") == 1
    await insert_run(database)
    scrapes.clock.move(4.9)
    assert await scrapes.value("runs", status="pending") == 1
    scrapes.clock.move(0.2)
    assert await scrapes.value("runs", status="pending") == 2
    assert await scrapes.value("queue_runs", state="due") == 2


async def test_only_so_many_schedules_have_a_series_and_the_rest_is_told(database: Database) -> None:
    for _ in range(3):
        await insert_schedule(database)
    await insert_schedule(database, enabled=False)
    scrapes = Scrapes(database, metrics_schedules_max=2)
    assert len(await scrapes.labels("schedule_last_success_age_seconds")) == 2
    assert await scrapes.value("schedules_unobserved") == 1
    enough, none = Scrapes(database, metrics_schedules_max=3), Scrapes(database, metrics_schedules_max=0)
    assert len(await enough.labels("schedule_last_success_age_seconds")) == 3
    assert await enough.value("schedules_unobserved") == 0
    assert await none.labels("schedule_last_success_age_seconds") == []
    assert await none.value("schedules_unobserved") == 1


async def test_a_schedule_that_never_succeeded_counts_from_when_it_began(database: Database) -> None:
    await insert_schedule(database)
    scrapes = Scrapes(database)
    (labels,) = await scrapes.labels("schedule_last_success_age_seconds")
    assert await scrapes.value("schedule_last_success_age_seconds", **labels) == 7200
    assert await scrapes.value("schedule_interval_seconds", **labels) == 3600


async def test_a_schedule_of_another_program_or_zone_is_shown_without_what_cannot_be_told(database: Database) -> None:
    await insert_schedule(database, source_type=FOREIGN, time_zone="Mars/Olympus")
    key = source_key_of(FOREIGN, "a.csv")
    async with database.write() as connection:
        await connection.execute(insert(sync_sources).values(source_key=key))
    await insert_run(database, "completed", source_key=key, completed_at=minutes_before_now(30))
    scrapes = Scrapes(database)
    (labels,) = await scrapes.labels("schedule_last_success_age_seconds")
    assert labels["source_type"] == "other"
    assert await scrapes.value("schedule_last_success_age_seconds", **labels) == pytest.approx(1800, abs=60)
    assert await scrapes.labels("schedule_interval_seconds") == []


async def test_a_schedule_that_is_switched_off_is_gone_with_the_next_look(database: Database) -> None:
    await insert_schedule(database)
    scrapes = Scrapes(database, metrics_database_interval_seconds=0)
    assert len(await scrapes.labels("schedule_interval_seconds")) == 1
    async with database.write() as connection:
        await connection.execute(update(sync_schedules).values(enabled=False))
    assert await scrapes.labels("schedule_interval_seconds") == []
