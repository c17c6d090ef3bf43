"""The worker pool of one replica: claims runs, executes at most `runs_concurrent_max` at once, drains on stop.

It looks for work when it is woken (a run was triggered here, a run ended) and every poll interval (a run was stored
elsewhere, or a lease expired). A fault while looking is logged and the next look comes one interval later; it never ends
the pool. A run whose ending cannot be stored keeps its lease until it expires; then any replica goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from db.errors import DatabaseError, TransientDatabaseError
from db.records import Lease, Run
from db.repositories import runs
from server.core.errors import LeaseLostError, RetryableError, SyncError
from server.core.retry import Retries, RetryPolicy
from server.execution.context import RunContext
from server.execution.leases import LeaseKeeper, LostOwners, apply_stop_requests, claim, owner_name
from server.execution.mirror import forget_ended
from server.execution.outcome import store_ending
from server.execution.periodic import repeated
from server.execution.stop_requests import ControlWatch
from server.execution.stop_signal import RunSignals, RunStoppedError, StopReason
from server.execution.verdict import Ending
from server.sources.contract import WatermarkRule
from server.sources.source_type import Source

log = structlog.get_logger()

# Time is what limits the waiting for a database.
_AWAY_TRIES_MAX: Final = 1_000_000


class Worker:
    """Claims and executes runs until it is stopped.

    Args:
        context: what every run shares.
        load_source: makes the source of a stored run, with its options checked and their secrets sealed.
        changed: told the id of each run whose state changed here.
    """

    def __init__(
        self,
        context: RunContext,
        load_source: Callable[[Run], Awaitable[Source]],
        changed: Callable[[int], None],
    ) -> None:
        self._context = context
        self._load_source = load_source
        self._changed = changed
        self._owner = owner_name(context.database)
        self._lost_owners = LostOwners(context.database, self._owner)
        self._running: dict[int, tuple[asyncio.Task[None], RunSignals]] = {}
        self._wake = asyncio.Event()
        self._looking: list[asyncio.Task[None]] = []
        self._control = ControlWatch(context.database, context.settings, context.clock, self._signals)

    def start(self) -> None:
        """Begin to look for work."""
        self._looking = [
            asyncio.create_task(repeated(self._look, self._wait, self._context.waits.claiming), name="worker-poll"),
            asyncio.create_task(self._control.run(), name="worker-control"),
        ]

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    def stop_run(self, run_id: int, reason: StopReason) -> None:
        """Stop a run, when this replica executes it."""
        running = self._running.get(run_id)
        if running is not None:
            running[1].stop(reason)

    def _signals(self) -> dict[int, RunSignals]:
        return {run_id: signals for run_id, (_task, signals) in self._running.items()}

    async def stop(self) -> None:
        """Claim nothing more, let batches in hand finish, give the runs back; by the deadline, cut what is left."""
        for looking in self._looking:
            looking.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        tasks = [task for task, _signals in self._running.values()]
        for _task, signals in self._running.values():
            signals.stop("release")
        if not tasks:
            return
        _done, late = await asyncio.wait(tasks, timeout=self._context.settings.shutdown_timeout_seconds)
        for task in late:
            log.warning("run_cut_short", action="stop", task=task.get_name())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _look(self) -> None:
        """Settle what nobody owns, and claim as many runs as there is room for."""
        database, settings = self._context.database, self._context.settings
        self._wake.clear()
        await self._lost_owners.free()
        for run_id in await apply_stop_requests(database):
            log.info("run_settled", action="settle", run_id=run_id)
            self._changed(run_id)
        while len(self._running) < settings.runs_concurrent_max:
            lease = await claim(database, settings, self._owner, self._context.keys)
            if lease is None:
                break
            self._start(lease)
        self._context.waits.claimed()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._context.settings.poll_interval_seconds):
                await self._wake.wait()

    def _start(self, lease: Lease) -> None:
        signals = RunSignals(self._context.settings.stall_timeout_seconds)
        task = asyncio.create_task(self._execute(lease, signals), name=f"run-{lease.run_id}")
        self._running[lease.run_id] = (task, signals)
        task.add_done_callback(lambda _task: self._finished(lease.run_id))
        self._changed(lease.run_id)

    def _finished(self, run_id: int) -> None:
        self._running.pop(run_id, None)
        self._changed(run_id)
        self._wake.set()

    async def _execute(self, lease: Lease, signals: RunSignals) -> None:
        context = self._context
        logger = log.bind(run_id=lease.run_id, epoch=lease.epoch)
        logger.info("run_started", action="run")
        keeper = LeaseKeeper(context.database, context.settings, context.clock, lease, signals)
        renewing = asyncio.create_task(keeper.run(), name=f"lease-{lease.run_id}")
        ending = Ending.LOST
        try:
            error, watermark = await self._outcome(lease, signals)
            _log_fault(logger, error)
            ending = await store_ending(context.database, context.settings, context.clock, lease, error, watermark)
            _log_ending(logger, ending, error)
            await forget_ended(context.database)
        except DatabaseError as fault:
            logger.warning("run_ending_not_stored", action="run", **fault.facts)
        finally:
            context.waits.end(lease.run_id, lease_lost=ending is Ending.LOST)
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _outcome(self, lease: Lease, signals: RunSignals) -> tuple[Exception | None, WatermarkRule | None]:
        """Execute the run; answer what ended it, or None at the end of its source, and where its watermark is kept.

        A database that is away ends no run: it goes on from its checkpoint once the database is back. If that takes
        longer than the lease, the lease is lost, and whoever claims the run first goes on.
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
        # Polars and numpy come with it: a third of a second that the start of the server should not pay.
        from server.execution.run_loop import RunLoop

        watermark: WatermarkRule | None = None
        try:
            async with self._context.database.read() as connection:
                run = await runs.get_run(connection, lease.run_id)
            if run is None:
                raise LeaseLostError(lease.run_id)
            if run.cancel_requested or run.paused:
                raise RunStoppedError("cancel" if run.cancel_requested else "pause")
            if run.takeover_count > self._context.settings.takeovers_max:
                raise RetryableError(
                    "OWNERS_LOST",
                    f"{run.takeover_count} processes in a row were lost while they executed the run, and none of them "
                    "committed a batch; what was committed before stays",
                    category="system",
                )
            source = await self._load_source(run)
            watermark = source.watermark
            await self._until_stopped(RunLoop(self._context, run, lease, source, signals).execute(), signals)
        except LeaseLostError:
            return RunStoppedError("lease_lost"), None
        except Exception as error:  # noqa: BLE001 - every fault becomes the run's verdict; nothing is dropped
            return error, None
        return None, watermark

    async def _until_stopped(self, loop: Coroutine[Any, Any, None], signals: RunSignals) -> None:
        """Await a run's loop. One that is to be cancelled or paused soon gets its batch done, or rolled back whole."""
        working = asyncio.create_task(loop, name="run-loop")
        stop = asyncio.create_task(signals.stopped(), name="run-stop")
        cut = False
        try:
            await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
            if signals.reason in ("cancel", "pause"):
                await asyncio.wait({working}, timeout=self._context.settings.stop_batch_seconds)
                cut = working.cancel()
            await asyncio.wait({working})
        finally:
            stop.cancel()
            working.cancel()
            await asyncio.wait({working})
        if cut and (working.cancelled() or working.exception() is not None):
            # Whatever the cut made of the batch in hand, the run stops because it was told to.
            signals.check()
        working.result()


def _log_fault(logger: structlog.stdlib.BoundLogger, error: Exception | None) -> None:
    """A fault without a name of ours is a fault of the service: its traceback goes into the log."""
    if error is not None and not isinstance(error, SyncError | DatabaseError | RunStoppedError):
        logger.error("run_fault", action="run", exc_info=error)


def _log_ending(logger: structlog.stdlib.BoundLogger, ending: str, error: Exception | None) -> None:
    if isinstance(error, DatabaseError):
        logger.warning("run_ended", action="run", ending=ending, **error.facts)
    else:
        logger.info("run_ended", action="run", ending=ending, reason=getattr(error, "reason", None))
