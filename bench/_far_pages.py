"""The second half of `scripts/bench api`: pages of a server that is far away, asked for in turn and several at once.

The floor is our own client over one connection, in turn. Ours is the real program with 1, 4 and 8 pages at once, from trigger to the end of
the run, into a private MariaDB with durable settings; the processor time is that of the service alone.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

from bench._pages_server import PAGE_ITEMS
from bench._sources import AS_BY_DEFAULT, OPTIONS, fetch_in_turn, pages_server
from tests.support.database_server import DatabaseServer, server_running
from tests.support.service import Service, environment, service_running

# Milliseconds of the server -> pages. Farther away there are fewer of them, so that the floor is known within a minute.
_PAGES: Final = {0: 1000, 30: 1000, 100: 300}
_AT_ONCE: Final = (1, 4, 8)
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, with that of the kernel for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _page_url(url: str, number: int) -> str:
    return f"{url}&page={number}&limit={PAGE_ITEMS}"


def report_far_pages(items_max: int) -> None:
    """Measure and print."""
    pages = {delay_ms: min(count, max(1, items_max // PAGE_ITEMS)) for delay_ms, count in _PAGES.items()}
    print(
        f"\n{'pages':>6} {'delay':>7} {'what':34} {'seconds':>8} {'ms/page':>8} {'processor ms/page':>18} {'in turn / it':>13}"
    )
    with tempfile.TemporaryDirectory(prefix="techaura-bench-") as name, server_running(durable=True) as server:
        for delay_ms, count in pages.items():
            with pages_server(count * PAGE_ITEMS) as base:
                url = f"{base}/far?delayMs={delay_ms}"
                floor = asyncio.run(fetch_in_turn(url, partial(_page_url, url), count))
                _line(count, delay_ms, "our client, in turn", floor, None, floor)
                for at_once in _AT_ONCE:
                    _runs(server, Path(name) / f"{delay_ms}-{at_once}", url, count, delay_ms, at_once, floor)


def _runs(
    server: DatabaseServer, folder: Path, url: str, count: int, delay_ms: int, at_once: int, floor: float
) -> None:
    folder.mkdir()
    settings = AS_BY_DEFAULT | {"HTTP_PAGES_AT_ONCE_MAX": at_once}
    environ = environment(server.url(server.new_database()), folder, **settings)
    with service_running(folder, environ, installed=True) as service:
        for what, key in (("all new", "inserted"), ("nothing changed", "unchanged")):
            seconds, processor = _run(service, url, count * PAGE_ITEMS, key)
            _line(count, delay_ms, f"whole run, {at_once} at once, {what}", seconds, processor, floor)


def _run(service: Service, url: str, items: int, key: str) -> tuple[float, float]:
    before, started = processor_seconds(service.process.pid), time.perf_counter()
    run = service.run("api", url, OPTIONS)
    seconds = time.perf_counter() - started
    if run["ledger"][key] != items:
        raise SystemExit(f"{url}: {run['status']}, {run['ledger']}, {run.get('failure')}")
    return seconds, processor_seconds(service.process.pid) - before


def _line(count: int, delay_ms: int, what: str, seconds: float, processor: float | None, floor: float) -> None:
    shown = "" if processor is None else f"{processor / count * 1000:.2f}"
    print(
        f"{count:6} {delay_ms:4} ms {what:34} {seconds:8.2f} {seconds / count * 1000:8.2f} {shown:>18} {floor / seconds:12.2f}x",
        flush=True,
    )
