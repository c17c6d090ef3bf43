"""The REST gateway: each route reads a request, makes one call of the gRPC service, and writes the response.

It has no state but the channel to the service. When a caller disconnects, its call ends and no run does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import grpc
from starlette.applications import Starlette
from starlette.middleware import Middleware
from techaura_sync import AsyncSyncClient, CallLimits
from techaura_sync.requests import CHANNEL_OPTIONS

from gateway import documentation, events, rejects, routes, schedules
from gateway.callers import CallerGuard
from gateway.config import GatewaySettings
from gateway.connections import ConnectionPool
from gateway.errors import HANDLERS
from gateway.instruments import GatewayInstruments, RequestCounter
from gateway.request_ids import RequestIds

# Connected from the start and not closed when idle: clients that later use up the gRPC port's connections cannot take
# the gateway's.
_CHANNEL_OPTIONS: Final = (*CHANNEL_OPTIONS, ("grpc.client_idle_timeout_ms", 2**31 - 1))


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the gateway's clock, handed in as this function


# Those of schedules come first: `/v1/sync/{sync_run_id}/...` would match some of them too.
ROUTES: Final = (*schedules.ROUTES, *routes.ROUTES, *events.ROUTES, *rejects.ROUTES, *documentation.ROUTES)


def create_app(
    settings: GatewaySettings,
    *,
    pool: ConnectionPool,
    now: Callable[[], datetime] = utc_now,
    instruments: GatewayInstruments | None = None,
) -> Starlette:
    """Build the gateway; the channel to the service opens and closes with the app's lifespan.

    Args:
        settings: where the service is, and the limits.
        pool: the connections of the web server that runs it.
        now: returns the time for the `timestamp` of responses; aware.
        instruments: who counts requests; None for nobody.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        limits = CallLimits(
            call_timeout_seconds=settings.gateway_call_timeout_seconds,
            watch_retries_max=settings.gateway_watch_retries_max,
        )
        async with grpc.aio.insecure_channel(settings.grpc_target, _CHANNEL_OPTIONS) as channel:
            channel.get_state(try_to_connect=True)
            app.state.client = AsyncSyncClient(channel, limits=limits)
            app.state.stopping = asyncio.Event()
            yield

    counting = [] if instruments is None else [Middleware(RequestCounter, instruments)]
    app = Starlette(
        routes=ROUTES,
        middleware=[*counting, Middleware(RequestIds), Middleware(CallerGuard, settings)],
        lifespan=lifespan,
        exception_handlers=HANDLERS,
    )
    # A redirect to the path without its last slash would be a response in no documented shape.
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.now = now
    app.state.pool = pool
    return app
