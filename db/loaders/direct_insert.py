"""Inserts a batch straight into the target, when it is expected to be all new: no staging, no look-up.

Two ways, measured in `scripts/bench load`. Where the server gives AUTO_INCREMENT values out one by one
(innodb_autoinc_lock_mode = 2, MySQL's default) it is LOAD DATA LOCAL, which costs the server a fifth less than INSERT.
Where it does not (1, MariaDB's default), INSERT ... SELECT and LOAD DATA hold the table's AUTO_INCREMENT lock to their end
and two loaders would queue, so it is a multi-row INSERT, which holds it for a moment only.

Any error of the data, any refusal of a row and any warning undo the whole attempt, and the caller goes the staged way,
which tells the rows at fault apart. A warning is all that LOAD DATA LOCAL gives where it has cut a value or left a row out.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import polars as pl
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.damage import UnlistedDamageError, damaged_rows
from db.loaders.insert_text import (
    escaped_text,
    row_bytes_max,
    row_texts,
    runs,
    sizes,
    statement_bytes_max,
    text_bytes,
)
from db.loaders.local_infile import load_local
from db.loaders.refusals import raise_if_ended, refusal_of
from db.loaders.target_check import check_target
from db.records import LoadSpec
from db.savepoints import Savepoint
from db.server_facts import server_facts

_SAVEPOINT: Final = "sync_direct"
# Columns of ours that come with the rows.
_OURS: Final = ("column_marks", "row_hash")
# Rows that stand in memory as SQL at once.
_ROWS_PER_SLICE: Final = 8192


class _NotCleanError(Exception):
    """The batch cannot go in this way: a warning, a row that is too long for a statement or that a trigger left out."""


async def insert_directly(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame) -> bool:
    """Insert every row, or none; False when some row could not be inserted as it is (its key is there, say).

    Raises:
        DatabaseError: by way of the connection's context, for a fault that is not one of the data.
        TargetRefusedError: a trigger has ended the whole transaction.
        TransientDatabaseError: the server has.
    """
    attempt = Savepoint(connection, _SAVEPOINT)
    await attempt.begin()
    try:
        if connection.dialect.name == "sqlite":
            await _insert_on_sqlite(connection, target, spec, rows)
        else:
            await _insert_on_mysql(connection, target, spec, rows)
    except (UnlistedDamageError, _NotCleanError):
        await attempt.undo()
        return False
    except DBAPIError as error:
        if refusal_of(error) is None:
            raise
        await raise_if_ended(connection, target.name)
        await attempt.undo()
        return False
    await attempt.release()
    return True


async def _insert_on_mysql(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame) -> None:
    facts = await server_facts(connection)
    if facts.takes_local_infile and facts.interleaves_ids:
        await _load(connection, target, spec, rows, row_bytes_max(facts.packet_bytes_max))
        return
    head, values = _template(connection, target, spec)
    bytes_max = statement_bytes_max(facts.packet_bytes_max)
    for slice_ in rows.iter_slices(_ROWS_PER_SLICE):
        for statement in await asyncio.to_thread(_statements, head, slice_.select(values).to_series(), bytes_max):
            await connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
            if await damaged_rows(connection):
                raise _NotCleanError


async def _load(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame, bytes_max: int) -> None:
    loaded = rows.select(*spec.columns, *_OURS)
    if (text_bytes(loaded) > bytes_max).any():
        raise _NotCleanError
    fixed = {name: escaped_text(value) for name, value in spec.constants.items()} | _fixed_columns(spec)
    stored = await load_local(connection, target.name, loaded, fixed)
    if await damaged_rows(connection) or stored != rows.height:
        raise _NotCleanError
    # Of a NOT NULL column that nobody fills LOCAL makes an empty text or a zero, without a warning even. Looked at now,
    # since from the load to the end of the transaction nobody can add one.
    if await check_target(connection, spec):
        raise _NotCleanError


async def _insert_on_sqlite(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame) -> None:
    fixed = _fixed_columns(spec)
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in (*spec.columns, *_OURS, *spec.constants, *fixed))
    given = ["?"] * (len(spec.columns) + len(_OURS) + len(spec.constants))
    values: list[Any] = rows.select(
        *spec.columns, *_OURS, *(pl.lit(value).alias(name) for name, value in spec.constants.items())
    ).rows()
    result = await connection.exec_driver_sql(
        f"INSERT INTO {quote(target.name)} ({columns}) VALUES ({', '.join([*given, *fixed.values()])})", values
    )
    if result.rowcount < rows.height:
        raise _NotCleanError


def _fixed_columns(spec: LoadSpec) -> dict[str, str]:
    names = ["created_at", "updated_at", *([spec.synced_at_column] if spec.synced_at_column else [])]
    return dict.fromkeys(names, "CURRENT_TIMESTAMP")


def _template(connection: AsyncConnection, target: Table, spec: LoadSpec) -> tuple[str, pl.Expr]:
    """What every statement begins with, and a row as the text of its values."""
    quote = connection.dialect.identifier_preparer.quote
    fixed = _fixed_columns(spec)
    *texts, number = [*spec.columns, *_OURS]
    columns = ", ".join(quote(name) for name in (*spec.columns, *_OURS, *spec.constants, *fixed))
    tail = ",".join([*(escaped_text(value) for value in spec.constants.values()), *fixed.values()])
    return f"INSERT INTO {quote(target.name)} ({columns}) VALUES ", row_texts(texts, [number], tail)


def _statements(head: str, texts: pl.Series, bytes_max: int) -> list[str]:
    """Rows as INSERT statements of limited length.

    Raises:
        _NotCleanError: one row alone is too long for a statement.
    """
    if sizes(texts).max() > bytes_max:
        raise _NotCleanError
    return [head + ",".join(texts[start:end].to_list()) for start, end in runs(texts, bytes_max)]
