"""The end of a mirror: switches off the target's rows of this source that its reading has not seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import now
from db.loaders.audit import log_deactivations
from db.loaders.differences import BatchTables
from db.loaders.sparing import CAREFUL, Step, Written, write_rows
from db.records import LoadSpec, RunStatus
from db.repositories.content import of_source
from db.schema import metadata, sync_runs, sync_seen_rows

_SEEN_IDS_PER_STATEMENT: Final = 50_000
_SEEN_ROWS_PER_PAGE: Final = 10_000

# The id of a row and the texts of some of its columns.
RowTexts = tuple[int, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class GoneRows:
    """Rows of the source that are switched on in the target.

    Args:
        active: before the run wrote any: what it adds must not make what is gone look like less.
        gone: those that the reading has not seen.
    """

    active: int
    gone: int


@dataclass(frozen=True, slots=True)
class Looks:
    """The readings of a run that a row must have been missing from to be gone.

    Args:
        restart_nos: the present one comes last.
    """

    run_id: int
    restart_nos: tuple[int, ...]


async def record_active_before(connection: AsyncConnection, spec: LoadSpec, run_id: int) -> None:
    """Note how many rows of the source were switched on when it last completed a run, or now, before this run writes any.

    So neither what this run adds nor what a run added that then failed makes what is gone look like less. A resumed run
    keeps its first count.
    """
    run = sync_runs.alias("run")
    last = (
        select(sync_runs.c.completed_at)
        .where(
            sync_runs.c.source_key == run.c.source_key,
            sync_runs.c.status == RunStatus.COMPLETED,
            sync_runs.c.completed_at.is_not(None),
            sync_runs.c.id != run.c.id,
        )
        # The end of an index; max() would read every run of the source.
        .order_by(sync_runs.c.completed_at.desc())
        .limit(1)
        .correlate(run)
        .scalar_subquery()
    )
    known, last_completed_at = (
        await connection.execute(select(run.c.active_before, last).where(run.c.id == run_id))
    ).one()
    if known is None:
        query = _active(spec)
        if last_completed_at is not None:
            created_at = metadata.tables[spec.table].c["created_at"]
            query = query.where(or_(created_at.is_(None), created_at <= last_completed_at))
        count = int((await connection.execute(query)).scalar_one())
        await connection.execute(update(sync_runs).where(sync_runs.c.id == run_id).values(active_before=count))


async def count_gone(connection: AsyncConnection, spec: LoadSpec, looks: Looks) -> GoneRows:
    """Count before anything is switched off."""
    query = select(sync_runs.c.active_before).where(sync_runs.c.id == looks.run_id)
    before = (await connection.execute(query)).scalar_one()
    gone = (await connection.execute(_active(spec).where(_unseen(spec, looks)))).scalar_one()
    return GoneRows(int(before or 0), int(gone))


async def count_seen(connection: AsyncConnection, looks: Looks) -> int:
    """Count the rows of the target that the present reading has met."""
    seen = sync_seen_rows.c
    query = select(func.count()).where(seen.sync_run_id == looks.run_id, seen.restart_no == looks.restart_nos[-1])
    return int((await connection.execute(query)).scalar_one())


async def gone_texts(
    connection: AsyncConnection, spec: LoadSpec, looks: Looks, columns: Sequence[str], rows_max: int
) -> Sequence[RowTexts]:
    """The texts of some columns of what is gone, of as many rows at most."""
    target = metadata.tables[spec.table]
    gone = and_(of_source(target, spec), _is_on(spec), _unseen(spec, looks))
    query = _texts(target, columns).where(gone).order_by(target.c["id"]).limit(rows_max)
    return [(int(row[0]), tuple(row[1:])) for row in await connection.execute(query)]


async def seen_texts(
    connection: AsyncConnection, spec: LoadSpec, looks: Looks, columns: Sequence[str]
) -> AsyncIterator[Sequence[RowTexts]]:
    """The same of what the present reading has met, in pages."""
    target = metadata.tables[spec.table]
    seen = sync_seen_rows.c
    of_reading = and_(
        seen.sync_run_id == looks.run_id, seen.restart_no == looks.restart_nos[-1], seen.target_id == target.c["id"]
    )
    query = _texts(target, columns).join(sync_seen_rows, of_reading).order_by(seen.target_id).limit(_SEEN_ROWS_PER_PAGE)
    last_id = 0
    while True:
        rows = (await connection.execute(query.where(seen.target_id > last_id))).all()
        if not rows:
            return
        yield [(int(row[0]), tuple(row[1:])) for row in rows]
        last_id = int(rows[-1][0])


def _texts(target: Table, columns: Sequence[str]) -> Select[Any]:
    return select(target.c["id"], *(target.c[name] for name in columns))


async def deactivate_gone(connection: AsyncConnection, spec: LoadSpec, looks: Looks) -> Written:
    """Switch off what is gone, and note which run did it; return how many rows, and which the table did not let go.

    Raises:
        ValueError: the table has no column for it.
        TargetRefusedError: the table refuses it for every row.
    """
    if spec.availability_column is None:
        raise ValueError(f"{spec.table} has no column that says whether a row is available")
    tables = BatchTables.of(connection, spec)
    target = tables.target
    values = {
        target.c[spec.availability_column]: False,
        target.c["deactivated_by_run"]: looks.run_id,
        target.c["updated_at"]: now(),
    }

    async def switch_off(rows: ColumnElement[bool]) -> int:
        if spec.audit_reason is not None:
            await log_deactivations(tables, rows, spec.audit_reason)
        return int((await connection.execute(update(target).values(values).where(rows))).rowcount)

    gone = and_(of_source(target, spec), _is_on(spec), _unseen(spec, looks))
    return await write_rows(tables, Step("update", target.c["id"], gone, 0, switch_off), CAREFUL, expected=None)


async def forget_seen(connection: AsyncConnection) -> bool:
    """Remove some of what runs have noted as seen that need it no more: completed, cancelled or deleted ones.

    A failed run keeps it, because it may continue from its checkpoint. Called until it returns False, a transaction
    each.
    """
    known = (await connection.execute(select(sync_seen_rows.c.sync_run_id).distinct())).scalars().all()
    needed = (
        await connection.execute(
            select(sync_runs.c.id).where(
                sync_runs.c.id.in_(known), sync_runs.c.status.not_in([RunStatus.COMPLETED, RunStatus.CANCELLED])
            )
        )
    ).scalars()
    run_ids = sorted(set(known) - set(needed))
    if not run_ids:
        return False
    of_run = sync_seen_rows.c.sync_run_id == run_ids[0]
    ids = select(sync_seen_rows.c.target_id).where(of_run).order_by(sync_seen_rows.c.target_id)
    end = (await connection.execute(ids.offset(_SEEN_IDS_PER_STATEMENT).limit(1))).scalar_one_or_none()
    await connection.execute(
        delete(sync_seen_rows).where(of_run if end is None else and_(of_run, sync_seen_rows.c.target_id < end))
    )
    return True


def _active(spec: LoadSpec) -> Select[int]:
    target = metadata.tables[spec.table]
    return select(func.count()).select_from(target).where(of_source(target, spec), _is_on(spec))


def _is_on(spec: LoadSpec) -> ColumnElement[bool]:
    """A row without a value there is taken to be switched on, as the contract's default is."""
    column = metadata.tables[spec.table].c[spec.availability_column or ""]
    return or_(column.is_(None), column.is_(True))


def _unseen(spec: LoadSpec, looks: Looks) -> ColumnElement[bool]:
    target = metadata.tables[spec.table]
    seen = sync_seen_rows.c
    # One search of the primary key for each look: a range of looks would be searched through for each row.
    return and_(
        *(
            ~select(seen.target_id)
            .where(seen.sync_run_id == looks.run_id, seen.restart_no == restart_no, seen.target_id == target.c["id"])
            .exists()
            for restart_no in looks.restart_nos
        )
    )
