"""Finds columns that someone edited in the table since the last sync, and lets the policy decide who wins.

The target keeps one row hash: what the source said when the row was last synced. It is the XOR of one hash per column
(server/pipeline/hashing.py), so it tells more than whether a row changed. Where the row and the source differ in the
columns D, some of them (E) were edited in the table and the others (D - E) changed in the source. The old row then had
the source's present values in E and the table's present values in D - E, so

    old hash = new hash XOR (source XOR table, over the columns D - E)

and the E that fits is found by trying the few subsets of D. Empty: nobody edited anything. None fits: both sides
changed the same column, and all of D counts as edited. A wrong subset fits by chance once in 2^64 tries.

A row without a hash (adopted from the bot) has no last sync: the source wins, and nothing counts as a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any, Final

import polars as pl
from sqlalchemy import JSON, Numeric, Row, Text, case, cast, select, update

from db.loaders.differences import BatchTables

# More differing columns than this are not taken apart (2^12 tries): the whole row counts as edited.
_COLUMNS_APART_MAX: Final = 12
_ROWS_PER_STATEMENT_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Conflict:
    """One row that was edited in the table.

    Args:
        row_no: its index in the batch.
        columns: what was edited there and differs from the source.
        kept: whether the table's values stay.
        kept_whole: whether the row is not written at all, because nothing else of it changed.
    """

    row_no: int
    columns: tuple[str, ...]
    kept: bool
    kept_whole: bool


async def resolve_conflicts(tables: BatchTables, rows: pl.DataFrame) -> tuple[Conflict, ...]:
    """Find the edited rows among sync_changes; where the table wins, put its values into sync_changes.

    Args:
        rows: the batch.
    """
    if tables.spec.column_hash is None:
        return ()
    names = tables.value_names
    found = (await tables.connection.execute(_query(tables, names))).all()
    if not found:
        return ()
    deltas = _deltas(tables, names, rows, found)
    conflicts = []
    for row, by_column, missing in deltas:
        edited = _edited(by_column, missing)
        if edited and not (edited == tuple(by_column) and _is_native_json_change(tables, row, edited)):
            kept = _table_wins(tables, row)
            whole = kept and edited == tuple(by_column) and not row.is_back
            conflicts.append(Conflict(int(row.row_no), edited, kept, whole))
    await _keep(tables, [conflict for conflict in conflicts if conflict.kept])
    return tuple(conflicts)


def _query(tables: BatchTables, names: list[str]) -> Any:
    changes, target = tables.changes, tables.target
    shown = []
    for index, name in enumerate(names):
        differs = tables.differs(changes, name)
        shown += [
            case((differs, 1), else_=0).label(f"differs_{index}"),
            case((differs, cast(target.c[name], Text()))).label(f"value_{index}"),
        ]
    synced_at = tables.spec.synced_at_column
    return (
        select(
            changes.c["row_no"],
            changes.c["row_hash"],
            changes.c["target_hash"],
            changes.c["is_back"],
            target.c["updated_at"].label("edited_at"),
            (target.c[synced_at] if synced_at else target.c["updated_at"]).label("synced_at"),
            *shown,
        )
        .select_from(changes)
        .join(target, target.c["id"] == changes.c["target_id"])
        .where(changes.c["differs"] == 1, changes.c["target_hash"].is_not(None))
        .order_by(changes.c["row_no"])
    )


def _deltas(
    tables: BatchTables, names: list[str], rows: pl.DataFrame, found: Iterable[Row[Any]]
) -> Iterator[tuple[Row[Any], dict[str, int], int]]:
    """Per row: what each differing column adds to its hash (source XOR table), and what the old hash lacks of the new.

    Rows that nobody edited, nearly all as a rule, are told apart here, a whole batch at a time.
    """
    spec = tables.spec
    if spec.column_hash is None:
        return
    listed = list(found)
    row_nos = [int(row.row_no) for row in listed]
    mask = (1 << 64) - 1
    missing = pl.Series([(row.row_hash ^ row.target_hash) & mask for row in listed], dtype=pl.UInt64)
    total = pl.Series([0] * len(listed), dtype=pl.UInt64)
    columns: dict[str, pl.Series] = {}
    for index, name in enumerate(names):
        differs = [bool(getattr(row, f"differs_{index}")) for row in listed]
        if name == spec.availability_column:
            # What a mirror switched off was not edited by anyone.
            differs = [flag and not row.is_back for flag, row in zip(differs, listed, strict=True)]
        if not any(differs):
            continue
        there = [_canonical(tables, name, getattr(row, f"value_{index}")) for row in listed]
        source = (
            rows[name].gather(row_nos)
            if name in spec.columns
            else pl.Series([spec.constants[name]] * len(listed), dtype=pl.String)
        )
        delta = spec.column_hash(name, source) ^ spec.column_hash(name, pl.Series(there, dtype=pl.String))
        columns[name] = pl.select(pl.when(pl.Series(differs)).then(delta).otherwise(None)).to_series()
        total = total ^ columns[name].fill_null(0)
    for index in (total != missing).arg_true().to_list():
        by_column = {name: int(series[index]) for name, series in columns.items() if series[index] is not None}
        yield listed[index], by_column, int(missing[index])


def _edited(by_column: dict[str, int], missing: int) -> tuple[str, ...]:
    """The columns that were edited in the table; the fewest that explain the old hash, or all."""
    names = tuple(by_column)
    if len(names) <= _COLUMNS_APART_MAX:
        for count in range(1, len(names) + 1):
            for edited in combinations(names, count):
                explained = 0
                for name in names:
                    if name not in edited:
                        explained ^= by_column[name]
                if explained == missing:
                    return edited
    return names


def _is_native_json_change(tables: BatchTables, row: Row[Any], edited: tuple[str, ...]) -> bool:
    """Whether a JSON column is why nothing explains the old hash, and the row's times say that nobody edited it.

    MySQL (not MariaDB, not SQLite) stores JSON in a form of its own, so that the old text cannot be told.
    """
    is_native = tables.is_mysql and not getattr(tables.connection.dialect, "is_mariadb", False)
    has_json = any(isinstance(tables.target.c[name].type, JSON) for name in edited)
    return is_native and has_json and (row.synced_at is None or row.edited_at <= row.synced_at)


def _table_wins(tables: BatchTables, row: Row[Any]) -> bool:
    match tables.spec.conflict_policy:
        case "keep_local" | "report":
            return True
        case "newest_wins":
            modified_at = tables.spec.source_modified_at
            return modified_at is not None and row.edited_at is not None and row.edited_at > modified_at
        case _:
            return False


def _canonical(tables: BatchTables, name: str, value: Any) -> str | None:
    """A value of the table as the pipeline writes it: decimals with all their digits."""
    if value is None:
        return None
    column = tables.target.c[name].type
    if isinstance(column, Numeric) and column.scale is not None:
        return f"{Decimal(str(value)):.{column.scale}f}"
    return str(value)


async def _keep(tables: BatchTables, kept: list[Conflict]) -> None:
    """Put the table's values where the source's stood; a row of which nothing is left is refreshed only."""
    changes, target, execute = tables.changes, tables.target, tables.connection.execute
    by_columns: dict[tuple[str, ...], list[int]] = {}
    for conflict in kept:
        by_columns.setdefault(conflict.columns, []).append(conflict.row_no)
    for columns, row_nos in by_columns.items():
        values = {
            changes.c[name]: select(target.c[name])
            .where(target.c["id"] == changes.c["target_id"])
            .correlate(changes)
            .scalar_subquery()
            for name in columns
            if name in tables.spec.columns
        }
        if not values:
            continue
        for some in _slices(row_nos):
            await execute(update(changes).values(values).where(changes.c["row_no"].in_(some)))
    for some in _slices([conflict.row_no for conflict in kept if conflict.kept_whole]):
        await execute(update(changes).values(differs=0, is_due=1).where(changes.c["row_no"].in_(some)))


def _slices(row_nos: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(row_nos), _ROWS_PER_STATEMENT_MAX):
        yield row_nos[start : start + _ROWS_PER_STATEMENT_MAX]
