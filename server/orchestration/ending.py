"""How a run ends: the ledger is checked, the verdict is stored once, and only by the holder of its lease."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.errors import DatabaseError, TransientDatabaseError
from db.records import ErrorRow, Lease, Ledger, RunFailure
from db.repositories import leases, runs, watermarks
from db.repositories.batches import last_batch, read_totals
from db.repositories.errors import insert_errors
from server.core.circuit import NotAsked
from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import NOT_RETRYABLE_CATEGORIES, Fatal, SyncError
from server.core.file_errors import file_error
from server.core.reasons import REASONS, next_step_for
from server.core.retry import Retries, RetryPolicy
from server.orchestration.signals import RunStopped
from server.sources.base import POSITION_MARK, WatermarkRule


def failure_of(error: BaseException) -> RunFailure:
    """The verdict on a run that ended with this error; the text is fit for the caller."""
    if isinstance(error, OSError):
        error = file_error(error)
    if isinstance(error, SyncError):
        # The contract's rule: what is wrong with the request or the data stays wrong, everything else may pass.
        retryable = error.category not in NOT_RETRYABLE_CATEGORIES
        return RunFailure(error.reason, error.category, error.message, retryable, error.next_step)
    if isinstance(error, DatabaseError):
        return _database_failure(error)
    return RunFailure(
        "INTERNAL",
        "system",
        f"a fault of the service ({type(error).__name__}); its log has the cause",
        retryable=True,
        next_step=next_step_for("INTERNAL"),
    )


def _database_failure(error: DatabaseError) -> RunFailure:
    """Only what time can mend is retried at night: a lock, a restart, a full disk; no missing privilege."""
    next_step = error.next_step or next_step_for(error.reason)
    if isinstance(error, TransientDatabaseError):
        message = f"{error.message}. What was committed stays; the run goes on from there when it is retried"
        return RunFailure(error.reason, "system", message, retryable=True, next_step=next_step)
    reason = REASONS[error.reason]
    return RunFailure(error.reason, reason.category, error.message, reason.retryable, next_step)


def given_up(failure: RunFailure, retry_count: int) -> RunFailure:
    """The verdict on a run that was retried as often as it may be."""
    return replace(
        failure,
        retryable=False,
        message=f"{failure.message}. Given up after {retry_count} nightly retries",
        next_step=f"{failure.next_step}; then trigger the source again, since no retry follows",
    )


def check_ledger(ledger: Ledger, settings: Settings) -> None:
    """Check the counts of a run whose source was read to its end.

    Raises:
        Fatal: LEDGER_MISMATCH when they do not add up, ERROR_BUDGET_EXCEEDED when too many rows were rejected.
    """
    if not ledger.balanced:
        raise Fatal("LEDGER_MISMATCH", f"the counts of the run do not add up: {ledger}", category="system")
    if ledger.rejected > settings.error_ratio_max * ledger.read or ledger.rejected > settings.error_count_max:
        raise Fatal(
            "ERROR_BUDGET_EXCEEDED",
            f"{ledger.rejected} of {ledger.read} rows were rejected; TECHAURA_SYNC_ERROR_RATIO_MAX allows a share of "
            f"{settings.error_ratio_max:g} and TECHAURA_SYNC_ERROR_COUNT_MAX {settings.error_count_max}. The good rows "
            "are written; mend the rows that the run's errors list, or allow more, and sync again",
            category="validation",
        )


async def store_ending(
    database: Database,
    settings: Settings,
    clock: Clock,
    lease: Lease,
    error: BaseException | None,
    watermark: WatermarkRule | None = None,
) -> str:
    """Store how the run ended, trying again while the database does not answer; answer what was stored.

    Args:
        error: what ended it, or None when the source was read to its end.
        watermark: where that of an incremental source is kept; it moves only with a run that is completed.

    Returns:
        completed, failed, cancelled, paused, released, postponed, or lost when another worker owns the run by now.

    Raises:
        DatabaseError: it could not be stored; the lease expires and another worker takes the run up.
    """
    policy = RetryPolicy(settings.batch_retry_attempts_max, settings.batch_retry_elapsed_seconds_max)
    retries = Retries(policy, clock)
    while True:
        try:
            return await _store_once(database, settings, lease, error, watermark)
        except TransientDatabaseError:
            if not await retries.wait():
                raise


async def _store_once(
    database: Database,
    settings: Settings,
    lease: Lease,
    error: BaseException | None,
    watermark: WatermarkRule | None,
) -> str:
    if isinstance(error, RunStopped) and error.reason == "lease_lost":
        return "lost"
    async with database.write() as connection:
        # Held before the batches are summed: one that was cut short may still be committing.
        is_cancelled = await leases.hold_for_end(connection, lease)
        if is_cancelled is None:
            return "lost"
        if is_cancelled and error is not None:
            # It came after whatever else stopped the run, and the caller was told that it counts.
            error = RunStopped("cancel")
        totals = await read_totals(connection, lease.run_id)
        ledger, bytes_done = totals.ledger, totals.bytes_done
        if isinstance(error, RunStopped):
            if error.reason in ("release", "pause"):
                stored = "released" if error.reason == "release" else "paused"
                return stored if await leases.release(connection, lease, ledger, bytes_done) else "lost"
            return "cancelled" if await leases.cancel(connection, lease, ledger, bytes_done) else "lost"
        if isinstance(error, NotAsked):
            # No failure of this run, and none of its retries: it waits for its host, which others have asked too often.
            delay_ms = round((error.retry_after_seconds or 0.0) * 1000)
            await runs.add_notices(connection, lease.run_id, (f"waited: {error.message}",))
            is_ours = await leases.release(connection, lease, ledger, bytes_done, delay_ms=delay_ms)
            return "postponed" if is_ours else "lost"
        if error is None:
            try:
                check_ledger(ledger, settings)
            except Fatal as fault:
                error = fault
        if error is None:
            if not await leases.complete(connection, lease, ledger, bytes_done):
                return "lost"
            if watermark is not None:
                await _move_watermark(connection, lease.run_id, totals.restart_no, watermark)
            return "completed"
        failure = failure_of(error)
        verdict = failure
        run = await runs.get_run(connection, lease.run_id)
        if failure.retryable and run is not None and run.retry_count >= settings.retry_count_max > 0:
            verdict = given_up(failure, run.retry_count)
            await runs.add_notices(connection, lease.run_id, (f"given up after {run.retry_count} nightly retries",))
        if not await leases.fail(connection, lease, ledger, bytes_done, verdict):
            return "lost"
        if failure.reason == "SOURCE_CHANGED":
            # What was read belongs to a source that is no more; a retry must not go on in the middle of the new one.
            await runs.start_over(
                connection, lease.run_id, "the source changed while it was read: a retry reads it from its start"
            )
        await insert_errors(
            connection,
            lease.run_id,
            totals.restart_no,
            [ErrorRow(failure.category, failure.reason, failure.message, failure.retryable)],
        )
        return "failed"


async def _move_watermark(connection: AsyncConnection, run_id: int, restart_no: int, rule: WatermarkRule) -> None:
    """To the mark of the last batch; a run without batches has seen nothing."""
    batch = await last_batch(connection, run_id, restart_no)
    mark = batch.position.get(POSITION_MARK) if batch is not None else None
    if mark is not None:
        found = watermarks.Watermark(rule.key, str(mark["value"]), str(mark["rank"]), bool(mark["isFull"]))
        await watermarks.advance(connection, run_id, found)
