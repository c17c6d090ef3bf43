"""What the drills of API sources share: reading a source as a run does, on a clock that does not wait."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from server.core.config import Settings
from server.core.errors import SyncError
from server.sources.api.options import parse_options
from server.sources.api.reader import open_api
from server.sources.contract import SourceContext
from tests.sources.api.conftest import LoopbackServer, ManualClock


async def read_source(url: str, options: Mapping[str, Any], **settings: Any) -> tuple[int, SyncError | None]:
    """Read a whole source; answer how many rows came and the error that ended it."""
    context = SourceContext(Settings(**({"http_timeout_seconds": 5.0} | settings)), ManualClock())
    count = 0
    try:
        reader = await open_api(url, parse_options(options), context, lambda secret, _url: secret.text)
    except SyncError as error:
        return count, error
    try:
        async for batch in reader.batches(None, 1):
            count += batch.frame.height
    except SyncError as error:
        return count, error
    finally:
        await reader.close()
    return count, None


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve an ASGI app on a free port of loopback while the block runs; gives the port."""
    # With the protocol named, asyncio sets TCP_NODELAY; without it each answer waits for a delayed ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = LoopbackServer(
        uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.stopped.set()
        await task
