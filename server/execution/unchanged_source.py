"""A source that is unchanged since its last sync is not written again.

That holds for a target whose rows belong to one source each, when the last run of the source completed with the same options, without a rejected row or a conflict, and
the target still has at least as many rows as that run wrote. The source is the same when its fingerprint is (for a file:
size, time of change, place on the disk and a sample), or, where only the time says otherwise, when a digest of its whole
content is: a file that was touched, or copied again, is read through but neither mapped nor compared.

The contract wants a fresh last_synced_at at least once a day on every row that is still in the source; which rows those
are, only a reading tells. So a reading is repeated in this way for `touch_after_hours` and no longer: by then no row was
refreshed more than twice that time ago, and the next run reads the source through.
"""

from __future__ import annotations

from db.engine import Database
from db.records import Batch, Lease, Ledger, LoadSpec, Run
from db.repositories import runs
from db.repositories.batches import insert_batch
from db.repositories.content import count_rows
from db.repositories.leases import lock_run_shared
from server.core.errors import LeaseLostError
from server.sources.contract import SourceReader


async def same_reading(database: Database, run: Run, spec: LoadSpec, reader: SourceReader) -> Run | None:
    """The run whose result also holds for this one; None when the source has to be written.

    Raises:
        RetryableError: the source changed while it was looked at.
    """
    info = reader.info
    if not any(name in spec.constants for name in spec.key):
        # Other sources write to this table too, and may have changed the same rows since.
        return None
    async with database.read() as connection:
        last = await runs.last_reading(connection, run, minutes=round(spec.touch_after_hours * 60))
        if last is None or not info.fingerprint or await count_rows(connection, spec) < last.ledger.written:
            return None
    if last.source_fingerprint != info.fingerprint:
        may_be_same = last.source_digest and last.bytes_total == info.bytes_total
        if not may_be_same or await reader.content_digest() != last.source_digest:
            return None
    return last


async def record_repetition(
    database: Database, run: Run, restart_no: int, lease: Lease, last: Run, bytes_total: int
) -> None:
    """Record the run as a repetition of `last`.

    Raises:
        LeaseLostError: another worker owns the run; nothing was recorded.
    """
    ledger = Ledger(read=last.ledger.read, unchanged=last.ledger.written, skipped=last.ledger.skipped)
    async with database.write() as connection:
        batch = Batch(1, ledger, {"end": True}, bytes_total, tally=last.tally)
        await insert_batch(connection, lease, restart_no, batch)
        await runs.record_same_as(
            connection,
            run.id,
            last.id,
            f"the source is the same as in run {last.id}: nothing was written again",
        )
        if not await lock_run_shared(connection, lease):
            raise LeaseLostError(lease.run_id)
