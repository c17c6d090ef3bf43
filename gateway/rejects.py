"""GET /v1/sync/{syncRunId}/rejects.csv: all stored rejects of a run as one CSV file, sent while it is read.

When the service fails in the middle of it, the connection is closed without the end of the body, so that nobody takes a
part for the whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import ClassVar, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from techaura.sync.v1 import sync_service_pb2
from techaura_sync import SyncServiceError
from techaura_sync.errors import no_answer
from techaura_sync.views.rejects_csv import RejectsCsv

from gateway.connections import ConnectionPool
from gateway.endpoint import Endpoint, query, require_stream
from gateway.request_values import FILTER_KEYS, run_id
from gateway.service_client import client

_log = structlog.get_logger(__name__)

_MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"
Messages = AsyncGenerator[sync_service_pb2.ExportSyncRejectsResponse]


class RejectsFile(Endpoint):
    """GET /v1/sync/{syncRunId}/rejects.csv."""

    query_keys: ClassVar = FILTER_KEYS

    async def get(self, request: Request) -> Response:
        """Send all stored rejects of one run as CSV.

        In the order of the source: line, byte_offset, reason, column, message and raw, which is the record as it stands in
        the source. When more rejects count than are stored, a last record of the reason `not_stored` says how many.
        """
        sync_run_id, given = run_id(request), query(request, *self.query_keys)
        pool: ConnectionPool = request.app.state.pool
        require_stream(pool, f"ask for pages of /v1/sync/{sync_run_id}/errors")
        messages = client(request).export_rejects(
            sync_service_pb2.ExportSyncRejectsRequest(
                sync_run_id=sync_run_id, reason=given.get("reason", ""), column=given.get("column", "")
            )
        )
        # Before the response begins, so that an unknown run is a 404 and not a file.
        first = await anext(messages, None)
        if first is None:
            raise no_answer()
        file = RejectsCsv(is_narrowed=any(given.values()))
        pieces = _pieces(file, first, messages)
        if request.method == "HEAD":
            # The file itself is not asked for.
            await messages.aclose()
        return _FileResponse(
            pool, pieces, {"Content-Disposition": f'attachment; filename="run-{sync_run_id}-rejects.csv"'}
        )


class _FileResponse(StreamingResponse):
    """A file that is counted among the streams while it is sent."""

    def __init__(self, pool: ConnectionPool, pieces: AsyncGenerator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(pieces, headers=headers, media_type=_MEDIA_TYPE)
        self._pool = pool
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._pool.stream():
            async with aclosing(self._pieces):
                try:
                    await super().__call__(scope, receive, send)
                except SyncServiceError as error:
                    # The web server closes the connection when a response has no end.
                    _log.warning("download_cut_off", action="gateway", reason=error.reason)


async def _pieces(
    file: RejectsCsv, first: sync_service_pb2.ExportSyncRejectsResponse, messages: Messages
) -> AsyncGenerator[bytes]:
    async with aclosing(messages):
        yield file.head() + file.piece(first)
        async for message in messages:
            yield file.piece(message)
        if tail := file.tail():
            yield tail


ROUTES: Final = (Route("/v1/sync/{sync_run_id}/rejects.csv", RejectsFile),)
