"""content_index: what a run needs to know of the rows that stand there."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.schema import content_index

_C = content_index.c


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
