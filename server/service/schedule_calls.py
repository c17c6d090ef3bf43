"""The schedule calls of SyncService: convert, call, convert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from techaura.sync.v1 import schedules_pb2 as pb
from techaura.sync.v1 import sync_service_pb2_grpc

from db.records import Schedule
from server.schedules.service import Schedules
from server.service import list_tokens
from server.service.calls import current_call
from server.service.convert_schedules import draft_of, schedule_message
from server.service.message_pages import first_page
from server.service.request_checks import changed_fields, given_fields, schedule_id

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class ScheduleCalls(sync_service_pb2_grpc.SyncServiceServicer):
    """The calls on schedules; see protos/techaura/sync/v1/sync_service.proto."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def CreateSyncSchedule(
        self, request: pb.CreateSyncScheduleRequest, context: Context
    ) -> pb.CreateSyncScheduleResponse:
        """Store a schedule."""
        created = await self._schedules.create(
            draft_of(request.schedule, given_fields(request.schedule)), current_call()
        )
        return pb.CreateSyncScheduleResponse(schedule=self._message(created))

    async def GetSyncSchedule(self, request: pb.GetSyncScheduleRequest, context: Context) -> pb.GetSyncScheduleResponse:
        """Return one schedule."""
        found = await self._schedules.get(schedule_id(request), current_call().caller)
        return pb.GetSyncScheduleResponse(schedule=self._message(found))

    async def ListSyncSchedules(
        self, request: pb.ListSyncSchedulesRequest, context: Context
    ) -> pb.ListSyncSchedulesResponse:
        """A page of schedules."""
        size = list_tokens.page_size(request.page_size)
        before_id, caller = list_tokens.before_id(request.page_token), current_call().caller
        found = await self._schedules.page(before_id, size + 1, caller)
        page = first_page(self._message(schedule) for schedule in found[:size])
        return pb.ListSyncSchedulesResponse(
            schedules=page, next_page_token=list_tokens.next_token([schedule.id for schedule in found], len(page))
        )

    async def UpdateSyncSchedule(
        self, request: pb.UpdateSyncScheduleRequest, context: Context
    ) -> pb.UpdateSyncScheduleResponse:
        """Change a schedule."""
        changed_id, paths = schedule_id(request.schedule), changed_fields(request)
        draft = draft_of(request.schedule, paths)
        changed = await self._schedules.update(changed_id, draft, request.schedule.revision or None, current_call())
        return pb.UpdateSyncScheduleResponse(schedule=self._message(changed))

    async def DeleteSyncSchedule(
        self, request: pb.DeleteSyncScheduleRequest, context: Context
    ) -> pb.DeleteSyncScheduleResponse:
        """Remove a schedule."""
        await self._schedules.delete(schedule_id(request), current_call())
        return pb.DeleteSyncScheduleResponse()

    async def RunSyncSchedule(self, request: pb.RunSyncScheduleRequest, context: Context) -> pb.RunSyncScheduleResponse:
        """Start what a schedule syncs."""
        run_id = await self._schedules.run_now(schedule_id(request), current_call())
        return pb.RunSyncScheduleResponse(sync_run_id=run_id)

    def _message(self, schedule: Schedule) -> pb.SyncSchedule:
        return schedule_message(schedule, self._schedules.next_fire_at(schedule))
