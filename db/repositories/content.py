"""Queries of a run about the rows in its target."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Table, and_, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from db.records import LoadSpec
from db.schema import content_index, metadata

_C = content_index.c


def of_source(target: Table, spec: LoadSpec) -> ColumnElement[bool]:
    """The target's rows that belong to the source of a load: all, where the key has no part that names a source."""
    fixed = [name for name in spec.key if name in spec.constants]
    return and_(true(), *(target.c[name] == spec.constants[name] for name in fixed))


_UNIQUE_INDEXES: Final = text(
    "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() "
    "AND TABLE_NAME = :name AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"
)


async def has_rows(connection: AsyncConnection, spec: LoadSpec) -> bool:
    """Whether the target has any row of the load's source."""
    target = metadata.tables[spec.table]
    found = await connection.execute(select(target.c["id"]).where(of_source(target, spec)).limit(1))
    return found.first() is not None


async def count_rows(connection: AsyncConnection, spec: LoadSpec) -> int:
    """The target's rows of the load's source.

    MySQL would take the index on source_type alone and look each row up for the rest: six times as long.
    """
    target = metadata.tables[spec.table]
    query = select(func.count()).select_from(target).where(of_source(target, spec))
    index = await _key_index(connection, spec) if connection.dialect.name != "sqlite" else None
    if index is not None:
        hint = f"FORCE INDEX ({connection.dialect.identifier_preparer.quote(index)})"
        query = query.with_hint(target, hint, "mysql").with_hint(target, hint, "mariadb")
    return int((await connection.execute(query)).scalar_one())


async def _key_index(connection: AsyncConnection, spec: LoadSpec) -> str | None:
    """The name of the unique index over the load's key, which in an adopted table is the bot's; None without one."""
    indexes: dict[str, list[str]] = {}
    for index, column in await connection.execute(_UNIQUE_INDEXES, {"name": spec.table}):
        indexes.setdefault(index, []).append(column.lower())
    return next((index for index, columns in indexes.items() if columns == list(spec.key)), None)


async def first_row_number(connection: AsyncConnection, source_type: str, source_identifier: str) -> int | None:
    """0 or 1, whichever row_<n> the old service began this source with; None when it has no such rows."""
    rows = await connection.execute(
        select(_C.external_id).where(
            _C.source_type == source_type,
            _C.source_identifier == source_identifier,
            _C.external_id.in_(["row_0", "row_1", "row_2"]),
        )
    )
    found = {external_id for (external_id,) in rows}
    if "row_0" in found:
        return 0
    if found:
        return 1
    numbered = await connection.execute(
        select(func.count())
        .select_from(content_index)
        .where(
            _C.source_type == source_type,
            _C.source_identifier == source_identifier,
            _C.external_id.like("row\\_%", escape="\\"),
        )
    )
    return 1 if numbered.scalar_one() else None
