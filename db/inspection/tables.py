"""The actual tables: those that another program created may lack what the service needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Row, Table, UniqueConstraint, bindparam, select, text

from db.engine import Database
from db.errors import RefusedDatabaseError
from db.inspection.findings import Finding
from db.schema import TARGET_TABLES, metadata

_NAMES: Final = {"names": [table.name for table in TARGET_TABLES]}
_TABLES: Final = text(
    "SELECT TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine FROM information_schema.TABLES "
    "WHERE TABLE_SCHEMA = DATABASE()"
)
_COLUMNS: Final = text(
    "SELECT TABLE_NAME AS name, COLUMN_NAME AS column_name, CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation_name "
    "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN :names "
    "AND CHARACTER_SET_NAME IS NOT NULL"
).bindparams(bindparam("names", expanding=True))
_UNIQUE: Final = text(
    "SELECT TABLE_NAME AS name, INDEX_NAME AS index_name, COLUMN_NAME AS column_name, SUB_PART AS prefix "
    "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND NON_UNIQUE = 0 "
    "AND TABLE_NAME IN :names"
).bindparams(bindparam("names", expanding=True))


async def table_findings(database: Database) -> list[Finding]:
    """A finding for each table that is not as the service needs it. What is not there yet is not looked at.

    Raises:
        DatabaseError: the server cannot be asked.
    """
    async with database.read() as connection:
        tables = {str(row.name): row for row in await connection.execute(_TABLES)}
        columns = (await connection.execute(_COLUMNS, _NAMES)).all()
        unique = (await connection.execute(_UNIQUE, _NAMES)).all()
    findings = []
    for name in metadata.tables:
        row = tables.get(name)
        if row is not None and str(row.type) != "BASE TABLE":
            findings.append(_view(name))
        elif row is not None and str(row.engine).lower() != "innodb":
            findings.append(_engine(name, str(row.engine)))
    targets = [
        table for table in TARGET_TABLES if table.name in tables and str(tables[table.name].type) == "BASE TABLE"
    ]
    if any(_lacks_key(target, unique) for target in targets):
        unique = await _settled_unique(database, targets)
    findings += [_key(target.name, _key_of(target)) for target in targets if _lacks_key(target, unique)]
    narrow: dict[str, list[str]] = defaultdict(list)
    for row in columns:
        if row.charset != "utf8mb4" and row.column_name in metadata.tables[row.name].columns:
            narrow[row.name].append(f"{row.column_name} ({row.charset})")
    return findings + [_charset(name, names) for name, names in narrow.items()]


async def _settled_unique(database: Database, targets: list[Table]) -> Sequence[Row[Any]]:
    """The unique indexes, once whoever makes or changes the tables is done.

    While another replica makes a table, the information schema knows of the table and not yet of its indexes. A
    statement on the table itself waits for that.
    """
    for target in targets:
        # A missing right to read the table is reported with the privileges.
        with suppress(RefusedDatabaseError):
            async with database.read() as connection:
                await connection.execute(select(target.c["id"]).limit(0))
    async with database.read() as connection:
        return (await connection.execute(_UNIQUE, _NAMES)).all()


def _key_of(target: Table) -> list[str]:
    return next(c for c in target.constraints if isinstance(c, UniqueConstraint)).columns.keys()


def _lacks_key(target: Table, unique: Sequence[Row[Any]]) -> bool:
    """Whether no unique index has just the columns of a target's key."""
    indexes: dict[str, set[str]] = defaultdict(set)
    for row in unique:
        if row.name == target.name:
            # A prefix tells keys apart by their beginnings only.
            indexes[row.index_name].add(f"{row.column_name}{row.prefix or ''}".lower())
    return set(_key_of(target)) not in indexes.values()


def _view(name: str) -> Finding:
    return Finding("refuses", "table", f"{name} is a view", f"RENAME TABLE {name} TO another_name; then start again")


def _engine(name: str, engine: str) -> Finding:
    return Finding(
        "refuses",
        "table",
        f"{name} has the engine {engine}, which has no transactions: half a batch could stay",
        f"ALTER TABLE {name} ENGINE = InnoDB",
    )


def _key(name: str, columns: list[str]) -> Finding:
    listed = ", ".join(columns)
    return Finding(
        "refuses",
        "key",
        f"{name} has no unique key on ({listed}), by which a row is found again",
        f"ALTER TABLE {name} ADD UNIQUE ({listed})",
    )


def _charset(name: str, columns: list[str]) -> Finding:
    return Finding(
        "limits",
        "character set",
        f"{name} holds not every character in {', '.join(columns)}: rows with others are rejected",
        f"ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4",
    )
