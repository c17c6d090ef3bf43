"""The routes under /v1/sync/schedules: recurring syncs."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from techaura.sync.v1 import schedules_pb2
from techaura_sync import views

from gateway.body import whole_number
from gateway.errors import RequestFault
from gateway.options import read_options
from gateway.routes import PAGE_KEYS, client, json_body, no_body, page_size, query, success

_DIGITS = re.compile(r"[0-9]{1,18}")
_POLICIES: Final = {"skip": schedules_pb2.OVERLAP_POLICY_SKIP, "queue": schedules_pb2.OVERLAP_POLICY_QUEUE}
_INT32_MAX: Final = 2**31 - 1
# JSON key -> field of the message, and the type that the value must have.
FIELDS: Final[dict[str, tuple[str, type]]] = {
    "sourceType": ("source_type", str),
    "sourceIdentifier": ("source_identifier", str),
    "cron": ("cron", str),
    "timeZone": ("time_zone", str),
    "overlapPolicy": ("overlap_policy", str),
    "catchUpSeconds": ("catch_up_seconds", int),
    "enabled": ("enabled", bool),
    "revision": ("revision", int),
    "options": ("options", dict),
}
_SETTABLE: Final = ", ".join(sorted(FIELDS.keys() - {"revision"}))
_TYPE_NAMES: Final = {str: "a text", int: "a whole number", bool: "true or false", dict: "an object"}


class Schedules(HTTPEndpoint):
    """GET and POST /v1/sync/schedules."""

    async def get(self, request: Request) -> JSONResponse:
        """List schedules, newest first."""
        given = query(request, *PAGE_KEYS)
        page = await client(request).schedules.page(page_size(given), given.get("pageToken", ""))
        data = [views.schedule_view(schedule) for schedule in page.schedules]
        return success(request, data=data, nextPageToken=page.next_page_token)

    async def post(self, request: Request) -> JSONResponse:
        """Store a schedule."""
        body = await json_body(request)
        schedule, _paths = read_schedule(body, str(body.get("sourceType", "")))
        return success(request, data=views.schedule_view(await client(request).schedules.create(schedule)))


class Schedule(HTTPEndpoint):
    """GET, PATCH and DELETE /v1/sync/schedules/{scheduleId}."""

    async def get(self, request: Request) -> JSONResponse:
        """Tell what one schedule is."""
        return success(request, data=views.schedule_view(await client(request).schedules.get(_schedule_id(request))))

    async def patch(self, request: Request) -> JSONResponse:
        """Change the fields that the body has."""
        schedule_id, body = _schedule_id(request), await json_body(request)
        source_type = body.get("sourceType")
        if body.get("options") is not None and source_type is None:
            source_type = (await client(request).schedules.get(schedule_id)).source_type
        schedule, paths = read_schedule(body, str(source_type or ""))
        if not paths:
            raise RequestFault(HTTPStatus.BAD_REQUEST, f"nothing to change: the body has none of {_SETTABLE}")
        schedule.sync_schedule_id = schedule_id
        return success(request, data=views.schedule_view(await client(request).schedules.update(schedule, paths)))

    async def delete(self, request: Request) -> JSONResponse:
        """Remove a schedule; its runs stay."""
        schedule_id = _schedule_id(request)
        await client(request).schedules.delete(schedule_id)
        return success(request, data={"scheduleId": schedule_id})


class RunNow(HTTPEndpoint):
    """POST /v1/sync/schedules/{scheduleId}/run."""

    async def post(self, request: Request) -> JSONResponse:
        """Start what a schedule syncs."""
        await no_body(request)
        sync_run_id = await client(request).schedules.run_now(_schedule_id(request))
        return success(request, data={"syncRunId": sync_run_id})


def read_schedule(body: dict[str, Any], source_type: str) -> tuple[schedules_pb2.SyncSchedule, list[str]]:
    """A schedule from JSON, and the fields that the JSON has; null counts as not given.

    Args:
        source_type: decides what `options` may hold.

    Raises:
        RequestFault: 400 that names the field at fault.
    """
    schedule, paths = schedules_pb2.SyncSchedule(), []
    for key, value in body.items():
        if key not in FIELDS:
            raise _fault(key[:100], f"a schedule has no field {key[:100]!r}; it knows {', '.join(sorted(FIELDS))}")
        if value is None:
            continue
        field = FIELDS[key][0]
        _put(schedule, key, value, source_type)
        if key != "revision":
            paths.append(field)
    return schedule, paths


def _put(schedule: schedules_pb2.SyncSchedule, key: str, value: Any, source_type: str) -> None:
    field, kind = FIELDS[key]
    if kind is int and (number := whole_number(value)) is not None:
        value = number
    if not _is(kind, value):
        raise _fault(key, f"{key} must be {_TYPE_NAMES[kind]}")
    if key == "options":
        _put_options(schedule, source_type, value)
    elif key == "overlapPolicy":
        if value not in _POLICIES:
            raise _fault(key, f"overlapPolicy must be one of {', '.join(_POLICIES)}")
        schedule.overlap_policy = _POLICIES[value]
    elif kind is int and not 0 <= value <= _INT32_MAX:
        raise _fault(key, f"{key} is out of range")
    else:
        setattr(schedule, field, value)


def _is(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _put_options(schedule: schedules_pb2.SyncSchedule, source_type: str, value: dict[str, Any]) -> None:
    options = read_options(source_type, value)
    if options is None:
        return
    message = schedule.csv if source_type == "csv" else schedule.api
    message.SetInParent()
    message.MergeFrom(options)  # type: ignore[arg-type]  # the type of the source decides both


def _schedule_id(request: Request) -> int:
    text: str = request.path_params["schedule_id"]
    if not _DIGITS.fullmatch(text) or not int(text):
        raise _fault("scheduleId", "Invalid schedule ID")
    return int(text)


def _fault(field: str, text: str) -> RequestFault:
    return RequestFault(HTTPStatus.BAD_REQUEST, text, field=field)
