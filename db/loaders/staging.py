"""The staging table of one batch: rows as text, in the target's own column types and collations.

It is temporary, so it belongs to one connection and vanishes with it; it is made anew for each batch, because emptying
one costs more than making one and TRUNCATE would commit. CREATE ... AS SELECT takes types and collations from the
target as it really is, which in an adopted database may differ from ours.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl
from sqlalchemy import Integer, Table, TableClause, column, delete, table
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.local_infile import damaged_rows, load_local
from db.records import LoadSpec

STAGING_NAME: Final = "sync_staging"
# Far below max_allowed_packet (16 MB at the least) for rows of the usual size.
_ROWS_PER_STATEMENT_MAX: Final = 500


def staging_clause(target: Table, spec: LoadSpec) -> TableClause:
    """The staging table as it appears in statements: the written columns, row_hash, row_no and target_id (NULL until it is looked up)."""
    return table(
        STAGING_NAME,
        *(column(name, target.c[name].type) for name in spec.columns),
        column("row_hash", target.c["row_hash"].type),
        column("row_no", Integer()),
        column("target_id", Integer()),
    )


async def fill_staging(
    connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame
) -> dict[int, str]:
    """Make the staging table and put `rows` into it; row_no is the index in `rows`.

    Returns:
        Rows (by index) that the target's columns cannot hold as they are, with the column at fault. They are not in the
        staging table.

    Raises:
        DatabaseError: by way of the connection's context.
    """
    quote = connection.dialect.identifier_preparer.quote
    names = [*spec.columns, "row_hash"]
    listed = ", ".join(quote(name) for name in names)
    temporary = "TEMPORARY" if connection.dialect.name != "sqlite" else "TEMP"
    drop = "DROP TEMPORARY TABLE IF EXISTS" if temporary == "TEMPORARY" else "DROP TABLE IF EXISTS temp."
    await connection.exec_driver_sql(f"{drop} {STAGING_NAME}".replace(". ", "."))
    await connection.exec_driver_sql(
        f"CREATE {temporary} TABLE {STAGING_NAME} AS "
        f"SELECT {listed}, id AS row_no, NULLIF(id, id) AS target_id FROM {quote(target.name)} LIMIT 0"
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


async def _takes_local_infile(connection: AsyncConnection) -> bool:
    """Whether the server allows LOAD DATA LOCAL; asked once per connection."""
    if connection.dialect.name == "sqlite":
        return False
    raw = await connection.get_raw_connection()
    info = raw.info
    if "local_infile" not in info:
        info["local_infile"] = bool((await connection.exec_driver_sql("SELECT @@local_infile")).scalar_one())
    return bool(info["local_infile"])


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
