"""One run, from its options to its end.

    open the source -> plan the mapping -> find repeated keys -> after the last checkpoint:
        read a batch -> prepare -> make keys distinct -> write -> say so
    -> check the ledger -> completed

Invariants: a batch is read only after every batch before it is committed or in hand; nothing is written without the
lease; a run ends as completed only when its source said that it was at its end and the ledger adds up. Whatever is
raised leaves the committed batches and their checkpoints, from which the run can go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from db.records import Batch, ErrorRow, Lease, Ledger, Run
from db.repositories import runs
from db.repositories.batches import last_batch
from db.repositories.errors import count_errors
from server.core.errors import Fatal
from server.core.retry import RetryPolicy
from server.orchestration import planning
from server.orchestration.context import RunContext
from server.orchestration.keys import KeyRule, StreamedKeys, SurveyedKeys
from server.orchestration.signals import RunSignals
from server.orchestration.survey import KeyLog, Repeats
from server.pipeline.contract import MappingPlan
from server.pipeline.prepare import key_digests, prepare
from server.sources.base import Reject, SourceBatch, SourceContext, SourceReader
from server.sources.registry import MappingRequest, Source
from server.writer import BatchWriter, WriteJob


class RunLoop:
    """Executes one run under one lease.

    Args:
        context: see RunContext.
        run: the run as it was claimed.
        lease: the right to write for it.
        source: its source, with options checked.
        signals: how it is told to stop.
    """

    def __init__(self, context: RunContext, run: Run, lease: Lease, source: Source, signals: RunSignals) -> None:
        self._context = context
        self._run = run
        self._lease = lease
        self._source = source
        self._signals = signals
        self.restart_no = run.restart_no
        self._stored_rejects = 0

    async def execute(self) -> None:
        """Read and write everything after the last checkpoint.

        Raises:
            RunStopped: a signal asked for it.
            SyncError, DatabaseError: the run cannot go on now.
        """
        context = self._context
        source_context = SourceContext(context.settings, context.clock)
        reader = await self._signals.guard(self._source.open(source_context, context.reveal))
        try:
            checkpoint = await self._checkpoint(reader)
            plan = await self._plan(self._source.mapping, reader)
            keys = await self._keys(plan, reader)
            await self._transfer(plan, keys, reader, checkpoint)
            await self._add_notices(reader.notices())
        finally:
            await reader.close()

    async def _checkpoint(self, reader: SourceReader) -> Batch | None:
        """Where to go on; a source that has changed since the last batch is read from its start again."""
        info = reader.info
        async with self._context.database.write() as connection:
            checkpoint = await last_batch(connection, self._run.id, self.restart_no)
            known = self._run.source_fingerprint
            if checkpoint is not None and known is not None and known != info.fingerprint:
                await runs.start_over(
                    connection,
                    self._run.id,
                    f"the source changed after batch {checkpoint.batch_no}: it was read again from its start",
                )
                self.restart_no += 1
                checkpoint = None
            await runs.note_source(
                connection,
                self._run.id,
                fingerprint=info.fingerprint,
                bytes_total=info.bytes_total,
                detected=info.detected,
            )
            self._stored_rejects = await count_errors(connection, self._run.id, self.restart_no)
        return checkpoint

    async def _plan(self, request: MappingRequest, reader: SourceReader) -> MappingPlan:
        async with self._context.database.read() as connection:
            base = await planning.row_number_base(connection, request, self._run)
        plan = planning.plan_for(
            request,
            reader.info.columns,
            source_type=self._run.source_type,
            source_identifier=self._run.source_identifier,
            row_number_base=base,
        )
        if plan.identity == "row_number":
            await self._add_notices((planning.ROW_NUMBER_NOTICE,))
        return plan

    async def _keys(self, plan: MappingPlan, reader: SourceReader) -> KeyRule:
        if not reader.info.rereadable or plan.identity == "row_number":
            return StreamedKeys(plan)
        with KeyLog(self._context.settings.survey_rows_in_memory_max) as log:
            async for batch in self._read(reader, None, 1):
                log.add(await asyncio.to_thread(key_digests, batch, plan))
            repeats = await asyncio.to_thread(log.repeats)
        if repeats.rows.height and plan.identity != "content":
            repeats = await self._without_refused(repeats, plan, reader)
        return SurveyedKeys(plan, repeats)

    async def _without_refused(self, repeats: Repeats, plan: MappingPlan, reader: SourceReader) -> Repeats:
        """A row that validation refuses supersedes nothing: the last *good* row with a key wins."""
        refused = repeats.rows["record_no"].clear()
        async for batch in self._read(reader, None, 1):
            if batch.record_nos.is_empty():
                continue
            here = repeats.between(int(batch.record_nos[0]), int(batch.record_nos[-1]))["record_no"]
            if here.is_empty():
                continue
            good = (await asyncio.to_thread(prepare, batch, plan)).rows["record_no"]
            refused = refused.append(here.filter(~here.is_in(good.implode())))
        return repeats.without(refused)

    async def _transfer(self, plan: MappingPlan, keys: KeyRule, reader: SourceReader, checkpoint: Batch | None) -> None:
        """Write batch after batch; while one is written, the next is read and prepared. Batches commit in order."""
        settings = self._context.settings
        policy = RetryPolicy(settings.batch_retry_attempts_max, settings.batch_retry_elapsed_seconds_max)
        writer: BatchWriter | None = None
        writing: asyncio.Task[None] | None = None
        position = checkpoint.position if checkpoint else None
        first_batch_no = checkpoint.batch_no + 1 if checkpoint else 1
        try:
            async for batch in self._read(reader, position, first_batch_no):
                job, columns = await asyncio.to_thread(self._job, batch, plan, keys)
                self._stored_rejects += len(job.rejects)
                if writing is not None:
                    await asyncio.shield(writing)
                # The batch boundary: what was read ahead is not begun when the run is to stop.
                self._signals.check()
                if writer is None:
                    spec = planning.load_spec(plan, settings, columns, self._run.source_identifier)
                    writer = BatchWriter(
                        self._context.database, self._lease, self.restart_no, spec, policy, self._context.clock
                    )
                writing = asyncio.create_task(self._write(writer, job), name=f"write-{self._run.id}-{job.batch_no}")
        finally:
            if writing is not None:
                await _ended(writing)
        if writing is not None:
            writing.result()

    async def _write(self, writer: BatchWriter, job: WriteJob) -> None:
        written = await writer.write(job)
        self._context.progressed(self._run.id)
        if written.ledger.rejected:
            await self._check_reject_count()

    async def _check_reject_count(self) -> None:
        run = await self._live_run()
        limit = self._context.settings.error_count_max
        if run.ledger.rejected > limit:
            raise Fatal(
                "ERROR_BUDGET_EXCEEDED",
                f"{run.ledger.rejected} rows were rejected, more than the {limit} that TECHAURA_SYNC_ERROR_COUNT_MAX "
                "allows; what was committed stays",
                category="validation",
            )

    def _job(self, batch: SourceBatch, plan: MappingPlan, keys: KeyRule) -> tuple[WriteJob, list[str]]:
        """Prepare a batch (in a thread): mapped, validated, one row per key."""
        prepared = prepare(batch, plan)
        distinct = keys.distinct(prepared)
        stored = [*(_error_row(reject, batch.batch_no) for reject in prepared.rejects)]
        stored += [replace(warning, batch_no=batch.batch_no) for warning in distinct.skipped]
        room = max(0, self._context.settings.rejects_stored_max - self._stored_rejects)
        ledger = Ledger(
            read=prepared.rows.height + len(prepared.rejects),
            rejected=len(prepared.rejects),
            skipped=len(distinct.skipped),
        )
        job = WriteJob(
            batch_no=batch.batch_no,
            rows=distinct.rows,
            rejects=stored[:room],
            ledger=ledger,
            position=batch.position,
            bytes_done=batch.bytes_done,
        )
        return job, distinct.rows.columns

    async def _read(
        self, reader: SourceReader, after: Mapping[str, Any] | None, first_batch_no: int
    ) -> AsyncIterator[SourceBatch]:
        """The reader's batches, cut short as soon as the run is to stop."""
        batches = reader.batches(after, first_batch_no)
        async with aclosing(batches):  # type: ignore[type-var] # an async generator; the protocol promises less
            while True:
                batch = await self._signals.guard(_next(batches))
                if batch is None:
                    return
                yield batch

    async def _live_run(self) -> Run:
        async with self._context.database.read() as connection:
            run = await runs.get_run(connection, self._run.id)
        if run is None:
            raise Fatal("RUN_NOT_FOUND", f"run {self._run.id} was deleted while it was executed", category="system")
        return run

    async def _add_notices(self, notices: tuple[str, ...]) -> None:
        if notices:
            async with self._context.database.write() as connection:
                await runs.add_notices(connection, self._run.id, notices)


async def _ended(writing: asyncio.Task[None]) -> None:
    """Let the batch in hand end; when this run is cut short meanwhile, cut the batch short too (it rolls back)."""
    try:
        await asyncio.wait({writing})
    except asyncio.CancelledError:
        writing.cancel()
        await asyncio.wait({writing})
        raise
    if not writing.cancelled():
        writing.exception()  # seen here, so that a fault beside another one is not reported as lost


async def _next(batches: AsyncIterator[SourceBatch]) -> SourceBatch | None:
    return await anext(batches, None)


def _error_row(reject: Reject, batch_no: int) -> ErrorRow:
    return ErrorRow(
        error_type=reject.category,
        error_code=reject.kind,
        message=reject.message,
        retryable=False,
        line=reject.line,
        byte_offset=reject.byte_offset,
        column=reject.column,
        raw=reject.raw,
        batch_no=batch_no,
    )
