"""sync_errors: rejected rows and what ended a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.records import ErrorRow
from db.schema import sync_errors

_E = sync_errors.c
_ROWS_PER_STATEMENT_MAX = 500


async def insert_errors(connection: AsyncConnection, run_id: int, restart_no: int, errors: Sequence[ErrorRow]) -> None:
    """Store errors of a run, in the transaction of the batch that found them."""
    for start in range(0, len(errors), _ROWS_PER_STATEMENT_MAX):
        await connection.execute(
            insert(sync_errors),
            [_values(run_id, restart_no, error) for error in errors[start : start + _ROWS_PER_STATEMENT_MAX]],
        )


async def count_errors(connection: AsyncConnection, run_id: int, restart_no: int) -> int:
    """Errors stored for the present reading of a run."""
    result = await connection.execute(
        select(func.count()).select_from(sync_errors).where(_E.sync_run_id == run_id, _E.restart_no == restart_no)
    )
    return int(result.scalar_one())


async def list_errors(
    connection: AsyncConnection, run_id: int, *, before_id: int | None = None, limit: int
) -> list[ErrorRow]:
    """At most `limit` errors of a run, newest first, with ids below `before_id`."""
    query = select(sync_errors).where(_E.sync_run_id == run_id).order_by(_E.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(_E.id < before_id)
    return [_error(row) for row in await connection.execute(query)]


def _values(run_id: int, restart_no: int, error: ErrorRow) -> dict[str, Any]:
    place = [f"line {error.line}"] if error.line is not None else []
    place += [f"byte {error.byte_offset}"] if error.byte_offset is not None else []
    place += [f"column {error.column}"] if error.column else []
    item = {"line": error.line, "byte_offset": error.byte_offset, "column": error.column, "raw": error.raw}
    return {
        "sync_run_id": run_id,
        "restart_no": restart_no,
        "error_type": error.error_type,
        "error_code": error.error_code[:50],
        "error_message": error.message,
        "error_details": ", ".join(place)[:1000] or None,
        "item_identifier": None if error.line is None else f"line {error.line}",
        "item_data": None if error.raw is None else item,
        "is_retryable": error.retryable,
        "batch_no": error.batch_no,
        "line_no": error.line,
        "byte_offset": error.byte_offset,
        "column_name": error.column[:255] if error.column else None,
    }


def _error(row: Row[Any]) -> ErrorRow:
    item = row.item_data if isinstance(row.item_data, dict) else {}
    raw = item.get("raw")
    return ErrorRow(
        error_type=row.error_type,
        error_code=row.error_code or "",
        message=row.error_message,
        retryable=bool(row.is_retryable),
        line=row.line_no,
        byte_offset=row.byte_offset,
        column=row.column_name,
        raw=raw if isinstance(raw, str) else None,
        batch_no=row.batch_no,
        id=row.id,
        created_at=row.created_at,
    )
