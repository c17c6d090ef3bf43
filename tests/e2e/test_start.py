"""A start waits for a database that is on its way, says so once, and refuses at once what waiting does not mend."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.drills.fault_proxy import FaultProxy, ProxyThread, Strike
from tests.e2e.test_program import refused
from tests.support.database_server import PASSWORD, USER, DatabaseServer, free_port
from tests.support.programs import run, spawn
from tests.support.service import PROGRAM, environment, request

DEADLINE_SECONDS = 60
SAID = "waiting_for_database"


class Start:
    """A program that is starting."""

    def __init__(self, command: str, url: str, folder: Path, **settings: object) -> None:
        self._log_path = folder / "log"
        environ = environment(url, folder, **({"DATABASE_START_WAIT_SECONDS": DEADLINE_SECONDS} | settings))
        with self._log_path.open("w") as log:
            self.process = spawn(PROGRAM, command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=log)

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self._log_path.read_text().splitlines() if line.startswith("{")]

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one kind."""
        return [line for line in self.lines() if line["event"] == event]

    def until_it_waits(self) -> dict[str, Any]:
        """The line that says so."""
        ends = time.monotonic() + DEADLINE_SECONDS
        while not (found := self.said(SAID)):
            assert self.process.poll() is None and time.monotonic() < ends, self._log_path.read_text()
            time.sleep(0.02)
        return found[0]

    def until_it_has_tried(self, proxy: FaultProxy, times: int) -> None:
        """Return when it has come to the proxy so often."""
        ends = time.monotonic() + DEADLINE_SECONDS
        while proxy.attempts < times:
            assert self.process.poll() is None and time.monotonic() < ends, self._log_path.read_text()
            time.sleep(0.02)

    def text(self) -> str:
        """All that it wrote to standard error."""
        return self._log_path.read_text()


@contextmanager
def starting(command: str, url: str, folder: Path, **settings: object) -> Iterator[Start]:
    start = Start(command, url, folder, **settings)
    try:
        yield start
    finally:
        start.process.kill()
        start.process.communicate()


@pytest.fixture
def proxy(database_server: DatabaseServer) -> Iterator[FaultProxy]:
    with ProxyThread() as thread:
        yield FaultProxy(thread, database_server.port)


@pytest.mark.parametrize("command", ["serve", "server", "migrate"])
def test_a_database_that_comes_later(
    database_server: DatabaseServer, proxy: FaultProxy, tmp_path: Path, command: str
) -> None:
    proxy.weather.is_down = True
    with starting(command, database_server.url(database_server.new_database(), port=proxy.port), tmp_path) as start:
        line = start.until_it_waits()
        assert f"cannot connect to 127.0.0.1:{proxy.port}" in line["reason"]
        assert 0 < line["wait_seconds_max"] <= DEADLINE_SECONDS
        start.until_it_has_tried(proxy, 3)
        proxy.weather.is_down = False
        assert start.process.stdout is not None
        answer = start.process.stdout.readline()
        if command == "migrate":
            assert "newest revision" in answer and start.process.wait(DEADLINE_SECONDS) == 0
        elif command == "serve":
            assert request(f"http://127.0.0.1:{json.loads(answer)['http_port']}/v1/sync/stats")[0] == 200
        assert len(start.said(SAID)) == len(start.said("database_there")) == 1
        assert "transaction" not in start.text()


@contextmanager
def connections_taken(server: DatabaseServer) -> Iterator[None]:
    """All connections but root's one are taken."""
    ((before,),) = server.execute("SELECT @@GLOBAL.max_connections")
    server.execute("SET GLOBAL max_connections = 10")
    with ExitStack() as stack:
        stack.callback(server.execute, f"SET GLOBAL max_connections = {before}")
        taken = 0
        with contextlib.suppress(pymysql.err.OperationalError):
            while taken < 20:
                connection = pymysql.connect(host="127.0.0.1", port=server.port, user=USER, password=PASSWORD)
                stack.callback(connection.close)
                taken += 1
        assert taken < 20
        yield


def test_too_many_connections_are_waited_for(database_server: DatabaseServer, tmp_path: Path) -> None:
    url = database_server.url(database_server.new_database())
    with ExitStack() as stack:
        with connections_taken(database_server):
            start = stack.enter_context(starting("migrate", url, tmp_path))
            assert start.until_it_waits()["reason"].startswith("too many connections to 127.0.0.1")
        assert start.process.wait(DEADLINE_SECONDS) == 0


def test_a_galera_node_that_is_not_ready_is_waited_for(database_server: DatabaseServer, tmp_path: Path) -> None:
    ready = False
    with ProxyThread() as thread:
        proxy = FaultProxy(thread, database_server.port, lambda _: None if ready else Strike(error=(1047, "08S01")))
        url = database_server.url(database_server.new_database(), port=proxy.port)
        with starting("migrate", url, tmp_path) as start:
            assert start.until_it_waits()["reason"] == f"the Galera node 127.0.0.1:{proxy.port} is not ready"
            ready = True
            assert start.process.wait(DEADLINE_SECONDS) == 0


@pytest.mark.parametrize("command", ["serve", "migrate"])
@pytest.mark.parametrize("wait_seconds", [0, 1])
def test_the_wait_has_an_end(tmp_path: Path, command: str, wait_seconds: int) -> None:
    places = [f"127.0.0.1:{free_port()}", f"[::1]:{free_port()}"]
    url = f"mysql+aiomysql://u:hunter2@{','.join(places)}/x"
    with starting(command, url, tmp_path, DATABASE_START_WAIT_SECONDS=wait_seconds) as start:
        assert start.process.wait(DEADLINE_SECONDS) == 2
        (line,) = [line for line in start.text().splitlines() if not line.startswith("{")]
        assert all(f"cannot connect to {place} (connection refused)" in line for place in places)
        assert ("tried for 1 s" in line) == bool(wait_seconds)
        assert len(start.said(SAID)) == wait_seconds
        assert "transaction" not in start.text() and "hunter2" not in start.text()


@pytest.mark.parametrize("command", ["serve", "server", "migrate"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(tmp_path: Path, command: str, number: signal.Signals) -> None:
    with starting(command, f"mysql+aiomysql://u:p@127.0.0.1:{free_port()}/x", tmp_path) as start:
        start.until_it_waits()
        os.kill(start.process.pid, number)
        assert start.process.wait(DEADLINE_SECONDS) == 0
        assert [line for line in start.text().splitlines() if not line.startswith("{")] == []


def test_a_signal_ends_a_migration_that_waits_for_a_lock(database_server: DatabaseServer, tmp_path: Path) -> None:
    name = database_server.new_database()
    database_server.execute("CREATE TABLE sync_runs (id INT PRIMARY KEY)", database=name)
    with database_server.connect(name) as bot, bot.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM sync_runs")
        with starting("migrate", database_server.url(name), tmp_path) as start:
            ends = time.monotonic() + DEADLINE_SECONDS
            waits = "SELECT 1 FROM information_schema.processlist WHERE db = %s AND info LIKE 'ALTER%%'"
            while not cursor.execute(waits, (name,)):
                assert start.process.poll() is None and time.monotonic() < ends, start.text()
            start.process.terminate()
            assert start.process.wait(DEADLINE_SECONDS) == 0
            assert [line for line in start.text().splitlines() if not line.startswith("{")] == []


def test_a_missing_socket_is_waited_for_by_its_path(tmp_path: Path) -> None:
    url = f"mysql+aiomysql://u:p@/x?unix_socket={tmp_path}/s.sock"
    with starting("migrate", url, tmp_path) as start:
        assert f"{tmp_path}/s.sock" in start.until_it_waits()["reason"]


@pytest.mark.parametrize(
    ("credentials", "database", "said"),
    [
        (f"{USER}:wrong-one", "", "Access denied"),
        (f"nobody:{PASSWORD}", "", "Access denied"),
        (f"{USER}:{PASSWORD}", "not_there", "not_there"),
    ],
)
def test_what_waiting_does_not_mend_is_refused_at_once(
    database_server: DatabaseServer, tmp_path: Path, credentials: str, database: str, said: str
) -> None:
    name = database or database_server.new_database()
    url = f"mysql+aiomysql://{credentials}@127.0.0.1:{database_server.port}/{name}"
    line = refused(environment(url, tmp_path, DATABASE_START_WAIT_SECONDS=3600), tmp_path)
    assert said in line
    assert "wrong-one" not in line and PASSWORD not in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql+aiomysql://u:qzx@127.0.0.1/ta?foo=1", "'foo'"),
        ("mysql+aiomysql://u:qzx@127.0.0.1/ta?ssl=true", "ssl=verify-identity"),
        ("mysql+aiomysql://u:qzx@127.0.0.1/ta?ssl=required&ssl_cert=/nowhere&ssl_key=/nowhere", "/nowhere"),
        ("mysql+aiomysql://u:p@qzx@127.0.0.1/ta", "percent-encoded"),
        ("mysql+aiomysql://u:p/qzx@127.0.0.1/ta", "percent-encoded"),
        ("mysql+aiomysql://u:p#qzx@127.0.0.1/ta", "percent-encoded"),
        ("mysql+aiomysql://u:qzx/ta", "no user"),
        ("mysql+aiomysql://u:qzx@127.0.0.1:99999/ta", "port"),
        ("mysql+aiomysql://u:qzx@/ta?unix_socket=/nowhere/s.sock", "/nowhere/s.sock"),
        ("sqlite+aiosqlite:///sync.db?foo=1", "takes none"),
        ("sqlite+aiosqlite://sync.db", "three slashes"),
        ("sqlite+aiosqlite:///.", "the database at . cannot be used: Is a directory"),
    ],
)
def test_a_wrong_url_gets_one_line(tmp_path: Path, url: str, said: str) -> None:
    done = run(PROGRAM, "serve", env=environment(url, tmp_path), cwd=tmp_path, timeout=DEADLINE_SECONDS)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and said in done.stderr and "qzx" not in done.stderr
    assert done.stdout == ""
