"""A SyncService that says what a test told it to: the other side of the wire for the clients and the gateway.

It is a real grpc.aio server on loopback. It holds no rule of the real service; tests of those run against the real one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from techaura.sync.v1 import resources_pb2, schedules_pb2, sync_service_pb2, sync_service_pb2_grpc
from techaura_sync import sync_spec

SERVICE_NAME = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"].full_name
Context = grpc.aio.ServicerContext[Message, Message]


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call fails: code, text, and the details that the real service adds; no reason means no details."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    field: str = ""

    async def abort(self, context: Context) -> None:
        """End the call with this failure."""
        details: list[any_pb2.Any] = []
        if self.reason:
            details.append(any_pb2.Any())
            details[-1].Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain="sync.techaura"))
        if self.field:
            details.append(any_pb2.Any())
            violation = error_details_pb2.BadRequest.FieldViolation(field=self.field, description=self.message)
            details[-1].Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=details)
        metadata = (("grpc-status-details-bin", status.SerializeToString()),) if details else ()
        await context.abort(self.code, self.message, metadata)


NO_SUCH_RUN = Refusal(grpc.StatusCode.NOT_FOUND, "there is no run of that id", "RUN_NOT_FOUND")
CONNECTION_LOST = Refusal(grpc.StatusCode.UNAVAILABLE, "the connection broke")


@dataclass(slots=True)
class Script:
    """What the service answers, and what it was asked."""

    accepted_run_id: int = 41
    progress: list[resources_pb2.SyncProgress] = field(default_factory=list)
    # Snapshots of each run, oldest first; a plain status answers the last.
    snapshots: dict[int, list[sync_service_pb2.GetSyncStatusResponse]] = field(default_factory=dict)
    # A watch breaks off with the failure after so many snapshots; one entry is used for each watch.
    watch_breaks: list[tuple[int, Refusal]] = field(default_factory=list)
    # While set, a watch that has sent every snapshot waits, as it does on a run that goes on.
    run_goes_on: bool = False
    stats: resources_pb2.SyncStats = field(default_factory=resources_pb2.SyncStats)
    source_test: sync_service_pb2.TestSourceResponse = field(default_factory=sync_service_pb2.TestSourceResponse)
    pending_count: int = 0
    runs: list[resources_pb2.SyncRun] = field(default_factory=list)
    errors: list[resources_pb2.SyncError] = field(default_factory=list)
    # Rejects that are not stored, and the failure with which an export breaks off behind those that are.
    not_stored: int = 0
    export_break: Refusal | None = None
    next_page_token: str = ""
    schedule: schedules_pb2.SyncSchedule = field(
        default_factory=lambda: schedules_pb2.SyncSchedule(
            sync_schedule_id=5,
            spec=sync_spec("csv", "a.csv"),
            cron="0 3 * * *",
            time_zone="UTC",
            overlap_policy=schedules_pb2.OVERLAP_POLICY_SKIP,
        )
    )
    refusal: Refusal | None = None
    never_answers: bool = False
    requests: list[Message] = field(default_factory=list)
    watches_ended: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedSchedules(sync_service_pb2_grpc.SyncServiceServicer):
    """Keeps one schedule, whatever it is asked for."""

    script: Script

    async def _note(self, request: Message, context: Context) -> None:
        self.script.requests.append(request)
        if self.script.never_answers:
            await asyncio.Event().wait()
        if self.script.refusal is not None:
            await self.script.refusal.abort(context)

    async def CreateSyncSchedule(
        self, request: schedules_pb2.CreateSyncScheduleRequest, context: Context
    ) -> schedules_pb2.CreateSyncScheduleResponse:
        await self._note(request, context)
        return schedules_pb2.CreateSyncScheduleResponse(schedule=self.script.schedule)

    async def GetSyncSchedule(
        self, request: schedules_pb2.GetSyncScheduleRequest, context: Context
    ) -> schedules_pb2.GetSyncScheduleResponse:
        await self._note(request, context)
        return schedules_pb2.GetSyncScheduleResponse(schedule=self.script.schedule)

    async def ListSyncSchedules(
        self, request: schedules_pb2.ListSyncSchedulesRequest, context: Context
    ) -> schedules_pb2.ListSyncSchedulesResponse:
        await self._note(request, context)
        return schedules_pb2.ListSyncSchedulesResponse(
            schedules=[self.script.schedule], next_page_token=self.script.next_page_token
        )

    async def UpdateSyncSchedule(
        self, request: schedules_pb2.UpdateSyncScheduleRequest, context: Context
    ) -> schedules_pb2.UpdateSyncScheduleResponse:
        await self._note(request, context)
        return schedules_pb2.UpdateSyncScheduleResponse(schedule=self.script.schedule)

    async def DeleteSyncSchedule(
        self, request: schedules_pb2.DeleteSyncScheduleRequest, context: Context
    ) -> schedules_pb2.DeleteSyncScheduleResponse:
        await self._note(request, context)
        return schedules_pb2.DeleteSyncScheduleResponse()

    async def RunSyncSchedule(
        self, request: schedules_pb2.RunSyncScheduleRequest, context: Context
    ) -> schedules_pb2.RunSyncScheduleResponse:
        await self._note(request, context)
        return schedules_pb2.RunSyncScheduleResponse(sync_run_id=self.script.accepted_run_id)


class ScriptedService(ScriptedSchedules):
    """Follows a script."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def TriggerSync(
        self, request: sync_service_pb2.TriggerSyncRequest, context: Context
    ) -> AsyncIterator[sync_service_pb2.TriggerSyncResponse]:
        await self._note(request, context)
        accepted = sync_service_pb2.SyncAccepted(sync_run_id=self.script.accepted_run_id)
        yield sync_service_pb2.TriggerSyncResponse(accepted=accepted)
        for progress in [] if request.detach else self.script.progress:
            yield sync_service_pb2.TriggerSyncResponse(progress=progress)
        if not request.detach and self.script.watch_breaks:
            await self.script.watch_breaks.pop(0)[1].abort(context)

    async def TestSource(
        self, request: sync_service_pb2.TestSourceRequest, context: Context
    ) -> sync_service_pb2.TestSourceResponse:
        await self._note(request, context)
        return self.script.source_test

    async def ResumeSyncs(
        self, request: sync_service_pb2.ResumeSyncsRequest, context: Context
    ) -> AsyncIterator[sync_service_pb2.ResumeSyncsResponse]:
        await self._note(request, context)
        yield sync_service_pb2.ResumeSyncsResponse(pending_count=self.script.pending_count)
        if request.watch:
            yield sync_service_pb2.ResumeSyncsResponse(pending_count=0)

    async def GetSyncStatus(
        self, request: sync_service_pb2.GetSyncStatusRequest, context: Context
    ) -> AsyncIterator[sync_service_pb2.GetSyncStatusResponse]:
        await self._note(request, context)
        snapshots = self.script.snapshots.get(request.sync_run_id, [])
        if not snapshots:
            await NO_SUCH_RUN.abort(context)
        if not request.watch:
            yield snapshots[-1]
            return
        breaks_after, refusal = self.script.watch_breaks.pop(0) if self.script.watch_breaks else (-1, None)
        try:
            sent = 0
            for snapshot in snapshots:
                if sent == breaks_after and refusal is not None:
                    await refusal.abort(context)
                if snapshot.sequence > request.after_sequence or snapshot is snapshots[-1]:
                    yield snapshot
                    sent += 1
            if self.script.run_goes_on:
                await asyncio.Event().wait()
        finally:
            self.script.watches_ended.set()

    async def GetSyncStats(
        self, request: sync_service_pb2.GetSyncStatsRequest, context: Context
    ) -> AsyncIterator[sync_service_pb2.GetSyncStatsResponse]:
        await self._note(request, context)
        yield sync_service_pb2.GetSyncStatsResponse(stats=self.script.stats)
        if request.watch:
            yield sync_service_pb2.GetSyncStatsResponse(stats=self.script.stats)

    async def GetCaller(
        self, request: sync_service_pb2.GetCallerRequest, context: Context
    ) -> sync_service_pb2.GetCallerResponse:
        await self._note(request, context)
        return sync_service_pb2.GetCallerResponse(name="bot", scopes=["read"])

    async def ListSyncRuns(
        self, request: sync_service_pb2.ListSyncRunsRequest, context: Context
    ) -> sync_service_pb2.ListSyncRunsResponse:
        await self._note(request, context)
        return sync_service_pb2.ListSyncRunsResponse(runs=self.script.runs, next_page_token=self.script.next_page_token)

    async def ListSyncErrors(
        self, request: sync_service_pb2.ListSyncErrorsRequest, context: Context
    ) -> sync_service_pb2.ListSyncErrorsResponse:
        await self._note(request, context)
        return sync_service_pb2.ListSyncErrorsResponse(
            errors=self.script.errors, next_page_token=self.script.next_page_token
        )

    async def ExportSyncRejects(
        self, request: sync_service_pb2.ExportSyncRejectsRequest, context: Context
    ) -> AsyncIterator[sync_service_pb2.ExportSyncRejectsResponse]:
        await self._note(request, context)
        yield sync_service_pb2.ExportSyncRejectsResponse(not_stored=self.script.not_stored)
        for error in self.script.errors:
            yield sync_service_pb2.ExportSyncRejectsResponse(rejects=[error])
        if self.script.export_break is not None:
            await self.script.export_break.abort(context)

    async def CancelSync(
        self, request: sync_service_pb2.CancelSyncRequest, context: Context
    ) -> sync_service_pb2.CancelSyncResponse:
        await self._note(request, context)
        for run in self.script.runs:
            if run.sync_run_id == request.sync_run_id:
                return sync_service_pb2.CancelSyncResponse(run=run)
        await NO_SUCH_RUN.abort(context)
        raise AssertionError("abort raises")

    async def PauseSync(
        self, request: sync_service_pb2.PauseSyncRequest, context: Context
    ) -> sync_service_pb2.PauseSyncResponse:
        await self._note(request, context)
        return sync_service_pb2.PauseSyncResponse(run=await self._held(request.sync_run_id, True, context))

    async def ContinueSync(
        self, request: sync_service_pb2.ContinueSyncRequest, context: Context
    ) -> sync_service_pb2.ContinueSyncResponse:
        await self._note(request, context)
        return sync_service_pb2.ContinueSyncResponse(run=await self._held(request.sync_run_id, False, context))

    async def _held(self, run_id: int, paused: bool, context: Context) -> resources_pb2.SyncRun:
        for run in self.script.runs:
            if run.sync_run_id == run_id:
                run.paused = paused
                return run
        await NO_SUCH_RUN.abort(context)
        raise AssertionError("abort raises")


@asynccontextmanager
async def serving(script: Script, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve the script on loopback while the block runs; gives `host:port`."""
    server = grpc.aio.server()
    sync_service_pb2_grpc.add_SyncServiceServicer_to_server(ScriptedService(script), server)
    states = health.aio.HealthServicer()
    await states.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
    add_HealthServicer_to_server(states, server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=0)


def snapshot(
    sequence: int,
    status: resources_pb2.SyncStatus.ValueType = resources_pb2.SYNC_STATUS_IN_PROGRESS,
    *,
    run_id: int = 41,
    ledger: resources_pb2.Ledger | None = None,
    errors: tuple[resources_pb2.SyncError, ...] = (),
) -> sync_service_pb2.GetSyncStatusResponse:
    """One snapshot of a run."""
    run = resources_pb2.SyncRun(sync_run_id=run_id, status=status, ledger=ledger, source_type="csv")
    return sync_service_pb2.GetSyncStatusResponse(run=run, recent_errors=errors, sequence=sequence)


def requests_of_type(script: Script) -> dict[type[Message], int]:
    """How often each request came."""
    counts: dict[type[Message], int] = defaultdict(int)
    for request in script.requests:
        counts[type(request)] += 1
    return counts
