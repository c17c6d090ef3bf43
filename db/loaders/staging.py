"""The two working tables of one batch.

    sync_staging   the batch as text, in the target's own column types and collations
    sync_changes   those of its rows that the target lacks, or has otherwise; see differences.py

Both are temporary, so they belong to one connection and vanish with it; they are made anew for each batch, because
emptying one costs more than making one and TRUNCATE would commit. CREATE ... AS SELECT takes types and collations from
the target as it really is, which in an adopted database may differ from ours.
"""

from __future__ import annotations

from typing import Final

import polars as pl
from sqlalchemy import Integer, Table, TableClause, column, delete, table
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.damage import UnlistedDamage, damaged_rows
from db.loaders.local_infile import load_local
from db.records import LoadSpec
from db.server_facts import server_facts

STAGING_NAME: Final = "sync_staging"
CHANGES_NAME: Final = "sync_changes"
_ROWS_MAX: Final = 500
_ROW_NOS_MAX: Final = 10_000
# What sync_changes has beside the columns of sync_staging, with an expression over the target that gives the type.
_CHANGE_COLUMNS: Final = {
    "target_id": "NULLIF(id, id)",
    "differs": "0",
    "is_due": "0",
    "is_inexact": "0",
    "is_back": "0",
}


def staging_clause(target: Table, spec: LoadSpec) -> TableClause:
    """sync_staging as it appears in statements: the written columns, row_hash, column_marks and row_no."""
    return table(
        STAGING_NAME,
        *(column(name, target.c[name].type) for name in spec.columns),
        column("row_hash", target.c["row_hash"].type),
        column("column_marks", target.c["column_marks"].type),
        column("row_no", Integer()),
    )


def changes_clause(target: Table, spec: LoadSpec) -> TableClause:
    """sync_changes: as sync_staging, with the target row's id (NULL when there is none), and flags."""
    return table(
        CHANGES_NAME,
        *(column(name, target.c[name].type) for name in spec.columns),
        column("row_hash", target.c["row_hash"].type),
        column("column_marks", target.c["column_marks"].type),
        column("row_no", Integer()),
        column("target_id", Integer()),
        *(column(name, Integer()) for name in ("differs", "is_due", "is_inexact", "is_back")),
    )


async def fill_staging(
    connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame
) -> dict[int, str]:
    """Make both tables and put `rows` into sync_staging; row_no is the index in `rows`.

    Returns:
        Rows (by index) that the target's columns cannot hold as they are, with the column at fault. They are not in the
        staging table.

    Raises:
        DatabaseError: by way of the connection's context.
    """
    names = [*spec.columns, "row_hash", "column_marks"]
    await drop_staging(connection)
    await _make_tables(connection, target, names)
    numbered = rows.select(*names, pl.int_range(pl.len(), dtype=pl.Int64).alias("row_no"))
    if connection.dialect.name == "sqlite":
        await _insert_on_sqlite(connection, numbered)
        return {}
    put, rows_max = (load_local, numbered.height) if await local_infile_allowed(connection) else (_insert, _ROWS_MAX)
    damaged: dict[int, str] = {}
    parts = [numbered.slice(start, rows_max) for start in range(0, numbered.height, rows_max)]
    while parts:
        part = parts.pop()
        start = int(part["row_no"][0])
        await put(connection, STAGING_NAME, part)
        try:
            damaged |= {start + index: column for index, column in (await damaged_rows(connection)).items()}
        except UnlistedDamage:
            if part.height == 1:
                damaged[start] = ""
                continue
            await _unstage(connection, part["row_no"].to_list())
            half = part.height // 2
            parts += [part.head(half), part.slice(half)]
    await _unstage(connection, list(damaged))
    return damaged


async def _make_tables(connection: AsyncConnection, target: Table, names: list[str]) -> None:
    quote = connection.dialect.identifier_preparer.quote
    listed = ", ".join([*(quote(name) for name in names), "id AS row_no"])
    added = ", ".join(f"{expression} AS {name}" for name, expression in _CHANGE_COLUMNS.items())
    # Some servers refuse tables without a primary key, temporary ones too. SQLite knows no such clause before AS.
    key = "" if connection.dialect.name == "sqlite" else f"(PRIMARY KEY (row_no)) {await _staging_engine(connection)}"
    for name, selected in ((STAGING_NAME, listed), (CHANGES_NAME, f"{listed}, {added}")):
        await connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {name} {key} AS SELECT {selected} FROM {quote(target.name)} LIMIT 0"
        )


async def _unstage(connection: AsyncConnection, row_nos: list[int]) -> None:
    """Take rows out of sync_staging."""
    staged = table(STAGING_NAME, column("row_no", Integer()))
    for start in range(0, len(row_nos), _ROW_NOS_MAX):
        await connection.execute(delete(staged).where(staged.c["row_no"].in_(row_nos[start : start + _ROW_NOS_MAX])))


async def drop_staging(connection: AsyncConnection) -> None:
    """Remove both tables, so that a connection that goes back to the pool keeps no batch in memory."""
    prefix = "DROP TABLE IF EXISTS temp." if connection.dialect.name == "sqlite" else "DROP TEMPORARY TABLE IF EXISTS "
    for name in (STAGING_NAME, CHANGES_NAME):
        await connection.exec_driver_sql(f"{prefix}{name}")


async def local_infile_allowed(connection: AsyncConnection) -> bool:
    """Whether the server takes LOAD DATA LOCAL; true for SQLite, which has a fast path of its own."""
    return connection.dialect.name == "sqlite" or (await server_facts(connection)).takes_local_infile


async def _staging_engine(connection: AsyncConnection) -> str:
    """The engine clause of the working tables.

    Nothing in them has to survive a crash or a rollback, so on MariaDB they are Aria, into which a load takes two thirds
    of the time that InnoDB takes (`scripts/bench load`).
    """
    return "ENGINE=Aria" if (await server_facts(connection)).has_aria else ""


async def _insert(connection: AsyncConnection, name: str, rows: pl.DataFrame) -> None:
    """Insert rows as LOAD DATA LOCAL does: a bad row is named by a warning and does not refuse the good ones."""
    quote = connection.dialect.identifier_preparer.quote
    marks = f"({', '.join(['%s'] * rows.width)})"
    await connection.exec_driver_sql(
        f"INSERT IGNORE INTO {name} ({', '.join(quote(column) for column in rows.columns)}) "
        f"VALUES {', '.join([marks] * rows.height)}",
        tuple(value for row in rows.iter_rows() for value in row),
    )


async def _insert_on_sqlite(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    quote = connection.dialect.identifier_preparer.quote
    await connection.exec_driver_sql(
        f"INSERT INTO {STAGING_NAME} ({', '.join(quote(column) for column in rows.columns)}) "
        f"VALUES ({', '.join(['?'] * rows.width)})",
        rows.rows(),
    )
