"""SyncService: convert, call, convert. Errors pass through to the interceptor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import grpc
from techaura.sync.v1 import resources_pb2
from techaura.sync.v1 import sync_service_pb2 as pb
from techaura_sync.spec import source_type_of

from db.records import ErrorFilter, Run
from server.events import SharedMessages
from server.runs.service import Runs
from server.runs.source_test import Previews
from server.schedules.service import Schedules
from server.service import convert, list_tokens, request_checks
from server.service.calls import current_call
from server.service.message_pages import first_page, message_pages
from server.service.schedule_calls import ScheduleCalls

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

_WATCHED_RUNS_MAX: Final = 256
_STATUS_FILTERS: Final = {resources_pb2.SYNC_STATUS_UNSPECIFIED: None, **convert.STATUS_FROM_PROTO}


class SyncServicer(ScheduleCalls):
    """The calls of protos/techaura/sync/v1/sync_service.proto, where each is documented."""

    def __init__(self, runs: Runs, schedules: Schedules, previews: Previews) -> None:
        super().__init__(schedules)
        self._runs = runs
        self._previews = previews
        self._watched = SharedMessages(self._status, _WATCHED_RUNS_MAX)

    async def TriggerSync(
        self, request: pb.TriggerSyncRequest, context: Context
    ) -> AsyncIterator[pb.TriggerSyncResponse]:
        """Start a run and follow it."""
        spec = request.spec
        options = convert.options_document(spec)
        call = current_call()
        run_id = await self._runs.trigger(source_type_of(spec), spec.source_identifier, options, call)
        yield pb.TriggerSyncResponse(accepted=pb.SyncAccepted(sync_run_id=run_id))
        if request.detach:
            return
        async with aclosing(self._runs.watch(run_id)) as snapshots:
            async for run in snapshots:
                yield pb.TriggerSyncResponse(progress=convert.progress_message(run))

    async def TestSource(self, request: pb.TestSourceRequest, context: Context) -> pb.TestSourceResponse:
        """Preview a source; nothing is written."""
        spec = request.spec
        options = convert.options_document(spec)
        source_type, identifier = source_type_of(spec), spec.source_identifier
        found = await self._previews.test(
            source_type, identifier, options, answer_refusal=request.answer_refusal, caller=current_call().caller
        )
        return convert.preview_message(found, source_type, identifier)

    async def ResumeSyncs(
        self, request: pb.ResumeSyncsRequest, context: Context
    ) -> AsyncIterator[pb.ResumeSyncsResponse]:
        """Wake the workers."""
        ids = await self._runs.resume(current_call())
        yield pb.ResumeSyncsResponse(pending_count=len(ids))
        if not request.watch or not ids:
            return
        async with aclosing(self._runs.watch_waiting(ids)) as counts:
            async for pending, in_progress in counts:
                yield pb.ResumeSyncsResponse(pending_count=pending, in_progress_count=in_progress)

    async def GetSyncStatus(
        self, request: pb.GetSyncStatusRequest, context: Context
    ) -> AsyncIterator[pb.GetSyncStatusResponse]:
        """Return a run, and follow it on request."""
        run_id, caller = request_checks.run_id(request), current_call().caller
        if not request.watch:
            yield await self._status(await self._runs.get(run_id, caller))
            return
        async with aclosing(self._runs.watch(run_id, request.after_sequence, caller)) as snapshots:
            async for run in snapshots:
                yield await self._watched.of(run.id, run)

    async def GetSyncStats(
        self, request: pb.GetSyncStatsRequest, context: Context
    ) -> AsyncIterator[pb.GetSyncStatsResponse]:
        """Return counts, and follow them on request."""
        caller = current_call().caller
        if not request.watch:
            yield pb.GetSyncStatsResponse(stats=convert.stats_message(await self._runs.stats(caller)))
            return
        async with aclosing(self._runs.watch_stats(caller)) as snapshots:
            async for counts in snapshots:
                yield pb.GetSyncStatsResponse(stats=convert.stats_message(counts))

    async def GetCaller(self, request: pb.GetCallerRequest, context: Context) -> pb.GetCallerResponse:
        """Say who calls."""
        caller = current_call().caller
        return pb.GetCallerResponse(name=caller.name, scopes=sorted(caller.scopes), narrowed=caller.reach.is_narrow)

    async def ListSyncRuns(self, request: pb.ListSyncRunsRequest, context: Context) -> pb.ListSyncRunsResponse:
        """A page of runs."""
        size = list_tokens.page_size(request.page_size)
        status = request_checks.member(request.status, _STATUS_FILTERS, "status", "status")
        before_id, caller = list_tokens.before_id(request.page_token), current_call().caller
        found, looked_to = await self._runs.page(before_id, size + 1, status, request.source_type, caller)
        page = first_page(convert.run_message(run) for run in found[:size])
        return pb.ListSyncRunsResponse(
            runs=page, next_page_token=list_tokens.next_token([run.id for run in found], len(page), looked_to=looked_to)
        )

    async def ListSyncErrors(self, request: pb.ListSyncErrorsRequest, context: Context) -> pb.ListSyncErrorsResponse:
        """A page of errors."""
        run_id, size = request_checks.run_id(request), list_tokens.page_size(request.page_size)
        filters = (request.reason, request.column)
        before_id = list_tokens.before_id(request.page_token, filters)
        caller = current_call().caller
        found = await self._runs.errors(run_id, before_id, size + 1, ErrorFilter(*filters), caller)
        page = first_page(convert.error_message(run_id, error) for error in found[:size])
        return pb.ListSyncErrorsResponse(
            errors=page,
            next_page_token=list_tokens.next_token([error.id for error in found], len(page), filters),
        )

    async def ExportSyncRejects(
        self, request: pb.ExportSyncRejectsRequest, context: Context
    ) -> AsyncIterator[pb.ExportSyncRejectsResponse]:
        """All stored rejects of a run."""
        run_id = request_checks.run_id(request)
        chosen, caller = ErrorFilter(request.reason, request.column), current_call().caller
        async with aclosing(self._runs.rejects(run_id, chosen, caller)) as pages:
            async for page in pages:
                if not page.rejects:
                    yield pb.ExportSyncRejectsResponse(not_stored=page.not_stored)
                for messages in message_pages(convert.error_message(run_id, reject) for reject in page.rejects):
                    yield pb.ExportSyncRejectsResponse(rejects=messages)

    async def CancelSync(self, request: pb.CancelSyncRequest, context: Context) -> pb.CancelSyncResponse:
        """Ask a run to stop."""
        run = await self._runs.cancel(request_checks.run_id(request), current_call())
        return pb.CancelSyncResponse(run=convert.run_message(run))

    async def PauseSync(self, request: pb.PauseSyncRequest, context: Context) -> pb.PauseSyncResponse:
        """Hold a run."""
        run = await self._runs.pause(request_checks.run_id(request), current_call())
        return pb.PauseSyncResponse(run=convert.run_message(run))

    async def ContinueSync(self, request: pb.ContinueSyncRequest, context: Context) -> pb.ContinueSyncResponse:
        """Continue a paused run."""
        run = await self._runs.continue_run(request_checks.run_id(request), current_call())
        return pb.ContinueSyncResponse(run=convert.run_message(run))

    async def _status(self, run: Run) -> pb.GetSyncStatusResponse:
        errors = await self._runs.recent_errors(run.id)
        messages: list[resources_pb2.SyncError] = [convert.error_message(run.id, error) for error in errors]
        return pb.GetSyncStatusResponse(run=convert.run_message(run), recent_errors=messages, sequence=run.sequence)
