"""The two working tables of one batch.

    sync_staging   the batch as text, in the target's own column types and collations
    sync_changes   those of its rows that the target lacks, or has otherwise; see differences.py

Both are temporary, so they belong to one connection and vanish with it; they are made anew for each batch, because
emptying one costs more than making one and TRUNCATE would commit. CREATE ... AS SELECT takes types and collations from
the target as it really is, which in an adopted database may differ from ours.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl
from sqlalchemy import Integer, Table, TableClause, column, delete, table
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.local_infile import damaged_rows, load_local
from db.records import LoadSpec

STAGING_NAME: Final = "sync_staging"
CHANGES_NAME: Final = "sync_changes"
# Far below max_allowed_packet (16 MB at the least) for rows of the usual size.
_ROWS_PER_STATEMENT_MAX: Final = 500
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
    quote = connection.dialect.identifier_preparer.quote
    names = [*spec.columns, "row_hash", "column_marks"]
    listed = ", ".join([*(quote(name) for name in names), "id AS row_no"])
    added = ", ".join(f"{expression} AS {name}" for name, expression in _CHANGE_COLUMNS.items())
    engine = await _staging_engine(connection)
    await drop_staging(connection)
    for name, selected in ((STAGING_NAME, listed), (CHANGES_NAME, f"{listed}, {added}")):
        await connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {name} {engine} AS SELECT {selected} FROM {quote(target.name)} LIMIT 0"
        )
    numbered = rows.select(*names, pl.int_range(pl.len(), dtype=pl.Int64).alias("row_no"))
    if await _takes_local_infile(connection):
        damaged = await load_local(connection, STAGING_NAME, numbered.columns, numbered)
    else:
        damaged = await _insert(connection, numbered.columns, numbered.rows())
    if damaged:
        staged = table(STAGING_NAME, column("row_no", Integer()))
        await connection.execute(delete(staged).where(staged.c["row_no"].in_(list(damaged))))
    return damaged


async def drop_staging(connection: AsyncConnection) -> None:
    """Remove both tables, so that a connection that goes back to the pool keeps no batch in memory."""
    prefix = "DROP TABLE IF EXISTS temp." if connection.dialect.name == "sqlite" else "DROP TEMPORARY TABLE IF EXISTS "
    for name in (STAGING_NAME, CHANGES_NAME):
        await connection.exec_driver_sql(f"{prefix}{name}")


async def local_infile_allowed(connection: AsyncConnection) -> bool:
    """Whether the server takes LOAD DATA LOCAL; true for SQLite, which has a fast path of its own."""
    return connection.dialect.name == "sqlite" or await _takes_local_infile(connection)


async def _takes_local_infile(connection: AsyncConnection) -> bool:
    """Whether the server allows LOAD DATA LOCAL; asked once per connection."""
    if connection.dialect.name == "sqlite":
        return False
    raw = await connection.get_raw_connection()
    info = raw.info
    if "local_infile" not in info:
        info["local_infile"] = bool((await connection.exec_driver_sql("SELECT @@local_infile")).scalar_one())
    return bool(info["local_infile"])


async def _staging_engine(connection: AsyncConnection) -> str:
    """The engine clause of the working tables; asked once per connection.

    Nothing in them has to survive a crash or a rollback, so on MariaDB they are Aria, into which a load takes two thirds
    of the time that InnoDB takes (`scripts/bench load`).
    """
    if not getattr(connection.dialect, "is_mariadb", False):
        return ""
    raw = await connection.get_raw_connection()
    info = raw.info
    if "staging_engine" not in info:
        found = await connection.exec_driver_sql(
            "SELECT COUNT(*) FROM information_schema.ENGINES WHERE ENGINE = 'Aria' AND SUPPORT IN ('YES', 'DEFAULT')"
        )
        info["staging_engine"] = "ENGINE=Aria" if found.scalar_one() else ""
    return str(info["staging_engine"])


async def _insert(connection: AsyncConnection, names: list[str], values: list[Any]) -> dict[int, str]:
    """Insert row by row in one statement after another; answer the damaged rows as `load_local` does."""
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    if connection.dialect.name == "sqlite":
        marks = ", ".join(["?"] * len(names))
        await connection.exec_driver_sql(f"INSERT INTO {STAGING_NAME} ({columns}) VALUES ({marks})", values)
        return {}
    damaged: dict[int, str] = {}
    marks = f"({', '.join(['%s'] * len(names))})"
    for start in range(0, len(values), _ROWS_PER_STATEMENT_MAX):
        rows = values[start : start + _ROWS_PER_STATEMENT_MAX]
        # IGNORE, as LOAD DATA LOCAL has it: a bad row is then named by a warning and does not refuse the good ones.
        await connection.exec_driver_sql(
            f"INSERT IGNORE INTO {STAGING_NAME} ({columns}) VALUES {', '.join([marks] * len(rows))}",
            tuple(value for row in rows for value in row),
        )
        damaged |= {start + index: name for index, name in (await damaged_rows(connection)).items()}
    return damaged
