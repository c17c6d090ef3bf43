"""The staging table of one batch: rows as text, in the target's own column types and collations.

It is temporary, so it belongs to one connection and vanishes with it; it is made anew for each batch, because emptying
one costs more than making one and TRUNCATE would commit. CREATE ... AS SELECT takes types and collations from the
target as it really is, which in an adopted database may differ from ours.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl
from sqlalchemy import Integer, Table, TableClause, column, table
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.local_infile import load_local
from db.records import LoadSpec

STAGING_NAME: Final = "sync_staging"


def staging_clause(target: Table, spec: LoadSpec) -> TableClause:
    """The staging table as it appears in statements: the written columns, row_hash, row_no and target_id (NULL until it is looked up)."""
    return table(
        STAGING_NAME,
        *(column(name, target.c[name].type) for name in spec.columns),
        column("row_hash", target.c["row_hash"].type),
        column("row_no", Integer()),
        column("target_id", Integer()),
    )


async def fill_staging(connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame) -> None:
    """Make the staging table and put `rows` into it; row_no is the index in `rows`.

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
        await load_local(connection, STAGING_NAME, numbered.columns, numbered)
    else:
        await _insert(connection, numbered.columns, numbered.rows())


async def _takes_local_infile(connection: AsyncConnection) -> bool:
    """Whether the server allows LOAD DATA LOCAL; asked once per connection."""
    if connection.dialect.name == "sqlite":
        return False
    raw = await connection.get_raw_connection()
    info = raw.info
    if "local_infile" not in info:
        info["local_infile"] = bool((await connection.exec_driver_sql("SELECT @@local_infile")).scalar_one())
    return bool(info["local_infile"])


async def _insert(connection: AsyncConnection, names: list[str], values: list[tuple[Any, ...]]) -> None:
    quote = connection.dialect.identifier_preparer.quote
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    columns = ", ".join(quote(name) for name in names)
    marks = ", ".join([mark] * len(names))
    # The space in `VALUES (` lets aiomysql send many rows in one statement (of at most about 1 MB).
    await connection.exec_driver_sql(f"INSERT INTO {STAGING_NAME} ({columns}) VALUES ({marks})", values)
