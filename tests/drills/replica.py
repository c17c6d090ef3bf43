"""A replica of the simulation: what one process believes to own, and the loops that it goes through by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from db.engine import Database
from db.records import Batch, Lease, Ledger
from db.repositories import leases, runs
from db.repositories.batches import get_batch, insert_batch, last_batch
from server.access.call_records import CallRecords
from server.core.config import Settings
from server.core.errors import LeaseLostError
from server.core.secret_box import SecretBox
from server.core.waits import RunWaits
from server.execution.leases import apply_stop_requests, claim
from server.execution.local_runs import LocalRuns
from server.execution.outcome import store_ending
from server.execution.source_keys import SourceKeys
from server.execution.stop_signal import RunStoppedError, StopReason
from server.runs.service import Runs
from server.runs.triggers import Triggers
from server.schedules.firing import RecurringSyncs
from server.schedules.nightly_retry import RetryScheduler
from server.schedules.service import Schedules
from tests.drills.oracle import Oracle
from tests.drills.world import ReplicaClock, World
from tests.support.service import TEST_KEY

SETTINGS: Final = Settings(time_zone="Europe/Helsinki", legacy_grace_seconds=900, retry_spread_seconds=120)
BATCHES: Final = 4


@dataclass(slots=True)
class Working:
    """A run in the hands of a replica."""

    lease: Lease
    next_batch_no: int
    restart_no: int
    renewed_at_seconds: float


class Replica:
    """One process: its clock, its loops, and the runs that it believes to own."""

    def __init__(self, database: Database, world: World, name: str) -> None:
        self.database, self.world, self.name = database, world, name
        self.lives = 0
        self.working: dict[int, Working] = {}
        self.heard: dict[int, StopReason] = {}
        self.stopped_until_seconds = 0.0
        box = SecretBox(TEST_KEY)
        self.keys = SourceKeys(SETTINGS, box)
        self.clock = ReplicaClock(world, world.chance.uniform(-2, 2))
        records = CallRecords(database, key_days_max=7)
        self.triggers = Triggers(database, SETTINGS, self.clock, box, self.keys, records)
        self.retry = RetryScheduler(database, SETTINGS, self.clock, lambda: None)
        self.recurring = RecurringSyncs(database, SETTINGS, self.clock, self.keys, lambda: None)
        service = Runs(
            database,
            SETTINGS,
            self.clock,
            box,
            self.keys,
            LocalRuns(),
            RunWaits(self.clock),
            records,
        )
        self.schedules = Schedules(database, SETTINGS, self.clock, box, self.keys, service, records)

    def die(self) -> None:
        """kill -9: what it knew is gone."""
        self.lives += 1
        self.working.clear()
        self.heard.clear()
        self.retry = RetryScheduler(self.database, SETTINGS, self.clock, lambda: None)
        self.recurring = RecurringSyncs(self.database, SETTINGS, self.clock, self.keys, lambda: None)

    async def claim(self) -> None:
        """Settle what nobody owns, and take a run, unless its hands are full."""
        await apply_stop_requests(self.database)
        if len(self.working) >= 2:
            return
        lease = await claim(self.database, SETTINGS, f"{self.name}.{self.lives}", self.keys)
        if lease is None:
            return
        async with self.database.read() as connection:
            run = await runs.get_run(connection, lease.run_id)
            assert run is not None
            checkpoint = await last_batch(connection, lease.run_id, run.restart_no)
        if run.cancel_requested or run.paused:
            await self._end(lease, RunStoppedError("cancel" if run.cancel_requested else "pause"))
            return
        next_no = checkpoint.batch_no + 1 if checkpoint else 1
        self.working[lease.run_id] = Working(lease, next_no, run.restart_no, self.world.seconds)

    async def renew(self) -> None:
        """Renew every lease; drop the runs that others own by now."""
        for run_id, work in list(self.working.items()):
            async with self.database.write() as connection:
                ttl_ms = round(SETTINGS.lease_ttl_seconds * 1000)
                answer = await leases.renew(connection, work.lease, ttl_ms=ttl_ms, ledger=Ledger(), bytes_done=0)
            if answer is None:
                del self.working[run_id]

    async def hear(self) -> None:
        """Read what callers ask for. Until it is done, they may ask for something else."""
        if not self.working:
            return
        async with self.database.read() as connection:
            found = await leases.stop_requests(connection, list(self.working))
        for run_id, (cancel, pause) in found.items():
            if cancel or pause:
                self.heard.setdefault(run_id, "cancel" if cancel else "pause")

    async def obey(self) -> None:
        """Do what was heard."""
        for run_id, order in self.heard.items():
            work = self.working.pop(run_id, None)
            if work is not None:
                await self._end(work.lease, RunStoppedError(order))
        self.heard.clear()

    async def write(self, oracle: Oracle, *, answer_is_lost: bool = False) -> None:
        """Write the next batch of one run, or end it after its last."""
        if not self.working:
            return
        work = self.working[self.world.chance.choice(sorted(self.working))]
        if work.next_batch_no > BATCHES:
            del self.working[work.lease.run_id]
            await self._end(work.lease, None)
            return
        try:
            await self._write_batch(work)
        except LeaseLostError:
            del self.working[work.lease.run_id]
            oracle.stale_writes_refused += 1
            return
        if not answer_is_lost:
            work.next_batch_no += 1

    async def _write_batch(self, work: Working) -> None:
        async with self.database.write() as connection:
            if await get_batch(connection, work.lease.run_id, work.restart_no, work.next_batch_no) is not None:
                return
            batch = Batch(work.next_batch_no, Ledger(read=1, inserted=1), {}, work.next_batch_no)
            await insert_batch(connection, work.lease, work.restart_no, batch)
            if not await leases.lock_run_shared(connection, work.lease):
                raise LeaseLostError(work.lease.run_id)

    async def fail(self, error: Exception) -> None:
        """One of its runs meets a fault."""
        if self.working:
            run_id = self.world.chance.choice(sorted(self.working))
            await self._end(self.working.pop(run_id).lease, error)

    async def drain(self) -> None:
        """SIGTERM: give everything back."""
        for work in self.working.values():
            await self._end(work.lease, RunStoppedError("release"))
        self.die()

    async def _end(self, lease: Lease, error: Exception | None) -> None:
        await store_ending(self.database, SETTINGS, self.clock, lease, error)
