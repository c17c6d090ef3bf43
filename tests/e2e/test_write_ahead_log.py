"""The embedded database's write-ahead log: large while a large batch is written, small again afterwards."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from techaura_sync import SyncClient

from db.engine import WAL_BYTES_MAX
from tests.support.service import Service, environment, service_running

ROWS = 25_000
RUNS = 3


def write_songs(file: Path, seed: int) -> None:
    """In no order of any index, so that a batch changes many pages."""
    chance = random.Random(seed)
    lines = [
        f"{seed}-{n},{chance.random():.16f}{'title' * 20},{chance.random():.16f}{'name' * 10}\n" for n in range(ROWS)
    ]
    file.write_text("external_id,title,artist\n" + "".join(lines))


class Largest(threading.Thread):
    """The largest size that a file has while it is looked at."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self.size_bytes = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.01):
            if self._file.exists():
                self.size_bytes = max(self.size_bytes, self._file.stat().st_size)


def watch_stats(service: Service, ended: threading.Event) -> None:
    """Someone who reads the database all the time."""
    with SyncClient(service.grpc_target) as client:
        while not ended.is_set():
            client.stats()


def test_many_runs_leave_a_write_ahead_log_below_its_bound(tmp_path: Path) -> None:
    for number in range(RUNS):
        write_songs(tmp_path / f"{number}.csv", number)
    log = tmp_path / "sync.db-wal"
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 'sync.db'}", tmp_path, CSV_BLOCK_BYTES=16 * 1024 * 1024)
    with service_running(tmp_path, environ) as service:
        largest, ended = Largest(log), threading.Event()
        reader = threading.Thread(target=watch_stats, args=(service, ended))
        largest.start()
        reader.start()
        try:
            for number in range(RUNS):
                assert service.run("csv", f"{number}.csv")["status"] == "completed"
        finally:
            ended.set()
            largest.ended.set()
            reader.join()
            largest.join()
        assert largest.size_bytes > WAL_BYTES_MAX, "the story is too small to show anything"
        # It is cut by the first writes after its pages are in the database; nobody reads any more.
        (tmp_path / "small.csv").write_text("title\nt\n")
        service.run("csv", "small.csv")
        assert log.stat().st_size <= WAL_BYTES_MAX
