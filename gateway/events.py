"""GET /v1/sync/{syncRunId}/events: a run's snapshots as server-sent events, up to the terminal one.

Each event's id is the snapshot's sequence: a browser that reconnects sends it as Last-Event-ID and gets what came
after. One that sends the id of the terminal snapshot has seen everything and is told to stop (204). A stream that
cannot continue ends with an event `failure`. When a caller disconnects, its stream ends and the run continues.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from techaura_sync import AsyncSyncClient, SyncServiceError
from techaura_sync.requests import is_terminal
from techaura_sync.views.runs import status_view

from gateway.connections import ConnectionPool
from gateway.endpoint import Endpoint, require_stream
from gateway.errors import STOPPING_TEXT, RequestFaultError, failure_body, http_answer
from gateway.request_values import run_id, settings
from gateway.service_client import client
from gateway.waiting import next_unless

_UINT64_MAX: Final = 2**64 - 1


class Events(Endpoint):
    """GET /v1/sync/{syncRunId}/events."""

    async def get(self, request: Request) -> Response:
        """Follow one run to its end.

        Server-sent events: one for each change of the run, up to one with its last status; then the stream ends.
        Disconnecting cancels nothing.
        """
        sync_run_id, last_event_id = run_id(request), _last_event_id(request)
        pool: ConnectionPool = request.app.state.pool
        require_stream(pool, f"ask /v1/sync/{sync_run_id} now and then")
        # Before the stream begins, so that an unknown run is a 404 and not an empty stream.
        current = await client(request).status(sync_run_id)
        if last_event_id and last_event_id == current.sequence and is_terminal(current.run.status):
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return _Stream(
            pool,
            _events(client(request), sync_run_id, last_event_id, request.app.state.stopping),
            ping=settings(request).gateway_ping_interval_seconds,
        )


class _Stream(EventSourceResponse):
    """An event stream that is counted while it is open."""

    def __init__(self, pool: ConnectionPool, content: AsyncIterator[ServerSentEvent], *, ping: float) -> None:
        super().__init__(content, ping=ping)
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._pool.stream():
            await super().__call__(scope, receive, send)


async def _events(
    client: AsyncSyncClient, sync_run_id: int, after_sequence: int, stopping: asyncio.Event
) -> AsyncIterator[ServerSentEvent]:
    try:
        async with aclosing(client.watch(sync_run_id, after_sequence=after_sequence)) as responses:
            while (response := await next_unless(stopping, responses)) is not None:
                yield ServerSentEvent(_json(status_view(response)), id=str(response.sequence))
        if stopping.is_set():
            body = failure_body(
                STOPPING_TEXT,
                reason="SHUTTING_DOWN",
                next_step="open the stream again in a few seconds, with its last id in Last-Event-ID",
            )
            yield ServerSentEvent(_json(body), event="failure")
    except SyncServiceError as error:
        _, body = http_answer(error)
        yield ServerSentEvent(_json(body), event="failure")


def _last_event_id(request: Request) -> int:
    text = request.headers.get("last-event-id", "0")
    if not re.fullmatch(r"[0-9]{1,20}", text) or int(text) > _UINT64_MAX:
        raise RequestFaultError(HTTPStatus.BAD_REQUEST, "Last-Event-ID must be a whole number", field="Last-Event-ID")
    return int(text)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


ROUTES: Final = (Route("/v1/sync/{sync_run_id}/events", Events),)
