"""A paged API into content_index, against fetching the same pages alone, in one run.

100,000 items in pages of 100 from three local servers: `datasette` as anyone may run it, a small application that makes
each page (`made`), and one that has all pages ready and does nothing but send them (see _pages_server.py). The floor is
our own client that fetches every page over one connection and throws the bodies away; ours is the real program in a process of its own, from trigger to the end of the run, into a private
MariaDB with durable settings. Also prints what one page costs through bare httpx and through httpcore below it. Rounds
alternate, and the best of each counts, since other work on the machine only ever adds.

usage: scripts/bench api [--items N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpcore
import httpx

from bench._far_pages import report_far_pages
from bench._pages_server import PAGE_ITEMS, flat, item
from bench._sources import AS_BY_DEFAULT, OPTIONS, fetch_in_turn, pages_server
from bench.memory import PeakMemory
from tests.support.database_server import server_running
from tests.support.existing_servers import datasette
from tests.support.service import Service, environment, service_running

DATASETTE_OPTIONS: Final[dict[str, object]] = {
    "dataPath": "rows",
    "fieldMapping": {"title": "name"},
    "pagination": {"enabled": True, "type": "link", "limitParam": "_size"},
}


@dataclass(frozen=True)
class Kind:
    """One source.

    Args:
        url: as it is triggered.
        page_url: of a page, from 1.
        options: of the run.
    """

    name: str
    url: str
    page_url: Callable[[int], str]
    options: dict[str, object]


@contextmanager
def sources(items: int, folder: Path) -> Iterator[list[Kind]]:
    """The three sources, running."""
    folder.mkdir()
    songs = [flat(item(number)) | {"id": number + 1} for number in range(items)]
    with pages_server(items) as base, datasette(folder, songs) as music:
        kinds = [Kind(name, f"{base}/{name}", _by_number(f"{base}/{name}"), OPTIONS) for name in ("made", "ready")]
        table = f"{music}/songs.json?_shape=objects&_size={PAGE_ITEMS}"
        yield [Kind("datasette", table, lambda n: f"{table}&_next={(n - 1) * PAGE_ITEMS}", DATASETTE_OPTIONS), *kinds]


def _by_number(url: str) -> Callable[[int], str]:
    return lambda number: f"{url}?page={number}&limit={PAGE_ITEMS}"


async def fetch_httpx(kind: Kind, count: int) -> float:
    """Seconds of a bare httpx.AsyncClient."""
    async with httpx.AsyncClient(trust_env=False) as client:
        started = time.perf_counter()
        for number in range(1, count + 1):
            await client.get(kind.page_url(number))
        return time.perf_counter() - started


async def fetch_httpcore(kind: Kind, count: int) -> float:
    """Seconds of a bare httpcore pool."""
    async with httpcore.AsyncConnectionPool() as pool:
        started = time.perf_counter()
        for number in range(1, count + 1):
            await pool.request("GET", kind.page_url(number))
        return time.perf_counter() - started


def whole_run(service: Service, kind: Kind, number: int, items: int, key: str) -> float:
    """Seconds of one run, from its trigger to its end; each number is another source with the same pages."""
    started = time.perf_counter()
    url = f"{kind.url}{'&' if '?' in kind.url else '?'}_r={number}"
    run = service.run("api", url, kind.options)
    ledger = run["ledger"]
    seconds = time.perf_counter() - started
    if ledger[key] != items:
        raise SystemExit(f"{url}: {run['status']}, {ledger}, {run.get('failure')}")
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    # A last page that is full has another one after it, an empty one.
    count = chosen.items // PAGE_ITEMS + 1
    measured: dict[tuple[str, str], list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="techaura-bench-") as name,
        server_running(durable=True) as server,
        sources(chosen.items, Path(name) / "datasette") as kinds,
    ):
        environ = environment(server.url(server.new_database()), Path(name), **AS_BY_DEFAULT)
        with service_running(Path(name), environ, installed=True) as service, PeakMemory(service.process.pid) as memory:
            for number in range(chosen.rounds):
                for kind in kinds:
                    found = {
                        "our client: fetching alone": asyncio.run(fetch_in_turn(kind.url, kind.page_url, count)),
                        "whole run, all new": whole_run(service, kind, number, chosen.items, "inserted"),
                        "whole run, nothing changed": whole_run(service, kind, number, chosen.items, "unchanged"),
                    }
                    if kind.name != "datasette":
                        found["bare httpx alone"] = asyncio.run(fetch_httpx(kind, count))
                        found["bare httpcore alone"] = asyncio.run(fetch_httpcore(kind, count))
                    for what, seconds in found.items():
                        measured.setdefault((kind.name, what), []).append(seconds)
            peak = memory.peak_mib
    print(f"{chosen.items:,} items, {count} pages, {os.cpu_count()} cores, best of {chosen.rounds}")
    print(f"{'pages':9} {'what':28} {'seconds':>8} {'ms/page':>8} {'fetching alone / it':>20}")
    for (name, what), rounds in sorted(measured.items(), key=lambda entry: entry[0][0]):
        best, floor = min(rounds), min(measured[name, "our client: fetching alone"])
        print(f"{name:9} {what:28} {best:8.2f} {best / count * 1000:8.2f} {floor / best:20.0%}")
    print(f"peak memory of the service: {peak:.0f} MiB")
    report_far_pages(chosen.items)


if __name__ == "__main__":
    main()
