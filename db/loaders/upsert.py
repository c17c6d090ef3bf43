"""One batch into its target: a set-based upsert from staging that writes only rows that differ.

A row counts as
    inserted    its key was not in the target,
    updated     its key was there and a written column differed, exactly (case, accents and spaces count),
    unchanged   its key was there with the same values; at most last_synced_at and row_hash are refreshed,
    kept        it was edited in the target and the policy lets that stand; at most last_synced_at is refreshed,
    collided    the target's collation takes its key for that of another row; it is not written,
    damaged     a column of the target cannot hold its value as it is; it is not written.

Everything runs in the caller's transaction. A concurrent writer that inserts the same key in between ends in a
TransientDatabaseError: the second try finds its row. Keys must be unique within the batch, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import case, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders import audit
from db.loaders.conflicts import Conflict, resolve_conflicts
from db.loaders.differences import BatchTables, count_differences, find_differences
from db.loaders.direct import insert_directly
from db.loaders.staging import drop_staging, fill_staging
from db.records import LoadCounts, LoadSpec
from db.repositories.dialect import now
from db.schema import metadata, sync_seen_rows


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did, and the rows (indexes into the frame) that it did not write.

    Args:
        counts: of the rows that stand in the target now.
        collided: rows whose key the target's collation takes for that of another row.
        damaged: rows with a value that a column of the target cannot hold as it is, with that column.
        conflicts: rows that were edited in the target since the last sync.
    """

    counts: LoadCounts
    collided: tuple[int, ...] = ()
    damaged: Mapping[int, str] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()


async def load(
    connection: AsyncConnection, spec: LoadSpec, rows: pl.DataFrame, *, expect_new: bool = False
) -> LoadResult:
    """Write `rows` (canonical text columns, row_hash and column_marks, see LoadSpec) into the target.

    Args:
        expect_new: the rows are probably not in the target; a wrong guess costs time and nothing else.

    Raises:
        DatabaseError: by way of the connection's context.
    """
    if rows.is_empty():
        return LoadResult(LoadCounts(0, 0, 0))
    is_plain = spec.audit_reason is None and spec.seen_by is None
    if expect_new and is_plain and await insert_directly(connection, metadata.tables[spec.table], spec, rows):
        return LoadResult(LoadCounts(rows.height, 0, 0))
    tables = BatchTables.of(connection, spec)
    damaged = await fill_staging(connection, tables.target, spec, rows)
    found = await find_differences(tables)
    collided: list[int] = []
    if found.inexact:
        # The key equals a target row's key only in the eyes of the collation.
        inexact = await connection.execute(
            select(tables.changes.c["row_no"]).where(tables.changes.c["is_inexact"] == 1)
        )
        collided = await _remove(tables, [int(row_no) for (row_no,) in inexact])
        found = await count_differences(tables)
    conflicts = await resolve_conflicts(tables, rows) if found.differing else ()
    updated = inserted = 0
    if found.differing:
        if spec.audit_reason is not None:
            await audit.log_updates(tables, spec.audit_reason)
        updated = await _update(tables)
    if found.differing or found.due:
        await _refresh(tables)
    if found.new:
        inserted, more = await _insert(tables)
        collided += more
        if spec.audit_reason is not None:
            await audit.log_creations(tables, spec.audit_reason)
    if spec.seen_by is not None:
        await _note_seen(tables, spec.seen_by)
    await drop_staging(connection)
    kept = sum(conflict.kept_whole for conflict in conflicts)
    unchanged = rows.height - len(damaged) - len(collided) - inserted - updated - kept
    return LoadResult(LoadCounts(inserted, updated, unchanged), tuple(sorted(collided)), damaged, conflicts)


async def _update(tables: BatchTables) -> int:
    target, changes, spec = tables.target, tables.changes, tables.spec
    values: dict[Any, Any] = {target.c[name]: tables.value(changes, name) for name in tables.value_names}
    values[target.c["row_hash"]] = changes.c["row_hash"]
    values[target.c["column_marks"]] = changes.c["column_marks"]
    values[target.c["updated_at"]] = now()
    if spec.synced_at_column is not None:
        values[target.c[spec.synced_at_column]] = now()
    values[target.c["deactivated_by_run"]] = None
    if spec.availability_column is not None and spec.availability_column not in tables.value_names:
        column = target.c[spec.availability_column]
        values[column] = case((changes.c["is_back"] == 1, True), else_=column)
    statement = update(target).values(values)
    result = await tables.connection.execute(
        statement.where(target.c["id"] == changes.c["target_id"], changes.c["differs"] == 1)
    )
    return int(result.rowcount)


async def _refresh(tables: BatchTables) -> None:
    """Rows with the same values: a fresh last_synced_at where it is due, and the hash of what the source says."""
    target, changes, spec = tables.target, tables.changes, tables.spec
    values: dict[Any, Any] = {
        target.c["row_hash"]: changes.c["row_hash"],
        target.c["column_marks"]: changes.c["column_marks"],
    }
    if spec.synced_at_column is not None:
        values[target.c[spec.synced_at_column]] = now()
    # Named, so that a table made with ON UPDATE CURRENT_TIMESTAMP does not take the refresh for a change.
    values[target.c["updated_at"]] = target.c["updated_at"]
    await tables.connection.execute(
        update(target)
        .values(values)
        .where(target.c["id"] == changes.c["target_id"], changes.c["differs"] == 0, changes.c["is_due"] == 1)
    )


async def _insert(tables: BatchTables) -> tuple[int, list[int]]:
    """Insert rows that have no target row; the second value are rows that collide with each other."""
    target, changes, spec = tables.target, tables.changes, tables.spec
    names = [*spec.columns, *spec.constants]
    columns = [*names, "row_hash", "column_marks", "created_at", "updated_at"]
    values: list[Any] = [tables.value(changes, name) for name in names]
    values += [changes.c["row_hash"], changes.c["column_marks"], now(), now()]
    if spec.synced_at_column is not None:
        columns.append(spec.synced_at_column)
        values.append(now())
    query = select(*values).select_from(changes).where(changes.c["target_id"].is_(None))
    statement = insert(target).from_select(columns, query, include_defaults=False)
    try:
        return int((await tables.connection.execute(statement)).rowcount), []
    except IntegrityError:
        # Only this statement is undone. Either two staged keys are one to the collation, or a writer was faster.
        collided = await _collisions_within(tables)
        if not collided:
            raise
        return int((await tables.connection.execute(statement)).rowcount), collided


async def _collisions_within(tables: BatchTables) -> list[int]:
    changes = tables.changes
    keys = [changes.c[name] for name in tables.spec.key if name in tables.spec.columns]
    numbered = (
        select(
            changes.c["row_no"],
            func.row_number().over(partition_by=keys, order_by=changes.c["row_no"]).label("n"),
        )
        .where(changes.c["target_id"].is_(None))
        .subquery()
    )
    found = await tables.connection.execute(select(numbered.c.row_no).where(numbered.c.n > 1))
    return await _remove(tables, [int(row_no) for (row_no,) in found])


async def _note_seen(tables: BatchTables, seen_by: tuple[int, int]) -> None:
    """Note the target row of each staged row, for a mirror to know at its end which rows are gone."""
    target, staging = tables.target, tables.staging
    run_id, restart_no = seen_by
    # Twice in one reading (a source that is read as it comes may repeat a key) is once.
    known = select(sync_seen_rows.c.target_id).where(
        sync_seen_rows.c.sync_run_id == run_id,
        sync_seen_rows.c.restart_no == restart_no,
        sync_seen_rows.c.target_id == target.c["id"],
    )
    query = (
        select(literal(run_id), literal(restart_no), target.c["id"])
        .select_from(staging)
        .join(target, tables.same_key(staging))
        .where(~known.exists())
    )
    columns = ["sync_run_id", "restart_no", "target_id"]
    await tables.connection.execute(insert(sync_seen_rows).from_select(columns, query, include_defaults=False))


async def _remove(tables: BatchTables, row_nos: list[int]) -> list[int]:
    if row_nos:
        for table in (tables.staging, tables.changes):
            await tables.connection.execute(delete(table).where(table.c["row_no"].in_(row_nos)))
    return row_nos
