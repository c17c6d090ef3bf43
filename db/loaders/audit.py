"""The change log of catalog items: one `create` row per new item, one `update` row per field that really changed.

Items that a mirror switches off or on again get a `deactivate` or an `activate` row. All in the batch's transaction.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Text, cast, insert, literal, select
from sqlalchemy.sql.selectable import FromClause

from db.dialect import now
from db.loaders.differences import BatchTables
from db.schema import catalog_change_log

_CHANGED_BY: Final = "csv_sync"
_COLUMNS: Final = [
    "catalog_item_id", "category_id", "capacity", "action", "field_changed",
    "old_value", "new_value", "changed_by", "change_reason", "created_at",
]  # fmt: skip


async def log_updates(tables: BatchTables, reason: str, rows: ColumnElement[bool]) -> None:
    """Log each field that is about to change.

    Args:
        rows: condition over sync_changes: the rows that are updated.
    """
    target, changes = tables.target, tables.changes
    same_row = (target.c["id"] == changes.c["target_id"]) & rows
    for name in tables.value_names:
        old, new = cast(target.c[name], Text()), cast(tables.value(changes, name), Text())
        source = changes.join(target, same_row & tables.differs(changes, name))
        await _log(tables, source, "update", name, old, new, reason)
    availability = tables.spec.availability_column
    if availability is not None and availability not in tables.value_names:
        source = changes.join(target, same_row & (changes.c["is_back"] == 1))
        await _log(tables, source, "activate", availability, literal("0"), literal("1"), reason)


async def log_creations(tables: BatchTables, reason: str, rows: ColumnElement[bool]) -> None:
    """Log each item that has been inserted.

    Args:
        rows: condition over sync_changes: the rows that were inserted.
    """
    source = tables.changes.join(tables.target, tables.same_key(tables.changes) & rows)
    await _log(tables, source, "create", None, literal(None), literal(None), reason)


async def log_deactivations(tables: BatchTables, gone: ColumnElement[bool], reason: str) -> None:
    """Log each item that is about to be switched off.

    Args:
        gone: condition over the target.
    """
    column = tables.spec.availability_column
    source = tables.target
    await _log(tables, source, "deactivate", column, literal("1"), literal("0"), reason, where=gone)


async def _log(
    tables: BatchTables,
    source: FromClause,
    action: str,
    field: str | None,
    old_value: ColumnElement[Any],
    new_value: ColumnElement[Any],
    reason: str,
    *,
    where: ColumnElement[bool] | None = None,
) -> None:
    target = tables.target
    query = select(
        target.c["id"], target.c["category_id"], target.c["capacity"], literal(action), literal(field),
        old_value, new_value, literal(_CHANGED_BY), literal(reason[:500]), now(),
    ).select_from(source)  # fmt: skip
    if where is not None:
        query = query.where(where)
    statement = insert(catalog_change_log).from_select(_COLUMNS, query, include_defaults=False)
    await tables.connection.execute(statement)
