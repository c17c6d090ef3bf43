"""The routes under /v1/sync, /healthz and /readyz: one class for each path, one method for each verb."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar

from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.routing import Route
from techaura.sync.v1 import resources_pb2, sync_service_pb2
from techaura_sync import SyncServiceError, SyncSpec
from techaura_sync.errors import no_answer, refused
from techaura_sync.views import values
from techaura_sync.views.callers import CallerView, caller_view
from techaura_sync.views.errors import RunErrorView, error_view
from techaura_sync.views.runs import RunStatusView, RunView, StatsView, run_view, stats_view, status_name, status_view
from techaura_sync.views.sources import SourceTestView, readings_view, source_test_view

from gateway.answers import Answer, Failure, MessageAnswer, Page, PendingCount, Reply, ServiceState, StartedRun
from gateway.conditional import NotChanged, etag_of, is_known
from gateway.connections import ConnectionPool
from gateway.endpoint import Endpoint, query, refuse_unknown, require_stream
from gateway.errors import STOPPING_NEXT_STEP, STOPPING_TEXT, RequestFaultError, http_answer
from gateway.options import read_spec
from gateway.request_values import (
    FILTER_KEYS,
    PAGE_KEYS,
    idempotency_key,
    json_body,
    no_body,
    page_size,
    run_id,
    settings,
    wait_seconds,
)
from gateway.service_client import client
from gateway.waiting import wait_for_end

T = TypeVar("T")

_SOURCE_KEYS: Final = ("sourceType", "sourceIdentifier", "options")


class Stats(Endpoint):
    """GET /v1/sync/stats."""

    async def get(self, request: Request) -> Reply[Answer[StatsView]]:
        """Count runs by status."""
        return answer(request, stats_view(await client(request).stats()))


class Caller(Endpoint):
    """GET /v1/sync/caller."""

    async def get(self, request: Request) -> Reply[Answer[CallerView]]:
        """Tell as whom the service knows the caller, and what they may do."""
        return answer(request, caller_view(await client(request).caller()))


class Status(Endpoint):
    """GET /v1/sync/{syncRunId}."""

    async def get(self, request: Request) -> Reply[Answer[RunStatusView]] | NotChanged:
        """Return the status of one run.

        With its newest errors; the list of its errors has all of them. Its ETag names what it says: who sends that as
        If-None-Match is answered 304 for as long as nothing has changed.
        """
        view = status_view(await client(request).status(run_id(request)))
        etag = etag_of(view)
        if is_known(request, etag):
            return NotChanged(etag)
        return answer(request, view, {"ETag": etag})


class Trigger(Endpoint):
    """POST /v1/sync/trigger."""

    post_query_keys: ClassVar = ("wait",)

    async def post(self, request: Request) -> Reply[MessageAnswer[StartedRun]]:
        """Start a run and return its id as soon as it is stored.

        If the source already has a live run with the same options, its id is returned and no second run is made; with other
        options the new run waits for it. With `wait` the response comes when the run has ended, or after so many seconds.
        """
        seconds = wait_seconds(request, settings(request).gateway_wait_seconds_max)
        if seconds:
            # Before the run is started: a refusal must not leave one behind.
            require_stream(request.app.state.pool, "send it without wait")
        body = await json_body(request)
        key = idempotency_key(request)
        async with aclosing(client(request).trigger(_spec(body), detach=True, request_id=key)) as responses:
            async for response in responses:
                data = StartedRun(syncRunId=response.accepted.sync_run_id)
                if seconds and (run := await _run_after(request, data["syncRunId"], seconds)) is not None:
                    data["run"] = run
                return Reply(
                    {
                        "success": True,
                        "data": data,
                        "message": "Sync scheduled successfully",
                        "timestamp": time_text(request),
                    }
                )
        raise no_answer()


class SourceTest(Endpoint):
    """POST /v1/sync/test."""

    async def post(self, request: Request) -> Reply[Answer[SourceTestView]] | Reply[Failure]:
        """Preview a source.

        Reads one page of an API, or the beginning of a file, and maps the first records as a run would. Starts no run and
        writes nothing. Where the options do not fit a file, other ways to read it are tried: they stand in `data`, also of
        the failure.
        """
        body = await json_body(request)
        found = await client(request).test_source(_spec(body), answer_refusal=True)
        if found.HasField("refusal"):
            status, failure = http_answer(refused(found.refusal))
            failure["data"] = readings_view(found)
            return Reply(failure, status)
        return answer(request, source_test_view(found))


class Resume(Endpoint):
    """POST /v1/sync/resume."""

    async def post(self, request: Request) -> Reply[MessageAnswer[PendingCount]]:
        """Wake the workers for the pending runs.

        They start now instead of at the next poll. Paused runs stay paused.
        """
        await no_body(request)
        resumed = await client(request).resume(request_id=idempotency_key(request))
        return Reply(
            {
                "success": True,
                "message": "Pending syncs resumed",
                "data": {"pendingCount": resumed.pending_count},
                "timestamp": time_text(request),
            }
        )


class Runs(Endpoint):
    """GET /v1/sync/runs."""

    query_keys: ClassVar = (*PAGE_KEYS, "status", "sourceType")

    async def get(self, request: Request) -> Reply[Page[RunView]]:
        """List runs, newest first."""
        given = query(request, *self.query_keys)
        page = await client(request).list_runs(
            sync_service_pb2.ListSyncRunsRequest(
                page_size=page_size(given),
                page_token=given.get("pageToken", ""),
                status=_status_filter(given.get("status")),
                source_type=given.get("sourceType", ""),
            )
        )
        return page_answer(request, [run_view(run) for run in page.runs], page.next_page_token)


class Errors(Endpoint):
    """GET /v1/sync/{syncRunId}/errors."""

    query_keys: ClassVar = (*PAGE_KEYS, *FILTER_KEYS)

    async def get(self, request: Request) -> Reply[Page[RunErrorView]]:
        """List the errors of one run, newest first.

        Each rejected record with its position in the source, and the error that ended the run.
        """
        sync_run_id, given = run_id(request), query(request, *self.query_keys)
        page = await client(request).list_errors(
            sync_service_pb2.ListSyncErrorsRequest(
                sync_run_id=sync_run_id,
                page_size=page_size(given),
                page_token=given.get("pageToken", ""),
                reason=given.get("reason", ""),
                column=given.get("column", ""),
            )
        )
        return page_answer(request, [error_view(error) for error in page.errors], page.next_page_token)


class Cancel(Endpoint):
    """POST /v1/sync/{syncRunId}/cancel."""

    async def post(self, request: Request) -> Reply[Answer[RunView]]:
        """Cancel a run that has not ended.

        Its committed batches stay. Returns the run as it is when the request is stored; a run in progress ends within a
        second.
        """
        await no_body(request)
        return answer(
            request, run_view(await client(request).cancel(run_id(request), request_id=idempotency_key(request)))
        )


class Pause(Endpoint):
    """POST /v1/sync/{syncRunId}/pause."""

    async def post(self, request: Request) -> Reply[Answer[RunView]]:
        """Pause a run until it is continued.

        It becomes pending and paused, and stays so over restarts. Pausing it again changes nothing.
        """
        await no_body(request)
        return answer(
            request, run_view(await client(request).pause(run_id(request), request_id=idempotency_key(request)))
        )


class Continue(Endpoint):
    """POST /v1/sync/{syncRunId}/continue."""

    async def post(self, request: Request) -> Reply[Answer[RunView]]:
        """Continue a paused run.

        It resumes after its last committed batch. Continuing a run that is not paused changes nothing.
        """
        await no_body(request)
        return answer(
            request, run_view(await client(request).continue_run(run_id(request), request_id=idempotency_key(request)))
        )


class Health(HTTPEndpoint):
    """GET /healthz."""

    async def get(self, request: Request) -> Reply[ServiceState]:
        """Report that the gateway's process is alive.

        Calls nothing else.
        """
        return Reply(ServiceState(success=True, status="serving", timestamp=time_text(request)))


class Ready(HTTPEndpoint):
    """GET /readyz."""

    async def get(self, request: Request) -> Reply[ServiceState] | Reply[Failure]:
        """Report whether calls can be served.

        Checks the gateway, the gRPC server and its database.
        """
        if request.app.state.stopping.is_set():
            raise RequestFaultError(
                HTTPStatus.SERVICE_UNAVAILABLE, STOPPING_TEXT, reason="SHUTTING_DOWN", next_step=STOPPING_NEXT_STEP
            )
        try:
            await client(request).check_ready(settings(request).gateway_ready_timeout_seconds)
        except SyncServiceError as error:
            _, body = http_answer(error)
            return Reply(body, HTTPStatus.SERVICE_UNAVAILABLE)
        return Reply(ServiceState(success=True, status="ready", timestamp=time_text(request)))


async def _run_after(request: Request, sync_run_id: int, seconds: int) -> RunStatusView | None:
    """A run when it has ended, or when the time is over; None where it cannot be followed: it is started all the same."""
    pool: ConnectionPool = request.app.state.pool
    try:
        with pool.stream():
            await wait_for_end(client(request), sync_run_id, seconds, request.app.state.stopping)
        return status_view(await client(request).status(sync_run_id))
    except SyncServiceError:
        return None


def answer(request: Request, data: T, headers: Mapping[str, str] | None = None) -> Reply[Answer[T]]:
    """A success body with its data and the time."""
    return Reply({"success": True, "data": data, "timestamp": time_text(request)}, headers=headers)


def page_answer(request: Request, items: list[T], next_page_token: str) -> Reply[Page[T]]:
    """A page of a list."""
    return Reply({"success": True, "data": items, "nextPageToken": next_page_token, "timestamp": time_text(request)})


def time_text(request: Request) -> str:
    """The timestamp of a response."""
    return values.time_text(request.app.state.now())


def _spec(body: dict[str, Any]) -> SyncSpec:
    for key in ("sourceType", "sourceIdentifier"):
        value = body.get(key)
        if value is None or value == "":
            raise RequestFaultError(HTTPStatus.BAD_REQUEST, "sourceType and sourceIdentifier are required", field=key)
        if not isinstance(value, str):
            raise RequestFaultError(HTTPStatus.BAD_REQUEST, f"{key} must be a text", field=key)
    refuse_unknown(body, _SOURCE_KEYS, "the body")
    return read_spec(body["sourceType"], body["sourceIdentifier"], body.get("options"))


def _status_filter(name: str | None) -> resources_pb2.SyncStatus.ValueType:
    if name is None:
        return resources_pb2.SYNC_STATUS_UNSPECIFIED
    for status in resources_pb2.SyncStatus.values():
        if status != resources_pb2.SYNC_STATUS_UNSPECIFIED and status_name(status) == name:
            return status
    raise RequestFaultError(
        HTTPStatus.BAD_REQUEST,
        "status must be one of pending, in_progress, completed, failed, cancelled",
        field="status",
    )


# Fixed paths stand before `{sync_run_id}`, which would match them too.
ROUTES: Final = (
    Route("/v1/sync/stats", Stats),
    Route("/v1/sync/caller", Caller),
    Route("/v1/sync/runs", Runs),
    Route("/v1/sync/trigger", Trigger),
    Route("/v1/sync/test", SourceTest),
    Route("/v1/sync/resume", Resume),
    Route("/v1/sync/{sync_run_id}", Status),
    Route("/v1/sync/{sync_run_id}/errors", Errors),
    Route("/v1/sync/{sync_run_id}/cancel", Cancel),
    Route("/v1/sync/{sync_run_id}/pause", Pause),
    Route("/v1/sync/{sync_run_id}/continue", Continue),
    Route("/healthz", Health),
    Route("/readyz", Ready),
)
