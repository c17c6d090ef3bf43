"""A private MariaDB or MySQL: started in a temporary folder on a free port, stopped and removed by whoever started it.

The service connects to it as an ordinary user with the privileges that docs/guides/mysql.md names and no more; root, over
the server's socket, is the hand of the test alone.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Final

import pymysql

from db.engine import Database
from tests.support.grants import FIRST_START, grant

START_SECONDS_MAX: Final = 120
USER: Final = "techaura"
_MEMORY_BYTES_MIN: Final = 4 << 30
PASSWORD: Final = "an-ordinary-password"
# Which server the tests of this process use; `scripts/test mysql` sets it.
CHOSEN: Final = os.environ.get("TECHAURA_TEST_SERVER", "mariadb")


@dataclass
class DatabaseServer:
    """A running private server.

    Args:
        folder: holds everything of it.
        port: where it listens, on 127.0.0.1.
        durable: settings of a production server, as drills and benchmarks want them.
        options: further options of the server's command line.
    """

    kind: ClassVar[str]
    folder: Path
    port: int
    durable: bool = False
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def initialise(self) -> None:
        """Make the data folder."""
        raise NotImplementedError

    def _command(self) -> Sequence[str]:
        """The server's program and its own options."""
        raise NotImplementedError

    @property
    def socket(self) -> str:
        """Where root is let in."""
        return str(self.folder / "s.sock")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = self._spawn(log)
        self._wait_until_it_answers()

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *_unprivileged(),
                *self._command(),
                f"--datadir={self.folder / 'data'}",
                # A server that starts removes temporary tables that lie about, also those of others.
                f"--tmpdir={self.folder}",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                f"--socket={self.socket}",
                f"--pid-file={self.folder / 'pid'}",
                "--skip-name-resolve",
                "--local-infile=1",
                f"--innodb-flush-log-at-trx-commit={1 if self.durable else 0}",
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                # Not by the driver, which leaves its socket open where nobody listens yet.
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.socket)
                self.connect().close()
            except (OSError, pymysql.err.OperationalError):
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.kind} did not start: {self.log()[-2000:]}") from None
                time.sleep(0.02)
            else:
                return

    def version(self) -> str:
        """Product and version."""
        return f"{self.kind} {self.execute('SELECT VERSION()')[0][0]}"

    def log(self) -> str:
        """What the server logged."""
        return (self.folder / "log").read_text(errors="replace")

    def connect(self, database: str | None = None, **arguments: Any) -> pymysql.connections.Connection:
        """A plain connection as root, for what a test wants to see or do with its own hands."""
        return pymysql.connect(
            unix_socket=self.socket,
            user="root",
            database=database,
            # A test may set what sessions begin with.
            init_command="SET SESSION sql_select_limit = 18446744073709551615",
            **({"charset": "utf8mb4", "autocommit": True} | arguments),
        )

    def execute(self, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements as root; answer the rows of the last."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def new_database(self, collation: str = "utf8mb4_unicode_ci", privileges: Sequence[str] = FIRST_START) -> str:
        """Make an empty database on which the ordinary user has these privileges; answer its name."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        charset = collation.partition("_")[0]
        self.execute(f"CREATE DATABASE {name} CHARACTER SET {charset} COLLATE {collation}")
        if privileges:
            self.execute(grant(privileges, name, USER))
        return name

    def new_user(self, database: str, privileges: Sequence[str], *, name: str = "", password: str = PASSWORD) -> str:
        """Make a user of its own for a database; answer its name."""
        name = name or f"u_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE USER `{name}`@'%' IDENTIFIED BY '{password}'")
        if privileges:
            self.execute(grant(privileges, database, name))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database."""
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD, port: int | None = None) -> str:
        """The service's URL of a database.

        Args:
            port: of a proxy before the server.
        """
        return f"mysql+aiomysql://{user}:{password}@127.0.0.1:{port or self.port}/{database}"

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


class MariaDb(DatabaseServer):
    """The MariaDB of this machine's packages."""

    kind = "mariadb"

    def initialise(self) -> None:
        """Make the data folder."""
        _run(
            _binary("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--tmpdir={self.folder}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=4M",
            "--innodb-buffer-pool-size=16M",
        )

    def _command(self) -> Sequence[str]:
        memory = ["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=256M"]
        small = ["--innodb-buffer-pool-size=128M", "--innodb-log-file-size=32M"]
        return [_binary("mariadbd"), "--no-defaults", *(memory if self.durable else small)]


class MySql(DatabaseServer):
    """The MySQL that scripts/mysql has found or unpacked; its binary log is on, as it is by default."""

    kind = "mysql"

    def initialise(self) -> None:
        """Make the data folder."""
        _run(
            _mysqld(),
            "--no-defaults",
            "--initialize-insecure",
            f"--datadir={self.folder / 'data'}",
            "--innodb-redo-log-capacity=32M",
        )

    def _command(self) -> Sequence[str]:
        memory = ["--innodb-buffer-pool-size=1G", "--innodb-redo-log-capacity=512M"]
        small = ["--innodb-buffer-pool-size=128M", "--innodb-redo-log-capacity=64M", "--sync-binlog=0"]
        small += ["--innodb-doublewrite=OFF", "--performance-schema=OFF"]
        return [_mysqld(), "--no-defaults", *(memory if self.durable else small)]


KINDS: Final[dict[str, type[DatabaseServer]]] = {kind.kind: kind for kind in (MariaDb, MySql)}


@contextmanager
def server_running(
    *, durable: bool = False, options: tuple[str, ...] = (), kind: str = CHOSEN
) -> Iterator[DatabaseServer]:
    """A private server while the block runs, with the ordinary user made."""
    # Durable ones are about disks; the others are faster without.
    folder = Path(tempfile.mkdtemp(prefix=f"techaura-{kind}-", dir=None if durable else _memory_folder()))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    server = KINDS[kind](folder, free_port(), durable, options)
    try:
        server.initialise()
        server.start()
        server.execute(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def opened(url: str, **arguments: Any) -> AsyncIterator[Database]:
    """The service's own view of a database while the block runs."""
    database = Database(url, **arguments)
    try:
        yield database
    finally:
        await database.close()


def mysql_missing() -> str:
    """Why there is no real MySQL here; empty when there is one."""
    try:
        _mysqld()
    except RuntimeError as error:
        return str(error)
    return ""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(*command: str) -> None:
    done = subprocess.run([*_unprivileged(), *command], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")


def _memory_folder() -> str | None:
    """A file system in memory with room for a server; None where there is none."""
    folder = "/dev/shm"
    try:
        return folder if shutil.disk_usage(folder).free > _MEMORY_BYTES_MIN and os.access(folder, os.W_OK) else None
    except OSError:
        return None


def _unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _binary(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"{name} is missing; ./scripts/test installs it")
    return found


def _mysqld() -> str:
    found = os.environ.get("TECHAURA_MYSQLD", "")
    if not found:
        raise RuntimeError("no MySQL here: TECHAURA_MYSQLD names none (./scripts/test mysql sets it)")
    return found
