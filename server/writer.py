"""Writes one batch: its rows, its rejects and its checkpoint in one transaction, or nothing at all.

After a fault whose outcome is unknown (the connection broke while it committed) the batch is written again; each try
first looks for the batch's checkpoint and, where it stands, answers what was committed then. So a batch counts once.
The lease is checked last, under a lock that holds a takeover back until the commit: a worker that was taken over
writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from db.engine import Database
from db.errors import TransientDatabaseError
from db.loaders.upsert import load
from db.records import Batch, ErrorRow, Lease, Ledger, LoadSpec
from db.repositories.batches import get_batch, insert_batch
from db.repositories.errors import insert_errors
from db.repositories.leases import hold_for_batch
from server.core.clock import Clock
from server.core.errors import LeaseLost, Retryable
from server.core.retry import GiveUp, RetryPolicy, decide


@dataclass(frozen=True, slots=True)
class WriteJob:
    """One batch, ready to be written.

    Args:
        batch_no: its number within the reading.
        rows: rows for the target, keys unique within the batch, with their `line`; see db.records.LoadSpec.
        rejects: rejected rows to store, already cut to what may be stored.
        ledger: counts of the batch before loading: read, rejected, skipped.
        position: where the next batch begins.
        bytes_done: bytes of the source up to the end of this batch.
    """

    batch_no: int
    rows: pl.DataFrame
    rejects: Sequence[ErrorRow]
    ledger: Ledger
    position: Mapping[str, Any]
    bytes_done: int


class BatchWriter:
    """Writes the batches of one run.

    Args:
        database: where to.
        lease: the right to write.
        restart_no: the reading that the batches belong to.
        spec: how rows go into the target.
        policy: limits of the tries of one batch.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        restart_no: int,
        spec: LoadSpec,
        policy: RetryPolicy,
        clock: Clock,
    ) -> None:
        self._database = database
        self._lease = lease
        self._restart_no = restart_no
        self._spec = spec
        self._policy = policy
        self._clock = clock

    async def write(self, job: WriteJob) -> Batch:
        """Write the batch, trying again on passing faults; answer its checkpoint.

        Raises:
            LeaseLost: another worker owns the run now; nothing was written.
            Retryable: the database's fault did not pass in time; nothing was written.
            RefusedDatabaseError: the database refuses the batch.
        """
        started = self._clock.monotonic_seconds()
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._write_once(job)
            except TransientDatabaseError as error:
                decision = decide(
                    self._policy,
                    retryable=True,
                    attempt=attempt,
                    elapsed_seconds=self._clock.monotonic_seconds() - started,
                    randomness=self._clock.random(),
                )
                if isinstance(decision, GiveUp):
                    raise Retryable(
                        "DATABASE_UNAVAILABLE",
                        f"batch {job.batch_no} could not be written: {error.message}; {decision.why}. What was "
                        "committed before stays; the run goes on from there when it is retried",
                        category="system",
                    ) from error
                await self._clock.sleep(decision.seconds)

    async def _write_once(self, job: WriteJob) -> Batch:
        async with self._database.write() as connection:
            committed = await get_batch(connection, self._lease.run_id, self._restart_no, job.batch_no)
            if committed is not None:
                return committed
            result = await load(connection, self._spec, job.rows)
            rejects = [
                *job.rejects,
                *(_collision(job, index) for index in result.collided),
                *(_not_storable(job, index, column) for index, column in sorted(result.damaged.items())),
            ]
            ledger = replace(
                job.ledger,
                inserted=result.counts.inserted,
                updated=result.counts.updated,
                unchanged=result.counts.unchanged,
                rejected=job.ledger.rejected + len(result.collided) + len(result.damaged),
            )
            batch = Batch(job.batch_no, ledger, job.position, job.bytes_done)
            await insert_errors(connection, self._lease.run_id, self._restart_no, rejects)
            await insert_batch(connection, self._lease, self._restart_no, batch)
            if not await hold_for_batch(connection, self._lease):
                raise LeaseLost(self._lease.run_id)
            return batch


def _collision(job: WriteJob, index: int) -> ErrorRow:
    return ErrorRow(
        error_type="validation",
        error_code="key_collision",
        message="the table's collation takes this row's key for that of another row; change the key, or the column's "
        "collation to a binary one",
        retryable=False,
        line=int(job.rows["line"][index]),
        batch_no=job.batch_no,
    )


def _not_storable(job: WriteJob, index: int, column: str) -> ErrorRow:
    return ErrorRow(
        error_type="validation",
        error_code="not_storable",
        message=f"the table's column {column or '(not named)'} cannot hold this row's value as it is: it is too long, or "
        "the column's character set lacks a character; mend the value or widen the column (utf8mb4)",
        retryable=False,
        line=int(job.rows["line"][index]),
        column=column or None,
        batch_no=job.batch_no,
    )
