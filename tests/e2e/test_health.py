"""Liveness and readiness of the real program, over REST and gRPC, while its database and its server go and come."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pymysql
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.database_server import CHOSEN, DatabaseServer, server_running
from tests.support.grants import FIRST_START, grant
from tests.support.programs import run
from tests.support.service import PROGRAM, Service, environment, service_running

NAME = "techaura.sync.v1.SyncService"
DEADLINE_SECONDS = 60
QUICK = {"READINESS_INTERVAL_SECONDS": 0.1, "READINESS_TIMEOUT_SECONDS": 3}


def eventually(look: Callable[[], Any], wanted: Any) -> None:
    """Look again until it is as wanted."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)


def readyz(gateway: Service) -> tuple[int, str]:
    """Status of /readyz, and its reason or its status text."""
    status, body = gateway.get("/readyz")
    if status != 200:
        assert (body["success"], bool(body["error"]), bool(body["nextStep"])) == (False, True, True), body
    return status, body["status"] if status == 200 else body["reason"]


def grpc_health(server: Service) -> tuple[str, str]:
    """Liveness and readiness over gRPC."""
    state = health_pb2.HealthCheckResponse.ServingStatus
    with grpc.insecure_channel(server.grpc_target) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        answers = [check(health_pb2.HealthCheckRequest(service=name), timeout=10) for name in ("", NAME)]
    return state.Name(answers[0].status), state.Name(answers[1].status)


def command(server: Service, *options: str) -> int:
    """Exit code of `techaura-syncd health`."""
    environ = dict(server.environ) | {"TECHAURA_SYNC_GRPC_TARGET": server.grpc_target}
    return run(PROGRAM, "health", *options, env=environ).returncode


@pytest.fixture(params=[CHOSEN])
def database(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A database of this test's own, which it may kill."""
    with server_running() as server:
        yield server


def killed(server: DatabaseServer) -> Callable[[], None]:
    server.kill()
    return server.start


def frozen(server: DatabaseServer) -> Callable[[], None]:
    assert server.process is not None
    process = server.process
    process.send_signal(signal.SIGSTOP)
    return lambda: process.send_signal(signal.SIGCONT)


def denied(server: DatabaseServer) -> Callable[[], None]:
    def run(sql: str) -> None:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("ALTER USER bot@'%' IDENTIFIED BY 'other'")
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'bot'")
        for (number,) in cursor.fetchall():
            # One that has just ended is not there to be killed.
            with suppress(pymysql.err.OperationalError):
                cursor.execute(f"KILL {number}")
    return lambda: run("ALTER USER bot@'%' IDENTIFIED BY 'p'")


def read_only(server: DatabaseServer) -> Callable[[], None]:
    server.execute("SET GLOBAL read_only = 1")

    def undo() -> None:
        server.execute("SET GLOBAL read_only = 0")

    return undo


def table_gone(server: DatabaseServer) -> Callable[[], None]:
    def run(sql: str) -> None:
        with server.connect("health") as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    run("RENAME TABLE sync_runs TO elsewhere")
    return lambda: run("RENAME TABLE elsewhere TO sync_runs")


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (killed, "DATABASE_UNAVAILABLE"),
        (frozen, "DATABASE_UNAVAILABLE"),
        (denied, "DATABASE_DENIED"),
        (read_only, "DATABASE_READ_ONLY"),
        (table_gone, "DATABASE_REFUSED"),
    ],
)
def test_readiness_goes_and_comes_with_the_database_and_liveness_stays(
    tmp_path: Path, database: DatabaseServer, trouble: Callable[[DatabaseServer], Callable[[], None]], reason: str
) -> None:
    database.execute(
        "CREATE DATABASE health", "CREATE USER bot@'%' IDENTIFIED BY 'p'", grant(FIRST_START, "health", "bot")
    )
    url = f"mysql+aiomysql://bot:p@127.0.0.1:{database.port}/health"
    with service_running(tmp_path, environment(url, tmp_path, **QUICK)) as service:
        assert (readyz(service), grpc_health(service)) == ((200, "ready"), ("SERVING", "SERVING"))
        states, watching = watched(service)
        eventually(lambda: states, ["SERVING"])

        mend = trouble(database)
        eventually(lambda: readyz(service), (503, reason))
        assert grpc_health(service) == ("SERVING", "NOT_SERVING")
        assert service.get("/healthz")[0] == 200
        assert (command(service), command(service, "--ready")) == (0, 1)

        mend()
        eventually(lambda: readyz(service), (200, "ready"))
        assert grpc_health(service) == ("SERVING", "SERVING")
        assert (command(service), command(service, "--ready")) == (0, 0)
        assert service.get("/v1/sync/stats")[0] == 200
        log = service.log()
        eventually(lambda: len(states) >= 3, True)
    watching.join(DEADLINE_SECONDS)
    assert states[:3] == ["SERVING", "NOT_SERVING", "SERVING"]
    # Each change is told once. A busy server may first not answer in time, and then say what is wrong.
    told = [json.loads(line) for line in log.splitlines() if '"readiness"' in line]
    reasons = [line["reason"] for line in told if line["event"] == "not_ready"]
    assert len(told) - len(reasons) == 1
    assert reasons[-1] == reason
    assert len(set(reasons)) == len(reasons)


def watched(service: Service) -> tuple[list[str], threading.Thread]:
    """The states that a watch of readiness is told, as they come."""
    states: list[str] = []

    def watch() -> None:
        with grpc.insecure_channel(service.grpc_target) as channel:
            try:
                request = health_pb2.HealthCheckRequest(service=NAME)
                answers = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=DEADLINE_SECONDS)
                states.extend(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) for answer in answers)
            except grpc.RpcError:
                return

    thread = threading.Thread(target=watch)
    thread.start()
    return states, thread


def test_a_gateway_apart_tells_a_server_that_hangs_is_gone_and_is_back(tmp_path: Path) -> None:
    environ = environment(f"sqlite+aiosqlite:///{tmp_path}/sync.db", tmp_path, **QUICK)
    apart = environ | {"TECHAURA_SYNC_GATEWAY_READY_TIMEOUT_SECONDS": "0.5"}
    with (
        service_running(tmp_path, environ, command="server") as server,
        service_running(
            tmp_path, apart | {"TECHAURA_SYNC_GRPC_TARGET": server.grpc_target}, command="gateway"
        ) as gateway,
    ):
        assert readyz(gateway) == (200, "ready")

        server.process.send_signal(signal.SIGSTOP)
        assert gateway.get("/healthz")[0] == 200
        status, body = gateway.get("/readyz")
        assert (status, body["reason"]) == (503, "SERVICE_UNAVAILABLE")
        assert "did not answer in time" in body["error"]
        server.process.send_signal(signal.SIGCONT)
        eventually(lambda: readyz(gateway), (200, "ready"))

        server.kill()
        eventually(lambda: readyz(gateway), (503, "SERVICE_UNAVAILABLE"))
        assert "TECHAURA_SYNC_GRPC_TARGET" in gateway.get("/readyz")[1]["nextStep"]
        assert gateway.get("/healthz")[0] == 200

        again = environ | {"TECHAURA_SYNC_GRPC_PORT": str(server.grpc_port)}
        with service_running(tmp_path, again, command="server"):
            eventually(lambda: readyz(gateway), (200, "ready"))


def test_a_server_that_stops_says_so_until_it_is_gone(tmp_path: Path, database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    (tmp_path / "songs.csv").write_text("external_id,title\n1,one\n")
    environ = environment(database_server.url(name), tmp_path, **QUICK)
    with (
        service_running(tmp_path, environ, command="server") as server,
        service_running(
            tmp_path, environ | {"TECHAURA_SYNC_GRPC_TARGET": server.grpc_target}, command="gateway"
        ) as gateway,
        database_server.connect(name) as holder,
    ):
        first = gateway.trigger("csv", "songs.csv")
        eventually(lambda: gateway.get(f"/v1/sync/{first}")[1]["data"]["status"], "completed")
        holder.begin()
        with holder.cursor() as cursor:
            cursor.execute("SELECT * FROM content_index FOR UPDATE")
        # Its batch waits for the row, and a stop waits for the batch.
        (tmp_path / "songs.csv").write_text("external_id,title\n1,uno\n")
        run_id = gateway.trigger("csv", "songs.csv")
        eventually(lambda: _waits_for_a_lock(database_server), True)

        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: readyz(gateway), (503, "SHUTTING_DOWN"))
        assert grpc_health(server) == ("NOT_SERVING", "NOT_SERVING")
        assert gateway.get("/healthz")[0] == 200
        holder.rollback()
        assert server.stop() == 0
        eventually(lambda: readyz(gateway), (503, "SERVICE_UNAVAILABLE"))

        again = environ | {"TECHAURA_SYNC_GRPC_PORT": str(server.grpc_port)}
        with service_running(tmp_path, again, command="server"):
            eventually(lambda: readyz(gateway), (200, "ready"))
            assert gateway.get(f"/v1/sync/{run_id}")[0] == 200
    database_server.drop_database(name)


def _waits_for_a_lock(database_server: DatabaseServer) -> bool:
    sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE time >= 1 AND info LIKE '%content_index%'"
    with database_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        # This look is one of them, but a young one.
        return bool(cursor.fetchone()[0])


def _deleted(file: Path) -> None:
    file.unlink()


def _copied_over(file: Path) -> None:
    copy = file.with_name("copy.db")
    shutil.copy(file, copy)
    copy.replace(file)


def _emptied(file: Path) -> None:
    file.unlink()
    file.touch()


def _moved(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))


@pytest.mark.parametrize("gone", [_deleted, _copied_over, _emptied, _moved])
def test_a_program_whose_database_file_was_replaced_takes_no_more_and_ends(
    tmp_path: Path, gone: Callable[[Path], None]
) -> None:
    (tmp_path / "songs.csv").write_text("external_id,title\n1,one\n")
    file = tmp_path / "db" / "sync.db"
    environ = environment(f"sqlite+aiosqlite:///{file}", tmp_path, **QUICK)
    with service_running(tmp_path, environ) as service:
        assert service.run("csv", "songs.csv")["status"] == "completed"
        assert file.stat().st_mode & 0o777 == 0o600
        assert {each.stat().st_mode & 0o777 for each in file.parent.glob("sync.db*")} == {0o600}
        gone(file)
        with suppress(OSError):
            body = {"sourceType": "csv", "sourceIdentifier": "songs.csv"}
            # Nothing is accepted that would be lost; it may have ended by now.
            assert service.post("/v1/sync/trigger", body)[0] >= 500
        assert service.process.wait(DEADLINE_SECONDS) == 2
        said = service.log()
    assert "was deleted or replaced while the service had it open" in said
    assert "Traceback" not in said
