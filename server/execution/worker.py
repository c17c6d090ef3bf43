"""The worker pool of one replica: claims runs and executes them, and drains on stop.

At most `runs_concurrent_max` execute at once, and beyond that one of each source type of which none does.

It looks for work when it is woken (a run was triggered here, a run ended) and every poll interval (a run was stored
elsewhere, or a lease expired). A fault while looking is logged and the next look comes one interval later; it never ends
the pool. A run whose ending cannot be stored keeps its lease until it expires; then any replica continues it. A fault of
one run's execution is logged with its traceback, and the other runs continue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from db.errors import DatabaseError, TransientDatabaseError
from db.records import Lease, Run
from db.repositories import runs
from server.core.errors import LeaseLostError, RetryableError, SyncError
from server.core.reasons import Category, Reason
from server.core.retry import Retries, RetryPolicy
from server.core.tasks import OwnedTasks, owned_tasks
from server.execution.context import RunContext
from server.execution.leases import LeaseKeeper, LostOwners, apply_stop_requests, claim, owner_name
from server.execution.local_runs import LocalRuns
from server.execution.mirror import forget_ended
from server.execution.outcome import store_ending
from server.execution.periodic import repeated
from server.execution.stop_requests import ControlWatch
from server.execution.stop_signal import RunSignals, RunStoppedError
from server.execution.verdict import LOST, Ending, Verdict
from server.sources.contract import WatermarkRule
from server.sources.registry import source_types
from server.sources.source_type import Source

log = structlog.get_logger()

# The wait for a database is limited by time, not by the number of tries.
_AWAY_TRIES_MAX: Final = 1_000_000


class Worker:
    """Claims and executes runs until it is stopped.

    Args:
        context: what every run shares.
        local_runs: the runs that this replica executes; the worker keeps it up to date.
        load_source: makes the source of a stored run, with its options checked and their secrets sealed.
    """

    def __init__(
        self, context: RunContext, local_runs: LocalRuns, load_source: Callable[[Run], Awaitable[Source]]
    ) -> None:
        self._context = context
        self._local_runs = local_runs
        self._load_source = load_source
        self._owner = owner_name(context.database)
        self._lost_owners = LostOwners(context.database, self._owner)
        self._control = ControlWatch(context.database, context.settings, context.clock, local_runs)
        self._executing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Callable[[], None]]:
        """Yields the function that starts the polling for work, and drains at the end of the block.

        To drain: claim nothing more, let batches in hand finish, give the runs back; by the deadline, cut what is left.
        """
        async with owned_tasks() as executing:
            try:
                async with owned_tasks() as looking:
                    yield lambda: self._start(looking, executing)
            finally:
                await self._drain()

    def _start(self, looking: OwnedTasks, executing: OwnedTasks) -> None:
        looking.start(
            repeated(lambda: self._look(executing), self._wait, self._context.waits.claiming), name="worker-poll"
        )
        looking.start(self._control.run(), name="worker-control")

    async def _drain(self) -> None:
        self._local_runs.stop(self._local_runs.ids, "release")
        if not self._executing:
            return
        _done, late = await asyncio.wait(self._executing, timeout=self._context.settings.shutdown_timeout_seconds)
        for task in late:
            log.warning("run_cut_short", action="stop", task=task.get_name())
            task.cancel()

    async def _look(self, executing: OwnedTasks) -> None:
        """Apply the stop requests of runs that nobody owns, and claim as many runs as there is room for."""
        database, settings = self._context.database, self._context.settings
        self._local_runs.looking()
        await self._lost_owners.free()
        for run_id in await apply_stop_requests(database):
            log.info("run_settled", action="settle", run_id=run_id)
            self._context.changed(run_id)
        while types := self._types_with_room():
            lease = await claim(database, settings, self._owner, self._context.keys, types)
            if lease is None:
                break
            self._context.instruments.run_claimed(is_takeover=lease.is_takeover)
            self._execute_beside(executing, lease)
        self._context.waits.claimed()

    def _types_with_room(self) -> frozenset[str]:
        """The source types of which one more run may execute.

        Beyond the limit, each type of which none executes has room for one: a file does not wait until slow APIs have answered.
        """
        types = frozenset(source_types())
        if len(self._local_runs.ids) < self._context.settings.runs_concurrent_max:
            return types
        return types - self._local_runs.source_types

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._context.settings.poll_interval_seconds):
                await self._local_runs.woken()

    def _execute_beside(self, executing: OwnedTasks, lease: Lease) -> None:
        signals = RunSignals(self._context.settings.stall_timeout_seconds)
        self._local_runs.begin(lease.run_id, signals, lease.source_type)
        task = executing.start(self._execute(lease, signals), name=f"run-{lease.run_id}")
        self._executing.add(task)
        task.add_done_callback(lambda _task: self._executed(task, lease.run_id))
        self._context.changed(lease.run_id)

    def _executed(self, task: asyncio.Task[None], run_id: int) -> None:
        self._executing.discard(task)
        self._local_runs.end(run_id)
        self._context.changed(run_id)

    async def _execute(self, lease: Lease, signals: RunSignals) -> None:
        context = self._context
        # The tasks of the run are begun from here on, and their lines have these too.
        structlog.contextvars.bind_contextvars(run_id=lease.run_id, attempt=lease.epoch, owner=lease.owner)
        log.info("run_started", action="run", source_type=lease.source_type)
        began_seconds = context.clock.monotonic_seconds()
        keeper = LeaseKeeper(
            context.database, context.settings, context.clock, lease, signals, instruments=context.instruments
        )
        verdict = LOST
        try:
            async with owned_tasks() as tasks:
                tasks.start(keeper.run(), name=f"lease-{lease.run_id}")
                error, watermark = await self._outcome(lease, signals)
                _log_fault(error)
                verdict = await store_ending(context.database, context.settings, context.clock, lease, error, watermark)
                _log_ending(verdict, error)
                await forget_ended(context.database)
        except DatabaseError as fault:
            log.warning("run_ending_not_stored", action="run", **fault.facts)
        except Exception:
            # The lease expires, and whoever claims the run next continues it; the other runs of the pool are not touched.
            log.exception("run_fault", action="run")
        finally:
            context.waits.end(lease.run_id, lease_lost=verdict.ending is Ending.LOST)
            reason = verdict.failure.reason if verdict.failure else ""
            seconds = context.clock.monotonic_seconds() - began_seconds
            context.instruments.run_ended(lease.source_type, verdict.ending, reason, seconds)

    async def _outcome(self, lease: Lease, signals: RunSignals) -> tuple[Exception | None, WatermarkRule | None]:
        """Execute the run; return what ended it, or None at the end of its source, and where its watermark is kept.

        A database that is away ends no run: it continues from its checkpoint once the database is back. If that takes
        longer than the lease, the lease is lost, and the next owner continues the run.
        """
        settings, clock = self._context.settings, self._context.clock
        policy = RetryPolicy(_AWAY_TRIES_MAX, settings.batch_retry_elapsed_seconds_max)
        retries, reached = Retries(policy, clock), signals.batches_written
        wait = self._context.waits.of(lease.run_id)
        while True:
            error, rule = await self._outcome_once(lease, signals)
            if not isinstance(error, TransientDatabaseError):
                if not isinstance(error, RunStoppedError):
                    wait.passed()
                return error, rule
            wait.failed(error)
            if signals.batches_written > reached:
                retries.restart()
                reached = signals.batches_written
            try:
                if not await signals.guard(retries.wait()):
                    return error, rule
            except RunStoppedError as stopped:
                return stopped, rule

    async def _outcome_once(self, lease: Lease, signals: RunSignals) -> tuple[Exception | None, WatermarkRule | None]:
        # Imports Polars and numpy, a third of a second that the start of the server should not take.
        from server.execution.run_loop import RunLoop

        watermark: WatermarkRule | None = None
        try:
            async with self._context.database.read() as connection:
                run = await runs.get_run(connection, lease.run_id, with_options=True)
            if run is None:
                raise LeaseLostError(lease.run_id)
            if run.cancel_requested or run.paused:
                raise RunStoppedError("cancel" if run.cancel_requested else "pause")
            if run.takeover_count > self._context.settings.takeovers_max:
                raise RetryableError(
                    Reason.OWNERS_LOST,
                    f"{run.takeover_count} processes in a row were lost while they executed the run, and none of them "
                    "committed a batch; what was committed before stays",
                    category=Category.SYSTEM,
                )
            source = await self._load_source(run)
            watermark = source.watermark
            loop = RunLoop(self._context, run, lease, source, signals)
            await self._until_stopped(loop.execute(), signals)
        except LeaseLostError:
            return RunStoppedError("lease_lost"), None
        except Exception as error:  # noqa: BLE001 - every fault becomes the run's verdict; nothing is dropped
            return error, None
        return None, None if loop.keeps_watermark else watermark

    async def _until_stopped(self, loop: Coroutine[Any, Any, None], signals: RunSignals) -> None:
        """Await a run's loop. On cancel or pause its batch in hand gets a moment to finish, then it is rolled back whole."""
        cut = False
        try:
            async with owned_tasks() as tasks:
                working = tasks.start(loop, name="run-loop")
                stop = tasks.start(signals.stopped(), name="run-stop")
                await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
                if signals.reason in ("cancel", "pause"):
                    await asyncio.wait({working}, timeout=self._context.settings.stop_batch_seconds)
                    cut = working.cancel()
                await asyncio.wait({working})
        except Exception:
            # However the batch in hand ended, the run stops for the reason that it was given.
            if cut:
                signals.check()
            raise
        if cut and working.cancelled():
            signals.check()
        working.result()


def _log_fault(error: Exception | None) -> None:
    """An unexpected exception is a fault of the service: its traceback is logged."""
    if error is not None and not isinstance(error, SyncError | DatabaseError | RunStoppedError):
        log.error("run_fault", action="run", exc_info=error)


def _log_ending(verdict: Verdict, error: Exception | None) -> None:
    """Say how a run ended: as a warning where it failed, or where the worker has lost it."""
    facts: dict[str, object] = error.facts if isinstance(error, DatabaseError) else {}
    if verdict.failure is not None:
        facts |= {"reason": verdict.failure.reason, "retryable": verdict.failure.retryable}
    is_bad = verdict.ending in (Ending.FAILED, Ending.LOST)
    say = log.warning if is_bad else log.info
    say("run_ended", action="run", ending=verdict.ending, **({"reason": getattr(error, "reason", None)} | facts))
