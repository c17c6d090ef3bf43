"""sync_batches: the checkpoint of every committed batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    ScalarSelect,
    Select,
    Subquery,
    case,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import as_integer
from db.records import TERMINAL_STATUSES, Batch, CountedReading, Lease, Ledger
from db.schema import sync_batches, sync_runs

_B = sync_batches.c
_R = sync_runs.c
# What a checkpoint keeps beside the position of its source, in the same document.
_TALLY_KEY: Final = "run:tally"


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
            position={**batch.position, **({_TALLY_KEY: list(batch.tally)} if batch.tally else {})},
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
    """The committed batch with the highest number; batches are committed in order, so all before it are committed too."""
    row = (
        await connection.execute(
            select(sync_batches)
            .where(_B.sync_run_id == run_id, _B.restart_no == restart_no)
            .order_by(_B.batch_no.desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else _batch(row)


async def numbers_of(connection: AsyncConnection, run_id: int, restart_no: int) -> tuple[int, int]:
    """How many batches of a reading are committed, and the highest number among them: the same, unless one is gone."""
    query = select(func.count(), func.coalesce(func.max(_B.batch_no), 0))
    count, highest = (
        await connection.execute(query.where(_B.sync_run_id == run_id, _B.restart_no == restart_no))
    ).one()
    return int(count), int(highest)


async def read_totals(connection: AsyncConnection, run_id: int) -> BatchTotals:
    """Sums over the batches that a run has committed so far."""
    totals = totals_of(select(_R.id, _R.restart_no).where(_R.id == run_id).subquery())
    row = (await connection.execute(select(totals))).one_or_none()
    return totals_in(row) if row is not None else BatchTotals(0, 0, Ledger(), 0, 0)


def totals_of(runs: Subquery) -> Subquery:
    """A row of sums for each of some runs, batches or none, read by `totals_in`; its run is `total_run_id`.

    Args:
        runs: columns `id` and `restart_no`.
    """
    is_present = _B.restart_no == runs.c.restart_no

    def present(column: ColumnElement[int]) -> ColumnElement[int]:
        return case((is_present, column), else_=None)

    return (
        select(
            runs.c.id.label("total_run_id"),
            func.max(runs.c.restart_no).label("total_restart_no"),
            func.count(_B.id).label("total_batches"),
            as_integer(func.sum(present(_B.rows_read))).label("total_read"),
            as_integer(func.sum(present(_B.rows_inserted))).label("total_inserted"),
            as_integer(func.sum(present(_B.rows_updated))).label("total_updated"),
            as_integer(func.sum(present(_B.rows_unchanged))).label("total_unchanged"),
            as_integer(func.sum(present(_B.rows_rejected))).label("total_rejected"),
            as_integer(func.sum(present(_B.rows_skipped))).label("total_skipped"),
            as_integer(func.max(present(_B.bytes_done))).label("total_bytes_done"),
            as_integer(func.sum(present(_B.rows_conflicting))).label("total_conflicts"),
        )
        .select_from(runs.outerjoin(sync_batches, _B.sync_run_id == runs.c.id))
        .group_by(runs.c.id)
        .subquery()
    )


def totals_in(row: Row[Any]) -> BatchTotals:
    """The sums in a row of `totals_of`."""
    return BatchTotals(
        restart_no=row.total_restart_no or 0,
        batch_count=int(row.total_batches),
        ledger=Ledger(
            row.total_read,
            row.total_inserted,
            row.total_updated,
            row.total_unchanged,
            row.total_rejected,
            row.total_skipped,
        ),
        bytes_done=row.total_bytes_done,
        conflicts=row.total_conflicts,
    )


def last_position_of(runs: FromClause) -> ScalarSelect[Any]:
    """The document of the checkpoint up to which the counts of each run go, or NULL; `tally_in` reads it.

    A run that has ended may be one that a retry reads from the start: its counts are those of the reading before.

    Args:
        runs: sync_runs or an alias of it, in the query around this one.
    """
    return _last_counted(select(_B.position), runs).correlate(runs).scalar_subquery()


async def counted_reading(connection: AsyncConnection, run_id: int) -> CountedReading | None:
    """The batches up to which the counts of a run go, as for `last_position_of`; None when there are none."""
    columns = select(_B.restart_no, _B.batch_no, _B.position).join(sync_runs, _R.id == _B.sync_run_id)
    row = (await connection.execute(_last_counted(columns, sync_runs).where(_R.id == run_id))).one_or_none()
    return None if row is None else CountedReading(row.restart_no, row.batch_no, tally_in(row.position))


def _last_counted(columns: Select[Any], runs: FromClause) -> Select[Any]:
    is_counted = or_(_B.restart_no == runs.c.restart_no, runs.c.status.in_(TERMINAL_STATUSES))
    # By the whole index, whose first column has one value.
    order = (_B.sync_run_id.desc(), _B.restart_no.desc(), _B.batch_no.desc())
    return columns.where(_B.sync_run_id == runs.c.id, is_counted).order_by(*order).limit(1)


def tally_in(position: Mapping[str, Any] | None) -> Sequence[Sequence[Any]]:
    """What was wrong with rows, as the document of a checkpoint has it."""
    found: Sequence[Sequence[Any]] = (position or {}).get(_TALLY_KEY, ())
    return found


def _batch(row: Row[Any]) -> Batch:
    position = dict(row.position)
    tally = position.pop(_TALLY_KEY, ())
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
        position=position,
        bytes_done=row.bytes_done,
        conflicts=row.rows_conflicting,
        tally=tally,
    )
