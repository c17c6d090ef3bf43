"""Starts replicas by forking a process that has imported the program already.

A drill starts hundreds of them, and importing takes nine tenths of a start. What runs after the fork is the program
itself, `techaura-syncd server`, in a process of its own; nothing of it has run before but imports.

`python -m tests.support.launcher` is the process that forks: it reads one JSON object a line {folder, environ} and answers
the pid. It dies with its standard input.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from tests.support.service import Service

_START_SECONDS_MAX: Final = 60.0
_IMPORTED: Final = (
    "server.app",
    "server.cli",
    "server.orchestration.run_loop",
    "server.sources.csv",
    "server.sources.api",
)


class ForkedProcess:
    """A replica's process, as far as drills use subprocess.Popen. Its parent reaps it, so an exit code is not known."""

    stdout = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return -1
        return None

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = _START_SECONDS_MAX) -> int:
        """Wait until it is gone."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("techaura-syncd server", timeout)
            time.sleep(0.005)
        return code


class Launcher:
    """The forking process, from the side of a drill. May be used from several threads."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.launcher"],
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "GRPC_VERBOSITY": "NONE"},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()

    def start(self, folder: Path, environ: Mapping[str, str]) -> Service:
        """Start `techaura-syncd server` and wait until it serves; as start_service.

        Raises:
            AssertionError: it did not start; the text has the end of its log.
        """
        said, log_path = folder / "stdout", folder / "service.log"
        said.unlink(missing_ok=True)
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None and answered is not None
        with self._lock:
            asked.write(json.dumps({"folder": str(folder), "environ": dict(environ)}) + "\n")
            asked.flush()
            process = ForkedProcess(int(answered.readline()))
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not (said.exists() and said.read_text().endswith("\n")):
            assert process.poll() is None and time.monotonic() < deadline, log_path.read_text()[-3000:]
            time.sleep(0.01)
        port = json.loads(said.read_text()).get("grpc_port", 0)
        root = Path(environ["TECHAURA_SYNC_DATA_ROOTS"])
        return Service(process, port, 0, root, log_path, environ)  # type: ignore[arg-type] # a Popen in small

    def close(self) -> None:
        """End the forking process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(10)


def _child(folder: str, environ: dict[str, str]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for name, number, flags in (("stdout", 1, os.O_TRUNC), ("service.log", 2, os.O_APPEND)):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | flags, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.argv = ["techaura-syncd", "server"]
    from server.cli import main

    try:
        main()
    finally:
        os._exit(1)


def _serve() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    # The kernel reaps what ends.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(asked["folder"], asked["environ"])
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
