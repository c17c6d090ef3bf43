"""What a run needs to know of the rows that stand in its target."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, and_, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from db.records import LoadSpec
from db.schema import content_index, metadata

_C = content_index.c


def of_source(target: Table, spec: LoadSpec) -> ColumnElement[bool]:
    """The target's rows that belong to the source of a load: all, where the key has no part that names a source."""
    fixed = [name for name in spec.key if name in spec.constants]
    return and_(true(), *(target.c[name] == spec.constants[name] for name in fixed))


async def has_rows(connection: AsyncConnection, spec: LoadSpec) -> bool:
    """Whether the target has any row of the load's source."""
    target = metadata.tables[spec.table]
    found = await connection.execute(select(target.c["id"]).where(of_source(target, spec)).limit(1))
    return found.first() is not None


async def count_rows(connection: AsyncConnection, spec: LoadSpec) -> int:
    """The target's rows of the load's source."""
    target = metadata.tables[spec.table]
    found = await connection.execute(select(func.count()).select_from(target).where(of_source(target, spec)))
    return int(found.scalar_one())


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
