"""Crash drill 14: the 3 AM retry through ten years of clock changes in twenty zones, with three replicas and restarts.

usage: python -m tests.drills.clock_changes [--seed N] [--count ZONES] [--years N] [--processes N]

In each zone three replicas, each with a clock a bit off, look for due fires at moments of their own, are restarted, and
now and then all of them are down over 3 AM. The service's own scheduler fires on a database whose clock is the world's.
The oracle reckons by itself, minute by minute, which local days have a 3 AM that somebody could fire or catch up: each
of those has exactly one fire, no other day has any.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import delete

from db.engine import Database
from db.repositories.fires import try_fire
from db.schema import sync_schedule_fires
from server.core.config import Settings
from server.schedules.nightly_retry import RetryScheduler
from tests.drills.spread import added, spread
from tests.drills.world import ReplicaClock, World, simulated_database

ZONES: Final = (
    "Europe/Helsinki", "America/Bogota", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Tehran",
    "Africa/Casablanca", "Africa/Cairo", "Pacific/Apia", "Pacific/Chatham", "America/St_Johns", "Europe/London",
    "Europe/Dublin", "Asia/Gaza", "America/Havana", "Antarctica/Troll", "Asia/Kathmandu", "America/Sao_Paulo",
    "Pacific/Easter", "Europe/Chisinau",
)  # fmt: skip
FIRST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_CATCH_UP: Final = timedelta(hours=6)
_SKEW_SECONDS_MAX: Final = 2.0


@dataclass(slots=True)
class Figures:
    """What was gone through."""

    days: int = 0
    fires: int = 0
    caught_up: int = 0
    missed: int = 0
    failures: list[str] = field(default_factory=list)


def due_instants(zone: ZoneInfo, first: date, days: int) -> dict[date, datetime]:
    """For each local day the instant of its (first) 3 AM, found by walking through UTC and not by cron.

    Where 3 AM is left out, it is the instant that it would have been: as long after 1 AM as two hours are.
    """
    found: dict[date, datetime] = {}
    for number in range(days):
        day = first + timedelta(days=number)
        # Zones lie between -12 and +14 hours; steps of a clock are whole quarters of an hour, some of half an hour.
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
        last_before: datetime | None = None
        for _ in range(42 * 12):
            local = moment.astimezone(zone)
            if local.date() == day and (local.hour, local.minute) == (3, 0):
                found[day] = moment
                break
            if local.date() == day and local.hour < 3:
                last_before = moment
            elif local.date() == day and local.hour >= 3 and last_before is not None:
                # 3 AM was stepped over: the old offset held at the last moment before the step.
                old = last_before.astimezone(zone).utcoffset()
                assert old is not None
                found[day] = datetime(day.year, day.month, day.day, 3, tzinfo=UTC) - old
                break
            moment += timedelta(minutes=5)
    return found


async def drill_zone(
    database: Database, world: World, name: str, seed: int, first: datetime, days: int, figures: Figures
) -> None:
    """Go through the days of one zone."""
    zone, chance = ZoneInfo(name), random.Random(f"{seed} {name}")
    settings = Settings(time_zone=name, retry_catch_up_seconds=int(_CATCH_UP.total_seconds()))
    expected = due_instants(zone, first.date() + timedelta(days=2), days)
    fired: dict[str, int] = {}
    async with database.write() as connection:
        await connection.execute(delete(sync_schedule_fires))
        # The service stands since yesterday: what came before is not caught up.
        await try_fire(connection, "drill", name)

    def replica() -> RetryScheduler:
        clock = ReplicaClock(world, chance.uniform(-_SKEW_SECONDS_MAX, _SKEW_SECONDS_MAX))
        return RetryScheduler(database, settings, clock, lambda: None)

    replicas = [replica() for _ in range(3)]
    for day, instant in expected.items():
        figures.days += 1
        outage = chance.choice((None, None, None, None, timedelta(hours=chance.uniform(0.1, 5.5)), timedelta(hours=8)))
        begins = instant + (outage or timedelta())
        looks = [instant - timedelta(seconds=chance.uniform(5, 3600))]
        looks += [begins + timedelta(seconds=chance.uniform(5, 1700)) for _ in range(3)]
        # The hours in which a clock that goes back shows 3 AM again.
        looks += [begins + timedelta(minutes=minutes) for minutes in (35, 65, 95)]
        for look in sorted(looks):
            if outage is not None and instant <= look < begins:
                continue
            world.seconds = (look - world.start).total_seconds()
            place = chance.randrange(3)
            if chance.random() < 0.1:
                replicas[place] = replica()
            if await replicas[place].fire_if_due() is not None:
                local = (look + timedelta(seconds=_SKEW_SECONDS_MAX)).astimezone(zone).date()
                fired[local.isoformat()] = fired.get(local.isoformat(), 0) + 1
        is_lost = outage is not None and outage > _CATCH_UP
        count = fired.get(day.isoformat(), 0)
        figures.fires += count
        figures.caught_up += int(count == 1 and outage is not None)
        figures.missed += int(is_lost)
        if count != (0 if is_lost else 1):
            figures.failures.append(f"{name} {day}: {count} fires (outage {outage}, 3 AM at {instant})")


async def drill(seed: int, names: Sequence[str], years: int, first: datetime = FIRST) -> Figures:
    """Go through some zones."""
    figures, world = Figures(), World(first)
    async with simulated_database(world) as database:
        for name in names:
            world.begin(seed, first)
            await drill_zone(database, world, name, seed, first, years * 365 + years // 4, figures)
    return figures


def _part(seed: int, name: str, years: int) -> Figures:
    """One zone, in a process of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    return asyncio.run(drill(seed, [name], years))


def main() -> int:
    """Drill, print one line, and one for each failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=len(ZONES), help="zones")
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    began = time.monotonic()
    names = ZONES[: given.count]
    figures = added(Figures(), spread(_part, [(given.seed, name, given.years) for name in names], given.processes))
    print(
        f"clock_changes: {len(names)} zones, {given.years} years, {figures.days} days, {figures.fires} fires "
        f"({figures.caught_up} caught up, {figures.missed} beyond the window), {len(figures.failures)} violations, "
        f"{time.monotonic() - began:.0f} s"
    )
    for failure in figures.failures[:20]:
        print(failure)
    return 1 if figures.failures else 0


if __name__ == "__main__":
    sys.exit(main())
