"""Inserts a batch straight into the target, when it is expected to be all new: no staging, no look-up.

On MySQL this is a multi-row INSERT and not LOAD DATA, for a reason that is measured in `scripts/bench load`: INSERT ...
SELECT and LOAD DATA hold the table's AUTO_INCREMENT lock to their end (innodb_autoinc_lock_mode = 1, MariaDB's default),
so two loaders would queue; an INSERT of known rows holds it for a moment only. It is also strict, where LOAD DATA LOCAL
is not: a value that does not fit is an error. Any error of the data undoes the whole attempt, and the caller goes the
staged way, which tells the rows at fault apart.

Values are escaped as the driver's own binding does it, but for a whole column at once: a backslash is doubled and a
quote written as two. That is complete under the session's pinned character set (utf8mb4, in which no other character
holds those bytes) and sql_mode (without NO_BACKSLASH_ESCAPES).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import numpy as np
import polars as pl
from sqlalchemy import Table
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.damage import UnlistedDamage, damaged_rows
from db.records import LoadSpec
from db.server_facts import server_facts

# A statement's text at the most, if the server takes as much.
_STATEMENT_BYTES_MAX: Final = 768 * 1024
# Of a packet, beside the text of the rows.
_PACKET_HEAD_BYTES: Final = 8 * 1024
# Columns of ours that come with the rows.
_OURS: Final = ("row_hash", "column_marks")
# Rows that stand in memory as SQL at once.
_ROWS_PER_SLICE: Final = 8192


class _NotClean(Exception):
    """The batch cannot go in this way: the server warned of a value, or a row is too long for a statement."""


async def insert_directly(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame) -> bool:
    """Insert every row, or none; False when some row could not be inserted as it is (its key is there, say).

    Raises:
        DatabaseError: by way of the connection's context, for a fault that is not one of the data.
    """
    attempt = await connection.begin_nested()
    try:
        if connection.dialect.name == "sqlite":
            await _insert_on_sqlite(connection, target, spec, rows)
        else:
            await _insert_on_mysql(connection, target, spec, rows)
    except (IntegrityError, DataError, UnlistedDamage, _NotClean):
        await attempt.rollback()
        return False
    await attempt.commit()
    return True


async def _insert_on_mysql(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame) -> None:
    head, values = _template(connection, target, spec)
    packet_bytes_max = (await server_facts(connection)).packet_bytes_max
    bytes_max = min(_STATEMENT_BYTES_MAX, packet_bytes_max - _PACKET_HEAD_BYTES)
    for slice_ in rows.iter_slices(_ROWS_PER_SLICE):
        for statement in await asyncio.to_thread(_statements, head, slice_.select(values).to_series(), bytes_max):
            # Without parameters the driver leaves the percent signs of the values alone.
            await connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
            if await damaged_rows(connection):
                raise _NotClean


async def _insert_on_sqlite(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame) -> None:
    fixed = _fixed_columns(spec)
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in (*spec.columns, *_OURS, *spec.constants, *fixed))
    given = ["?"] * (len(spec.columns) + len(_OURS) + len(spec.constants))
    values: list[Any] = rows.select(
        *spec.columns, *_OURS, *(pl.lit(value).alias(name) for name, value in spec.constants.items())
    ).rows()
    await connection.exec_driver_sql(
        f"INSERT INTO {quote(target.name)} ({columns}) VALUES ({', '.join([*given, *fixed.values()])})", values
    )


def _fixed_columns(spec: LoadSpec) -> dict[str, str]:
    names = ["created_at", "updated_at", *([spec.synced_at_column] if spec.synced_at_column else [])]
    return dict.fromkeys(names, "CURRENT_TIMESTAMP")


def _template(connection: AsyncConnection, target: Table, spec: LoadSpec) -> tuple[str, pl.Expr]:
    """What every statement begins with, and a row as the text of its values."""
    quote = connection.dialect.identifier_preparer.quote
    fixed = _fixed_columns(spec)
    columns = ", ".join(quote(name) for name in (*spec.columns, *_OURS, *spec.constants, *fixed))
    tail = ",".join([*(_escaped_text(value) for value in spec.constants.values()), *fixed.values()])
    parts: list[pl.Expr] = [pl.lit("(")]
    for name in spec.columns:
        parts += [_escaped(pl.col(name)), pl.lit(",")]
    parts += [pl.col("row_hash").cast(pl.String).fill_null("NULL"), pl.lit(",")]
    parts += [_escaped(pl.col("column_marks")), pl.lit(f",{tail})")]
    return f"INSERT INTO {quote(target.name)} ({columns}) VALUES ", pl.concat_str(parts)


def _statements(head: str, texts: pl.Series, bytes_max: int) -> list[str]:
    """Rows as INSERT statements of limited length.

    Raises:
        _NotClean: one row alone is too long for a statement.
    """
    sizes = texts.str.len_bytes().to_numpy().astype(np.int64) + 1
    if sizes.max() > bytes_max:
        raise _NotClean
    ends = np.cumsum(sizes)
    statements = []
    start = 0
    while start < len(texts):
        before = int(ends[start - 1]) if start else 0
        end = int(np.searchsorted(ends, before + bytes_max, side="right"))
        statements.append(head + ",".join(texts[start:end].to_list()))
        start = end
    return statements


def _escaped(value: pl.Expr) -> pl.Expr:
    doubled = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all("'", "''", literal=True)
    return pl.concat_str([pl.lit("'"), doubled, pl.lit("'")]).fill_null("NULL")


def _escaped_text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
