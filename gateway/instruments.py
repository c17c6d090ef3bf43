"""What the gateway tells of its work to whoever counts it, and the middleware that tells of requests.

The gateway knows no metrics: the program that runs it hands in what counts (server/cli.py), or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_UNMATCHED: Final = "unmatched"
_NO_STATUS: Final = "none"


class GatewayInstruments(Protocol):
    """Counts what one gateway does. No call waits or raises."""

    def request_handled(self, route: str, method: str, status: str, seconds: float) -> None:
        """A request was handled.

        Args:
            route: the template of its path, or `unmatched`.
            method: as the caller wrote it.
            status: of the response, as text; `none` when the caller left before it.
            seconds: until the head of the response was sent.
        """
        ...

    def connection_refused(self, why: str) -> None:
        """A connection was refused or cut off; one of the names that `ConnectionPool.note` is given."""
        ...

    def pool_is(self, connections: Callable[[], int], streams: Callable[[], int]) -> None:
        """What answers how many connections, and how many streams, are open."""
        ...


class RequestCounter:
    """Tells of each request that reaches the app, also of those that are refused there."""

    def __init__(self, app: ASGIApp, instruments: GatewayInstruments) -> None:
        self._app = app
        self._instruments = instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of it once it is handled."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        began_seconds = loop.time()
        status, seconds = _NO_STATUS, 0.0

        async def noted(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = str(message["status"]), loop.time() - began_seconds
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            # The router leaves here which of its routes it has chosen.
            route = scope.get("route")
            if status == _NO_STATUS:
                seconds = loop.time() - began_seconds
            path = _UNMATCHED if route is None else route.path
            self._instruments.request_handled(path, scope["method"], status, seconds)
