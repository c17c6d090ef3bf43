"""The two working tables of one batch.

    sync_staging   the batch as text, in the target's own column types and collations
    sync_changes   those of its rows that the target lacks, or has otherwise; see differences.py

Both are temporary, so they belong to one connection and vanish with it; they are made anew for each batch, because
emptying one costs more than making one and TRUNCATE would commit. CREATE ... AS SELECT takes types and collations from
the target as it really is, which in an adopted database may differ from ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import polars as pl
from sqlalchemy import Integer, Table, TableClause, column, delete, table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.damage import UnlistedDamageError, damaged_rows
from db.loaders.insert_text import row_bytes_max, row_texts, runs, statement_bytes_max, text_bytes
from db.loaders.local_infile import load_local
from db.loaders.refusals import Refusal, TargetRefusedError, refusal_of, too_large
from db.records import LoadSpec
from db.server_facts import ServerFacts, server_facts

STAGING_NAME: Final = "sync_staging"
CHANGES_NAME: Final = "sync_changes"
# Of one INSERT, so that the server can list each row that it damages.
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

_Put = Callable[[AsyncConnection, str, pl.DataFrame], Awaitable[object]]


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


@dataclass(frozen=True, slots=True)
class Staged:
    """What became of rows, by index, that are not in the staging table.

    Args:
        damaged: rows that the target's columns cannot hold as they are, with the column at fault (empty when unknown).
        refused: rows that the server does not take at all.
    """

    damaged: dict[int, str]
    refused: dict[int, Refusal]


async def fill_staging(
    connection: AsyncConnection, target: Table, spec: LoadSpec, rows: pl.DataFrame, statements_max: int
) -> Staged:
    """Make both tables and put `rows` into sync_staging; row_no is the index in `rows`.

    Args:
        statements_max: statements at most that find out which rows the server does not take.

    Raises:
        DatabaseError: by way of the connection's context; TargetRefusedError when those statements were not enough.
    """
    names = [*spec.columns, "column_marks", "row_hash"]
    await drop_staging(connection)
    await _make_tables(connection, target, names)
    numbered = rows.select(*names, pl.int_range(pl.len(), dtype=pl.Int64).alias("row_no"))
    if connection.dialect.name == "sqlite":
        await _insert_on_sqlite(connection, numbered)
        return Staged({}, {})
    facts = await server_facts(connection)
    numbered, refused = _without_too_large(numbered, facts)
    put, parts = (load_local, [numbered]) if facts.takes_local_infile else (_insert, _parts(numbered, facts))
    staged = Staged({}, refused)
    # From the last to the first, so that taken from the end they go in as they stand in the batch.
    parts.reverse()
    tries_left = statements_max + len(parts)
    while parts:
        if not tries_left:
            raise TargetRefusedError(
                f"the server refuses so many rows of one batch of {spec.table} that {statements_max} statements do not "
                "tell them apart; nothing of the batch was written",
                "look at what the server refuses in earlier errors of the run; then sync again",
            )
        tries_left -= 1
        part = parts.pop()
        if part.is_empty() or await _is_put(connection, put, part, staged):
            continue
        await _unstage(connection, part["row_no"].to_list())
        half = part.height // 2
        parts += [part.slice(half), part.head(half)]
    await _unstage(connection, [*staged.damaged, *staged.refused])
    return staged


async def _is_put(connection: AsyncConnection, put: _Put, part: pl.DataFrame, staged: Staged) -> bool:
    """Put rows into sync_staging and note those at fault; False when more than one is there and it is not known which."""
    row_nos = part["row_no"]
    try:
        await put(connection, STAGING_NAME, part)
        staged.damaged.update({row_nos[index]: name for index, name in (await damaged_rows(connection)).items()})
    except UnlistedDamageError:
        if part.height > 1:
            return False
        staged.damaged[row_nos[0]] = ""
    except DBAPIError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        if part.height > 1:
            return False
        staged.refused[row_nos[0]] = refusal
    return True


def _without_too_large(rows: pl.DataFrame, facts: ServerFacts) -> tuple[pl.DataFrame, dict[int, Refusal]]:
    """Set rows aside that are longer than a packet.

    LOAD DATA LOCAL would take some of them. But the server compares no value that is longer (CAST makes it NULL), and no
    client could write or change such a row by a statement: it is the same row, and the same result either way.
    """
    bytes_max = row_bytes_max(facts.packet_bytes_max)
    plain = text_bytes(rows)
    if (plain <= bytes_max // 2).all():
        return rows, {}
    needed = plain if facts.takes_local_infile else rows.select(_texts(rows)).to_series().str.len_bytes()
    is_too_large = needed > bytes_max
    refused = {
        row_no: too_large(size_bytes, facts.packet_bytes_max)
        for row_no, size_bytes in zip(rows["row_no"].filter(is_too_large), plain.filter(is_too_large), strict=True)
    }
    return rows.filter(~is_too_large), refused


def _parts(rows: pl.DataFrame, facts: ServerFacts) -> list[pl.DataFrame]:
    """Rows as they go into one INSERT each."""
    texts = rows.select(_texts(rows)).to_series()
    parts = [rows[start:end] for start, end in runs(texts, statement_bytes_max(facts.packet_bytes_max))]
    return [part[start : start + _ROWS_MAX] for part in parts for start in range(0, part.height, _ROWS_MAX)]


def _texts(rows: pl.DataFrame) -> pl.Expr:
    names = rows.columns
    return row_texts(names[:-2], names[-2:])


async def _make_tables(connection: AsyncConnection, target: Table, names: list[str]) -> None:
    quote = connection.dialect.identifier_preparer.quote
    # By an outer join each column may be NULL: whether the target's may is for the target to say, or for its triggers.
    source = f"(SELECT 0 AS row_no) AS numbered LEFT JOIN {quote(target.name)} ON 1 = 0"
    listed = ", ".join([*(quote(name) for name in names), "row_no"])
    added = ", ".join(f"{expression} AS {name}" for name, expression in _CHANGE_COLUMNS.items())
    # Some servers refuse tables without a primary key, temporary ones too. SQLite knows no such clause before AS.
    key = "" if connection.dialect.name == "sqlite" else f"(PRIMARY KEY (row_no)) {await _staging_engine(connection)}"
    for name, selected in ((STAGING_NAME, listed), (CHANGES_NAME, f"{listed}, {added}")):
        await connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {name} {key} AS SELECT {selected} FROM {source} LIMIT 0"
        )


async def _unstage(connection: AsyncConnection, row_nos: list[int]) -> None:
    """Take rows out of sync_staging."""
    staged = table(STAGING_NAME, column("row_no", Integer()))
    for start in range(0, len(row_nos), _ROW_NOS_MAX):
        await connection.execute(delete(staged).where(staged.c["row_no"].in_(row_nos[start : start + _ROW_NOS_MAX])))


async def index_changes(connection: AsyncConnection) -> None:
    """Let rows of sync_changes be found by their row_no, as on other databases they are by their key anyway."""
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql(
            f"CREATE INDEX IF NOT EXISTS temp.{CHANGES_NAME}_row_no ON {CHANGES_NAME} (row_no)"
        )


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
    head = f"INSERT IGNORE INTO {name} ({', '.join(quote(column) for column in rows.columns)}) VALUES "
    statement = head + ",".join(rows.select(_texts(rows)).to_series().to_list())
    await connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


async def _insert_on_sqlite(connection: AsyncConnection, rows: pl.DataFrame) -> None:
    quote = connection.dialect.identifier_preparer.quote
    await connection.exec_driver_sql(
        f"INSERT INTO {STAGING_NAME} ({', '.join(quote(column) for column in rows.columns)}) "
        f"VALUES ({', '.join(['?'] * rows.width)})",
        rows.rows(),
    )
