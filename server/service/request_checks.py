"""Checks of a request without a look-up: ids that no row can have, values that no enum has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

from techaura.sync.v1 import schedules_pb2, sync_spec_pb2

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason

T = TypeVar("T")
N = TypeVar("N", bound=int)

# What a caller may set of a schedule beside what it syncs; the rest of its fields are the service's.
PLAIN_FIELDS: Final = ("cron", "time_zone", "overlap_policy", "catch_up_seconds", "enabled")
SPEC: Final = "spec"
SPEC_IDENTIFIER: Final = f"{SPEC}.source_identifier"
_SETTABLE: Final = frozenset(
    {*PLAIN_FIELDS, SPEC, *(f"{SPEC}.{field.name}" for field in sync_spec_pb2.SyncSpec.DESCRIPTOR.fields)}
)


class _OfRun(Protocol):
    sync_run_id: int


class _OfSchedule(Protocol):
    sync_schedule_id: int


def run_id(request: _OfRun) -> int:
    """The run that a request names.

    Raises:
        InvalidRequestError: it names none, or one that cannot be.
    """
    return _positive(request.sync_run_id, "sync_run_id", "syncRunId")


def schedule_id(request: _OfSchedule) -> int:
    """The schedule that a request names.

    Raises:
        InvalidRequestError: it names none, or one that cannot be.
    """
    return _positive(request.sync_schedule_id, "sync_schedule_id", "scheduleId")


def member(value: N, known: Mapping[N, T], name: str, field: str) -> T:
    """What a value of an enum stands for.

    Raises:
        InvalidRequestError: the enum has no such value.
    """
    if value not in known:
        raise InvalidRequestError(Reason.INVALID_REQUEST, f"{name} has no value {value}", field=field)
    return known[value]


def changed_fields(request: schedules_pb2.UpdateSyncScheduleRequest) -> set[str]:
    """The fields of a schedule that a request changes.

    Raises:
        InvalidRequestError: it names none, or one that no caller sets.
    """
    if request.HasField("update_mask"):
        paths = set(request.update_mask.paths)
        if unknown := sorted(paths - _SETTABLE):
            raise InvalidRequestError(Reason.INVALID_REQUEST, _not_settable(unknown[0]), field="updateMask")
    else:
        paths = given_fields(request.schedule)
    if not paths:
        raise InvalidRequestError(
            Reason.INVALID_REQUEST, "nothing to change: the request names no field to set", field="updateMask"
        )
    return paths


def given_fields(schedule: schedules_pb2.SyncSchedule) -> set[str]:
    """The fields that a schedule has set; id and revision are not among them.

    Raises:
        InvalidRequestError: one of them is no field that a caller sets.
    """
    names = {field.name: field.json_name for field, _value in schedule.ListFields()}
    paths = names.keys() - {"sync_schedule_id", "revision"}
    if unknown := sorted(paths - _SETTABLE):
        raise InvalidRequestError(Reason.INVALID_REQUEST, _not_settable(unknown[0]), field=names[unknown[0]])
    return set(paths)


def _not_settable(name: str) -> str:
    return f"a schedule has no field {name[:100]!r} to set"


def _positive(value: int, name: str, field: str) -> int:
    if value <= 0:
        raise InvalidRequestError(Reason.INVALID_REQUEST, f"{name} must be a whole number over 0", field=field)
    return value
