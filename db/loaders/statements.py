"""The statements that bring rows of sync_changes into the target; which rows, a condition over sync_changes says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, column, delete, func, insert, literal, null, select, table, update

from db.dialect import now
from db.loaders import audit
from db.loaders.differences import BatchTables
from db.schema import sync_seen_rows


async def update_rows(tables: BatchTables, rows: ColumnElement[bool]) -> int:
    """Write the values that differ, with their rows of the change log; return how many rows there were."""
    target, changes, spec = tables.target, tables.changes, tables.spec
    if spec.audit_reason is not None:
        await audit.log_updates(tables, spec.audit_reason, rows)
    values: dict[Any, Any] = {target.c[name]: tables.value(changes, name) for name in tables.value_names}
    values[target.c["row_hash"]] = changes.c["row_hash"]
    values[target.c["column_marks"]] = changes.c["column_marks"]
    values[target.c["updated_at"]] = now()
    if spec.synced_at_column is not None:
        values[target.c[spec.synced_at_column]] = now()
    values[target.c["deactivated_by_run"]] = None
    if spec.availability_column is not None and spec.availability_column not in tables.value_names:
        switch = target.c[spec.availability_column]
        values[switch] = case((changes.c["is_back"] == 1, True), else_=switch)
    statement = update(target).values(values).where(target.c["id"] == changes.c["target_id"], rows)
    return int((await tables.connection.execute(statement)).rowcount)


async def refresh_rows(tables: BatchTables, rows: ColumnElement[bool]) -> int:
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
    statement = update(target).values(values).where(target.c["id"] == changes.c["target_id"], rows)
    return int((await tables.connection.execute(statement)).rowcount)


async def insert_rows(tables: BatchTables, rows: ColumnElement[bool], nulls: Sequence[str] = ()) -> int:
    """Insert rows, with their rows of the change log; return how many there were.

    Args:
        nulls: further columns, which are named and left to a trigger: MariaDB asks for that in an INSERT ... SELECT.
    """
    target, changes, spec = tables.target, tables.changes, tables.spec
    names = [*spec.columns, *spec.constants]
    columns = [*names, "row_hash", "column_marks", "created_at", "updated_at"]
    values: list[Any] = [tables.value(changes, name) for name in names]
    values += [changes.c["row_hash"], changes.c["column_marks"], now(), now()]
    if spec.synced_at_column is not None:
        columns.append(spec.synced_at_column)
        values.append(now())
    columns += nulls
    values += [null()] * len(nulls)
    query = select(*values).select_from(changes).where(rows)
    into = table(target.name, *(column(name) for name in columns))
    statement = insert(into).from_select(columns, query, include_defaults=False)
    count = int((await tables.connection.execute(statement)).rowcount)
    if spec.audit_reason is not None:
        await audit.log_creations(tables, spec.audit_reason, rows)
    return count


async def set_collisions_aside(tables: BatchTables, rows: ColumnElement[bool]) -> list[int]:
    """Take out of the batch those rows whose key the collation takes for that of an earlier row; return their row_no."""
    changes = tables.changes
    keys = [changes.c[name] for name in tables.spec.key if name in tables.spec.columns]
    numbered = (
        select(
            changes.c["row_no"],
            func.row_number().over(partition_by=keys, order_by=changes.c["row_no"]).label("n"),
        )
        .where(rows)
        .subquery()
    )
    found = await tables.connection.execute(select(numbered.c.row_no).where(numbered.c.n > 1))
    return await remove_rows(tables, [int(row_no) for (row_no,) in found])


async def remove_rows(tables: BatchTables, row_nos: list[int]) -> list[int]:
    """Take rows out of the batch; return them."""
    if row_nos:
        for batch in (tables.staging, tables.changes):
            await tables.connection.execute(delete(batch).where(batch.c["row_no"].in_(row_nos)))
    return row_nos


async def record_seen(tables: BatchTables, seen_by: tuple[int, int]) -> None:
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
