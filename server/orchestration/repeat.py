"""A source that is the same as when it was last synced is not read again.

That holds when the last run of the source completed with the same options, from a source with the same fingerprint,
without a rejected row or a conflict that was left standing, and the target still has at least as many rows as that run
wrote. The contract wants a fresh last_synced_at at least once a day on every row that is still in the source; which
rows those are, only a reading tells. So a reading is repeated in this way for `touch_after_hours` and no longer: by
then no row was refreshed more than twice that time ago, and the next run reads the source through.
"""

from __future__ import annotations

from db.engine import Database
from db.records import Batch, Lease, Ledger, LoadSpec, Run
from db.repositories import runs
from db.repositories.batches import insert_batch
from db.repositories.content import count_rows
from db.repositories.leases import hold_for_batch
from server.core.errors import LeaseLost


async def repeat_last_reading(
    database: Database,
    run: Run,
    restart_no: int,
    lease: Lease,
    spec: LoadSpec,
    fingerprint: str,
    bytes_total: int,
) -> bool:
    """Record the run as a repetition of the last reading; False when it has to read the source itself.

    Raises:
        LeaseLost: another worker owns the run.
    """
    async with database.write() as connection:
        last = await runs.last_reading(
            connection, run, fingerprint=fingerprint, minutes=round(spec.touch_after_hours * 60)
        )
        if last is None or await count_rows(connection, spec) < last.ledger.written:
            return False
        ledger = Ledger(
            read=last.ledger.read,
            unchanged=last.ledger.written,
            skipped=last.ledger.skipped,
        )
        await insert_batch(connection, lease, restart_no, Batch(1, ledger, {"end": True}, bytes_total))
        await runs.note_same_as(
            connection,
            run.id,
            last.id,
            f"the source is the same as in run {last.id}, which read it through: nothing was read again",
        )
        if not await hold_for_batch(connection, lease):
            raise LeaseLost(lease.run_id)
    return True
