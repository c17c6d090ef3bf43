"""Removes what is old, a bounded number of rows at a time. Each function is one step of one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Table, and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import minutes_before_now
from db.records import TERMINAL_STATUSES, RunStatus
from db.schema import sync_batches, sync_errors, sync_runs

_R = sync_runs.c


async def old_runs(
    connection: AsyncConnection, *, source_types: Collection[str], age_days: int, after_id: int, limit: int
) -> list[int]:
    """Ids of runs of these types that ended that long ago, oldest first, without the last completed run of each source.

    Args:
        after_id: only later ids.
    """
    later = sync_runs.alias("later")
    same_source = or_(
        later.c.source_key == _R.source_key,
        and_(later.c.source_type == _R.source_type, later.c.source_identifier == _R.source_identifier),
    )
    has_later = (
        select(later.c.id).where(later.c.id > _R.id, later.c.status == RunStatus.COMPLETED, same_source).exists()
    )
    ended_at = func.coalesce(_R.completed_at, _R.updated_at, _R.created_at)
    rows = await connection.execute(
        select(_R.id)
        .where(
            _R.id > after_id,
            _R.source_type.in_(source_types),
            _R.status.in_(TERMINAL_STATUSES),
            ended_at < minutes_before_now(age_days * 24 * 60),
            or_(_R.status != RunStatus.COMPLETED, has_later),
        )
        .order_by(_R.id)
        .limit(limit)
    )
    return [int(run_id) for (run_id,) in rows]


async def remove_errors(connection: AsyncConnection, run_ids: Sequence[int], limit: int) -> int:
    """Remove errors of some runs; return how many."""
    return await _remove_some(connection, sync_errors, run_ids, limit)


async def remove_batches(connection: AsyncConnection, run_ids: Sequence[int], limit: int) -> int:
    """Remove checkpoints of some runs; return how many."""
    return await _remove_some(connection, sync_batches, run_ids, limit)


async def _remove_some(connection: AsyncConnection, table: Table, run_ids: Sequence[int], limit: int) -> int:
    # Looked up first: DELETE ... LIMIT is not known to every SQLite, and a subquery on its own table not to MySQL.
    columns: Any = table.c
    rows = await connection.execute(select(columns.id).where(columns.sync_run_id.in_(run_ids)).limit(limit))
    ids = [row.id for row in rows]
    if ids:
        await connection.execute(delete(table).where(columns.id.in_(ids)))
    return len(ids)
