"""A paged API into content_index, against fetching the same pages alone, in one run.

100,000 items in pages of 100 from two local servers (see _pages_server.py): an ordinary one that makes each page, and
one that has all pages ready. The floor is our own client that fetches every page over one connection and throws the
bodies away; ours is the real program in a process of its own, from trigger to the end of the run, into a private
MariaDB with durable settings. Also prints what one page costs through bare httpx and through httpcore below it. Rounds
alternate, and the best of each counts, since other work on the machine only ever adds.

usage: scripts/bench api [--items N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpcore
import httpx

from bench._pages_server import PAGE_ITEMS, pages
from bench.memory import PeakMemory
from server.core.clock import SystemClock
from server.core.config import Settings
from server.sources.api.auth import Credentials
from server.sources.api.http import ApiClient, PageRequest
from server.sources.base import SourceContext
from tests.support.mariadb import mariadb_running
from tests.support.service import Service, environment, service_running

OPTIONS = {
    "fieldMapping": {"title": "name", "artist": "artist.name", "genre": "genres.0"},
    "pagination": {"enabled": True, "type": "page"},
}


@contextmanager
def pages_server(items: int) -> Iterator[str]:
    """The URL of a running source."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._pages_server", "--items", str(items)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def fetch_alone(url: str, count: int) -> float:
    """Seconds that our client takes for all pages."""
    context = SourceContext(Settings(allow_private_addresses=True), SystemClock())  # type: ignore[call-arg]
    client = ApiClient(url, Credentials({}, ""), context)
    started = time.perf_counter()
    for number in range(1, count + 1):
        await client.fetch(PageRequest("GET", f"{url}?page={number}&limit={PAGE_ITEMS}"), f"page {number}")
    seconds = time.perf_counter() - started
    await client.close()
    return seconds


async def fetch_httpx(url: str, count: int) -> float:
    """Seconds of a bare httpx.AsyncClient."""
    async with httpx.AsyncClient(trust_env=False) as client:
        started = time.perf_counter()
        for number in range(1, count + 1):
            await client.get(f"{url}?page={number}&limit={PAGE_ITEMS}")
        return time.perf_counter() - started


async def fetch_httpcore(url: str, count: int) -> float:
    """Seconds of a bare httpcore pool."""
    async with httpcore.AsyncConnectionPool() as pool:
        started = time.perf_counter()
        for number in range(1, count + 1):
            await pool.request("GET", f"{url}?page={number}&limit={PAGE_ITEMS}")
        return time.perf_counter() - started


def whole_run(service: Service, url: str, items: int, key: str) -> float:
    """Seconds of one run, from its trigger to its end."""
    started = time.perf_counter()
    ledger = service.run("api", url, OPTIONS)["ledger"]
    seconds = time.perf_counter() - started
    if ledger[key] != items:
        raise SystemExit(f"the ledger is not what the source has: {ledger}")
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    # A last page that is full has another one after it, an empty one.
    count, size_mb = chosen.items // PAGE_ITEMS + 1, sum(map(len, pages(chosen.items))) / 1e6
    measured: dict[tuple[str, str], list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="techaura-bench-") as name,
        mariadb_running(durable=True) as server,
        pages_server(chosen.items) as base,
    ):
        environ = environment(
            server.url(server.new_database()), Path(name), LEASE_TTL_SECONDS=30, HEARTBEAT_INTERVAL_SECONDS=5
        )
        with service_running(Path(name), environ) as service, PeakMemory(service.process.pid) as memory:
            for number in range(chosen.rounds):
                for kind in ("made", "ready"):
                    url = f"{base}/{kind}"
                    found = {
                        "our client: fetching alone": asyncio.run(fetch_alone(url, count)),
                        "whole run, all new": whole_run(service, f"{url}?r={number}", chosen.items, "inserted"),
                        "whole run, nothing changed": whole_run(
                            service, f"{url}?r={number}", chosen.items, "unchanged"
                        ),
                        "bare httpx alone": asyncio.run(fetch_httpx(url, count)),
                        "bare httpcore alone": asyncio.run(fetch_httpcore(url, count)),
                    }
                    for what, seconds in found.items():
                        measured.setdefault((kind, what), []).append(seconds)
            peak = memory.peak_mib
    print(f"{chosen.items:,} items, {count} pages, {size_mb:.0f} MB, {os.cpu_count()} cores, best of {chosen.rounds}")
    print(f"{'pages':6} {'what':28} {'seconds':>8} {'ms/page':>8} {'fetching alone / it':>20}")
    for (kind, what), seconds in sorted(measured.items(), key=lambda entry: entry[0][0]):
        best, floor = min(seconds), min(measured[kind, "our client: fetching alone"])
        print(f"{kind:6} {what:28} {best:8.2f} {best / count * 1000:8.2f} {floor / best:20.0%}")
    print(f"peak memory of the service: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
