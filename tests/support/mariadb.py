"""A private MariaDB: started in a temporary folder on a free port, stopped and removed by whoever started it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pymysql

START_SECONDS_MAX = 60


@dataclass
class MariaDb:
    """A running private MariaDB."""

    folder: Path
    port: int
    durable: bool = False
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        memory = ["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=256M"] if self.durable else []
        memory = memory or ["--innodb-buffer-pool-size=128M", "--innodb-log-file-size=32M"]
        with (self.folder / "log").open("ab") as log:
            self.process = self._spawn(memory, log)
        self._wait_until_it_answers()

    def _spawn(self, memory: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *_unprivileged(),
                _binary("mariadbd"),
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                f"--socket={self.folder / 's.sock'}",
                f"--pid-file={self.folder / 'pid'}",
                "--skip-name-resolve",
                "--local-infile=1",
                f"--innodb-flush-log-at-trx-commit={1 if self.durable else 0}",
                *memory,
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                self.connect().close()
            except pymysql.err.OperationalError:
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"mariadbd did not start: {(self.folder / 'log').read_text()[-2000:]}") from None
                time.sleep(0.02)
            else:
                return

    def connect(self, database: str | None = None) -> pymysql.connections.Connection:
        """A plain connection, for what a test wants to see with its own eyes."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, charset="utf8mb4", autocommit=True
        )

    def new_database(self, collation: str = "utf8mb4_unicode_ci") -> str:
        """Make an empty database; answer its name."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE {collation}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")

    def url(self, database: str) -> str:
        """The service's URL of a database."""
        return f"mysql+aiomysql://root@127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """kill -9, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Stop in an orderly way."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)


@contextmanager
def mariadb_running(*, durable: bool = False, options: tuple[str, ...] = ()) -> Iterator[MariaDb]:
    """A private server while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="techaura-mariadb-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    server = MariaDb(folder, free_port(), durable, options)
    try:
        subprocess.run(
            [
                *_unprivileged(),
                _binary("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-log-file-size=4M",
                "--innodb-buffer-pool-size=16M",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _binary(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"{name} is missing; ./scripts/test installs it")
    return found
