"""sync_errors: rejected rows and what ended a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import exact_text, matches
from db.records import EVERY_ERROR, CountedReading, ErrorFilter, ErrorRow
from db.schema import sync_errors
from db.server_facts import server_facts

_E = sync_errors.c
_ROWS_PER_STATEMENT_MAX: Final = 500
# Of a packet, beside the values; and of an error, beside its texts.
_PACKET_HEAD_BYTES: Final = 8 * 1024
_ERROR_BYTES: Final = 2 * 1024
# As much as their columns hold.
_CODE_CHARS_MAX: Final = 50
_COLUMN_CHARS_MAX: Final = 255


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
        .where(
            _E.sync_run_id == run_id,
            _E.restart_no == restart_no,
            _E.error_code == code[:_CODE_CHARS_MAX],
            _E.line_no == line,
        )
        .order_by(_E.id)
        .limit(1)
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def list_errors(
    connection: AsyncConnection,
    run_id: int,
    *,
    before_id: int | None = None,
    limit: int,
    chosen: ErrorFilter = EVERY_ERROR,
) -> list[ErrorRow]:
    """At most `limit` errors of a run, newest first, with ids below `before_id`.

    By reason they come from an index; by column alone, no more rows are looked at than a run stores of its errors.
    """
    order = (column.desc() for column in _order(chosen))
    query = _chosen(connection, select(_E.id), run_id, chosen).order_by(*order).limit(limit)
    if before_id is not None:
        query = query.where(_E.id < before_id)
    return await _read_errors(connection, query)


async def list_rejects(
    connection: AsyncConnection, run_id: int, reading: CountedReading, chosen: ErrorFilter, *, after_id: int, limit: int
) -> list[ErrorRow]:
    """At most `limit` rejects of a reading in the order of its source, with ids over `after_id`.

    They are stored in that order: batch after batch, and within a batch by line.
    """
    query = _chosen(connection, select(_E.id), run_id, chosen).where(*_is_reject_of(reading), _E.id > after_id)
    return await _read_errors(connection, query.order_by(*_order(chosen)).limit(limit))


async def _read_errors(connection: AsyncConnection, ids: Select[tuple[int]]) -> list[ErrorRow]:
    """The errors with these ids, in this order. Their texts are long: a server that sorts them runs out of memory for it."""
    wanted = list((await connection.execute(ids)).scalars())
    rows = await connection.execute(select(sync_errors).where(_E.id.in_(wanted)))
    found = {row.id: _error(row) for row in rows}
    return [found[error_id] for error_id in wanted if error_id in found]


async def count_rejects(connection: AsyncConnection, run_id: int, reading: CountedReading, *, without_code: str) -> int:
    """Rejects that are stored of a reading, without those of one code."""
    query = select(func.count()).select_from(sync_errors).where(_E.sync_run_id == run_id, *_is_reject_of(reading))
    return int((await connection.execute(query.where(_E.error_code != without_code))).scalar_one())


def _is_reject_of(reading: CountedReading) -> tuple[ColumnElement[bool], ...]:
    # What ended a run, and rows of the table that a mirror left switched on, belong to no batch.
    return _E.restart_no == reading.restart_no, _E.batch_no <= reading.last_batch_no


def _order(chosen: ErrorFilter) -> tuple[ColumnElement[Any], ...]:
    """By id: the whole index that is read, whose other columns have one value."""
    return (*((_E.error_code,) if chosen.reason else ()), _E.sync_run_id, _E.id)


def _chosen(connection: AsyncConnection, query: Select[Any], run_id: int, chosen: ErrorFilter) -> Select[Any]:
    is_sqlite = connection.dialect.name == "sqlite"
    # With `=` MariaDB walks the index from its end to the page that is asked for, which is linear in its depth.
    of_run = _E.sync_run_id == run_id if is_sqlite else and_(_E.sync_run_id >= run_id, _E.sync_run_id <= run_id)
    query = query.where(of_run)
    if chosen.reason:
        # The first for the index, the second for texts that a collation takes for the same.
        wanted = chosen.reason[:_CODE_CHARS_MAX]
        query = query.where(matches(connection, _E.error_code, wanted), _is(connection, _E.error_code, wanted))
    if chosen.column:
        query = query.where(_is(connection, _E.column_name, chosen.column[:_COLUMN_CHARS_MAX]))
    return query


def _is(connection: AsyncConnection, column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    return matches(connection, exact_text(column), wanted)


def _values(run_id: int, restart_no: int, error: ErrorRow) -> dict[str, Any]:
    place = [f"line {error.line}"] if error.line is not None else []
    place += [f"byte {error.byte_offset}"] if error.byte_offset is not None else []
    place += [f"column {error.column}"] if error.column else []
    item = {"line": error.line, "byte_offset": error.byte_offset, "column": error.column, "raw": error.raw}
    return {
        "sync_run_id": run_id,
        "restart_no": restart_no,
        "error_type": error.error_type,
        "error_code": error.error_code[:_CODE_CHARS_MAX],
        "error_message": error.message,
        "error_details": ", ".join(place)[:1000] or None,
        "item_identifier": None if error.line is None else f"line {error.line}",
        "item_data": None if error.raw is None else item,
        "is_retryable": error.retryable,
        "batch_no": error.batch_no,
        "line_no": error.line,
        "byte_offset": error.byte_offset,
        "column_name": error.column[:_COLUMN_CHARS_MAX] if error.column else None,
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
