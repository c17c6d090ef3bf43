"""Compares a staged batch with the target in one pass, and keeps the rows that are not simply unchanged.

Each staged row is looked up in the target by its key, once. What the target has with the same values, and recently
synced, needs nothing and goes nowhere; the others go to sync_changes, with the target row's id and what is to be done.
So a file of which one row in a hundred changed costs one pass and then a hundredth of the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    String,
    Table,
    TableClause,
    and_,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import as_integer, minutes_before_now
from db.loaders.staging import changes_clause, staging_clause
from db.records import LoadSpec
from db.schema import metadata


@dataclass(frozen=True, slots=True)
class BatchTables:
    """The tables of one load and the comparisons between them, which its statements share."""

    connection: AsyncConnection
    spec: LoadSpec
    target: Table
    staging: TableClause
    changes: TableClause

    @classmethod
    def of(cls, connection: AsyncConnection, spec: LoadSpec) -> BatchTables:
        """The tables that a load with this spec works on."""
        target = metadata.tables[spec.table]
        return cls(connection, spec, target, staging_clause(target, spec), changes_clause(target, spec))

    @property
    def is_mysql(self) -> bool:
        """Whether the database is MySQL or MariaDB."""
        return self.connection.dialect.name != "sqlite"

    @property
    def value_names(self) -> list[str]:
        """Columns that a row brings and that are no part of its key."""
        return [name for name in (*self.spec.columns, *self.spec.constants) if name not in self.spec.key]

    def value(self, batch: TableClause, name: str) -> ColumnElement[Any]:
        """The batch's value of a column: staged, or the same for all rows."""
        return batch.c[name] if name in self.spec.columns else literal(self.spec.constants[name])

    def same_key(self, batch: TableClause) -> ColumnElement[bool]:
        """Target row and batch row have the same key, as the target's unique index sees it."""
        return and_(*(self.target.c[name] == self.value(batch, name) for name in self.spec.key))

    def differs(self, batch: TableClause, name: str) -> ColumnElement[bool]:
        """The column's values are not the same, byte for byte; NULL equals NULL."""
        column, value = self.target.c[name], self.value(batch, name)
        if self.is_mysql and isinstance(column.type, String):
            return cast(column, LargeBinary).is_distinct_from(cast(value, LargeBinary))
        return column.is_distinct_from(value)

    def is_due(self, batch: TableClause) -> ColumnElement[bool]:
        """The target row needs a fresh last_synced_at, or the row_hash of what the source says now."""
        due: ColumnElement[bool] = self.target.c["row_hash"].is_distinct_from(batch.c["row_hash"])
        if self.spec.synced_at_column is not None:
            column = self.target.c[self.spec.synced_at_column]
            stale = column < minutes_before_now(round(self.spec.touch_after_hours * 60))
            due = or_(due, column.is_(None), stale)
        return due


@dataclass(frozen=True, slots=True)
class Differences:
    """What the comparison has found, in rows.

    Args:
        new: their key is not in the target.
        differing: it is, and some value is not the same, or the row comes back after it was deactivated.
        due: last_synced_at or row_hash needs a refresh.
        inexact: the key is not the same byte for byte.
    """

    new: int = 0
    differing: int = 0
    due: int = 0
    inexact: int = 0


async def find_differences(tables: BatchTables) -> Differences:
    """Fill sync_changes and count what is in it.

    An outer join, so that the order is never in doubt: staging is gone through, the target is asked by its key.
    """
    spec, target, staging, changes = tables.spec, tables.target, tables.staging, tables.changes
    there = target.c["id"].is_not(None)
    inexact = [tables.differs(staging, name) for name in spec.key if tables.is_mysql and name in spec.columns]
    is_back = target.c["deactivated_by_run"].is_not(None)
    flags = {
        "differs": and_(there, or_(is_back, false(), *(tables.differs(staging, name) for name in tables.value_names))),
        "is_due": and_(there, tables.is_due(staging)),
        "is_inexact": and_(there, or_(false(), *inexact)),
        "is_back": and_(there, is_back),
    }
    names = [*spec.columns, "row_hash", "column_marks", "row_no"]
    query = (
        select(
            *(staging.c[name] for name in names),
            target.c["id"],
            *(case((flag, 1), else_=0) for flag in flags.values()),
        )
        .select_from(staging)
        .outerjoin(target, tables.same_key(staging))
        .where(or_(target.c["id"].is_(None), flags["differs"], flags["is_due"], flags["is_inexact"]))
    )
    statement = insert(changes).from_select([*names, "target_id", *flags], query, include_defaults=False)
    result = await tables.connection.execute(statement)
    return Differences() if result.rowcount == 0 else await count_differences(tables)


async def count_differences(tables: BatchTables) -> Differences:
    """Count what is in sync_changes now."""
    changes = tables.changes
    row = (
        await tables.connection.execute(
            select(
                as_integer(func.sum(case((changes.c["target_id"].is_(None), 1), else_=0))),
                as_integer(func.sum(changes.c["differs"])),
                as_integer(func.sum(changes.c["is_due"])),
                as_integer(func.sum(changes.c["is_inexact"])),
            )
        )
    ).one()
    return Differences(*(int(value) for value in row))
