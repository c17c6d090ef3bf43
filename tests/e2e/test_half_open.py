"""The real program with few descriptors, while many callers hold connections open and let it wait."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.service import Service, environment, service_running

DESCRIPTORS = 256
HALF_OPEN = 400
DEADLINE_SECONDS = 60

# What is sent, and what makes the other side wait for ever after it.
ATTACKS = {
    "half a head": b"GET / HTTP/1.1\r\nX",
    "nothing": b"",
    "half a body": b"POST /v1/sync/trigger HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{",
    "a chunk without an end": b"POST /v1/sync/resume HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
    "idle after an answer": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Limits that the program inherits, while this process keeps room for its side of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("this machine allows too few descriptors for the test itself")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def service(tmp_path: Path, few_descriptors: None) -> Iterator[Service]:
    """The program, limited as by `ulimit -n 256`, from its start."""
    environ = environment(f"sqlite+aiosqlite:///{tmp_path}/sync.db", tmp_path)
    with service_running(tmp_path, environ, descriptors_max=DESCRIPTORS) as running:
        yield running


@contextlib.contextmanager
def attackers(port: int, sent: bytes, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that have sent this and go on to wait."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS))
            with contextlib.suppress(OSError):
                opened.sendall(sent)
            sockets.append(opened)
        yield sockets


def answers(service: Service) -> bool:
    """REST and gRPC both answer a caller who comes anew."""
    assert service.get("/v1/sync/stats")[0] == 200
    assert service.post("/v1/sync/resume")[0] == 200
    with grpc.insecure_channel(service.grpc_target) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def descriptors(service: Service) -> int:
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("attack", ATTACKS)
def test_callers_who_only_wait_keep_nobody_out(service: Service, attack: str) -> None:
    before = len(service.log().splitlines())
    with attackers(service.http_port, ATTACKS[attack], HALF_OPEN):
        for _ in range(5):
            assert answers(service)
        assert descriptors(service) < DESCRIPTORS
    assert answers(service)
    assert len(service.log().splitlines()) - before <= 5, service.log()


def test_the_grpc_port_keeps_nobody_out_of_rest_and_comes_back(service: Service) -> None:
    assert answers(service)
    before = len(service.log().splitlines())
    with attackers(service.grpc_port, b"PRI * HTTP/2", HALF_OPEN):
        assert service.get("/v1/sync/stats")[0] == 200
        assert descriptors(service) < DESCRIPTORS
        # Their time for a handshake is over sooner than they are.
        eventually(lambda: _grpc_answers(service))
    assert answers(service)
    assert len(service.log().splitlines()) - before <= 5, service.log()


def _grpc_answers(service: Service) -> bool:
    with grpc.insecure_channel(service.grpc_target) as channel, contextlib.suppress(grpc.RpcError):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
        return True
    return False


def test_the_program_raises_its_own_limit_as_far_as_it_may(tmp_path: Path, few_descriptors: None) -> None:
    environ = environment(f"sqlite+aiosqlite:///{tmp_path}/sync.db", tmp_path)
    with service_running(tmp_path, environ, descriptors_max=DESCRIPTORS, descriptors_hard=1000) as service:
        limits = Path(f"/proc/{service.process.pid}/limits").read_text()
        assert answers(service)
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == ["1000", "1000"]
