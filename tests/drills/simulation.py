"""Crash drill 18: leases, scheduler and retry of three replicas under a simulated clock, one seed after the other.

usage: python -m tests.drills.simulation [--seed N] [--count N] [--steps N] [--processes N]

Each seed is a story: callers trigger, pause, continue and cancel runs of a few sources, the bot writes rows of its own,
workers claim, renew, write batches, fail, stop for a while or die, an answer to a COMMIT is lost, days go by. Then all
faults end and the world goes on until nothing is left to do. The service's own claims, fences, endings, triggers,
schedules and nightly retry run on a real SQLite database whose clock is the world's. After every step the oracle
(oracle.py) looks. `--seed 17 --count 1` tells story 17 again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import insert

from db.engine import Database
from db.records import OverlapPolicy
from db.repositories import runs
from db.schema import sync_runs
from server.core.cron import next_fire
from server.core.errors import FatalError, RetryableError
from server.core.reasons import Category, Reason
from server.runs.triggers import RunRequest
from server.schedules.service import ScheduleDraft
from server.sources.throttle.circuit import HostPausedError
from tests.drills.oracle import Oracle, ViolationError
from tests.drills.replica import BATCHES, SETTINGS, Replica
from tests.drills.spread import added, spread
from tests.drills.world import World, emptied, simulated_database

SOURCES: Final = ("a.csv", "b.csv", "c.csv")
START: Final = datetime(2026, 10, 24, 20, tzinfo=UTC)  # the night in which Helsinki has 03:00 twice
_DRAIN_STEPS_MAX: Final = 3000
_PART_SEEDS: Final = 50


@dataclass(slots=True)
class Figures:
    """What all stories together went through."""

    stories: int = 0
    steps: int = 0
    takeovers: int = 0
    stale_writes_refused: int = 0
    fires: int = 0
    retries: int = 0
    failures: list[str] = field(default_factory=list)


class Story:
    """One seed."""

    def __init__(self, database: Database, world: World) -> None:
        self.database, self.world, self.chance = database, world, world.chance
        self.replicas = [Replica(database, world, name) for name in "xyz"]
        self.oracle = Oracle(database, SETTINGS, BATCHES)

    async def tell(self, steps: int) -> None:
        """Go through the story to its end.

        Raises:
            ViolationError
        """
        replica = self.replicas[0]
        for cron, policy in (("0 3 * * *", OverlapPolicy.SKIP), ("30 */4 * * *", OverlapPolicy.QUEUE)):
            draft = ScheduleDraft("csv", "a.csv", {}, cron, "Europe/Helsinki", policy, 7200)
            await replica.schedules.create(draft)
        for _ in range(steps):
            await self._step()
            await self.oracle.look()
        await self._end_well()
        await self.oracle.final()

    async def _step(self) -> None:
        self.world.seconds += self.chance.choice((0.0, 0.1, 0.5, 0.5, 1.0, 1.0, 3.0, 5.0, 20.0, 900.0, 20_000.0))
        replica = self.chance.choice(self.replicas)
        caller = self.chance.random()
        if caller < 0.25:
            await self._call(replica)
        elif self.world.seconds >= replica.stopped_until_seconds:
            await self._work(replica)

    async def _call(self, replica: Replica) -> None:
        what = self.chance.choice(("trigger", "trigger", "trigger", "bot", "cancel", "pause", "continue", "continue"))
        if what == "trigger":
            name, options = self.chance.choice(SOURCES), {"contentType": self.chance.choice(("music", "video"))}
            key, digest = replica.keys.source_key("csv", name), replica.keys.options_digest(options)
            live = await self.oracle.live(key, digest)
            run_id = await replica.triggers.store(RunRequest("csv", name, options, key, digest))
            self.oracle.triggered(live, run_id)
        elif what == "bot":
            status = self.chance.choice(("pending", "pending", "in_progress"))
            values = {"source_type": "csv", "source_identifier": self.chance.choice(SOURCES), "status": status}
            async with self.database.write() as connection:
                stamp = self.world.moment.replace(tzinfo=None, microsecond=0)
                await connection.execute(insert(sync_runs).values(values | {"created_at": stamp, "updated_at": stamp}))
        elif self.oracle.run_ids:
            run_id = self.chance.choice(self.oracle.run_ids)
            async with self.database.write() as connection:
                if what == "cancel":
                    await runs.request_cancel(connection, run_id)
                else:
                    await runs.set_paused(connection, run_id, what == "pause")

    async def _work(self, replica: Replica) -> None:
        what = self.chance.choice(
            (
                "claim",
                "claim",
                "write",
                "write",
                "write",
                "lost",
                "renew",
                "hear",
                "obey",
                "retry",
                "night",
                "fire",
                "fault",
                "stop",
                "die",
            )
        )
        if what in ("write", "lost"):
            await replica.write(self.oracle, answer_is_lost=what == "lost")
        elif what == "fault":
            passing, not_asked = (
                RetryableError(Reason.SOURCE_UNAVAILABLE, "503"),
                HostPausedError(Reason.SOURCE_UNAVAILABLE, "h was not asked"),
            )
            not_asked.retry_after_seconds = self.chance.choice((None, 5.0, 300.0))
            fatal = FatalError(Reason.SOURCE_MALFORMED, "x", category=Category.PARSING)
            await replica.fail(self.chance.choice((passing, passing, not_asked, fatal)))
        elif what == "stop":
            # SIGSTOP, then SIGCONT: it goes on as if nothing had happened.
            replica.stopped_until_seconds = self.world.seconds + self.chance.choice((1.0, 10.0, 60.0))
        elif what == "die":
            await (replica.drain() if self.chance.random() < 0.3 else _died(replica))
        elif what in ("retry", "night", "fire"):
            await self._fire(replica, what)
        elif what == "claim":
            await replica.claim()
        elif what == "renew":
            await replica.renew()
        elif what == "hear":
            await replica.hear()
        else:
            await replica.obey()

    async def _fire(self, replica: Replica, what: str) -> None:
        if what == "night":
            # To the next 3 AM: chance alone would hardly get there.
            due = next_fire(SETTINGS.retry_cron, ZoneInfo(SETTINGS.time_zone), self.world.moment)
            self.world.seconds += (due - self.world.moment).total_seconds() + 3.0
        if what != "fire":
            self.oracle.retried(await replica.retry.fire_if_due())
        else:
            self.oracle.fired(await replica.recurring.fire_due())

    async def _end_well(self) -> None:
        """No more faults and no more callers: everything that was accepted has to end."""
        for run_id in self.oracle.run_ids:
            async with self.database.write() as connection:
                await runs.set_paused(connection, run_id, False)
        for _ in range(_DRAIN_STEPS_MAX):
            self.world.seconds += 1.0
            for replica in self.replicas:
                await replica.renew()
                await replica.hear()
                await replica.obey()
                await replica.claim()
                for _ in range(len(replica.working)):
                    await replica.write(self.oracle)
            await self.oracle.look()
            if not self.oracle.is_anything_left:
                return
            if not any(replica.working for replica in self.replicas):
                # What waits for its time, for a lease to expire or for the grace time of the old service.
                self.world.seconds += 60.0
        raise ViolationError(f"runs never ended: {self.oracle.left}")


async def _died(replica: Replica) -> None:
    replica.die()


async def simulate(seed: int, count: int, steps: int) -> Figures:
    """Tell `count` stories from `seed` on."""
    figures = Figures()
    world = World(START)
    async with simulated_database(world) as database:
        for number in range(seed, seed + count):
            world.begin(number, START)
            world.start += timedelta(minutes=world.chance.randrange(0, 3 * 24 * 60))
            await emptied(database)
            story = Story(database, world)
            try:
                await story.tell(steps)
            except ViolationError as violation:
                figures.failures.append(f"seed {number}: {violation}")
            except Exception:  # noqa: BLE001 - a story that breaks is a failure of its seed
                figures.failures.append(f"seed {number}: {traceback.format_exc()}")
            figures.stories += 1
            figures.steps += steps
            figures.takeovers += story.oracle.takeovers
            figures.stale_writes_refused += story.oracle.stale_writes_refused
            figures.fires += story.oracle.fire_count
            figures.retries += story.oracle.retries
    return figures


def _part(seed: int, count: int, steps: int) -> Figures:
    """A part of the seeds, in a process of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    return asyncio.run(simulate(seed, count, steps))


def main() -> int:
    """Simulate, print one line, and one for each failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    began = time.monotonic()
    parts = [
        (first, min(_PART_SEEDS, given.seed + given.count - first), given.steps)
        for first in range(given.seed, given.seed + given.count, _PART_SEEDS)
    ]
    figures = added(Figures(), spread(_part, parts, given.processes))
    print(
        f"simulation: {figures.stories} seeds from {given.seed}, {figures.steps} steps, {figures.takeovers} takeovers, "
        f"{figures.stale_writes_refused} stale writes refused, {figures.fires} fires, {figures.retries} nightly retries, {len(figures.failures)} violations, "
        f"{time.monotonic() - began:.0f} s"
    )
    for failure in figures.failures[:20]:
        print(failure)
    return 1 if figures.failures else 0


if __name__ == "__main__":
    sys.exit(main())
