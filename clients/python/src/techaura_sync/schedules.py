"""The calls on recurring syncs, blocking. Made from the asyncio one by scripts/generate; not edited by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from techaura.sync.v1 import schedules_pb2

from techaura_sync.channels import Metadata
from techaura_sync.errors import translated


class SyncSchedules:
    """The schedules of one service; a `SyncClient` has one."""

    def __init__(self, stub: Any, timeout_seconds: float, metadata: Metadata) -> None:
        self._stub = stub
        self._timeout = timeout_seconds
        self._metadata = metadata

    def create(self, schedule: schedules_pb2.SyncSchedule, *, request_id: str = "") -> schedules_pb2.SyncSchedule:
        """Store a schedule; returns it as it is stored.

        Raises:
            SyncServiceError: it is wrong, or there are too many.
        """
        request = schedules_pb2.CreateSyncScheduleRequest(schedule=schedule, request_id=request_id)
        return _one(self._call("CreateSyncSchedule", request))

    def get(self, schedule_id: int) -> schedules_pb2.SyncSchedule:
        """One schedule.

        Raises:
            SyncServiceError: SCHEDULE_NOT_FOUND.
        """
        request = schedules_pb2.GetSyncScheduleRequest(sync_schedule_id=schedule_id)
        return _one(self._call("GetSyncSchedule", request))

    def page(self, page_size: int = 0, page_token: str = "") -> schedules_pb2.ListSyncSchedulesResponse:
        """One page of schedules, newest first."""
        request = schedules_pb2.ListSyncSchedulesRequest(page_size=page_size, page_token=page_token)
        response: schedules_pb2.ListSyncSchedulesResponse = self._call("ListSyncSchedules", request)
        return response

    def update(
        self, schedule: schedules_pb2.SyncSchedule, paths: Iterable[str] | None = None, *, request_id: str = ""
    ) -> schedules_pb2.SyncSchedule:
        """Change the fields that `paths` names (None: those that are set); returns it as it is stored.

        Raises:
            SyncServiceError: SCHEDULE_NOT_FOUND, SCHEDULE_CHANGED, or the change is wrong.
        """
        return _one(self._call("UpdateSyncSchedule", _update(schedule, paths, request_id)))

    def delete(self, schedule_id: int, *, request_id: str = "") -> None:
        """Remove a schedule; its runs stay.

        Raises:
            SyncServiceError: SCHEDULE_NOT_FOUND.
        """
        request = schedules_pb2.DeleteSyncScheduleRequest(sync_schedule_id=schedule_id, request_id=request_id)
        self._call("DeleteSyncSchedule", request)

    def run_now(self, schedule_id: int, *, request_id: str = "") -> int:
        """Start what the schedule syncs; returns the run's id.

        Raises:
            SyncServiceError: SCHEDULE_NOT_FOUND.
        """
        request = schedules_pb2.RunSyncScheduleRequest(sync_schedule_id=schedule_id, request_id=request_id)
        response: schedules_pb2.RunSyncScheduleResponse = self._call("RunSyncSchedule", request)
        return response.sync_run_id

    def _call(self, name: str, request: Message) -> Any:
        with translated():
            return getattr(self._stub, name)(request, timeout=self._timeout, metadata=self._metadata)


def _one(response: Any) -> schedules_pb2.SyncSchedule:
    schedule: schedules_pb2.SyncSchedule = response.schedule
    return schedule


def _update(schedule: schedules_pb2.SyncSchedule, paths: Iterable[str] | None, request_id: str) -> Message:
    mask = None if paths is None else FieldMask(paths=list(paths))
    return schedules_pb2.UpdateSyncScheduleRequest(schedule=schedule, update_mask=mask, request_id=request_id)
