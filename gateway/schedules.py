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
from techaura_sync.json_form import JsonFormError, from_json

from gateway.errors import RequestFaultError
from gateway.options import read_options
from gateway.routes import PAGE_KEYS, client, json_body, no_body, page_size, query, success

_DIGITS = re.compile(r"[0-9]{1,18}")
_INT32_MAX: Final = 2**31 - 1
# What a caller may say of a schedule; the rest of its fields are the service's.
FIELDS: Final = (
    "sourceType",
    "sourceIdentifier",
    "cron",
    "timeZone",
    "overlapPolicy",
    "catchUpSeconds",
    "enabled",
    "revision",
)
_KNOWN: Final = sorted((*FIELDS, "options"))
_SETTABLE: Final = ", ".join(key for key in _KNOWN if key != "revision")


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
            raise RequestFaultError(HTTPStatus.BAD_REQUEST, f"nothing to change: the body has none of {_SETTABLE}")
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
        RequestFaultError: 400 that names the field at fault.
    """
    for key in body.keys() - {*_KNOWN}:
        raise _fault(key[:100], f"a schedule has no field {key[:100]!r}; it knows {', '.join(_KNOWN)}")
    schedule = schedules_pb2.SyncSchedule()
    try:
        from_json(schedule, {key: value for key, value in body.items() if key != "options"}, keys=FIELDS)
    except JsonFormError as error:
        raise _fault(error.path, error.text) from error
    for key in ("catchUpSeconds", "revision"):
        if not 0 <= (body.get(key) or 0) <= _INT32_MAX:
            raise _fault(key, f"{key} is out of range")
    options = read_options(source_type, body.get("options"))
    if options is not None:
        message = getattr(schedule, source_type)
        message.SetInParent()
        message.MergeFrom(options)
    names = {field.json_name: field.name for field in schedule.DESCRIPTOR.fields} | {"options": "options"}
    return schedule, [names[key] for key, value in body.items() if value is not None and key != "revision"]


def _schedule_id(request: Request) -> int:
    text: str = request.path_params["schedule_id"]
    if not _DIGITS.fullmatch(text) or not int(text):
        raise _fault("scheduleId", "Invalid schedule ID")
    return int(text)


def _fault(field: str, text: str) -> RequestFaultError:
    return RequestFaultError(HTTPStatus.BAD_REQUEST, text, field=field)
