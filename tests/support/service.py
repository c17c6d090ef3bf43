"""The real program in a process of its own, on free ports, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from techaura_sync import SyncClient

from tests.support.programs import Process, spawn

PROGRAM = Path(sys.executable).with_name("techaura-syncd")
START_SECONDS_MAX = 60
# Fernet wants a key; this one protects nothing but tests.
TEST_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass
class Service:
    """A running techaura-syncd."""

    process: Process | subprocess.Popen[str]
    grpc_port: int
    http_port: int
    data_root: Path
    log_path: Path
    environ: Mapping[str, str] = field(repr=False)
    metrics_port: int = 0

    @property
    def grpc_target(self) -> str:
        """host:port of gRPC."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        """Where the gateway is."""
        return f"http://127.0.0.1:{self.http_port}"

    def get(self, path: str) -> tuple[int, Any]:
        """GET; answer status and JSON."""
        return request(f"{self.http_url}{path}")

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        """POST a JSON body (bytes go as they are); answer status and JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return request(f"{self.http_url}{path}", raw)

    def trigger(self, source_type: str, identifier: str, options: object = None) -> int:
        """Trigger over REST; answer the run's id."""
        body = {"sourceType": source_type, "sourceIdentifier": identifier}
        status, answer = self.post("/v1/sync/trigger", body if options is None else body | {"options": options})
        assert status == 200, answer
        return int(answer["data"]["syncRunId"])

    def finished(self, run_id: int) -> dict[str, Any]:
        """Watch a run to its end over gRPC; answer what REST says of it then."""
        with SyncClient(self.grpc_target) as client:
            for _update in client.watch(run_id):
                pass
        status, answer = self.get(f"/v1/sync/{run_id}")
        assert status == 200, answer
        data: dict[str, Any] = answer["data"]
        return data

    def run(self, source_type: str, identifier: str, options: object = None) -> dict[str, Any]:
        """Trigger, wait for the end, answer the run."""
        return self.finished(self.trigger(source_type, identifier, options))

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.close()

    def stop(self) -> int:
        """SIGTERM; answer the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self.close()
        return code

    def close(self) -> None:
        """Read no more of what it says."""
        if self.process.stdout is not None:
            self.process.stdout.close()

    def log(self) -> str:
        """What it logged."""
        return self.log_path.read_text()

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines that it logged."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]


def request(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """One HTTP request; answer status and JSON."""
    made = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(made, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def environment(database_url: str, data_root: Path, **settings: object) -> dict[str, str]:
    """The environment of a server under test.

    Args:
        settings: by their names without the prefix; None leaves one at its default, which benchmarks want.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TECHAURA_SYNC_")}
    given = {
        "DATABASE_URL": database_url,
        "DATA_ROOTS": data_root,
        "GRPC_PORT": 0,
        "HTTP_PORT": 0,
        "SECRET_KEY": TEST_KEY,
        "ALLOW_PRIVATE_ADDRESSES": "true",
        "LEASE_TTL_SECONDS": 2,
        "HEARTBEAT_INTERVAL_SECONDS": 0.5,
        "POLL_INTERVAL_SECONDS": 0.2,
        "PROGRESS_INTERVAL_SECONDS": 0.02,
        "SCHEDULE_INTERVAL_SECONDS": 0.2,
        # Files of tests are written at once, and just before they are read.
        "CSV_SETTLE_SECONDS": 0,
        # So that a few thousand rows are several batches.
        "CSV_BLOCK_BYTES": 128 * 1024,
    } | settings
    return inherited | {f"TECHAURA_SYNC_{name}": str(value) for name, value in given.items() if value is not None}


def start_service(
    folder: Path,
    environ: Mapping[str, str],
    *,
    command: str = "serve",
    installed: bool = False,
    descriptors_max: int | None = None,
    descriptors_hard: int | None = None,
) -> Service:
    """Start the program and wait until it serves.

    Args:
        folder: where it runs and logs.
        installed: start it as a user does, for tests and figures of the start as such and of memory; without it, a process
            that has imported it is forked.
        descriptors_max: as `ulimit -n` sets it; None leaves it alone.
        descriptors_hard: how far the program may raise that; None not at all.
    """
    limit = None if descriptors_max is None else (descriptors_max, descriptors_hard or descriptors_max)
    log_path = folder / "service.log"
    with log_path.open("a") as log:
        process = (_installed if installed else spawn)(
            PROGRAM, command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=log, descriptors=limit
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the service did not start: {log_path.read_text()[-3000:]}"
    ports = json.loads(line)
    return Service(
        process,
        ports.get("grpc_port", 0),
        ports.get("http_port", 0),
        Path(environ["TECHAURA_SYNC_DATA_ROOTS"]),
        log_path,
        environ,
        ports.get("metrics_port", 0),
    )


def _installed(
    program: Path,
    command: str,
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int,
    stderr: IO[str],
    descriptors: tuple[int, int] | None,
) -> subprocess.Popen[str]:
    limits = ["prlimit", f"--nofile={descriptors[0]}:{descriptors[1]}"] if descriptors else []
    return subprocess.Popen([*limits, program, command], cwd=cwd, env=env, text=True, stdout=stdout, stderr=stderr)


@contextmanager
def service_running(
    folder: Path, environ: Mapping[str, str], *, command: str = "serve", installed: bool = False, **limits: int
) -> Iterator[Service]:
    """A running program while the block runs; the arguments are those of start_service."""
    service = start_service(folder, environ, command=command, installed=installed, **limits)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()
        else:
            service.close()
