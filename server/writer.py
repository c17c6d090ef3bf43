"""Writes one batch: its rows, its rejects and its checkpoint in one transaction, or nothing at all.

After a fault whose outcome is unknown (the connection broke while it committed) the batch is written again; each try
first looks for the batch's checkpoint and, when it is there, returns what was committed. So a batch counts once.
The lease is checked last, under a lock that holds a takeover back until the commit: a worker that was taken over
writes nothing. Several batches may be written at once; they commit in the order of their numbers (`CommitOrder`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.errors import TransientDatabaseError
from db.loaders.refusals import RowsRefusedError
from db.loaders.sparing import Care
from db.loaders.upsert import LoadResult, load
from db.lock_holders import LOCK_WAIT_CODE, with_lock_holder
from db.records import Batch, ErrorRow, Lease, Ledger, LoadSpec
from db.repositories.batches import get_batch, insert_batch
from db.repositories.content import has_rows
from db.repositories.errors import insert_errors
from db.repositories.leases import lock_run_shared
from db.repositories.runs import add_notices
from server.core.clock import Clock
from server.core.errors import LeaseLostError
from server.core.instruments import NO_INSTRUMENTS, Instruments
from server.core.reasons import Category
from server.core.reject_kinds import RejectKind
from server.core.retry import Retries, RetryPolicy
from server.core.tally import Kind, Tally
from server.core.waits import Wait

# A notice must not hold the run up for longer.
_NOTICE_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row stands in its source; see sources/contract.py."""

    line: int
    byte_offset: int | None = None
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class WriteJob:
    """One batch, ready to be written.

    Args:
        batch_no: its number within the reading.
        rows: rows for the target, keys unique within the batch; see db.records.LoadSpec.
        rejects: rejected rows, to be stored as far as there is room.
        ledger: counts of the batch before loading: read, rejected, skipped.
        position: where the next batch begins.
        bytes_done: bytes of the source up to the end of this batch.
        origin: where a row of `rows`, by its index, stands in the source.
        kinds: what is wrong with rows of the batch before loading, all of them.
    """

    batch_no: int
    rows: pl.DataFrame
    rejects: Sequence[ErrorRow]
    ledger: Ledger
    position: Mapping[str, Any]
    bytes_done: int
    origin: Callable[[int], Origin]
    kinds: tuple[Kind, ...] = ()


class CommitOrder:
    """Makes batches that are written concurrently commit in their order, so that the last one is a checkpoint.

    A batch that waits for its turn holds row locks. Were its predecessor to wait for one of them, each would wait for
    the other, one of them where the database cannot see it. So when an attempt at a batch fails, those that wait behind
    it let go of everything and begin again once it is committed.

    Args:
        first_batch_no: the number that commits first.
    """

    def __init__(self, first_batch_no: int) -> None:
        self._next = first_batch_no
        self._retreats: list[int] = []
        self._moved = asyncio.Condition()

    @property
    def mark(self) -> int:
        """To be taken when an attempt begins, for `turn`."""
        return len(self._retreats)

    async def turn(self, batch_no: int, mark: int) -> None:
        """Wait until every batch before this one is committed.

        Raises:
            SupersededAttemptError: an attempt at one of them failed since `mark`.
        """
        async with self._moved:
            while self._next < batch_no:
                if any(failed < batch_no for failed in self._retreats[mark:]):
                    raise SupersededAttemptError
                await self._moved.wait()

    async def reached(self, batch_no: int) -> None:
        """Wait, with no lock in hand, until every batch before this one is committed."""
        await self.turn(batch_no, self._never)

    async def committed(self, batch_no: int) -> None:
        """Say that the batch is committed."""
        async with self._moved:
            self._next = max(self._next, batch_no + 1)
            self._moved.notify_all()

    async def retreat(self, batch_no: int) -> None:
        """Say that an attempt at the batch failed and was rolled back."""
        async with self._moved:
            self._retreats.append(batch_no)
            self._moved.notify_all()

    _never = 1 << 62


class SupersededAttemptError(Exception):
    """This attempt blocks an earlier batch and must be rolled back."""


class BatchWriter:
    """Writes the batches of one run.

    Args:
        database: where to.
        lease: the right to write.
        restart_no: the reading that the batches belong to.
        spec: how rows go into the target.
        policy: limits of the tries of one batch.
        clock: time and randomness.
        wait: records what the run waits for.
        first_batch_no: number of the first batch that is written.
        tally: what was wrong with the rows before that batch.
        errors_room: error rows that may still be stored for the run; further ones are counted only.
        refused_statements_max: statements that find the rows of one batch which the table refuses.
        refused_seconds_max: time for the transaction of a batch once the table has refused a row of the run.
        instruments: who counts batches.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        restart_no: int,
        spec: LoadSpec,
        policy: RetryPolicy,
        clock: Clock,
        *,
        wait: Wait | None = None,
        first_batch_no: int = 1,
        tally: Tally | None = None,
        errors_room: int = 10_000,
        refused_statements_max: int = 50_000,
        refused_seconds_max: float = 300.0,
        instruments: Instruments = NO_INSTRUMENTS,
    ) -> None:
        self._instruments = instruments
        self._database = database
        self._lease = lease
        self._restart_no = restart_no
        self._spec = spec
        self._policy = policy
        self._clock = clock
        self._wait = wait or Wait(clock, "run", lease.run_id)
        self._order = CommitOrder(first_batch_no)
        self._errors_room = errors_room
        self._tally = tally or Tally()
        # With care only once the table has refused a row: it takes statements that other batches do without.
        self._care = Care(False, has_accepted=first_batch_no > 1, statements_max=refused_statements_max)
        self._refused_seconds_max = refused_seconds_max
        # Whether the next batch is probably new to the target; None until the target was asked.
        self._expect_new: bool | None = None

    async def write(self, job: WriteJob) -> Batch:
        """Write the batch, trying again on passing faults; return its checkpoint.

        Raises:
            LeaseLostError: another worker owns the run now; nothing was written.
            TransientDatabaseError: the database's fault did not pass in time; nothing was written.
            RefusedDatabaseError: the database refuses the batch; TargetRefusedError where the table would refuse any row.
        """
        retries = Retries(self._policy, self._clock)
        began_seconds = self._clock.monotonic_seconds()
        while True:
            try:
                batch, errors_stored = await self._write_once(job, self._order.mark)
            except SupersededAttemptError:
                # Cannot happen twice: from here on no batch is before this one.
                await self._order.reached(job.batch_no)
            except RowsRefusedError:
                # Happens once to a batch: with care, refused rows are set aside.
                self._care = replace(self._care, is_careful=True)
                await self._order.retreat(job.batch_no)
            except TransientDatabaseError as error:
                if not error.code:
                    # What took too long may have been the search for refused rows; it gets more time.
                    self._care = replace(self._care, is_careful=True)
                await self._order.retreat(job.batch_no)
                self._instruments.batch_retried(self._spec.table, error.reason)
                await self._say_wait(error)
                if not await retries.wait():
                    said = f"batch {job.batch_no} could not be written: {self._wait.text}; {retries.gave_up_because}"
                    raise error.of(said) from error
            else:
                self._errors_room -= errors_stored
                self._tally = Tally.from_json(batch.tally)
                await self._order.committed(job.batch_no)
                self._instruments.batch_written(self._spec.table, self._clock.monotonic_seconds() - began_seconds)
                await self._note_wait()
                return batch

    async def _say_wait(self, error: TransientDatabaseError) -> None:
        """Record once what is waited for. A locked database can still store the notice, so every replica reports it."""
        is_first = self._wait.is_first_try
        if is_first:
            error = await with_lock_holder(self._database, error)
        self._wait.failed(error)
        if is_first and error.code == LOCK_WAIT_CODE:
            await self._add_notice(error.message)

    async def _note_wait(self) -> None:
        """Add to the run's notices how long it waited."""
        notice = self._wait.passed()
        if notice:
            await self._add_notice(notice)

    async def _add_notice(self, notice: str) -> None:
        """If that fails, only the log has it, and the run continues."""
        with contextlib.suppress(TransientDatabaseError):
            async with self._database.write(timeout_seconds=_NOTICE_SECONDS_MAX) as connection:
                await add_notices(connection, self._lease.run_id, (notice,))

    async def _write_once(self, job: WriteJob, mark: int) -> tuple[Batch, int]:
        seconds_max = self._refused_seconds_max if self._care.is_careful else None
        async with self._database.write(timeout_seconds=seconds_max) as connection:
            committed = await get_batch(connection, self._lease.run_id, self._restart_no, job.batch_no)
            if committed is not None:
                return committed, 0
            result = await self._load(connection, job)
            found = _errors_of(job, result, self._spec)
            # In the order of the source, in which they are handed out again; a batch is of one file.
            errors = sorted([*job.rejects, *found], key=lambda error: error.line or 0)
            kept = sum(conflict.kept_whole for conflict in result.conflicts)
            ledger = replace(
                job.ledger,
                inserted=result.counts.inserted,
                updated=result.counts.updated,
                unchanged=result.counts.unchanged,
                rejected=job.ledger.rejected + len(result.collided) + len(result.damaged) + len(result.refused),
                skipped=job.ledger.skipped + kept,
            )
            kinds = [*job.kinds, *_kinds_of(job, result, found)]
            await self._order.turn(job.batch_no, mark)
            # Only now is it known what the batches before this one found, and how many of their errors were stored.
            tally = self._tally.plus(kinds).to_json() or ()
            batch = Batch(job.batch_no, ledger, job.position, job.bytes_done, len(result.conflicts), tally)
            errors = errors[: max(0, self._errors_room)]
            await insert_errors(connection, self._lease.run_id, self._restart_no, errors)
            await insert_batch(connection, self._lease, self._restart_no, batch)
            if not await lock_run_shared(connection, self._lease):
                raise LeaseLostError(self._lease.run_id)
            return batch, len(errors)

    async def _load(self, connection: AsyncConnection, job: WriteJob) -> LoadResult:
        if self._expect_new is None:
            self._expect_new = not await has_rows(connection, self._spec)
        result = await load(connection, self._spec, job.rows, expect_new=self._expect_new, care=self._care)
        counts = result.counts
        if job.rows.height:
            self._expect_new = counts.inserted == job.rows.height
        if counts.inserted or counts.updated or counts.unchanged:
            self._care = replace(self._care, has_accepted=True)
        return result


def _kinds_of(job: WriteJob, result: LoadResult, errors: Sequence[ErrorRow]) -> Iterator[Kind]:
    """What the target has to say about rows of the batch, as counts."""
    for error in errors:
        if error.error_code != RejectKind.CONFLICT:
            yield Kind(error.error_code, error.column or "", 1, error.line or 0)
    kept = [conflict.row_no for conflict in result.conflicts if conflict.kept_whole]
    if kept:
        yield Kind(RejectKind.CONFLICT, "", len(kept), job.origin(min(kept)).line)


def _errors_of(job: WriteJob, result: LoadResult, spec: LoadSpec) -> list[ErrorRow]:
    """The errors that the target reported for rows of the batch."""
    errors = [
        _error(
            job,
            index,
            RejectKind.KEY_COLLISION,
            "the table's collation takes this row's key for that of another row; change the key, or the column's "
            "collation to a binary one",
        )
        for index in result.collided
    ]
    errors += [
        _error(
            job,
            index,
            RejectKind.NOT_STORABLE,
            f"the table's column {column or '(not named)'} cannot hold this row's value as it is: it is too long, or "
            "the column's character set lacks a character; mend the value or widen the column (utf8mb4)",
            column or None,
        )
        for index, column in sorted(result.damaged.items())
    ]
    errors += [
        _error(job, index, RejectKind(refusal.kind), refusal.text, refusal.column or None)
        for index, refusal in sorted(result.refused.items())
    ]
    errors += [
        _error(
            job,
            conflict.row_no,
            RejectKind.CONFLICT,
            f"edited in the table since the last sync: {', '.join(conflict.columns)}; "
            f"{conflict.note or 'the values of the table were kept'}",
            conflict.columns[0],
        )
        for conflict in result.conflicts
        if conflict.note or spec.conflict_policy == "report"
    ]
    return errors


def _error(job: WriteJob, index: int, code: RejectKind, message: str, column: str | None = None) -> ErrorRow:
    origin = job.origin(index)
    return ErrorRow(
        error_type=Category.VALIDATION,
        error_code=code,
        message=message,
        retryable=False,
        line=origin.line,
        byte_offset=origin.byte_offset,
        column=column,
        raw=origin.raw,
        batch_no=job.batch_no,
    )
