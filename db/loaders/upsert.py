"""One batch into its target: a set-based upsert from staging that writes only rows that differ.

A row counts as
    inserted    its key was not in the target,
    updated     its key was there and a written column differed, exactly (case, accents and spaces count),
    unchanged   its key was there with the same values; at most last_synced_at and row_hash are refreshed,
    collided    the target's collation takes its key for that of another row; it is not written.

Everything runs in the caller's transaction. A concurrent writer that inserts the same key in between ends in a
TransientDatabaseError: the second try finds its row. Keys must be unique within the batch, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    String,
    Table,
    TableClause,
    and_,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.audit import log_creations, log_updates
from db.loaders.staging import fill_staging, staging_clause
from db.records import LoadCounts, LoadSpec
from db.repositories.dialect import as_integer, minutes_before_now, now
from db.schema import metadata


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did, and the rows (indexes into the frame) that it did not write.

    Args:
        counts: of the rows that stand in the target now.
        collided: rows whose key the target's collation takes for that of another row.
        damaged: rows with a value that a column of the target cannot hold as it is, with that column.
    """

    counts: LoadCounts
    collided: tuple[int, ...]
    damaged: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class _Found:
    """What looking the staged rows up has shown, in rows.

    Args:
        matched: their key is in the target; of these:
        differing: some value is not the same.
        due: last_synced_at or row_hash needs a refresh.
        inexact: the key is not the same byte for byte.
    """

    matched: int
    differing: int
    due: int
    inexact: int


@dataclass(frozen=True, slots=True)
class _Load:
    """The parts of one load that its statements share."""

    connection: AsyncConnection
    spec: LoadSpec
    target: Table
    staging: TableClause

    @property
    def is_mysql(self) -> bool:
        return self.connection.dialect.name != "sqlite"

    @property
    def same_key(self) -> ColumnElement[bool]:
        """Target row and staging row have the same key, as the target's unique index sees it."""
        spec, target, staging = self.spec, self.target, self.staging
        return and_(
            *(
                target.c[name] == (staging.c[name] if name in spec.columns else literal(spec.constants[name]))
                for name in spec.key
            )
        )

    @property
    def value_columns(self) -> list[str]:
        return [name for name in self.spec.columns if name not in self.spec.key]

    def differs(self, name: str) -> ColumnElement[bool]:
        """The column's values are not the same, byte for byte; NULL equals NULL."""
        column, staged = self.target.c[name], self.staging.c[name]
        if self.is_mysql and isinstance(column.type, String):
            return cast(column, LargeBinary).is_distinct_from(cast(staged, LargeBinary))
        return column.is_distinct_from(staged)

    @property
    def marked(self) -> ColumnElement[bool]:
        """Target row and staging row belong together, once `_mark_matches` has said so."""
        return self.target.c["id"] == self.staging.c["target_id"]

    @property
    def is_due(self) -> ColumnElement[bool]:
        """The target row needs a fresh last_synced_at, or the hash that an adopted row lacks."""
        due: ColumnElement[bool] = self.target.c["row_hash"].is_distinct_from(self.staging.c["row_hash"])
        if self.spec.synced_at_column is not None:
            column = self.target.c[self.spec.synced_at_column]
            stale = column < minutes_before_now(round(self.spec.touch_after_hours * 60))
            due = or_(due, column.is_(None), stale)
        return due

    @property
    def any_differs(self) -> ColumnElement[bool]:
        return or_(false(), *(self.differs(name) for name in self.value_columns))


async def load(connection: AsyncConnection, spec: LoadSpec, rows: pl.DataFrame) -> LoadResult:
    """Write `rows` (canonical text columns and row_hash, see LoadSpec) into the target.

    Raises:
        DatabaseError: by way of the connection's context.
    """
    target = metadata.tables[spec.table]
    load = _Load(connection, spec, target, staging_clause(target, spec))
    if rows.is_empty():
        return LoadResult(LoadCounts(0, 0, 0), (), {})
    damaged = await fill_staging(connection, target, spec, rows)
    found = await _classify(load)
    collided: list[int] = []
    if found.inexact:
        collided = await _set_collisions_aside(load)
        found = await _classify(load)
    staged = rows.height - len(damaged) - len(collided)
    if found.matched and (found.differing or found.due or found.matched < staged):
        await _mark_matches(load)
    updated = inserted = 0
    if found.differing:
        if spec.audit_reason is not None:
            await log_updates(
                connection,
                load.target,
                load.staging,
                {name: load.differs(name) for name in load.value_columns},
                spec.audit_reason,
            )
        updated = await _update(load)
    if found.due or found.differing:
        await _refresh(load)
    if found.matched < staged:
        inserted, more = await _insert(load)
        collided += more
        if spec.audit_reason is not None:
            await log_creations(connection, load.target, load.staging, load.same_key, spec.audit_reason)
    unchanged = rows.height - len(damaged) - len(collided) - inserted - updated
    return LoadResult(LoadCounts(inserted, updated, unchanged), tuple(sorted(collided)), damaged)


async def _classify(load: _Load) -> _Found:
    """Look each staged row up in the target, once.

    An outer join, so that the order is never in doubt: staging is gone through, the target is asked by its key.
    """
    there = load.target.c["id"].is_not(None)
    inexact = [load.differs(name) for name in load.spec.key if load.is_mysql and name in load.spec.columns]
    row = (
        await load.connection.execute(
            select(
                func.count(load.target.c["id"]),
                as_integer(func.sum(as_integer(and_(there, load.any_differs)))),
                as_integer(func.sum(as_integer(and_(there, load.is_due)))),
                as_integer(func.sum(as_integer(and_(there, or_(false(), *inexact))))),
            )
            .select_from(load.staging)
            .outerjoin(load.target, load.same_key)
        )
    ).one()
    return _Found(*(int(value) for value in row))


async def _set_collisions_aside(load: _Load) -> list[int]:
    """Take staged rows away whose key equals a target row's key only in the eyes of the collation."""
    inexact = [load.differs(name) for name in load.spec.key if name in load.spec.columns]
    found = await load.connection.execute(
        select(load.staging.c["row_no"])
        .select_from(load.staging)
        .outerjoin(load.target, load.same_key)
        .where(load.target.c["id"].is_not(None), or_(*inexact))
    )
    return await _remove(load, [int(row_no) for (row_no,) in found])


async def _mark_matches(load: _Load) -> None:
    """Note each staged row's target row, so that what follows joins by primary key, whatever a planner thinks."""
    match = select(load.target.c["id"]).where(load.same_key).correlate(load.staging).scalar_subquery()
    await load.connection.execute(update(load.staging).values(target_id=match))


async def _update(load: _Load) -> int:
    target, staging = load.target, load.staging
    values: dict[Any, Any] = {target.c[name]: staging.c[name] for name in load.value_columns}
    values[target.c["row_hash"]] = staging.c["row_hash"]
    values[target.c["updated_at"]] = now()
    if load.spec.synced_at_column is not None:
        values[target.c[load.spec.synced_at_column]] = now()
    result = await load.connection.execute(update(target).values(values).where(load.marked, load.any_differs))
    return int(result.rowcount)


async def _refresh(load: _Load) -> None:
    """Rows with the same values: a fresh last_synced_at where it is due, and the hash of an adopted row."""
    target, staging = load.target, load.staging
    values: dict[Any, Any] = {target.c["row_hash"]: staging.c["row_hash"]}
    if load.spec.synced_at_column is not None:
        values[target.c[load.spec.synced_at_column]] = now()
    # Named, so that a table made with ON UPDATE CURRENT_TIMESTAMP does not take the refresh for a change.
    values[target.c["updated_at"]] = target.c["updated_at"]
    await load.connection.execute(update(target).values(values).where(load.marked, load.is_due))


async def _insert(load: _Load) -> tuple[int, list[int]]:
    """Insert staged rows that have no target row; the second value are rows that collide with each other."""
    target, staging, spec = load.target, load.staging, load.spec
    columns = [*spec.columns, *spec.constants, "row_hash", "created_at", "updated_at"]
    values: list[Any] = [staging.c[name] for name in spec.columns]
    values += [literal(value) for value in spec.constants.values()]
    values += [staging.c["row_hash"], now(), now()]
    if spec.synced_at_column is not None:
        columns.append(spec.synced_at_column)
        values.append(now())
    query = select(*values).select_from(staging).where(staging.c["target_id"].is_(None))
    statement = insert(target).from_select(columns, query, include_defaults=False)
    try:
        return int((await load.connection.execute(statement)).rowcount), []
    except IntegrityError:
        # Only this statement is undone. Either two staged keys are one to the collation, or a writer was faster.
        collided = await _collisions_within(load)
        if not collided:
            raise
        return int((await load.connection.execute(statement)).rowcount), collided


async def _collisions_within(load: _Load) -> list[int]:
    staging = load.staging
    keys = [staging.c[name] for name in load.spec.key if name in load.spec.columns]
    numbered = select(
        staging.c["row_no"],
        func.row_number().over(partition_by=keys, order_by=staging.c["row_no"]).label("n"),
    ).subquery()
    found = await load.connection.execute(select(numbered.c.row_no).where(numbered.c.n > 1))
    return await _remove(load, [int(row_no) for (row_no,) in found])


async def _remove(load: _Load, row_nos: list[int]) -> list[int]:
    if row_nos:
        await load.connection.execute(delete(load.staging).where(load.staging.c["row_no"].in_(row_nos)))
    return row_nos
