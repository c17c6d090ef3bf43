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
from server.schedules.service import CATCH_UP_SECONDS_DEFAULT, ScheduleDraft
from server.service.convert import options_document, timestamp
from server.service.request_checks import PLAIN_FIELDS, SPEC, SPEC_IDENTIFIER, member

_POLICIES: Final = {OverlapPolicy.SKIP: pb.OVERLAP_POLICY_SKIP, OverlapPolicy.QUEUE: pb.OVERLAP_POLICY_QUEUE}
_POLICY_NAMES: Final = {value: name for name, value in _POLICIES.items()} | {
    pb.OVERLAP_POLICY_UNSPECIFIED: OverlapPolicy.SKIP
}
SEALED: Final = "(sealed)"
_IDENTIFIER: Final = "source_identifier"
_SOURCES: Final = frozenset(member.name for member in SyncSpec.DESCRIPTOR.oneofs_by_name["source"].fields)


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
    # What a mask names and the message leaves out gets its default (AIP-134); an empty time zone is the service's own.
    if "catch_up_seconds" in given and not message.HasField("catch_up_seconds"):
        given["catch_up_seconds"] = CATCH_UP_SECONDS_DEFAULT
    if "enabled" in given and not message.HasField("enabled"):
        given["enabled"] = True
    return ScheduleDraft(**given, **_of_spec(message.spec, paths))


def _of_spec(spec: SyncSpec, paths: set[str]) -> dict[str, Any]:
    """The identifier on its own, or the source type with all that goes with it, as the paths say."""
    parts = {path.removeprefix(f"{SPEC}.") for path in paths if path.startswith(f"{SPEC}.")} - {_IDENTIFIER}
    if SPEC not in paths and not parts:
        return {_IDENTIFIER: spec.source_identifier} if SPEC_IDENTIFIER in paths else {}
    source_type, options = source_type_of(spec), options_document(spec)
    named = parts & _SOURCES
    if named and named != {spec.WhichOneof("source")}:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST,
            f"the update mask names spec.{min(named)}, which is not the source that the schedule's spec has",
            field="updateMask",
        )
    if not source_type and (options or parts):
        raise InvalidRequestError(
            Reason.INVALID_REQUEST,
            "the source type with its options, the target table and how rows are written change together: set them all",
            field="options",
        )
    given: dict[str, Any] = {"source_type": source_type, "options": options} if source_type else {}
    if SPEC_IDENTIFIER in paths or (SPEC in paths and spec.source_identifier):
        given[_IDENTIFIER] = spec.source_identifier
    if not given:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "the update mask names spec, and the schedule has none", field="updateMask"
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
