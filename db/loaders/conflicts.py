"""Finds columns that someone edited in the table since the last sync, and lets the policy decide who wins.

A column is in conflict when its value differs from the source's and from what the last sync left there (`column_hashes.py`).
The other columns of the row are the source's to change. A row without marks (adopted from the bot) has no last sync: the
source wins, and nothing counts as a conflict. A column that is kept keeps its mark too, so that it stays known as edited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

import polars as pl
from sqlalchemy import JSON, Row, Text, case, cast, or_, select, update

from db.loaders.column_hashes import UNMARKED, canonical, parse_marks
from db.loaders.differences import BatchTables

_ROWS_PER_STATEMENT_MAX: Final = 500
_OUT_OF_ORDER: Final = "with what was edited, the prices would not be in order; the row was left alone"


@dataclass(frozen=True, slots=True)
class EditedRow:
    """One row that was edited in the table.

    Args:
        row_no: its index in the batch.
        columns: what was edited there and differs from the source.
        kept: whether the table's values stay.
        kept_whole: whether the row is not written at all, because nothing else of it may be.
        note: what a person should know of it; empty for nothing.
    """

    row_no: int
    columns: tuple[str, ...]
    kept: bool
    kept_whole: bool
    note: str = ""


async def resolve_conflicts(tables: BatchTables, rows: pl.DataFrame) -> tuple[EditedRow, ...]:
    """Find the edited rows among sync_changes; where the table wins, put its values into sync_changes.

    Args:
        rows: the batch.
    """
    names = tables.spec.marked_columns
    found = (await tables.connection.execute(_query(tables))).all()
    conflicts = []
    for row, now in zip(found, _marks_now(tables, found), strict=True):
        known = parse_marks(row.old_marks, names)
        differing = list(now)
        edited = tuple(name for name in differing if known.get(name, UNMARKED) not in (UNMARKED, now[name]))
        if edited and not _is_native_json_change(tables, row, edited):
            kept, note = _table_wins(tables, row)
            whole = kept and len(edited) == len(differing) and not row.is_back
            conflict = EditedRow(int(row.row_no), edited, kept, whole, note)
            conflicts.append(conflict)
            if kept:
                source = parse_marks(rows["column_marks"][conflict.row_no], names)
                await _keep(tables, conflict, source | {name: known[name] for name in edited})
    refused = await _out_of_order(tables, [c.row_no for c in conflicts if c.kept and not c.kept_whole])
    conflicts = [replace(c, kept_whole=True, note=_OUT_OF_ORDER) if c.row_no in refused else c for c in conflicts]
    for some in _slices([c.row_no for c in conflicts if c.kept_whole]):
        values = {"differs": 0, "is_due": 1}
        await tables.connection.execute(
            update(tables.changes).values(values).where(tables.changes.c["row_no"].in_(some))
        )
    return tuple(conflicts)


def _query(tables: BatchTables) -> Any:
    changes, target, spec = tables.changes, tables.target, tables.spec
    shown = []
    for index, name in enumerate(tables.value_names):
        differs = tables.differs(changes, name)
        shown += [
            case((differs, 1), else_=0).label(f"differs_{index}"),
            case((differs, cast(target.c[name], Text()))).label(f"value_{index}"),
        ]
    synced_at = target.c[spec.synced_at_column] if spec.synced_at_column else target.c["updated_at"]
    return (
        select(
            changes.c["row_no"],
            changes.c["is_back"],
            target.c["column_marks"].label("old_marks"),
            target.c["updated_at"].label("edited_at"),
            synced_at.label("synced_at"),
            *shown,
        )
        .select_from(changes)
        .join(target, target.c["id"] == changes.c["target_id"])
        .where(changes.c["differs"] == 1, target.c["column_marks"].is_not(None))
        .order_by(changes.c["row_no"])
    )


def _marks_now(tables: BatchTables, found: Sequence[Row[Any]]) -> list[dict[str, str]]:
    """Per row, the marks of the table's values in the columns that differ from the source."""
    now: list[dict[str, str]] = [{} for _ in found]
    for index, name in enumerate(tables.value_names):
        values = [canonical(tables.target, name, getattr(row, f"value_{index}")) for row in found]
        marked = tables.spec.mark_values(name, pl.Series(values, dtype=pl.String))
        for at, row in enumerate(found):
            # A row that a mirror switched off was not edited.
            switched_off = row.is_back and name == tables.spec.availability_column
            if getattr(row, f"differs_{index}") and not switched_off:
                now[at][name] = marked[at]
    return now


def _is_native_json_change(tables: BatchTables, row: Row[Any], edited: tuple[str, ...]) -> bool:
    """Whether JSON alone seems edited on MySQL, and the row's times say that nobody edited it.

    MySQL (not MariaDB, not SQLite) stores JSON in a form of its own, whose mark is never that of the source's text.
    """
    is_native = tables.is_mysql and not getattr(tables.connection.dialect, "is_mariadb", False)
    only_json = all(isinstance(tables.target.c[name].type, JSON) for name in edited)
    return is_native and only_json and (row.synced_at is None or row.edited_at <= row.synced_at)


def _table_wins(tables: BatchTables, row: Row[Any]) -> tuple[bool, str]:
    """Whether the edited values stay, and what to say of it."""
    match tables.spec.conflict_policy:
        case "keep_local" | "report":
            return True, ""
        case "newest_wins":
            modified_at = tables.spec.source_modified_at
            if modified_at is None:
                return False, ""
            if row.edited_at is not None and (row.synced_at is None or row.edited_at > row.synced_at):
                return row.edited_at > modified_at, ""
            if row.synced_at is not None and modified_at <= row.synced_at:
                return True, ""
            return True, "the edit left updated_at as it was, so that it cannot be told which is newer; it was kept"
        case _:
            return False, ""


async def _keep(tables: BatchTables, conflict: EditedRow, merged: Mapping[str, str]) -> None:
    """Put the table's values where the source's stood, and the marks that go with them."""
    changes, target = tables.changes, tables.target
    values: dict[Any, Any] = {
        changes.c[name]: select(target.c[name])
        .where(target.c["id"] == changes.c["target_id"])
        .correlate(changes)
        .scalar_subquery()
        for name in conflict.columns
        if name in tables.spec.columns
    }
    values[changes.c["column_marks"]] = ",".join(merged[name] for name in tables.spec.marked_columns)
    await tables.connection.execute(update(changes).values(values).where(changes.c["row_no"] == conflict.row_no))


async def _out_of_order(tables: BatchTables, row_nos: list[int]) -> set[int]:
    """Rows of which the source's part and the table's part together break the order of the target's columns."""
    columns = [
        (tables.changes.c[low], tables.changes.c[high])
        for group in tables.spec.ordered
        for low, high in combinations([name for name in group if name in tables.spec.columns], 2)
    ]
    found: set[int] = set()
    if columns:
        for some in _slices(row_nos):
            query = select(tables.changes.c["row_no"]).where(
                tables.changes.c["row_no"].in_(some), or_(*(low > high for low, high in columns))
            )
            found |= {int(row_no) for (row_no,) in await tables.connection.execute(query)}
    return found


def _slices(row_nos: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(row_nos), _ROWS_PER_STATEMENT_MAX):
        yield row_nos[start : start + _ROWS_PER_STATEMENT_MAX]
