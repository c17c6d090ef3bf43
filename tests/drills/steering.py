"""Cancel and pause of a run that another replica is writing: how soon they act, and that batches stay whole.

usage: python -m tests.drills.steering [--seed N] [--count N]

Two programs on one private MariaDB; the one that is asked never executes anything. At a random moment of a load the run is
cancelled, or paused and later continued. Time counts from the request until watchers on both programs have the terminal
(or paused) snapshot. Exact: the table holds the rows of the committed batches and no other, also while a run is paused;
a continued run completes with every row once. A violation is an inexact count, or an act that takes over a second.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from techaura.sync.v1 import resources_pb2
from techaura_sync import SyncClient

from tests.support.database_server import DatabaseServer, server_running
from tests.support.service import Service, environment, service_running

ROWS: Final = 200_000
SECONDS_MAX: Final = 1.0
_ENDED: Final = (
    resources_pb2.SYNC_STATUS_CANCELLED,
    resources_pb2.SYNC_STATUS_COMPLETED,
    resources_pb2.SYNC_STATUS_FAILED,
)


def watched_until_still(service: Service, run_id: int, into: list[float]) -> threading.Thread:
    """Watch a run in a thread; note when it has ended or is paused and given back."""

    def watch() -> None:
        with SyncClient(service.grpc_target) as client:
            for update in client.watch(run_id):
                run = update.run
                if run.status in _ENDED or (run.paused and run.status == resources_pb2.SYNC_STATUS_PENDING):
                    into.append(time.monotonic())
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def rows_of(server: DatabaseServer, name: str, identifier: str, run_id: int) -> tuple[int, int]:
    """Rows in the table, and rows that the committed batches of the run have inserted."""
    with server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM content_index WHERE source_identifier = %s", (identifier,))
        (stored,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT COALESCE(SUM(rows_inserted), 0) FROM sync_batches WHERE sync_run_id = %s", (run_id,))
        (committed,) = cursor.fetchone() or (0,)
    return int(stored), int(committed)


def one(
    server: DatabaseServer, name: str, pair: tuple[Service, Service], number: int, chance: random.Random
) -> tuple[float, str]:
    """One act; answer the seconds that it took, and what was wrong."""
    first, second = pair
    identifier = f"load{number}.csv"
    body = "".join(f"{n},t{n}\n" for n in range(ROWS))
    (first.data_root / identifier).write_text("external_id,title\n" + body)
    run_id = first.trigger("csv", identifier)
    with SyncClient(first.grpc_target) as client:
        wanted = chance.randrange(0, ROWS // 2)
        for update in client.watch(run_id):
            if update.run.status in _ENDED:
                return 0.0, f"run {run_id} ended before it was asked to"
            if update.run.ledger.rows_read > wanted:
                break
    act = chance.choice(("cancel", "pause"))
    noted: list[float] = []
    watching = [watched_until_still(service, run_id, noted) for service in pair]
    began = time.monotonic()
    second.post(f"/v1/sync/{run_id}/{act}")
    for thread in watching:
        thread.join()
    seconds = max(noted) - began
    stored, committed = rows_of(server, name, identifier, run_id)
    wrong = "" if stored == committed else f"{stored} rows stand, {committed} are committed"
    if act == "pause":
        second.post(f"/v1/sync/{run_id}/continue")
        run = first.finished(run_id)
        stored, _ = rows_of(server, name, identifier, run_id)
        if (run["status"], run["ledger"]["rowsRead"], stored) != ("completed", ROWS, ROWS):
            wrong += f" continued: {run['status']}, {run['ledger']}, {stored} rows stand"
    return seconds, wrong


def main() -> int:
    """Drill, print one line, and one for each failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    took: list[float] = []
    failures: list[str] = []
    with server_running() as server, tempfile.TemporaryDirectory(prefix="techaura-steering-") as place:
        folder, name = Path(place), server.new_database()
        for part in ("data", "a", "b"):
            (folder / part).mkdir()
        defaults = {"LEASE_TTL_SECONDS": 8, "HEARTBEAT_INTERVAL_SECONDS": 2, "PROGRESS_INTERVAL_SECONDS": 0.25}
        environ = environment(server.url(name), folder / "data", CSV_BLOCK_BYTES=256 * 1024, **defaults)
        asleep = environ | {"TECHAURA_SYNC_POLL_INTERVAL_SECONDS": "60"}
        with service_running(folder / "a", environ) as first, service_running(folder / "b", asleep) as second:
            for number in range(given.count):
                seconds, wrong = one(server, name, (first, second), number, chance)
                took.append(seconds)
                if seconds > SECONDS_MAX:
                    wrong += f" took {seconds:.2f} s"
                failures += [f"act {number}: {wrong}"] if wrong else []
    print(
        f"steering: {given.count} acts from another replica, p50 {statistics.median(took):.2f} s, max {max(took):.2f} s, "
        f"{len(failures)} violations, seed {given.seed}"
    )
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
