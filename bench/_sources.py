"""What the API benchmarks share: the local sources, the options that read them, and the floor."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from server.core.clock import SystemClock
from server.core.config import Settings
from server.sources.api.http.client import ApiClient, PageRequest
from server.sources.api.http.credentials import Credentials
from server.sources.contract import SourceContext
from tests.support.serving import serving

OPTIONS: Final[dict[str, object]] = {
    "fieldMapping": {"title": "name", "artist": "artist.name", "genre": "genres.0"},
    "pagination": {"enabled": True, "type": "page"},
}
# The tests' own environment looks for work and tells of progress many times as often.
AS_BY_DEFAULT: Final[dict[str, object]] = {
    "CSV_BLOCK_BYTES": None,
    "CSV_SETTLE_SECONDS": None,
    "LEASE_TTL_SECONDS": 30,
    "HEARTBEAT_INTERVAL_SECONDS": 5,
    "POLL_INTERVAL_SECONDS": 1,
    "PROGRESS_INTERVAL_SECONDS": 0.25,
    "SCHEDULE_INTERVAL_SECONDS": 5,
}


def pages_server(items: int) -> AbstractContextManager[str]:
    """The URL of a running source."""
    return serving("bench._pages_server", "--items", str(items))


async def fetch_in_turn(url: str, page_url: Callable[[int], str], count: int) -> float:
    """Seconds that our client takes for all pages over one connection, one after the other."""
    context = SourceContext(Settings(allow_private_addresses=True), SystemClock())
    client = ApiClient(url, Credentials({}, ""), context)
    started = time.perf_counter()
    for number in range(1, count + 1):
        await client.fetch(PageRequest("GET", page_url(number)), f"page {number}")
    seconds = time.perf_counter() - started
    await client.close()
    return seconds
