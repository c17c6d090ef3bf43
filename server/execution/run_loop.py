"""One run, from its options to its end.

    open the source -> the same as last time? -> plan the mapping -> find repeated keys -> after the last checkpoint:
        read a batch -> prepare -> make keys distinct -> write -> say so
    -> (mirror) switch off what is gone -> compare the ledger with the table -> completed

Invariants: batches commit in order, so the last one is a checkpoint; nothing is written without the lease; a run ends
as completed only when its source said that it was at its end and the ledger adds up. Whatever is raised leaves the
committed batches and their checkpoints, from which the run can go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from db.loaders.mirror import record_active_before
from db.loaders.refusals import TargetRefusedError
from db.loaders.staging import local_infile_allowed
from db.loaders.target_check import check_target
from db.records import Batch, Lease, LoadSpec, Run
from db.repositories import runs, watermarks
from db.repositories.batches import last_batch, numbers_of, read_totals
from db.repositories.content import count_rows
from db.repositories.errors import count_errors
from db.repositories.sources import remember_row_identifier, row_identifier
from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.core.retry import RetryPolicy
from server.core.tally import Tally
from server.core.tasks import owned_tasks
from server.core.texts import escaped
from server.execution import planning
from server.execution.advised_plan import advised_plan
from server.execution.batch_counts import BatchCounts
from server.execution.batch_jobs import make_job
from server.execution.context import RunContext
from server.execution.duplicate_keys import KeyRule, StreamedKeys, SurveyedKeys
from server.execution.key_survey import DuplicateKeys, KeySurvey
from server.execution.lost_columns import lost_columns
from server.execution.mirror import MirrorReading, finish_mirror
from server.execution.stop_signal import RunSignals
from server.execution.transfer import BatchPipeline
from server.execution.unchanged_source import record_repetition, same_reading
from server.execution.verdict import ErrorBudgetError
from server.pipeline.keys import identifying_texts
from server.pipeline.plan import MappingPlan
from server.pipeline.prepare import key_digests, prepare
from server.sources.contract import POSITION_SECOND_LOOK, SourceBatch, SourceContext, SourceReader
from server.sources.source_type import Source
from server.writer import BatchWriter


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
        self._restart_no = run.restart_no
        self._rejected_count = 0
        # Whether what did not come may be there all the same, so that the watermark of an incremental source has to stay.
        self.keeps_watermark = False

    async def execute(self) -> None:
        """Read and write everything after the last checkpoint.

        Raises:
            RunStoppedError: a signal asked for it.
            SyncError, DatabaseError: the run cannot continue now.
        """
        is_whole = False
        while not is_whole:
            is_whole = await self._read_to_the_end()

    async def _read_to_the_end(self) -> bool:
        """Do so once; return False when the source is to be read a second time (`finish_mirror`), which happens once."""
        context = self._context
        source_context = context.source_context(self._run.id, self._signals, watermark=await self._watermark())
        reader = await self._signals.guard(self._source.open(source_context, context.reveal), is_source=True)
        try:
            checkpoint = await self._checkpoint(reader)
            plan = await self._plan(reader, source_context)
            spec = self._spec(plan, reader)
            if await self._is_repetition(spec, reader, checkpoint):
                return True
            await self._check_target(spec)
            keys = await self._keys(plan, reader)
            await self._check_batches(await self._transfer(plan, spec, keys, reader, checkpoint))
            doubts = reader.doubts()
            if spec.seen_by is not None:
                options = self._source.mapping.write
                share_max = context.settings.error_ratio_max
                lost = await lost_columns(context.database, self._run, self._source.mapping, plan)
                doubted = (*doubts, *lost)
                reading = MirrorReading(
                    self._run.id, self._restart_no, came_in_parts=reader.came_in_parts(), doubts=doubted
                )
                is_finished = await finish_mirror(
                    context.database, self._lease, reading, spec, options, share_max, identifying_texts(plan)
                )
                if not is_finished:
                    self._restart_no += 1
                    return False
            if keys.is_exact:
                await self._compare_with_table(spec)
            await self._add_notices(reader.notices())
            if doubts and self._source.watermark is not None:
                self.keeps_watermark = True
                await self._add_notices((f"the next run asks for the same changes again: {doubts[0]}",))
            return True
        except TargetRefusedError as error:
            raise FatalError(
                Reason.TARGET_REFUSED, error.message, category=Category.VALIDATION, next_step=error.next_step
            ) from error
        finally:
            await reader.close()

    async def _watermark(self) -> str | None:
        """The watermark of an incremental source, from the runs before this one."""
        rule = self._source.watermark
        if rule is None:
            return None
        async with self._context.database.read() as connection:
            return await watermarks.get_value(connection, rule.key, rule.full_after_days)

    async def _checkpoint(self, reader: SourceReader) -> Batch | None:
        """The checkpoint to continue from; a source that has changed since then is read from its start again."""
        info = reader.info
        async with self._context.database.write() as connection:
            checkpoint = await last_batch(connection, self._run.id, self._restart_no)
            known = self._run.source_fingerprint
            if checkpoint is not None and known is not None and known != info.fingerprint:
                await runs.start_over(
                    connection,
                    self._run.id,
                    f"the source changed after batch {checkpoint.batch_no}: it was read again from its start",
                )
                self._restart_no += 1
                checkpoint = None
            await runs.record_source(
                connection,
                self._run.id,
                fingerprint=info.fingerprint,
                bytes_total=info.bytes_total,
                detected=info.detected,
            )
        return checkpoint

    async def _plan(self, reader: SourceReader, source_context: SourceContext) -> MappingPlan:
        request = self._source.mapping
        async with self._context.database.read() as connection:
            identifier, is_remembered = await row_identifier(connection, self._run.id)
            if identifier != self._run.source_identifier:
                self._run = replace(self._run, source_identifier=identifier)
            base = await planning.row_number_base(connection, request, self._run)
        if not is_remembered:
            async with self._context.database.write() as connection:
                await remember_row_identifier(connection, self._run.id, identifier)
        plan = await advised_plan(
            self._source,
            reader.info.columns,
            source_context,
            source_type=self._run.source_type,
            source_identifier=self._run.source_identifier,
            row_number_base=base,
        )
        row_number = (planning.ROW_NUMBER_NOTICE,) if plan.identity == "row_number" else ()
        await self._add_notices((*plan.notices, *row_number))
        return plan

    def _spec(self, plan: MappingPlan, reader: SourceReader) -> LoadSpec:
        write = self._source.mapping.write
        seen_by = (self._run.id, self._restart_no) if write.mode == "mirror" else None
        return planning.load_spec(
            plan, self._context.settings, self._run.source_identifier, write, reader.info.modified_at, seen_by
        )

    async def _is_repetition(self, spec: LoadSpec, reader: SourceReader, checkpoint: Batch | None) -> bool:
        """Whether the last reading of the source stands for this one, so that nothing has to be read."""
        if checkpoint is not None:
            # A run that was recorded as unchanged before it was interrupted ends as such: its only batch is complete.
            return self._run.same_as_run_id is not None and self._restart_no == self._run.restart_no
        database = self._context.database
        last = await self._signals.guard(same_reading(database, self._run, spec, reader))
        if last is not None:
            await record_repetition(database, self._run, self._restart_no, self._lease, last, reader.info.bytes_total)
        return last is not None

    async def _check_target(self, spec: LoadSpec) -> None:
        """Check for what would make the target refuse every row, before the source is read through."""
        async with self._context.database.read() as connection:
            await check_target(connection, spec)

    async def _keys(self, plan: MappingPlan, reader: SourceReader) -> KeyRule:
        if not reader.info.rereadable or plan.identity == "row_number":
            return StreamedKeys(plan)
        async with owned_tasks() as tasks:
            # The content's digest is made beside the survey: it costs a second reading of what is in memory by then.
            digest = tasks.start(reader.content_digest(), name=f"digest-{self._run.id}")
            with KeySurvey(self._context.settings.survey_rows_in_memory_max) as log:
                async for batch in self._read(reader, None, 1):
                    log.add(await asyncio.to_thread(key_digests, batch, plan))
                repeats = await asyncio.to_thread(log.repeats)
            # Waited for before the transaction begins: on SQLite that one keeps every other writer out.
            content_digest = await self._signals.guard(_result(digest))
            async with self._context.database.write() as connection:
                await runs.record_digest(connection, self._run.id, content_digest)
        if repeats.rows.height and plan.identity != "content":
            repeats = await self._without_refused(repeats, plan, reader)
        return SurveyedKeys(plan, repeats)

    async def _without_refused(self, repeats: DuplicateKeys, plan: MappingPlan, reader: SourceReader) -> DuplicateKeys:
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

    async def _transfer(
        self, plan: MappingPlan, spec: LoadSpec, keys: KeyRule, reader: SourceReader, checkpoint: Batch | None
    ) -> int:
        """Write batch after batch, a few at a time, while the next is read and prepared; return the number of the last."""
        settings, database = self._context.settings, self._context.database
        async with database.read() as connection:
            errors_stored = await count_errors(connection, self._run.id, self._restart_no)
            self._rejected_count = (await read_totals(connection, self._run.id)).ledger.rejected
            is_local_infile_allowed = await local_infile_allowed(connection)
        if not is_local_infile_allowed:
            await self._add_notices((planning.LOCAL_INFILE_NOTICE,))
        if spec.seen_by is not None:
            async with database.write() as connection:
                await record_active_before(connection, spec, self._run.id)
        last_batch_no = checkpoint.batch_no if checkpoint else 0
        first_batch_no = last_batch_no + 1
        writer = BatchWriter(
            database,
            self._lease,
            self._restart_no,
            spec,
            RetryPolicy(settings.batch_retry_attempts_max, settings.batch_retry_elapsed_seconds_max),
            self._context.clock,
            wait=self._context.waits.of(self._run.id),
            first_batch_no=first_batch_no,
            tally=Tally.from_json(checkpoint.tally) if checkpoint else None,
            errors_room=settings.rejects_stored_max - errors_stored,
            refused_statements_max=settings.refused_statements_max,
            refused_seconds_max=settings.refused_seconds_max,
            instruments=self._context.instruments,
        )
        counts = BatchCounts(self._context.instruments, spec.table, checkpoint)

        def written(batch: Batch) -> None:
            counts.committed(batch)
            self._written(batch)

        # Batches that may hold the same key would wait for each other; SQLite has one writer anyway.
        loaders = settings.loaders_max if keys.is_exact and not database.is_sqlite else 1
        async with BatchPipeline(writer, loaders, self._signals, written) as transfer:
            position = checkpoint.position if checkpoint else None
            if position and POSITION_SECOND_LOOK in position:
                position = None
            async for batch in self._read(reader, position, first_batch_no):
                await transfer.put(await asyncio.to_thread(make_job, batch, plan, keys, settings.rejects_stored_max))
                last_batch_no = batch.batch_no
            await transfer.finish()
        return last_batch_no

    async def _check_batches(self, last_batch_no: int) -> None:
        """The counts are sums over the batches, so each batch of the reading must still stand there."""
        async with self._context.database.read() as connection:
            count, highest = await numbers_of(connection, self._run.id, self._restart_no)
        if not count == highest == last_batch_no:
            raise FatalError(
                Reason.LEDGER_MISMATCH,
                f"{last_batch_no} batches of the run were committed, and sync_batches has {count} of them, up to number "
                f"{highest}: something else has deleted rows there. Find out what, and sync again",
                category=Category.SYSTEM,
            )

    def _written(self, batch: Batch) -> None:
        self._signals.batch_committed()
        self._context.changed(self._run.id)
        self._rejected_count += batch.ledger.rejected
        if self._rejected_count > self._context.settings.error_count_max:
            # The verdict finds the words: it knows what was wrong with the rows.
            raise ErrorBudgetError

    async def _compare_with_table(self, spec: LoadSpec) -> None:
        """Every row that was written has a key of its own, so the table has at least as many rows of this source."""
        async with self._context.database.read() as connection:
            ledger = (await read_totals(connection, self._run.id)).ledger
            there = await count_rows(connection, spec)
        if there < ledger.written:
            raise FatalError(
                Reason.LEDGER_MISMATCH,
                f"{ledger.written} rows were written or found unchanged, but {spec.table} has {there} rows of this source: "
                "something else has deleted rows meanwhile. Find out what, and sync again",
                category=Category.SYSTEM,
            )

    async def _read(
        self, reader: SourceReader, after: Mapping[str, Any] | None, first_batch_no: int
    ) -> AsyncIterator[SourceBatch]:
        """The reader's batches, cut short as soon as the run is to stop."""
        batches = reader.batches(after, first_batch_no)
        async with aclosing(batches):
            while True:
                batch = await self._signals.guard(_next(batches), is_source=True)
                if batch is None:
                    return
                yield batch

    async def _add_notices(self, notices: tuple[str, ...]) -> None:
        if notices:
            async with self._context.database.write() as connection:
                await runs.add_notices(connection, self._run.id, tuple(map(escaped, notices)))


async def _result(task: asyncio.Task[str]) -> str:
    return await task


async def _next(batches: AsyncIterator[SourceBatch]) -> SourceBatch | None:
    return await anext(batches, None)
