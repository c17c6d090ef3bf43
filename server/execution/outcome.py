"""The end of a run: the verdict is stored once, and only by the holder of its lease."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.errors import TransientDatabaseError
from db.records import Lease
from db.repositories import leases, runs, watermarks
from db.repositories.batches import BatchTotals, last_batch, read_totals
from db.repositories.errors import first_message, insert_errors
from server.core.clock import Clock
from server.core.config import Settings
from server.core.retry import Retries, RetryPolicy
from server.core.tally import Tally
from server.execution.row_faults import MESSAGES_MAX, NO_FAULTS, RowFaults
from server.execution.stop_signal import RunStoppedError
from server.execution.verdict import LOST, Ending, Verdict, verdict_on
from server.sources.contract import POSITION_MARK, WatermarkRule


async def store_ending(
    database: Database,
    settings: Settings,
    clock: Clock,
    lease: Lease,
    error: BaseException | None,
    watermark: WatermarkRule | None = None,
) -> Verdict:
    """Store how the run ended, trying again while the database does not respond; return what was stored.

    Args:
        error: what ended it, or None when the source was read to its end.
        watermark: where that of an incremental source is kept; it moves only with a run that is completed. None: it stays.

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
) -> Verdict:
    if isinstance(error, RunStoppedError) and error.reason == "lease_lost":
        return LOST
    async with database.write() as connection:
        # Held before the batches are summed: one that was cut short may still be committing.
        is_cancelled = await leases.lock_run_exclusive(connection, lease)
        if is_cancelled is None:
            return LOST
        totals = await read_totals(connection, lease.run_id)
        retry_count = await runs.retry_count(connection, lease.run_id)
        waited_ms = await runs.waited_ms(connection, lease.run_id)
        verdict = verdict_on(
            error,
            is_cancelled=is_cancelled,
            ledger=totals.ledger,
            retry_count=retry_count,
            settings=settings,
            waited_ms=waited_ms,
            faults=await _faults(connection, lease.run_id, totals.restart_no),
        )
        if not await _store(connection, lease, totals, verdict):
            return LOST
        if verdict.ending is Ending.COMPLETED and watermark is not None:
            await _move_watermark(connection, lease.run_id, totals.restart_no, watermark)
        return verdict


async def _faults(connection: AsyncConnection, run_id: int, restart_no: int) -> RowFaults:
    """What was wrong with the rows of the reading, with what was said of the first row of its commonest kinds."""
    batch = await last_batch(connection, run_id, restart_no)
    tally = Tally.from_json(batch.tally) if batch is not None else Tally()
    if not tally.kinds:
        return NO_FAULTS
    messages = {
        kind: await first_message(connection, run_id, restart_no, kind.code, kind.first_line)
        for kind in [kind for kind in tally.by_code() if not kind.is_odd][:MESSAGES_MAX]
    }
    said = {kind: message for kind, message in messages.items() if message is not None}
    return RowFaults(tally, said, *await runs.source_type_and_doubt(connection, run_id))


async def _store(connection: AsyncConnection, lease: Lease, totals: BatchTotals, verdict: Verdict) -> bool:
    """Store a verdict; return False when the lease is lost."""
    run_id, ledger, bytes_done = lease.run_id, totals.ledger, totals.bytes_done
    if verdict.notices:
        await runs.add_notices(connection, run_id, verdict.notices)
    match verdict.ending:
        case Ending.COMPLETED:
            return await leases.complete(connection, lease, ledger, bytes_done)
        case Ending.CANCELLED:
            return await leases.cancel(connection, lease, ledger, bytes_done)
        case Ending.FAILED if verdict.failure is not None and verdict.error is not None:
            is_ours = await leases.fail(connection, lease, ledger, bytes_done, verdict.failure)
            if is_ours and verdict.starts_over:
                why = "the source changed while it was read: a retry reads it from its start"
                await runs.start_over(connection, run_id, why)
            if is_ours:
                await insert_errors(connection, run_id, totals.restart_no, [verdict.error])
            return is_ours
        case _:
            return await leases.release(connection, lease, ledger, bytes_done, delay_ms=verdict.delay_ms)


async def _move_watermark(connection: AsyncConnection, run_id: int, restart_no: int, rule: WatermarkRule) -> None:
    """Advance the watermark to that of the last batch; a run without batches has none."""
    batch = await last_batch(connection, run_id, restart_no)
    mark = batch.position.get(POSITION_MARK) if batch is not None else None
    if mark is not None:
        found = watermarks.Watermark(rule.key, str(mark["value"]), str(mark["rank"]), bool(mark["isFull"]))
        await watermarks.advance(connection, run_id, found)
