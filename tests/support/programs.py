"""Runs the project's programs by forking a process that has imported them already.

A test run starts the programs hundreds of times, and importing takes nine tenths of a start. What runs after the fork is
the program itself, with its own arguments, environment, folder, pipes and exit code: `spawn` is used as subprocess.Popen is
and `run` as subprocess.run. Tests of the start as such (tests/e2e/test_program.py) run the installed programs.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

_MODULES: Final = {"techaura-syncd": "server.cli", "techaura-sync": "techaura_sync.cli"}
_ANSWER_BYTES_MAX: Final = 64


class Process:
    """A program that was started; used as subprocess.Popen is.

    Args:
        pid: its number.
        args: the command line.
        exit_pipe: where its exit code arrives.
        stdout: what it writes, where that was asked for.
        stderr: likewise.
    """

    def __init__(
        self, pid: int, args: list[str], exit_pipe: int, stdout: IO[str] | None, stderr: IO[str] | None
    ) -> None:
        self.pid = pid
        self.args = args
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._exit_pipe = exit_pipe
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        with self._lock:
            if self.returncode is None and select.select([self._exit_pipe], [], [], 0)[0]:
                said = os.read(self._exit_pipe, _ANSWER_BYTES_MAX)
                os.close(self._exit_pipe)
                assert said, "the process that forks is gone"
                self.returncode = int(said)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; return the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if left == 0.0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            # Another thread may have read the code and closed the pipe.
            with contextlib.suppress(OSError, ValueError):
                select.select([self._exit_pipe], [], [], left)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both outputs to their ends and wait; return them, empty where not asked for."""
        said: dict[IO[str], str] = {}
        pipes = [pipe for pipe in (self.stdout, self.stderr) if pipe is not None]
        readers = [threading.Thread(target=lambda one: said.update({one: one.read()}), args=(pipe,)) for pipe in pipes]
        for reader in readers:
            reader.start()
        try:
            self.wait(timeout)
        finally:
            if self.poll() is None:
                self.kill()
            for reader in readers:
                reader.join()
            for pipe in pipes:
                pipe.close()
        return tuple(said[pipe] if pipe is not None else "" for pipe in (self.stdout, self.stderr))  # type: ignore[return-value] # two

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Forker:
    """The process that forks, from this side. May be used from several threads."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.launcher", str(theirs.fileno())],
                cwd=Path(__file__).resolve().parents[2],
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "GRPC_VERBOSITY": "NONE"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

        atexit.register(self._close)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()

    def fork(self, message: Mapping[str, Any], descriptors: list[int]) -> int:
        """Send one message; return the pid."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)
            answer = self._socket.recv(_ANSWER_BYTES_MAX)
        assert answer, "the process that forks is gone"
        return int(answer)


@functools.cache
def _forker() -> _Forker:
    return _Forker()


def spawn(
    program: str | Path,
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[str] | None = None,
    stderr: int | IO[str] | None = None,
    descriptors: tuple[int, int] | None = None,
) -> Process:
    """Start one of the programs.

    Args:
        program: its name, or a path that ends with it.
        arguments: of its command line.
        cwd: the folder it runs in; None for this one.
        env: its environment, whole; None for this process's.
        stdout: subprocess.PIPE, an open file, or None for this process's own.
        stderr: likewise, or subprocess.STDOUT.
        descriptors: how many it may open, (soft limit, hard limit); None for this process's.
    """
    name = Path(program).name
    nothing = os.open(os.devnull, os.O_RDONLY)
    exit_read, exit_write = os.pipe()
    out_pipe, out = _end(stdout, 1)
    error_pipe, error = (None, os.dup(out)) if stderr == subprocess.STDOUT else _end(stderr, 2)
    given = [nothing, out, error, exit_write]
    command = [name, *map(str, arguments)]
    message = {
        "module": _MODULES[name],
        "arguments": command,
        "folder": str(cwd or Path.cwd()),
        "environ": dict(os.environ if env is None else env),
        "descriptors": descriptors,
    }
    try:
        pid = _forker().fork(message, given)
    finally:
        for descriptor in given:
            os.close(descriptor)
    return Process(pid, command, exit_read, out_pipe, error_pipe)


def _end(asked: int | IO[str] | None, own: int) -> tuple[IO[str] | None, int]:
    """(what is read here, the descriptor that the program writes to)."""
    if asked == subprocess.PIPE:
        ours, theirs = os.pipe()
        return os.fdopen(ours, encoding="utf-8"), theirs
    return None, os.dup(own if asked is None else asked if isinstance(asked, int) else asked.fileno())


def run(
    program: str | Path,
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = False,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs to its end, as subprocess.run with captured text."""
    process = spawn(program, *arguments, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, error = process.communicate(timeout)
    done = subprocess.CompletedProcess(process.args, process.wait(), out, error)
    if check:
        done.check_returncode()
    return done
