"""Runs the gateway on its port, inside the event loop of the caller.

The port is bound before anything else, so that a busy one raises `OSError` here instead of ending the process from the
web server. At shutdown open requests and event streams get their time, then they are cut off; runs are not affected.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Final

import uvicorn

from gateway.app import create_app
from gateway.config import GatewaySettings
from gateway.connections import ConnectionPool
from gateway.instruments import GatewayInstruments
from gateway.protocol import BoundedProtocol

# asyncio accepts up to its backlog at once, before any of those connections is counted; each has a descriptor.
_ACCEPTED_AT_ONCE: Final = 8
_BACKLOG: Final = 1024
# uvicorn counts ten of them to a second, once in which it renews the Date header.
_TICK_SECONDS: Final = 0.1


class _Server(uvicorn.Server):
    """A web server that leaves signals to its program, reports when it listens, and does not wait where nobody is served."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let `serve` end."""
        self.should_exit = True
        self._stopping.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            # Wakes waiters when the server ended before it listened.
            self.listening.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)
        self.listening.set()

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self.lifespan.shutdown()


@asynccontextmanager
async def gateway_running(
    settings: GatewaySettings, instruments: GatewayInstruments | None = None
) -> AsyncIterator[int]:
    """Serve the gateway while the block runs; yields the port, which matters when the setting is 0.

    Args:
        instruments: who counts what it does; None for nobody.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    listener = _bind(settings.http_host, settings.http_port)
    pool = ConnectionPool(settings.gateway_connections_max, settings.gateway_event_streams_max)
    if instruments is not None:
        pool.on_refusal = instruments.connection_refused
        instruments.pool_is(lambda: pool.connections, lambda: pool.streams)
    app = create_app(settings, pool=pool, instruments=instruments)
    server = _Server(_config(app, settings, pool))
    # Not a TaskGroup: on cancellation it would cut off open requests at once. `finally` waits for the server.
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="gateway")
    try:
        await server.listening.wait()
        if serving.done():
            serving.result()
            raise RuntimeError("the gateway ended before it listened")
        yield listener.getsockname()[1]
    finally:
        # Event streams end only when told to, and the web server waits for them.
        if server.started:
            app.state.stopping.set()
        server.stop()
        await serving
        listener.close()


def _config(app: object, settings: GatewaySettings, pool: ConnectionPool) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(BoundedProtocol, settings, pool),  # type: ignore[arg-type] # what makes a protocol will do
        timeout_keep_alive=settings.gateway_idle_timeout_seconds,
        backlog=_ACCEPTED_AT_ONCE,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=max(1, round(settings.gateway_shutdown_timeout_seconds)),
    )


def _bind(host: str, port: int) -> socket.socket:
    # As in a URL, an IPv6 address may stand in brackets.
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only where the protocol is named; with it each response takes 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
