"""The routes under /v1/sync/schedules: recurring syncs."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, ClassVar, Final

from starlette.requests import Request
from starlette.routing import Route
from techaura.sync.v1 import schedules_pb2
from techaura_sync.json_form import JsonFormError, from_json
from techaura_sync.spec import source_type_of
from techaura_sync.views.schedules import ScheduleView, schedule_view

from gateway.answers import Answer, Page, Reply, RunId, ScheduleId
from gateway.endpoint import Endpoint, query
from gateway.errors import RequestFaultError
from gateway.options import read_spec
from gateway.request_values import PAGE_KEYS, idempotency_key, json_body, no_body, page_size
from gateway.routes import answer, page_answer
from gateway.service_client import client

_DIGITS = re.compile(r"[0-9]{1,18}")
_INT32_MAX: Final = 2**31 - 1
# The fields of a schedule that a caller may set; the service sets the others.
FIELDS: Final = ("cron", "timeZone", "overlapPolicy", "catchUpSeconds", "enabled", "revision")
_SPEC_KEYS: Final = ("sourceType", "sourceIdentifier", "options")
_KNOWN: Final = sorted((*FIELDS, *_SPEC_KEYS))
_SETTABLE: Final = ", ".join(key for key in _KNOWN if key != "revision")


class Schedules(Endpoint):
    """GET and POST /v1/sync/schedules."""

    query_keys: ClassVar = PAGE_KEYS

    async def get(self, request: Request) -> Reply[Page[ScheduleView]]:
        """List recurring syncs, newest first."""
        given = query(request, *self.query_keys)
        page = await client(request).schedules.page(page_size(given), given.get("pageToken", ""))
        return page_answer(request, [schedule_view(one) for one in page.schedules], page.next_page_token)

    async def post(self, request: Request) -> Reply[Answer[ScheduleView]]:
        """Store a recurring sync.

        It fires for the first time at the next time of its cron expression.
        """
        body = await json_body(request)
        if body.get("revision") is not None:
            raise _fault("revision", "a new schedule has no revision yet; leave revision out")
        schedule, _paths = read_schedule(body)
        return answer(
            request,
            schedule_view(await client(request).schedules.create(schedule, request_id=idempotency_key(request))),
        )


class Schedule(Endpoint):
    """GET, PATCH and DELETE /v1/sync/schedules/{scheduleId}."""

    async def get(self, request: Request) -> Reply[Answer[ScheduleView]]:
        """Return one recurring sync."""
        return answer(request, schedule_view(await client(request).schedules.get(_schedule_id(request))))

    async def patch(self, request: Request) -> Reply[Answer[ScheduleView]]:
        """Change those fields of a recurring sync that are in the body.

        With `revision`, only if it is the current one. After a change of its times, earlier fires are not caught up.
        """
        schedule_id, body = _schedule_id(request), await json_body(request)
        if (body.get("sourceType") is None) != (body.get("options") is None):
            present = source_type_of((await client(request).schedules.get(schedule_id)).spec)
            body = _with_both(body, present)
        schedule, paths = read_schedule(body)
        if not paths:
            raise RequestFaultError(HTTPStatus.BAD_REQUEST, f"nothing to change: the body has none of {_SETTABLE}")
        schedule.sync_schedule_id = schedule_id
        return answer(
            request,
            schedule_view(await client(request).schedules.update(schedule, paths, request_id=idempotency_key(request))),
        )

    async def delete(self, request: Request) -> Reply[Answer[ScheduleId]]:
        """Remove a recurring sync; its runs stay."""
        await no_body(request)
        schedule_id = _schedule_id(request)
        await client(request).schedules.delete(schedule_id, request_id=idempotency_key(request))
        return answer(request, ScheduleId(scheduleId=schedule_id))


class RunNow(Endpoint):
    """POST /v1/sync/schedules/{scheduleId}/run."""

    async def post(self, request: Request) -> Reply[Answer[RunId]]:
        """Run a recurring sync now.

        Its fires stay as they are. If the source already has a live run with the same options, its id is returned and
        no second run is made.
        """
        await no_body(request)
        sync_run_id = await client(request).schedules.run_now(
            _schedule_id(request), request_id=idempotency_key(request)
        )
        return answer(request, RunId(syncRunId=sync_run_id))


def read_schedule(body: dict[str, Any]) -> tuple[schedules_pb2.SyncSchedule, list[str]]:
    """A schedule from JSON, and the fields that the JSON has; null counts as absent.

    Raises:
        RequestFaultError: 400 that names the field at fault.
    """
    for key in body.keys() - {*_KNOWN}:
        raise _fault(key[:100], f"a schedule has no field {key[:100]!r}; it knows {', '.join(_KNOWN)}")
    schedule = schedules_pb2.SyncSchedule()
    try:
        from_json(schedule, {key: value for key, value in body.items() if key in FIELDS}, keys=FIELDS)
    except JsonFormError as error:
        raise _fault(error.path, error.text) from error
    for key in ("catchUpSeconds", "revision"):
        if not 0 <= (body.get(key) or 0) <= _INT32_MAX:
            raise _fault(key, f"{key} is out of range")
    names = {field.json_name: field.name for field in schedule.DESCRIPTOR.fields}
    paths = [names[key] for key in FIELDS if key != "revision" and body.get(key) is not None]
    return schedule, [*paths, *_read_spec(body, schedule)]


def _read_spec(body: dict[str, Any], schedule: schedules_pb2.SyncSchedule) -> list[str]:
    """Set the spec of a schedule from its JSON; return the paths that the JSON has."""
    given: dict[str, str] = {}
    for key in ("sourceType", "sourceIdentifier"):
        value = body.get(key)
        if value is not None and not isinstance(value, str):
            raise _fault(key, f"{key} must be a text")
        if value == "":
            raise _fault(key, f"{key} must not be empty")
        given[key] = value or ""
    paths = []
    if given["sourceType"]:
        schedule.spec.CopyFrom(read_spec(given["sourceType"], given["sourceIdentifier"], body.get("options")))
        paths = [f"spec.{schedule.spec.WhichOneof('source')}"]
    if body.get("sourceIdentifier") is not None:
        schedule.spec.source_identifier = given["sourceIdentifier"]
        paths.append("spec.source_identifier")
    return paths


def _with_both(body: dict[str, Any], present: str) -> dict[str, Any]:
    """A change that has both source type and options or neither; a missing one is taken from the stored schedule.

    Raises:
        RequestFaultError: the type changes without options.
    """
    if body.get("sourceType") is None:
        return body | {"sourceType": present}
    if not isinstance(body["sourceType"], str) or not body["sourceType"]:
        raise _fault("sourceType", "sourceType must be a text that is not empty")
    if body["sourceType"] == present:
        return {key: value for key, value in body.items() if key != "sourceType"}
    raise _fault("options", "another sourceType needs options of its own")


def _schedule_id(request: Request) -> int:
    text: str = request.path_params["schedule_id"]
    if not _DIGITS.fullmatch(text) or not int(text):
        raise _fault("scheduleId", "Invalid schedule ID")
    return int(text)


def _fault(field: str, text: str) -> RequestFaultError:
    return RequestFaultError(HTTPStatus.BAD_REQUEST, text, field=field)


ROUTES: Final = (
    Route("/v1/sync/schedules", Schedules),
    Route("/v1/sync/schedules/{schedule_id}", Schedule),
    Route("/v1/sync/schedules/{schedule_id}/run", RunNow),
)
