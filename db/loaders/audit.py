"""catalog_change_log: one `create` row per new item, one `update` row per field that really changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, TableClause, Text, cast, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.repositories.dialect import now
from db.schema import catalog_change_log

_CHANGED_BY: Final = "csv_sync"
_COLUMNS: Final = [
    "catalog_item_id", "category_id", "capacity", "action", "field_changed",
    "old_value", "new_value", "changed_by", "change_reason", "created_at",
]  # fmt: skip


async def log_updates(
    connection: AsyncConnection,
    target: Table,
    staging: TableClause,
    differs: Mapping[str, ColumnElement[bool]],
    reason: str,
) -> None:
    """Log each field that the batch is about to change; called before the update, with target_id filled."""
    for name, condition in differs.items():
        await _log(
            connection,
            target,
            "update",
            name,
            cast(target.c[name], Text()),
            cast(staging.c[name], Text()),
            reason,
            staging,
            (target.c["id"] == staging.c["target_id"]) & condition,
        )


async def log_creations(
    connection: AsyncConnection, target: Table, staging: TableClause, same_key: ColumnElement[bool], reason: str
) -> None:
    """Log each item that the batch has inserted (staging rows without a target row before it); called after the insert."""
    await _log(
        connection, target, "create", None, literal(None), literal(None), reason, staging,
        same_key & staging.c["target_id"].is_(None),
    )  # fmt: skip


async def _log(
    connection: AsyncConnection,
    target: Table,
    action: str,
    field: str | None,
    old_value: ColumnElement[Any],
    new_value: ColumnElement[Any],
    reason: str,
    staging: TableClause,
    condition: ColumnElement[bool],
) -> None:
    query = (
        select(
            target.c["id"], target.c["category_id"], target.c["capacity"], literal(action), literal(field),
            old_value, new_value, literal(_CHANGED_BY), literal(reason[:500]), now(),
        )
        .select_from(staging)
        .join(target, condition)
    )  # fmt: skip
    await connection.execute(insert(catalog_change_log).from_select(_COLUMNS, query, include_defaults=False))
