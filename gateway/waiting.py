"""Waiting for what a run does next, for as long as the gateway is not told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TypeVar

from techaura_sync import AsyncSyncClient

T = TypeVar("T")


async def next_unless(stopping: asyncio.Event, responses: AsyncGenerator[T]) -> T | None:
    """The next response; None at the end of the stream, or when the gateway stops first."""
    following = asyncio.ensure_future(anext(responses, None))
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({following, stop}, return_when=asyncio.FIRST_COMPLETED)
        return following.result() if following.done() else None
    finally:
        stop.cancel()
        following.cancel()
        # The generator must not be closed while the cancelled read is still inside it.
        await asyncio.wait({following})


async def wait_for_end(client: AsyncSyncClient, sync_run_id: int, seconds: float, stopping: asyncio.Event) -> None:
    """Return when a run has ended, when the time is over, or when the gateway stops.

    Raises:
        SyncServiceError: the run cannot be followed.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), aclosing(client.watch(sync_run_id)) as responses:
            while await next_unless(stopping, responses) is not None:
                pass
