"""How many runs have each status, in a time that does not grow with their number, and right whoever changes a run.

Ended runs are counted once and for all: `sync_run_counts` has a number for each block of ids and each way to end, and
`sync_runs.counted_as` says of each run under which of them it is counted, 0 for none. Two rules hold in every commit:

1. A number is that of the runs which `counted_as` names for it.
2. Whoever changes a status, another program too, leaves `counted_as` as it is. So a run whose status is not the one that
   it is counted as, and an ended one that is not counted, is found by the index on both, and `count_by_status` puts it
   right in the same statement. `count_ended` then moves it to where it belongs.

Live runs are never counted; there are few. A run that our code removes is taken out of its number in that transaction. A
run that another program removes leaves its number too high, and nothing tells of it (a trigger would, but the service's
user may have none): `wrong_numbers` compares a block with its runs, one after the other, and `mend` sets it right. Every statement
below reads one snapshot; a block that changes meanwhile is left for the next time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    String,
    and_,
    case,
    delete,
    func,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from db.records import TERMINAL_STATUSES, RunStatus
from db.schema import sync_run_counts, sync_runs

_R = sync_runs.c
_C = sync_run_counts.c
# Stored in the database: a number is never given another meaning.
_COUNTED_AS: Final[Mapping[str, int]] = {RunStatus.COMPLETED: 1, RunStatus.FAILED: 2, RunStatus.CANCELLED: 3}
_STATUS_OF: Final = {number: status for status, number in _COUNTED_AS.items()}
_NOT_COUNTED: Final = 0
BLOCK_IDS: Final = 10_000
# What stands for the status in rows of sync_run_counts.
_NUMBERS: Final = "numbers"


@dataclass(frozen=True, slots=True)
class WrongNumber:
    """A number that is not that of its runs.

    Args:
        run_count: what it should be.
        revision: which it had when it was looked at; None where there was none.
    """

    block_no: int
    counted_as: int
    run_count: int
    revision: int | None


async def count_by_status(connection: AsyncConnection) -> dict[str, int]:
    """Runs by status; every known status has an entry, and no other."""
    # Which of the statuses it is, the database decides: its columns may not tell `A` from `a`.
    known = case(*((_R.status == status, _text(status)) for status in RunStatus), else_=_text(""))
    parts: list[Select[int, str, int]] = []
    for status in RunStatus:
        uncounted = and_(_R.counted_as == _NOT_COUNTED, _R.status == status)
        parts.append(select(_number(_NOT_COUNTED), _text(status), func.count()).select_from(sync_runs).where(uncounted))
    for number, changed in _changed():
        parts.append(select(_number(number), known, func.count()).where(changed).group_by(known))
    parts.append(select(_C.counted_as, _text(_NUMBERS), func.sum(_C.run_count)).group_by(_C.counted_as))
    counts: dict[str, int] = dict.fromkeys(RunStatus, 0)
    for number, text, count in await connection.execute(union_all(*parts)):
        if text == _NUMBERS:
            counts[_STATUS_OF[number]] += int(count)
            continue
        if number != _NOT_COUNTED:
            counts[_STATUS_OF[number]] -= int(count)
        if text in counts:
            counts[text] += int(count)
    return counts


def _number(number: int) -> ColumnElement[int]:
    return literal_column(str(number), Integer)


def _text(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'", String)


def _changed() -> list[tuple[int, ColumnElement[bool]]]:
    """Runs that are counted under another status than they have; each condition is one range of the index."""
    return [
        (number, and_(_R.counted_as == number, is_other))
        for status, number in _COUNTED_AS.items()
        for is_other in (_R.status < status, _R.status > status)
    ]


async def uncounted_ids(connection: AsyncConnection, limit: int) -> list[int]:
    """Runs that `count_ended` has something to do for; it is asked again and again, and locks nothing."""
    ranges = [and_(_R.counted_as == _NOT_COUNTED, _R.status == status) for status in _COUNTED_AS]
    ranges += [changed for _number, changed in _changed()]
    parts = [select(select(_R.id).where(found).limit(limit).subquery().c.id) for found in ranges]
    rows = await connection.execute(union_all(*parts).limit(limit))
    return sorted(int(run_id) for (run_id,) in rows)


async def count_ended(connection: AsyncConnection, run_ids: Sequence[int]) -> int:
    """Move runs to the numbers where they belong; return how many.

    One that somebody else has locked is left for the next time: it is counted right meanwhile.
    """
    present = case(*((_R.status == status, number) for status, number in _COUNTED_AS.items()), else_=_NOT_COUNTED)
    rows = (
        await connection.execute(
            select(_R.id, _R.counted_as, present.label("present"))
            .where(_R.id.in_(run_ids), _R.counted_as != present)
            .order_by(_R.id)
            .with_for_update(skip_locked=True)
        )
    ).all()
    if not rows:
        return 0
    await connection.execute(
        update(sync_runs)
        .where(_R.id.in_([row.id for row in rows]))
        # Named, because the bot's own column may change itself on every update.
        .values(counted_as=present, updated_at=_R.updated_at)
    )
    changes: Counter[tuple[int, int]] = Counter()
    for row in rows:
        changes[row.id // BLOCK_IDS, row.present] += 1
        changes[row.id // BLOCK_IDS, row.counted_as] -= 1
    await _add(connection, changes)
    return len(rows)


async def remove_runs(connection: AsyncConnection, run_ids: Sequence[int]) -> int:
    """Remove runs whose errors and checkpoints are gone; return how many. One that a retry took up meanwhile stays."""
    rows = (
        await connection.execute(
            select(_R.id, _R.counted_as)
            .where(_R.id.in_(run_ids), _R.status.in_(TERMINAL_STATUSES))
            .order_by(_R.id)
            .with_for_update()
        )
    ).all()
    if rows:
        await connection.execute(delete(sync_runs).where(_R.id.in_([row.id for row in rows])))
        changes: Counter[tuple[int, int]] = Counter()
        for row in rows:
            changes[row.id // BLOCK_IDS, row.counted_as] -= 1
        await _add(connection, changes)
    return len(rows)


async def next_block(connection: AsyncConnection, after: int) -> int | None:
    """The number of the first block after this one that has runs or numbers, or None."""
    first_number = select(func.min(_C.block_no)).where(_C.block_no > after).scalar_subquery()
    first_run = select(func.min(_R.id)).where(_R.id >= (after + 1) * BLOCK_IDS).scalar_subquery()
    found = (await connection.execute(select(first_number.label("block_no"), first_run.label("run_id")))).one()
    blocks = [] if found.block_no is None else [int(found.block_no)]
    blocks += [] if found.run_id is None else [int(found.run_id) // BLOCK_IDS]
    return min(blocks, default=None)


async def wrong_numbers(connection: AsyncConnection, block_no: int) -> list[WrongNumber]:
    """The numbers of a block that are not those of its runs, for `mend`."""
    parts = []
    for number in _STATUS_OF:
        is_this = and_(_C.block_no == block_no, _C.counted_as == number)
        stored = [select(column).where(is_this).scalar_subquery() for column in (_C.run_count, _C.revision)]
        parts.append(select(_number(number), *stored, _runs_in(block_no, number)))
    return [
        WrongNumber(block_no, number, int(actual), revision)
        for number, run_count, revision, actual in await connection.execute(union_all(*parts))
        if (run_count or 0) != actual
    ]


def _runs_in(block_no: int, number: int) -> ColumnElement[int]:
    status = _STATUS_OF[number]
    first = block_no * BLOCK_IDS
    within = _R.id.between(first, first + BLOCK_IDS - 1)
    ranges = (_R.status == status, _R.status < status, _R.status > status)
    counts = [
        select(func.count()).select_from(sync_runs).where(_R.counted_as == number, of_status, within).scalar_subquery()
        for of_status in ranges
    ]
    return counts[0] + counts[1] + counts[2]


async def mend(connection: AsyncConnection, wrong: Sequence[WrongNumber]) -> int:
    """Set numbers right that `wrong_numbers` found; return how many had not changed meanwhile."""
    mended = 0
    for number in wrong:
        key = {"block_no": number.block_no, "counted_as": number.counted_as}
        statement: Executable = (
            update(sync_run_counts)
            .where(*(_C[name] == value for name, value in key.items()), _C.revision == number.revision)
            .values(run_count=number.run_count, revision=_C.revision + 1)
        )
        if number.revision is None:
            # Loaded with runs that were counted elsewhere. Where it has come meanwhile, it stays as it is.
            values = key | {"run_count": number.run_count}
            statement = (
                sqlite.insert(sync_run_counts).values(values).on_conflict_do_nothing()
                if connection.dialect.name == "sqlite"
                else mysql.insert(sync_run_counts).values(values).on_duplicate_key_update(block_no=_C.block_no)
            )
        mended += max(0, (await connection.execute(statement)).rowcount)
    return mended


async def _add(connection: AsyncConnection, changes: Mapping[tuple[int, int], int]) -> None:
    # In one order, so that two replicas do not wait for each other.
    rows = [
        {"block_no": block_no, "counted_as": number, "run_count": change, "revision": 1}
        for (block_no, number), change in sorted(changes.items())
        if change and number != _NOT_COUNTED
    ]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        added = sqlite.insert(sync_run_counts).values(rows)
        await connection.execute(
            added.on_conflict_do_update(
                index_elements=["block_no", "counted_as"],
                set_={"run_count": _C.run_count + added.excluded.run_count, "revision": _C.revision + 1},
            )
        )
        return
    new = mysql.insert(sync_run_counts).values(rows)
    await connection.execute(
        new.on_duplicate_key_update(run_count=_C.run_count + new.inserted.run_count, revision=_C.revision + 1)
    )
