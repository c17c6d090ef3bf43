"""Schedules between the wire and the service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from techaura.sync.v1 import schedules_pb2 as pb

from db.records import Schedule
from server.schedules.service import ScheduleDraft
from server.service.convert import options_document, timestamp
from server.service.request_checks import SCHEDULE_FIELDS, member

_POLICIES: Final = {"skip": pb.OVERLAP_POLICY_SKIP, "queue": pb.OVERLAP_POLICY_QUEUE}
_POLICY_NAMES: Final = {value: name for name, value in _POLICIES.items()} | {pb.OVERLAP_POLICY_UNSPECIFIED: "skip"}
SEALED: Final = "(sealed)"


def draft_of(message: pb.SyncSchedule, paths: set[str], *, source_type: str = "") -> ScheduleDraft:
    """What a caller asks for.

    Args:
        paths: fields that are meant, `options` for either kind.
        source_type: that of the schedule which is changed, where the message names none.

    Raises:
        InvalidRequestError: the options are those of another source type, or a value is none that its enum has.
    """
    given: dict[str, Any] = {name: getattr(message, name) for name in SCHEDULE_FIELDS if name in paths}
    if "overlap_policy" in given:
        given["overlap_policy"] = member(message.overlap_policy, _POLICY_NAMES, "overlap_policy", "overlapPolicy")
    if given.get("time_zone") == "":
        del given["time_zone"]
    if "options" in paths:
        asked = pb.SyncSchedule()
        asked.CopyFrom(message)
        asked.source_type = message.source_type or source_type
        given["options"] = options_document(asked)
    return ScheduleDraft(**given)


def schedule_message(schedule: Schedule, next_fire_at: datetime | None) -> pb.SyncSchedule:
    """A schedule for the wire."""
    message = pb.SyncSchedule(
        sync_schedule_id=schedule.id,
        source_type=schedule.source_type,
        source_identifier=schedule.source_identifier,
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        overlap_policy=_POLICIES[schedule.overlap_policy],
        catch_up_seconds=schedule.catch_up_seconds,
        enabled=schedule.enabled,
        revision=schedule.revision,
        last_fire_at_local=schedule.last_fire_at_local or "",
        last_outcome=schedule.last_outcome or "",
        last_sync_run_id=schedule.last_run_id or 0,
        created_at=timestamp(schedule.created_at),
        updated_at=timestamp(schedule.updated_at),
    )
    message.stored_options.update(_without_secrets(schedule.options))
    if next_fire_at is not None:
        stamp = Timestamp()
        stamp.FromDatetime(next_fire_at)
        message.next_fire_at.CopyFrom(stamp)
    return message


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {"encrypted"}:
            return SEALED
        return {str(key): _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
