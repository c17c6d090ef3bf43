"""The program as a user starts, stops and kills it."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support.items_api import items_api
from tests.support.programs import run
from tests.support.service import PROGRAM, environment, service_running, start_service

ROWS = 20_000


def sqlite_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'sync.db'}"


def refused(environ: dict[str, str], folder: Path) -> str:
    """What a program that cannot start says."""
    done = run(PROGRAM, "serve", env=environ, cwd=folder)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "Mars/Olympus"),
        ("RETRY_CRON", "every night"),
        ("RETRY_CRON", "0 0 31 2 *"),
        ("GRPC_PORT", "many"),
        ("LOG_LEVEL", "LOUD"),
        ("DATA_ROOTS", "relative/path"),
        ("DATABASE_URL", "postgresql://x/y"),
        ("DATABASE_URL", "nonsense"),
        ("SECRET_KEY", "short"),
        ("HTTP_PORT", "70000"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    environ = environment(sqlite_url(tmp_path), tmp_path) | {f"TECHAURA_SYNC_{name}": value}
    assert f"TECHAURA_SYNC_{name}" in refused(environ, tmp_path)


@pytest.mark.parametrize("name", ["GRPC_PORT", "HTTP_PORT"])
def test_a_busy_port_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(environment(sqlite_url(tmp_path), tmp_path, **{name: port}), tmp_path)
    assert str(port) in line
    assert f"TECHAURA_SYNC_{name}" in line


def test_a_folder_that_cannot_be_made_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(environment(f"sqlite+aiosqlite:///{tmp_path}/file/sync.db", tmp_path), tmp_path)
    assert f"{tmp_path}/file" in line


def test_without_a_key_one_is_made_beside_the_embedded_database(tmp_path: Path) -> None:
    environ = environment(f"sqlite+aiosqlite:///{tmp_path}/var/sync.db", tmp_path)
    del environ["TECHAURA_SYNC_SECRET_KEY"]
    with service_running(tmp_path, environ):
        key = tmp_path / "var" / "secret.key"
        assert key.stat().st_mode & 0o777 == 0o600
    first = key.read_text()
    with service_running(tmp_path, environ):
        assert key.read_text() == first


def test_it_listens_on_loopback_only_and_exits_with_0_on_sigterm(tmp_path: Path) -> None:
    with service_running(tmp_path, environment(sqlite_url(tmp_path), tmp_path), installed=True) as service:
        tables = [Path("/proc/net") / name for name in ("tcp", "tcp6")]
        sockets = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
        for port in (service.grpc_port, service.http_port):
            places = {local.split(":")[0] for _n, local, _remote, state, *_ in sockets
                      if state == "0A" and int(local.split(":")[1], 16) == port}  # fmt: skip
            # 127.0.0.1, as it is or mapped into IPv6.
            assert places <= {"0100007F", "0000000000000000FFFF00000100007F"}
            assert places
        assert service.stop() == 0


def test_no_proxy_of_the_environment_is_used(tmp_path: Path) -> None:
    """One that is not there: whoever went through it would get no answer."""
    proxies = dict.fromkeys(
        ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    )
    environ = environment(sqlite_url(tmp_path), tmp_path) | proxies
    with service_running(tmp_path, environ) as service:
        assert service.get("/v1/sync/stats")[0] == 200
        with items_api(count=3) as api:
            service.post("/v1/sync/trigger", {"sourceType": "api", "sourceIdentifier": api.url})
            assert service.get("/v1/sync/stats")[1]["data"]["total"] == 1


def test_server_and_gateway_run_apart(tmp_path: Path) -> None:
    environ = environment(sqlite_url(tmp_path), tmp_path)
    with service_running(tmp_path, environ, command="server") as server:
        apart = environ | {"TECHAURA_SYNC_GRPC_TARGET": server.grpc_target}
        assert subprocess.run([PROGRAM, "health"], env=apart, timeout=60, check=False).returncode == 0
        with service_running(tmp_path, apart, command="gateway") as gateway:
            assert gateway.get("/v1/sync/stats")[0] == 200
    assert subprocess.run([PROGRAM, "health"], env=apart, timeout=60, check=False).returncode == 1


def test_a_run_killed_in_its_middle_ends_with_exactly_the_files_rows(tmp_path: Path, database_url: str) -> None:
    lines = "".join(f"{n},title {n},artist {n % 997}\n" for n in range(ROWS))
    (tmp_path / "big.csv").write_text("external_id,title,artist\n" + lines)
    environ = environment(database_url, tmp_path, CSV_BLOCK_BYTES=16 * 1024)
    sync_url = database_url.replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    engine = create_engine(sync_url)

    def count(sql: str) -> int:
        with engine.connect() as connection:
            return int(connection.execute(text(sql)).scalar_one())

    service = start_service(tmp_path, environ)
    run_id = service.trigger("csv", "big.csv")
    while count("SELECT COUNT(*) FROM sync_batches") < 2:
        assert service.process.poll() is None
    service.kill()
    committed = count("SELECT COUNT(*) FROM sync_batches")
    before = count("SELECT COUNT(*) FROM content_index")
    assert 0 < before < ROWS
    with service_running(tmp_path, environ) as service:
        run = service.finished(run_id)
    assert (run["status"], run["itemsProcessed"]) == ("completed", ROWS)
    assert run["ledger"]["inserted"] == ROWS
    assert count("SELECT COUNT(*) FROM sync_batches") > committed
    assert count("SELECT COUNT(*) FROM content_index") == ROWS
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT external_id, title, artist FROM content_index")).all()
    assert {tuple(row) for row in stored} == {(str(n), f"title {n}", f"artist {n % 997}") for n in range(ROWS)}
    engine.dispose()
