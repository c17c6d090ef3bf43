"""A CSV file into content_index, against raw LOAD DATA LOCAL and LOAD DATA ... REPLACE of the same file.

All in one run, on a private MariaDB with durable settings that this starts and removes; ours is the real program in a
process of its own, from trigger to the end of the run. Prints one table: seconds, rows a second, ratios, peak memory.

usage: scripts/bench load [--rows N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pymysql

from bench.memory import PeakMemory
from db.engine import Database
from db.migrate import migrate
from tests.support.mariadb import MariaDb, mariadb_running
from tests.support.service import environment, service_running

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


def timed(work: Callable[[], object]) -> float:
    """Seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def raw_load(server: MariaDb, database: str, path: Path, *, replace: bool) -> float:
    """Seconds of LOAD DATA LOCAL of the file straight into the table."""
    connection = pymysql.connect(
        host="127.0.0.1", port=server.port, user="root", database=database, charset="utf8mb4", autocommit=True,
        local_infile=True,
    )  # fmt: skip
    statement = (
        f"LOAD DATA LOCAL INFILE '{path}' {'REPLACE' if replace else ''} INTO TABLE content_index CHARACTER SET utf8mb4 "
        "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\n' IGNORE 1 LINES "
        "(external_id, title, artist, genre, @album, @year) SET content_type = 'music', source_type = 'raw', "
        "source_identifier = 'catalogue.csv', last_synced_at = NOW(), "
        "metadata = JSON_OBJECT('album', @album, 'year', @year)"
    )
    with connection, connection.cursor() as cursor:
        return timed(lambda: cursor.execute(statement))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="techaura-bench-") as name, mariadb_running(durable=True) as server:
        folder = Path(name)
        path = folder / "catalogue.csv"
        write_catalogue(path, rows)
        size_mb = path.stat().st_size / 1e6
        raw, ours = server.new_database(), server.new_database()
        environ = environment(server.url(ours), folder, LEASE_TTL_SECONDS=30, HEARTBEAT_INTERVAL_SECONDS=5)
        results: list[tuple[str, float]] = []
        with service_running(folder, environ) as service, PeakMemory(service.process.pid) as memory:

            def sync(expected: dict[str, int]) -> float:
                ledger: dict[str, int] = {}
                seconds = timed(lambda: ledger.update(service.run("csv", "catalogue.csv")["ledger"]))
                wrong = {key: (ledger[key], count) for key, count in expected.items() if ledger[key] != count}
                if wrong:
                    raise SystemExit(f"the ledger is not what the file says: {wrong}")
                return seconds

            results.append(("ours: first load", sync({"inserted": rows})))
            results.append(("ours: same rows, file touched", _touched(path, lambda: sync({"unchanged": rows}))))
            write_catalogue(path, rows, changed_every=100)
            results.append(("ours: 1 % of rows changed", sync({"updated": -(-rows // 100)})))
            results.append(("ours: same file, untouched", sync({"rejected": 0})))
            write_catalogue(path, rows, bad_every=100)
            _empty(server, ours)
            results.append(("ours: first load, 1 % bad rows", sync({"rejected": rows // 100})))
            peak = memory.peak_mib
        from_scratch = folder / "raw.csv"
        write_catalogue(from_scratch, rows)
        _migrate(server, raw)
        raw_seconds = raw_load(server, raw, from_scratch, replace=False)
        replace_seconds = raw_load(server, raw, from_scratch, replace=True)
    print(f"{rows:,} rows, {size_mb:.0f} MB, {os.cpu_count()} cores, MariaDB with innodb_flush_log_at_trx_commit=1")
    print(f"{'what':34} {'seconds':>8} {'rows/s':>10} {'x raw':>7} {'REPLACE/it':>11}")
    for what, seconds in [("LOAD DATA LOCAL", raw_seconds), ("LOAD DATA LOCAL REPLACE", replace_seconds), *results]:
        ratios = f"{seconds / raw_seconds:7.2f} {replace_seconds / seconds:11.1f}"
        print(f"{what:34} {seconds:8.2f} {rows / seconds:10,.0f} {ratios}")
    print(f"peak memory of the service: {peak:.0f} MiB")


def _touched(path: Path, work: Callable[[], float]) -> float:
    os.utime(path)
    return work()


def _empty(server: MariaDb, database: str) -> None:
    with server.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE content_index")


def _migrate(server: MariaDb, database: str) -> None:
    async def work() -> None:
        opened = Database(server.url(database))
        await migrate(opened)
        await opened.close()

    asyncio.run(work())


if __name__ == "__main__":
    main()
