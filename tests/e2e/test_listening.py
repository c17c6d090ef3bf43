"""Where the program listens: other machines are let in only when that was said, and every form of an address works."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from techaura_sync import SyncClient

from tests.support.programs import run
from tests.support.service import PROGRAM, environment, request, service_running

DEADLINE_SECONDS = 60
FLAG = "TECHAURA_SYNC_ALLOW_OPEN_LISTEN"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "192.0.2.7", "fe80::1", "machine.example"])
@pytest.mark.parametrize(
    ("setting", "command"), [("GRPC_HOST", "server"), ("HTTP_HOST", "gateway"), ("HTTP_HOST", "serve")]
)
def test_other_machines_are_not_let_in_without_a_word(tmp_path: Path, setting: str, command: str, host: str) -> None:
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 's.db'}", tmp_path, **{setting: host})
    done = run(PROGRAM, command, env=environ, cwd=tmp_path, timeout=DEADLINE_SECONDS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"TECHAURA_SYNC_{setting}={host}" in done.stderr and FLAG in done.stderr
    assert not (tmp_path / "s.db").exists()


@pytest.mark.parametrize(
    ("grpc_host", "http_host", "http_url"),
    [
        ("localhost", "localhost", "http://127.0.0.1:{}"),
        ("127.0.0.2", "127.0.0.1", "http://127.0.0.1:{}"),
        ("0.0.0.0", "0.0.0.0", "http://127.0.0.1:{}"),
        ("::1", "::1", "http://[::1]:{}"),
        ("[::1]", "[::1]", "http://[::1]:{}"),
        ("::", "::", "http://[::1]:{}"),
        ("[::]", "127.0.0.1", "http://127.0.0.1:{}"),
        ("unix:{}/grpc.sock", "127.0.0.1", "http://127.0.0.1:{}"),
    ],
)
def test_every_form_of_an_address_serves_both(tmp_path: Path, grpc_host: str, http_host: str, http_url: str) -> None:
    if ":" in http_host and not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    host = grpc_host.format(tmp_path)
    is_open = {"0.0.0.0", "::", "[::]"} & {host, http_host}
    settings = {"GRPC_HOST": host, "HTTP_HOST": http_host} | ({"ALLOW_OPEN_LISTEN": True} if is_open else {})
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 's.db'}", tmp_path, **settings)
    with service_running(tmp_path, environ) as service:
        status, answer = request(http_url.format(service.http_port) + "/v1/sync/stats")
        assert (status, answer["data"]["total"]) == (200, 0)
        if host.startswith("unix:"):
            with SyncClient(host) as client:
                assert client.stats().total == 0
