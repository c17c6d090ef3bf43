"""Recurring syncs."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from google.protobuf.json_format import MessageToDict
from techaura.sync.v1 import schedules_pb2

from techaura_sync.json_form import whole_numbers
from techaura_sync.spec import source_type_of
from techaura_sync.views.values import Count, Id, TimeText, optional_time


class ScheduleView(TypedDict):
    """A sync that recurs."""

    scheduleId: Annotated[Id, "The schedule's id."]
    sourceType: Annotated[str, "`csv`, `api` or the name of a custom source type."]
    sourceIdentifier: Annotated[str, "A file path inside the data roots, or the URL of an API."]
    options: Annotated[dict[str, Any], "The options as they are stored, without secrets."]
    cron: str
    timeZone: str
    overlapPolicy: str
    catchUpSeconds: Count
    enabled: bool
    revision: Id
    nextFireAt: Annotated[
        TimeText | None,
        "When it fires next; null while it is not enabled, or its time zone is not known to the replica that answers.",
    ]
    lastFireAtLocal: Annotated[
        str | None, "Local wall time of the last fire, such as `2026-11-01 03:00`; null before the first."
    ]
    lastOutcome: Annotated[str | None, "What the last fire did: started, queued or skipped; null before the first."]
    lastSyncRunId: Annotated[Id | None, "The run of the last fire; null when it started none."]
    createdAt: Annotated[TimeText | None, "When it was made."]
    updatedAt: Annotated[TimeText | None, "When a caller last changed it."]


def schedule_view(schedule: schedules_pb2.SyncSchedule) -> ScheduleView:
    """One schedule; its secrets are not shown."""
    return {
        "scheduleId": schedule.sync_schedule_id,
        "sourceType": source_type_of(schedule.spec),
        "sourceIdentifier": schedule.spec.source_identifier,
        "options": whole_numbers(MessageToDict(schedule.stored_options)),
        "cron": schedule.cron,
        "timeZone": schedule.time_zone,
        "overlapPolicy": overlap_policy_name(schedule.overlap_policy),
        "catchUpSeconds": schedule.catch_up_seconds,
        "enabled": schedule.enabled,
        "revision": schedule.revision,
        "nextFireAt": optional_time(schedule, "next_fire_at"),
        "lastFireAtLocal": schedule.last_fire_at_local or None,
        "lastOutcome": schedule.last_outcome or None,
        "lastSyncRunId": schedule.last_sync_run_id or None,
        "createdAt": optional_time(schedule, "created_at"),
        "updatedAt": optional_time(schedule, "updated_at"),
    }


def overlap_policy_name(policy: schedules_pb2.OverlapPolicy.ValueType) -> str:
    """`skip` or `queue`."""
    return schedules_pb2.OverlapPolicy.Name(policy).removeprefix("OVERLAP_POLICY_").lower()
