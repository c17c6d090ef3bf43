"""Writes the rows of a load so that a row which the table refuses costs that row alone.

Without care, a step is one statement over all of its rows, and the first refusal raises RowsRefusedError: the caller rolls back
and loads again with care. With care, a step that is refused is gone through in order, a group of rows at a time within a
SAVEPOINT: one that is refused is halved until its refused row is found, and after that the groups grow, each twice as
long as the one before. So k refused rows of n take at most 2k log2(n) + k + 1 statements where they are few, less than 2n
where they are many, and never more than Care.statements_max. Each row is written once, with the rows of the change log that go with it.

Where a whole batch is refused and the run has not met any row yet that the table takes, some single rows from all over the
batch are tried before. If each of them is refused for the same cause, it is no fault of rows: TargetRefusedError.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.exc import DBAPIError

from db.error_numbers import DatabaseReason
from db.errors import TransientDatabaseError
from db.loaders.differences import BatchTables
from db.loaders.refusals import NO_NUMBER, Refusal, RowsRefusedError, TargetRefusedError, raise_if_ended, refusal_of
from db.loaders.target_check import check_target, has_no_number_left, no_number_left, trigger_names
from db.savepoints import Savepoint
from db.server_facts import server_facts

_SAVEPOINT: Final = "sync_rows"
# InnoDB says the same of both; which one it was, it does not tell.
_NUMBERS_LOCKED: Final = (
    "waited for the AUTO_INCREMENT lock that another connection holds, or a table that a trigger fills has no number left"
    f" (error {NO_NUMBER})"
)
# Rows that are tried by themselves, and how many there must be for a verdict on all.
_PROBES_MAX: Final = 100
_JUDGED_ROWS_MIN: Final = 20


@dataclass(frozen=True, slots=True)
class Care:
    """How a load handles refusals.

    Args:
        is_careful: whether refused rows are set aside; else the first refusal raises RowsRefusedError.
        has_accepted: whether the run has met rows that the table takes.
        statements_max: tries at most in one step of a load.
    """

    is_careful: bool = True
    has_accepted: bool = False
    statements_max: int = 50_000


CAREFUL: Final = Care()


@dataclass(frozen=True, slots=True)
class Step:
    """One way in which rows go into the target.

    Args:
        name: what the table is asked to do.
        number: tells the rows apart and orders them: row_no of sync_changes, say.
        rows: condition over the table that has the number.
        batch_rows: rows of the whole batch, of which these may be a part.
        write: writes those rows of the step that a condition names; returns their number.
        prepare: called before rows are looked for one by one.
        set_aside: takes rows out of the step that collide with each other; returns them.
        write_unfilled: as `write`, with columns named that only a trigger can fill.
    """

    name: Literal["insert", "update"]
    number: ColumnElement[int]
    rows: ColumnElement[bool]
    batch_rows: int
    write: Callable[[ColumnElement[bool]], Awaitable[int]]
    prepare: Callable[[], Awaitable[None]] | None = None
    set_aside: Callable[[], Awaitable[list[int]]] | None = None
    write_unfilled: Callable[[ColumnElement[bool], Sequence[str]], Awaitable[int]] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a step's rows, by their number where they were not written."""

    count: int = 0
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    collided: Sequence[int] = ()


async def write_rows(tables: BatchTables, step: Step, care: Care, *, expected: int | None) -> Written:
    """Write all rows of a step that the table takes.

    Args:
        expected: how many rows that is; None when it is not known.

    Raises:
        RowsRefusedError: without care, the table refused some row.
        TargetRefusedError: it refuses all rows alike, or too many.
        TransientDatabaseError: another writer was faster with the same key, or the server has ended the transaction.
    """
    trial = _Trial(tables, step, care)
    if not care.is_careful:
        try:
            count = await step.write(step.rows)
        except DBAPIError as error:
            if refusal_of(error) is None:
                raise
            raise RowsRefusedError from None
        if trial.is_short(count, expected):
            raise RowsRefusedError
        return Written(count)
    await trial.begin()
    written = await trial.write_all(expected)
    await trial.end()
    return written


class _Trial:
    """One step with care: between `begin` and `end` a savepoint stands behind what is written."""

    def __init__(self, tables: BatchTables, step: Step, care: Care) -> None:
        self._tables = tables
        self._savepoint = Savepoint(tables.connection, _SAVEPOINT)
        self._step = step
        self._care = care
        self._tries = 0
        self._unfilled: dict[str, TargetRefusedError] = {}

    async def begin(self) -> None:
        await self._savepoint.begin()

    async def end(self) -> None:
        await self._savepoint.release()

    async def write_all(self, expected: int | None) -> Written:
        outcome = await self._try(self._step.rows, expected)
        if not isinstance(outcome, Refusal):
            return Written(outcome)
        faults = await check_target(self._tables.connection, self._tables.spec)
        if self._step.write_unfilled is not None:
            self._unfilled = {fault.column: fault.error for fault in faults}
        # Out of the way first: from here on a row whose key is there was written by someone else.
        collided = await self._step.set_aside() if self._step.set_aside is not None else []
        if self._step.prepare is not None:
            await self._step.prepare()
        await self._keep()
        if (collided and outcome.is_collision) or self._unfilled:
            outcome = await self._try(self._step.rows, None if expected is None else expected - len(collided))
            if not isinstance(outcome, Refusal):
                return Written(outcome, {}, collided)
        numbers = await self._numbers()
        await self._raise_if_all_alike(numbers)
        return await self._go_through(numbers, collided)

    async def _go_through(self, numbers: list[int], collided: list[int]) -> Written:
        count = 0
        refused: dict[int, Refusal] = {}
        # Some row between `position` and `suspect` is refused; where they are the same, nothing is known.
        position, suspect, size = 0, len(numbers), 1
        while position < len(numbers):
            is_known = suspect > position
            length = max(1, (suspect - position) // 2) if is_known else size
            group = numbers[position : position + length]
            outcome = await self._try(self._between(group[0], group[-1]), len(group))
            if not isinstance(outcome, Refusal):
                await self._keep()
                count += outcome
                position += len(group)
                size = size if is_known else size * 2
            elif len(group) > 1:
                suspect = position + len(group)
            else:
                refused[group[0]] = outcome
                position += 1
                suspect, size = position, 1
        return Written(count, refused, collided)

    async def _raise_if_all_alike(self, numbers: list[int]) -> None:
        """Raise TargetRefusedError where what refuses a row would refuse any."""
        is_whole = len(numbers) >= max(_JUDGED_ROWS_MIN, self._step.batch_rows)
        is_judged = is_whole and not self._care.has_accepted
        if not numbers or not (is_judged or self._unfilled):
            return
        refusals: set[Refusal] = set()
        # Pseudo-random, because refused rows may be periodic; always the same, so that the verdict is reproducible.
        for number in Random(len(numbers)).sample(numbers, min(_PROBES_MAX, len(numbers))):
            outcome = await self._try(self._between(number, number), 1)
            if not isinstance(outcome, Refusal):
                await self._savepoint.undo()
                return
            refusals.add(outcome)
            if len(refusals) > 1:
                return
        (refusal,) = refusals
        if refusal.column in self._unfilled:
            raise self._unfilled[refusal.column]
        if is_judged:
            raise await self._all_alike(refusal)

    async def _all_alike(self, refusal: Refusal) -> TargetRefusedError:
        table, name = self._tables.spec.table, refusal.name
        if refusal.said:
            triggers = await trigger_names(self._tables.connection, table, self._step.name)
            name += f"; its triggers: {', '.join(triggers)}" if triggers else ""
        return TargetRefusedError(
            f"{table} refuses every row alike, to {self._step.name} it ({name}); nothing of this batch was written",
            f"look at that rule of {table}, and at what the source delivers; then sync again",
        )

    async def _try(self, rows: ColumnElement[bool], expected: int | None) -> int | Refusal:
        """Write some rows; where the table refuses one of them, none is written."""
        self._tries += 1
        if self._tries > self._care.statements_max:
            raise TargetRefusedError(
                f"{self._tables.spec.table} refuses so many rows of one batch that {self._care.statements_max} statements "
                "(TECHAURA_SYNC_REFUSED_STATEMENTS_MAX) do not tell them apart; nothing of the batch was written",
                "mend the rows that earlier errors of the run list, or the table's rule; then sync again",
            )
        try:
            count = await self._write(rows)
        except DBAPIError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            await raise_if_ended(self._tables.connection, self._tables.spec.table)
        else:
            if not self.is_short(count, expected):
                return count
            refusal = Refusal("a trigger leaves the row out, RAISE(IGNORE)")
        await self._savepoint.undo()
        if refusal.is_exhaustion or refusal.is_collision:
            await self._raise_if_no_fault_of_rows(rows, refusal)
        return refusal

    async def _write(self, rows: ColumnElement[bool]) -> int:
        if self._unfilled and self._step.write_unfilled is not None:
            return await self._step.write_unfilled(rows, list(self._unfilled))
        return await self._step.write(rows)

    def is_short(self, count: int, expected: int | None) -> bool:
        """Whether rows were left out silently, as only SQLite does; elsewhere another writer may have deleted some."""
        return not self._tables.is_mysql and expected is not None and count < expected

    async def _raise_if_no_fault_of_rows(self, rows: ColumnElement[bool], refusal: Refusal) -> None:
        tables = self._tables
        table = tables.spec.table
        if refusal.is_exhaustion or refusal.is_of_primary_key:
            if await has_no_number_left(tables.connection, table):
                raise no_number_left(table)
            if refusal.number == NO_NUMBER and not (await server_facts(tables.connection)).interleaves_ids:
                raise TransientDatabaseError(_NUMBERS_LOCKED, NO_NUMBER, DatabaseReason.LOCKED)
            if refusal.is_exhaustion:
                raise no_number_left(table)
        if self._step.name == "insert":
            raced = select(tables.changes.c["row_no"]).join(tables.target, tables.same_key(tables.changes)).where(rows)
            if (await tables.connection.execute(raced.limit(1))).first() is not None:
                raise TransientDatabaseError("another writer was faster with the same key", refusal.number)

    async def _keep(self) -> None:
        await self.end()
        await self.begin()

    async def _numbers(self) -> list[int]:
        query = select(self._step.number).where(self._step.rows).order_by(self._step.number)
        return [int(number) for (number,) in await self._tables.connection.execute(query)]

    def _between(self, first: int, last: int) -> ColumnElement[bool]:
        return and_(self._step.rows, self._step.number.between(first, last))
