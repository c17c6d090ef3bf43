"""Looks at the target's real columns for what would refuse every row alike, before the first row is written.

    a column that must have a value, has no default, and is not one that the service fills
    a generated column where the service writes

A BEFORE INSERT trigger may fill the first kind on MySQL and MariaDB. Such a column is a fault for certain only where the
user may see triggers and there is none; elsewhere the first rows tell (sparing.py), with the same words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.refusals import TargetRefusedError
from db.records import LoadSpec

# What a load fills on its own account, and what it fills when it updates.
_OURS: Final = ("row_hash", "column_marks", "created_at", "updated_at")
_BY_UPDATES: Final = ("deactivated_by_run",)

# Aliases, because the servers spell the names of these columns differently.
_COLUMNS_SQL: Final = text(
    "SELECT COLUMN_NAME AS name, COLUMN_TYPE AS type, DATA_TYPE AS base_type, COLUMN_KEY AS part_of, "
    "IS_NULLABLE AS nullable, COLUMN_DEFAULT AS standard, EXTRA AS extra, GENERATION_EXPRESSION AS expression "
    "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :name ORDER BY ORDINAL_POSITION"
)
_TRIGGERS_SQL: Final = text(
    "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() "
    "AND EVENT_OBJECT_TABLE = :name AND ACTION_TIMING = 'BEFORE' AND EVENT_MANIPULATION = 'INSERT'"
)
_ME: Final = (
    "PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', "
    "SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')"
)
_SEES_TRIGGERS_SQL: Final = text(
    f"SELECT (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE {_ME}) + "
    f"(SELECT COUNT(*) FROM information_schema.SCHEMA_PRIVILEGES WHERE {_ME} AND DATABASE() LIKE TABLE_SCHEMA) + "
    f"(SELECT COUNT(*) FROM information_schema.TABLE_PRIVILEGES WHERE {_ME} AND TABLE_SCHEMA = DATABASE() "
    "AND TABLE_NAME = :name)"
)
_NAMES_SQL: Final = text(
    "SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() "
    "AND EVENT_OBJECT_TABLE = :name AND EVENT_MANIPULATION = :event ORDER BY ACTION_TIMING, ACTION_ORDER"
)
_NAMES_SQLITE: Final = text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name ORDER BY name")
_LARGEST_SQL: Final = text(
    "SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :name "
    "AND COLUMN_NAME = 'id'"
)
_INTEGER_BITS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_BASE_TYPE: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class ColumnFault:
    """A column for whose sake the table refuses every new row.

    Args:
        is_certain: whether no trigger can fill it.
        error: what the run ends with.
    """

    column: str
    is_certain: bool
    error: TargetRefusedError


async def check_target(connection: AsyncConnection, spec: LoadSpec) -> tuple[ColumnFault, ...]:
    """Look at the columns; return those that only a trigger can fill, if there is one.

    Raises:
        TargetRefusedError: a column refuses every row.
        DatabaseError: by way of the connection's context.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    faults = await (_faults_on_sqlite if is_sqlite else _faults_on_mysql)(connection, spec)
    for fault in faults:
        if fault.is_certain:
            raise fault.error
    return tuple(faults)


async def trigger_names(connection: AsyncConnection, table: str, event: str) -> list[str]:
    """The table's triggers for `insert` or `update` that the user may see; on SQLite those for anything."""
    statement = _NAMES_SQLITE if connection.dialect.name == "sqlite" else _NAMES_SQL.bindparams(event=event.upper())
    return [str(row.name) for row in await connection.execute(statement, {"name": table})]


async def has_no_number_left(connection: AsyncConnection, table: str) -> bool:
    """Whether a row of the table (MySQL, MariaDB) has the highest id that there is."""
    kind = str((await connection.execute(_LARGEST_SQL, {"name": table})).scalar_one())
    base = _BASE_TYPE.match(kind)
    bits = _INTEGER_BITS.get(base[0] if base else "", 64)
    quote = connection.dialect.identifier_preparer.quote
    highest = (await connection.exec_driver_sql(f"SELECT MAX(id) FROM {quote(table)}")).scalar_one()
    return highest is not None and int(highest) >= 2 ** (bits - (0 if "unsigned" in kind else 1)) - 1


def no_number_left(table: str) -> TargetRefusedError:
    """What a run ends with when a new row can have no id."""
    return TargetRefusedError(
        f"{table}.id has no number left for a new row: its AUTO_INCREMENT is at the end of its type (or that of a table "
        "which a trigger fills)",
        f"ALTER TABLE {table} MODIFY id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, and what refers to it likewise; then "
        "sync again",
    )


async def _faults_on_mysql(connection: AsyncConnection, spec: LoadSpec) -> list[ColumnFault]:
    columns: Sequence[Any] = (await connection.execute(_COLUMNS_SQL, {"name": spec.table})).all()
    faults = _generated(spec, [column.name for column in columns if column.expression])
    unfilled = [
        column for column in columns
        if column.nullable == "NO" and column.standard is None and not column.expression
        # An ENUM without a default takes its first value.
        and column.base_type != "enum" and "auto_increment" not in column.extra.lower()
        and column.name not in _inserted(spec)
    ]  # fmt: skip
    if unfilled:
        is_certain = await _has_no_trigger(connection, spec.table)
        faults += [
            ColumnFault(column.name, is_certain, _unfilled(spec.table, column.name, _remedy(spec.table, column)))
            for column in unfilled
        ]
    return faults


async def _faults_on_sqlite(connection: AsyncConnection, spec: LoadSpec) -> list[ColumnFault]:
    quote = connection.dialect.identifier_preparer.quote
    columns = (await connection.exec_driver_sql(f"PRAGMA table_xinfo({quote(spec.table)})")).all()
    faults = _generated(spec, [column.name for column in columns if column.hidden in (2, 3)])
    for column in columns:
        is_given = column.pk or column.hidden or column.name in _inserted(spec)
        if column.notnull and column.dflt_value is None and not is_given:
            remedy = f"make {spec.table} anew with a default for {column.name}, or let it be NULL; then sync again"
            faults.append(ColumnFault(column.name, True, _unfilled(spec.table, column.name, remedy)))
    return faults


def _inserted(spec: LoadSpec) -> frozenset[str]:
    return frozenset((*spec.columns, *spec.constants, *_OURS, spec.synced_at_column or ""))


def _generated(spec: LoadSpec, names: Sequence[str]) -> list[ColumnFault]:
    written = {*_inserted(spec), *_BY_UPDATES, spec.availability_column}
    return [
        ColumnFault(
            name,
            True,
            TargetRefusedError(
                f"{spec.table}.{name} is a generated column, and the service has to write it",
                f"ALTER TABLE {spec.table} DROP COLUMN {name}, or give that column another name; then run "
                "`techaura-syncd migrate` and sync again",
            ),
        )
        for name in names
        if name in written
    ]


def _unfilled(table: str, column: str, remedy: str) -> TargetRefusedError:
    return TargetRefusedError(
        f"{table}.{column} must have a value (NOT NULL without a default), and the service does not fill it: the table "
        "refuses every new row",
        remedy,
    )


def _remedy(table: str, column: Any) -> str:
    if column.part_of == "PRI":
        return f"ALTER TABLE {table} MODIFY {column.name} {column.type} NOT NULL AUTO_INCREMENT; then sync again"
    return (
        f"ALTER TABLE {table} ALTER COLUMN {column.name} SET DEFAULT a value of yours, or ALTER TABLE {table} MODIFY "
        f"{column.name} {column.type} NULL; then sync again"
    )


async def _has_no_trigger(connection: AsyncConnection, table: str) -> bool:
    if int((await connection.execute(_TRIGGERS_SQL, {"name": table})).scalar_one()):
        return False
    return int((await connection.execute(_SEES_TRIGGERS_SQL, {"name": table})).scalar_one()) > 0
