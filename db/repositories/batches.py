"""sync_batches: the checkpoint of every committed batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import as_integer
from db.records import Batch, Lease, Ledger
from db.schema import sync_batches, sync_runs

_B = sync_batches.c


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """Sums over committed batches.

    Args:
        restart_no: the present reading.
        batch_count: batches of the run, of all readings.
        ledger: counts of the present reading.
        bytes_done: of the present reading.
        conflicts: of the present reading.
    """

    restart_no: int
    batch_count: int
    ledger: Ledger
    bytes_done: int
    conflicts: int


async def insert_batch(connection: AsyncConnection, lease: Lease, restart_no: int, batch: Batch) -> None:
    """Store the checkpoint, in the transaction that writes the rows."""
    await connection.execute(
        insert(sync_batches).values(
            sync_run_id=lease.run_id,
            restart_no=restart_no,
            batch_no=batch.batch_no,
            lease_epoch=lease.epoch,
            rows_read=batch.ledger.read,
            rows_inserted=batch.ledger.inserted,
            rows_updated=batch.ledger.updated,
            rows_unchanged=batch.ledger.unchanged,
            rows_rejected=batch.ledger.rejected,
            rows_skipped=batch.ledger.skipped,
            rows_conflicting=batch.conflicts,
            bytes_done=batch.bytes_done,
            position=dict(batch.position),
        )
    )


async def get_batch(connection: AsyncConnection, run_id: int, restart_no: int, batch_no: int) -> Batch | None:
    """The batch of that number, or None when it is not committed."""
    row = (
        await connection.execute(
            select(sync_batches).where(_B.sync_run_id == run_id, _B.restart_no == restart_no, _B.batch_no == batch_no)
        )
    ).one_or_none()
    return None if row is None else _batch(row)


async def last_batch(connection: AsyncConnection, run_id: int, restart_no: int) -> Batch | None:
    """The committed batch with the highest number; batches are committed in order, so all before it stand too."""
    row = (
        await connection.execute(
            select(sync_batches)
            .where(_B.sync_run_id == run_id, _B.restart_no == restart_no)
            .order_by(_B.batch_no.desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else _batch(row)


async def read_totals(connection: AsyncConnection, run_id: int) -> BatchTotals:
    """What is committed for a run so far."""
    restart_no = (
        await connection.execute(select(sync_runs.c.restart_no).where(sync_runs.c.id == run_id))
    ).scalar_one_or_none() or 0
    count = (
        await connection.execute(select(func.count()).select_from(sync_batches).where(_B.sync_run_id == run_id))
    ).scalar_one()
    row = (
        await connection.execute(
            select(
                as_integer(func.sum(_B.rows_read)),
                as_integer(func.sum(_B.rows_inserted)),
                as_integer(func.sum(_B.rows_updated)),
                as_integer(func.sum(_B.rows_unchanged)),
                as_integer(func.sum(_B.rows_rejected)),
                as_integer(func.sum(_B.rows_skipped)),
                as_integer(func.max(_B.bytes_done)),
                as_integer(func.sum(_B.rows_conflicting)),
            ).where(_B.sync_run_id == run_id, _B.restart_no == restart_no)
        )
    ).one()
    *counts, bytes_done, conflicts = (int(value) for value in row)
    return BatchTotals(restart_no, int(count), Ledger(*counts), bytes_done, conflicts)


def _batch(row: Row[Any]) -> Batch:
    return Batch(
        batch_no=row.batch_no,
        ledger=Ledger(
            row.rows_read,
            row.rows_inserted,
            row.rows_updated,
            row.rows_unchanged,
            row.rows_rejected,
            row.rows_skipped,
        ),
        position=row.position,
        bytes_done=row.bytes_done,
        conflicts=row.rows_conflicting,
    )
