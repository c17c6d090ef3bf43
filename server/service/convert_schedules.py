"""Schedules between the wire and the service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from techaura.sync.v1 import schedules_pb2 as pb
from techaura_sync.spec import SyncSpec, source_type_of, sync_spec

from db.records import OverlapPolicy, Schedule
from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.schedules.service import ScheduleDraft
from server.service.convert import options_document, timestamp
from server.service.request_checks import PLAIN_FIELDS, SPEC, SPEC_IDENTIFIER, member

_POLICIES: Final = {OverlapPolicy.SKIP: pb.OVERLAP_POLICY_SKIP, OverlapPolicy.QUEUE: pb.OVERLAP_POLICY_QUEUE}
_POLICY_NAMES: Final = {value: name for name, value in _POLICIES.items()} | {
    pb.OVERLAP_POLICY_UNSPECIFIED: OverlapPolicy.SKIP
}
SEALED: Final = "(sealed)"


def draft_of(message: pb.SyncSchedule, paths: set[str]) -> ScheduleDraft:
    """What a caller asks for.

    Args:
        paths: fields that are meant.

    Raises:
        InvalidRequestError: JSON cannot hold one of the options, they come without their source type, or a value is none
            that its enum has.
    """
    given: dict[str, Any] = {name: getattr(message, name) for name in PLAIN_FIELDS if name in paths}
    if "overlap_policy" in given:
        given["overlap_policy"] = member(message.overlap_policy, _POLICY_NAMES, "overlap_policy", "overlapPolicy")
    if given.get("time_zone") == "":
        del given["time_zone"]
    return ScheduleDraft(**given, **_of_spec(message.spec, paths))


def _of_spec(spec: SyncSpec, paths: set[str]) -> dict[str, Any]:
    """The identifier on its own, or the source type with all that goes with it, as the paths say."""
    is_whole = SPEC in paths
    given: dict[str, Any] = {}
    if SPEC_IDENTIFIER in paths or (is_whole and spec.source_identifier):
        given["source_identifier"] = spec.source_identifier
    source_type, options = source_type_of(spec), options_document(spec)
    if (is_whole and source_type) or any(path.startswith(f"{SPEC}.") for path in paths - {SPEC_IDENTIFIER}):
        given |= {"source_type": source_type, "options": options}
    if options and not source_type:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST,
            "the source type with its options, the target table and how rows are written change together: set them all",
            field="options",
        )
    return given


def schedule_message(schedule: Schedule, next_fire_at: datetime | None) -> pb.SyncSchedule:
    """A schedule for the wire."""
    message = pb.SyncSchedule(
        sync_schedule_id=schedule.id,
        spec=_named(schedule),
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


def _named(schedule: Schedule) -> SyncSpec:
    """The source of a schedule and its type."""
    return sync_spec(schedule.source_type, schedule.source_identifier)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {"encrypted"}:
            return SEALED
        return {str(key): _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
