"""The port that metrics are scraped at: GET or HEAD /metrics, one request to a connection.

The library's own server has a thread for each connection and no deadline, and neither has a web server by itself. Here a
connection has one deadline from its opening to the last byte of its answer, a head of 8 KiB at most, and its place among a few;
one more is refused. The Host of a request must be ours, as the gateway's (gateway/callers.py): a page of another site must not
read what stands here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Final

import h11
import structlog

from server.core.config import Settings
from server.core.listening import bare_host

log = structlog.get_logger()

PATH: Final = b"/metrics"
_HEAD_BYTES_MAX: Final = 8 * 1024
_CHUNK_BYTES: Final = 4096
_BACKLOG: Final = 16
_TEXT: Final = "text/plain; charset=utf-8"

# The text of every metric and its content type, for what a request accepts.
Page = Callable[[str], Awaitable[tuple[bytes, str]]]


class MetricsEndpoint:
    """Answers scrapes.

    Args:
        settings: how many connections, and their deadline.
        page: makes the answer.
        is_ours: whether a Host header may have this value.
    """

    def __init__(self, settings: Settings, page: Page, is_ours: Callable[[str], bool]) -> None:
        self._timeout_seconds = settings.metrics_timeout_seconds
        self._connections_max = settings.metrics_connections_max
        self._page = page
        self._is_ours = is_ours
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, and close it."""
        if len(self._open) >= self._connections_max:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._answer(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError):
            # Whoever scrapes sees that it got nothing whole, and asks again.
            pass
        except Exception:
            log.exception("scrape_failed", action="metrics")
        finally:
            writer.transport.abort()
            if task is not None:
                self._open.discard(task)

    async def close(self) -> None:
        """Cut off what is open."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, _HEAD_BYTES_MAX)
        method = b""
        try:
            request = await _head(connection, reader)
            if request is None:
                return
            method = request.method
            status, body, content_type = await self._response(request)
        except h11.RemoteProtocolError as error:
            status, body, content_type = HTTPStatus(error.error_status_hint), b"this is no HTTP request\n", _TEXT
        headers = {"content-type": content_type, "content-length": str(len(body)), "connection": "close"}
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = "GET, HEAD"
        response = h11.Response(status_code=status, headers=list(headers.items()), reason=status.phrase.encode())
        sent = b"" if method == b"HEAD" else body
        for event in (response, h11.Data(data=sent), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()

    async def _response(self, request: h11.Request) -> tuple[HTTPStatus, bytes, str]:
        headers = {name: value.decode("latin-1") for name, value in request.headers}
        host = headers.get(b"host")
        if host is not None and not self._is_ours(host):
            text = b"metrics are not served for this host; TECHAURA_SYNC_METRICS_ALLOWED_HOSTS names further ones\n"
            return HTTPStatus.MISDIRECTED_REQUEST, text, _TEXT
        if request.target.partition(b"?")[0] != PATH:
            return HTTPStatus.NOT_FOUND, b"there is nothing but /metrics here\n", _TEXT
        if request.method not in (b"GET", b"HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, b"ask by GET\n", _TEXT
        body, content_type = await self._page(headers.get(b"accept", ""))
        return HTTPStatus.OK, body, content_type


async def _head(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The head of the request; None where the other side left first.

    Raises:
        h11.RemoteProtocolError: it is none, or too large.
    """
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await reader.read(_CHUNK_BYTES))


@asynccontextmanager
async def metrics_listening(settings: Settings, endpoint: MetricsEndpoint) -> AsyncIterator[int]:
    """Listen while the block runs; yields the port, which matters when the setting is 0.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    host = bare_host(settings.metrics_host)
    server = await asyncio.start_server(
        endpoint.serve, host, settings.metrics_port, backlog=_BACKLOG, limit=_HEAD_BYTES_MAX
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await endpoint.close()
        with suppress(OSError):
            await server.wait_closed()
