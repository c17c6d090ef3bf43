"""A CSV file into content_index, against raw LOAD DATA LOCAL and LOAD DATA ... REPLACE of the same file.

All in one run, on a private server with durable settings (MySQL with its binary log) that this starts and removes; ours is the real program in a
process of its own, from trigger to the end of the run. Prints one table: seconds, rows a second, ratios, peak memory.

usage: scripts/bench load [--server mariadb|mysql] [--rows N] [--big-bytes N] [--metrics]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.memory import PeakMemory
from db.engine import Database
from db.migrate import migrate
from tests.support.database_server import DatabaseServer, server_running
from tests.support.programs import Process
from tests.support.service import Service, environment, service_running

GENRES = ("Salsa", "Vallenato", "Cumbia", "Pop", "Rock", "Reggaetón", "Bolero", "Merengue")
WORDS = [
    "amor",
    "noche",
    "luna",
    "corazón",
    "fuego",
    "mar",
    "sol",
    "vida",
    "tierra",
    "cielo",
    "camino",
    "sueño",
    "beso",
    "adiós",
    "lluvia",
    "ritmo",
    "verano",
    "plaza",
    "calle",
    "río",
]
HEADER = "external_id,title,artist,genre,album,year\n"


def row(number: int, changed: str = "") -> str:
    """One line of the catalogue; the same number gives the same line."""
    pick = random.Random(number)
    title = " ".join(pick.choices(WORDS, k=4)) + f" {number}{changed}"
    artist = f"{pick.choice(WORDS).title()} {pick.choice(WORDS).title()} {number % 5000}"
    return f"mus-{number:08d},{title},{artist},{pick.choice(GENRES)},Álbum {number % 90000},{1950 + number % 75}\n"


def write_catalogue(path: Path, rows: int, *, changed_every: int = 0, bad_every: int = 0) -> None:
    """Write the file; some rows changed, some broken (one field too many), spread evenly."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write(HEADER)
        for number in range(rows):
            if bad_every and number % bad_every == bad_every // 2:
                stream.write(row(number).rstrip("\n") + ",one too many\n")
            else:
                changed = changed_every and number % changed_every == 0
                stream.write(row(number, " (remix)" if changed else ""))


def write_big(path: Path, size_bytes: int) -> int:
    """Write a file of that size with long rows (a column of 900 characters that only metadata takes); return its rows."""
    text = "x" * 900
    rows = 0
    with path.open("w", encoding="utf-8") as stream:
        stream.write(HEADER.rstrip("\n") + ",notes\n")
        while stream.tell() < size_bytes:
            for number in range(rows, rows + 1000):
                stream.write(row(number).rstrip("\n") + f",{text}\n")
            rows += 1000
    return rows


@dataclass(frozen=True, slots=True)
class Measured:
    """What some work took: seconds of the clock, and of the processor in the service and in the database."""

    what: str
    seconds: float
    cpu_seconds: float
    database_cpu_seconds: float


def measure(what: str, server: DatabaseServer, service: Service | None, work: Callable[[], object]) -> Measured:
    """Do some work and measure it."""

    def used(process: Process | subprocess.Popen[Any] | None) -> float:
        return cpu_seconds(process.pid) if process is not None else 0.0

    ours = service.process if service is not None else None
    before, database_before, started = used(ours), used(server.process), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return Measured(what, seconds, used(ours) - before, used(server.process) - database_before)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def raw_load(server: DatabaseServer, database: str, path: Path, *, replace: bool) -> None:
    """LOAD DATA LOCAL of the file straight into the table."""
    connection = server.connect(database, local_infile=True)
    statement = (
        f"LOAD DATA LOCAL INFILE '{path}' {'REPLACE' if replace else ''} INTO TABLE content_index CHARACTER SET utf8mb4 "
        "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\n' IGNORE 1 LINES "
        "(external_id, title, artist, genre, @album, @year) SET content_type = 'music', source_type = 'raw', "
        "source_identifier = 'catalogue.csv', last_synced_at = NOW(), "
        "metadata = JSON_OBJECT('album', @album, 'year', @year)"
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--big-bytes", type=int, default=1_000_000_000, help="size of the memory test's file; 0 for none"
    )
    parser.add_argument("--metrics", action="store_true", help="with metrics, which are scraped each second")
    arguments = parser.parse_args()
    rows, extra = arguments.rows, {"METRICS_PORT": 0} if arguments.metrics else {}
    with tempfile.TemporaryDirectory(prefix="techaura-bench-") as name, server_running(durable=True) as server:
        folder = Path(name)
        path = folder / "catalogue.csv"
        write_catalogue(path, rows)
        size_mb, version = path.stat().st_size / 1e6, server.version()
        ours, peak = _ours(server, folder, path, rows, extra)
        raw = _raw(server, folder, rows)
        big = _big(server, folder, arguments.big_bytes, extra) if arguments.big_bytes else ""
    print(f"{rows:,} rows, {size_mb:.0f} MB, {os.cpu_count()} cores, {version}, durable")
    print(
        f"{'what':34} {'seconds':>8} {'rows/s':>10} {'x raw':>7} {'REPLACE/it':>11} {'cpu: ours':>10} {'database':>9}"
    )
    raw_seconds, replace_seconds = raw[0].seconds, raw[1].seconds
    for row_ in [*raw, *ours]:
        ratios = f"{row_.seconds / raw_seconds:7.2f} {replace_seconds / row_.seconds:11.1f}"
        used = f"{row_.cpu_seconds:10.2f} {row_.database_cpu_seconds:9.2f}"
        print(f"{row_.what:34} {row_.seconds:8.2f} {rows / row_.seconds:10,.0f} {ratios} {used}")
    print(f"peak memory of the service: {peak:.0f} MiB (goal 350)")
    print(big)


def _ours(
    server: DatabaseServer, folder: Path, path: Path, rows: int, extra: Mapping[str, object]
) -> tuple[list[Measured], float]:
    """Seconds of each of our runs, and the peak memory of them all."""
    database = server.new_database()
    results: list[Measured] = []
    with (
        _service(server, database, folder, extra) as service,
        PeakMemory(service.process.pid) as memory,
        _scraped(service),
    ):

        def sync(what: str, **expected: int) -> None:
            ledger: dict[str, int] = {}
            measured = measure(
                f"ours: {what}", server, service, lambda: ledger.update(service.run("csv", path.name)["ledger"])
            )
            wrong = {key: (ledger[key], count) for key, count in expected.items() if ledger[key] != count}
            if wrong:
                raise SystemExit(f"the ledger is not what the file says: {wrong}")
            results.append(measured)

        sync("first load", inserted=rows)
        sync("same file, untouched", unchanged=rows)
        os.utime(path)
        sync("same rows, file touched", unchanged=rows)
        # A row more: the file's digest is another one, so that each row is compared with the table.
        with path.open("a", encoding="utf-8") as stream:
            stream.write(row(rows))
        sync("same rows and a new one", unchanged=rows, inserted=1)
        write_catalogue(path, rows, changed_every=100)
        sync("1 % of rows changed", updated=-(-rows // 100))
        write_catalogue(path, rows, bad_every=100)
        with server.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE content_index")
        sync("first load, 1 % bad rows", rejected=rows // 100)
        return results, memory.peak_mib


def _raw(server: DatabaseServer, folder: Path, rows: int) -> list[Measured]:
    """Seconds of LOAD DATA LOCAL of the first file, and of the same again with REPLACE."""
    database = server.new_database()
    path = folder / "raw.csv"
    write_catalogue(path, rows)
    _migrate(server, database)
    return [
        measure("LOAD DATA LOCAL", server, None, lambda: raw_load(server, database, path, replace=False)),
        measure("LOAD DATA LOCAL REPLACE", server, None, lambda: raw_load(server, database, path, replace=True)),
    ]


def _big(server: DatabaseServer, folder: Path, size_bytes: int, extra: Mapping[str, object]) -> str:
    """A file of that size, through a process of its own; return a line on its peak memory."""
    path = folder / "big.csv"
    rows = write_big(path, size_bytes)
    with (
        _service(server, server.new_database(), folder, extra) as service,
        PeakMemory(service.process.pid) as memory,
        _scraped(service),
    ):
        ledger = service.run("csv", path.name)["ledger"]
        if ledger["inserted"] != rows:
            raise SystemExit(f"the ledger is not what the file says: {ledger}")
        size_mb = path.stat().st_size / 1e6
        return f"peak memory with a file of {size_mb:,.0f} MB ({rows:,} rows): {memory.peak_mib:.0f} MiB (goal 350)"


@contextmanager
def _scraped(service: Service) -> Iterator[None]:
    """Scrape the metrics of a service each second while the block runs, if it serves any."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(1.0):
            with urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=10) as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    if service.metrics_port:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if service.metrics_port:
            thread.join()


def _service(
    server: DatabaseServer, database: str, folder: Path, extra: Mapping[str, object]
) -> AbstractContextManager[Service]:
    environ = environment(
        server.url(database),
        folder,
        LEASE_TTL_SECONDS=30,
        HEARTBEAT_INTERVAL_SECONDS=5,
        CSV_BLOCK_BYTES=None,
        CSV_SETTLE_SECONDS=None,
        **extra,
    )
    return service_running(folder, environ, installed=True)


def _migrate(server: DatabaseServer, database: str) -> None:
    async def work() -> None:
        opened = Database(server.url(database))
        await migrate(opened)
        await opened.close()

    asyncio.run(work())


if __name__ == "__main__":
    main()
