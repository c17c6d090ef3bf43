"""sync_errors: rejected rows and what ended a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.records import ErrorRow
from db.schema import sync_errors
from db.server_facts import server_facts

_E = sync_errors.c
_ROWS_PER_STATEMENT_MAX: Final = 500
# Of a packet, beside the values; and of an error, beside its texts.
_PACKET_HEAD_BYTES: Final = 8 * 1024
_ERROR_BYTES: Final = 2 * 1024


async def insert_errors(connection: AsyncConnection, run_id: int, restart_no: int, errors: Sequence[ErrorRow]) -> None:
    """Store errors of a run, in the transaction of the batch that found them.

    A raw text that is too long for a packet of the server is stored from its beginning, as far as it fits.
    """
    if not errors:
        return
    is_mysql = connection.dialect.name != "sqlite"
    bytes_max = (await server_facts(connection)).packet_bytes_max - _PACKET_HEAD_BYTES if is_mysql else None
    for group in _groups(errors, bytes_max):
        await connection.execute(insert(sync_errors), [_values(run_id, restart_no, error) for error in group])


def _groups(errors: Sequence[ErrorRow], bytes_max: int | None) -> Iterator[list[ErrorRow]]:
    """The errors that one statement takes each."""
    group: list[ErrorRow] = []
    group_bytes = 0
    for given in errors:
        error, size_bytes = _fitting(given, bytes_max)
        is_full = bytes_max is not None and group_bytes + size_bytes > bytes_max
        if group and (is_full or len(group) == _ROWS_PER_STATEMENT_MAX):
            yield group
            group, group_bytes = [], 0
        group.append(error)
        group_bytes += size_bytes
    yield group


def _fitting(error: ErrorRow, bytes_max: int | None) -> tuple[ErrorRow, int]:
    """The error with as much of its raw text as fits, and its bytes within a statement at most."""
    while True:
        size_bytes = _ERROR_BYTES + _literal_bytes(error.message) + _literal_bytes(json.dumps(error.raw))
        if bytes_max is None or size_bytes <= bytes_max or not error.raw:
            return error, size_bytes
        error = replace(error, raw=error.raw[: len(error.raw) // 2])


def _literal_bytes(text: str) -> int:
    """The bytes of a text as SQL literal: the driver puts a backslash before some characters."""
    return len(text.encode("utf-8", "replace")) + sum(text.count(mark) for mark in "\\\"'\n\r\0\x1a")


async def count_errors(connection: AsyncConnection, run_id: int, restart_no: int) -> int:
    """Errors stored for the present reading of a run."""
    result = await connection.execute(
        select(func.count()).select_from(sync_errors).where(_E.sync_run_id == run_id, _E.restart_no == restart_no)
    )
    return int(result.scalar_one())


async def first_message(connection: AsyncConnection, run_id: int, restart_no: int, code: str, line: int) -> str | None:
    """What was said of the first error with this code on this line; None when it was not stored.

    No more rows are looked at than a run stores of its errors.
    """
    query = (
        select(_E.error_message)
        .where(_E.sync_run_id == run_id, _E.restart_no == restart_no, _E.error_code == code[:50], _E.line_no == line)
        .order_by(_E.id)
        .limit(1)
    )
    return (await connection.execute(query)).scalar_one_or_none()


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
