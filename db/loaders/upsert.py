"""One batch into its target: a set-based upsert from staging that writes only rows that differ.

A row counts as
    inserted    its key was not in the target,
    updated     its key was there and a written column differed, exactly (case, accents and spaces count),
    unchanged   its key was there with the same values; at most last_synced_at and row_hash are refreshed,
    kept        it was edited in the target and the policy lets that stand; at most last_synced_at is refreshed,
    collided    the target's collation takes its key for that of another row; it is not written,
    damaged     a column of the target cannot hold its value as it is; it is not written,
    refused     a rule of the target (constraint, trigger, ...) or the server's packet does not let it in.

Everything runs in the caller's transaction. A concurrent writer that inserts the same key in between ends in a
TransientDatabaseError: the second try finds its row. Keys must be unique within the batch, byte for byte.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import polars as pl
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.loaders.conflicts import EditedRow, resolve_conflicts
from db.loaders.differences import BatchTables, count_differences, find_differences
from db.loaders.direct_insert import insert_directly
from db.loaders.refusals import Refusal
from db.loaders.sparing import CAREFUL, Care, Step, Written, write_rows
from db.loaders.staging import drop_staging, fill_staging, index_changes
from db.loaders.statements import insert_rows, record_seen, refresh_rows, remove_rows, set_collisions_aside, update_rows
from db.records import LoadCounts, LoadSpec
from db.schema import metadata


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did, and the rows (indexes into the frame) that it did not write.

    Args:
        counts: of the rows that stand in the target now.
        collided: rows whose key the target's collation takes for that of another row.
        damaged: rows with a value that a column of the target cannot hold as it is, with that column.
        refused: rows that the target does not take, with what it said.
        conflicts: rows that were edited in the target since the last sync.
    """

    counts: LoadCounts
    collided: tuple[int, ...] = ()
    damaged: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    conflicts: tuple[EditedRow, ...] = ()


async def load(
    connection: AsyncConnection, spec: LoadSpec, rows: pl.DataFrame, *, expect_new: bool = False, care: Care = CAREFUL
) -> LoadResult:
    """Write `rows` (canonical text columns, row_hash and column_marks, see LoadSpec) into the target.

    Args:
        expect_new: the rows are probably not in the target; a wrong guess costs time and nothing else.
        care: what becomes of rows that the table refuses.

    Raises:
        RowsRefusedError: the table refused a row, and the load was not made with care.
        DatabaseError: by way of the connection's context; TargetRefusedError where the table refuses all rows.
    """
    if rows.is_empty():
        return LoadResult(LoadCounts(0, 0, 0))
    if expect_new and spec.audit_reason is None and spec.seen_by is None:
        if await insert_directly(connection, metadata.tables[spec.table], spec, rows):
            return LoadResult(LoadCounts(rows.height, 0, 0))
        care = replace(care, is_careful=True)
    tables = BatchTables.of(connection, spec)
    staged = await fill_staging(connection, tables.target, spec, rows, care.statements_max)
    found = await find_differences(tables)
    collided: list[int] = []
    if found.inexact:
        # The key equals a target row's key only in the eyes of the collation.
        inexact = await connection.execute(
            select(tables.changes.c["row_no"]).where(tables.changes.c["is_inexact"] == 1)
        )
        collided = await remove_rows(tables, [int(row_no) for (row_no,) in inexact])
        found = await count_differences(tables)
    conflicts = await resolve_conflicts(tables, rows) if found.differing else ()
    updated = refreshed = inserted = Written()
    steps = _Steps(tables, rows.height - len(staged.damaged) - len(staged.refused) - len(collided))
    kept = sum(conflict.kept_whole for conflict in conflicts)
    if found.differing:
        updated = await write_rows(tables, steps.updates(), care, expected=found.differing - kept)
    if found.differing or found.due:
        refreshed = await write_rows(tables, steps.refreshes(), care, expected=None)
    if found.new:
        inserted = await write_rows(tables, steps.inserts(), care, expected=found.new)
    if spec.seen_by is not None:
        await record_seen(tables, spec.seen_by)
    await drop_staging(connection)
    collided += inserted.collided
    refused = {**staged.refused, **updated.refused, **refreshed.refused, **inserted.refused}
    # Rows that the table refused are not counted as conflicts.
    conflicts = tuple(conflict for conflict in conflicts if conflict.row_no not in refused)
    kept = sum(conflict.kept_whole for conflict in conflicts)
    set_aside = len(staged.damaged) + len(collided) + len(refused) + kept
    counts = LoadCounts(inserted.count, updated.count, rows.height - set_aside - inserted.count - updated.count)
    return LoadResult(counts, tuple(sorted(collided)), staged.damaged, refused, conflicts)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The ways in which rows of a batch go into the target."""

    tables: BatchTables
    batch_rows: int

    def updates(self) -> Step:
        return self._step("update", self.tables.changes.c["differs"] == 1, update_rows)

    def refreshes(self) -> Step:
        changes = self.tables.changes
        return self._step("update", and_(changes.c["differs"] == 0, changes.c["is_due"] == 1), refresh_rows)

    def inserts(self) -> Step:
        rows = self.tables.changes.c["target_id"].is_(None)
        collisions = partial(set_collisions_aside, self.tables, rows)
        return replace(
            self._step("insert", rows, insert_rows),
            set_aside=collisions,
            write_unfilled=partial(insert_rows, self.tables),
        )

    def _step(
        self,
        name: Literal["insert", "update"],
        rows: ColumnElement[bool],
        write: Callable[[BatchTables, ColumnElement[bool]], Awaitable[int]],
    ) -> Step:
        number, connection = self.tables.changes.c["row_no"], self.tables.connection
        prepare = partial(index_changes, connection)
        return Step(name, number, rows, self.batch_rows, partial(write, self.tables), prepare)
