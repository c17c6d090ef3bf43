"""The process that forks: it has imported the project's programs, and becomes one in a child for every message.

Run by tests/support/programs.py as `python -m tests.support.launcher DESCRIPTOR`. Over the socket DESCRIPTOR it reads one
JSON object a message {module, arguments, folder, environ, descriptors}, which carries four descriptors: standard input, output
and error of the program, and the pipe on which its exit code is written. It answers the pid, and ends with the socket.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn

# What the programs import at once and when they need it.
_IMPORTED: Final = (
    "server.cli",
    "techaura_sync.cli",
    "server.app",
    "server.execution.run_loop",
    "server.sources.csv.source",
    "server.sources.api.source",
    "gateway.app",
    "gateway.serving",
    "db.migrate",
    "aiomysql",
    "aiosqlite",
    "alembic.command",
    "charset_normalizer",
    "grpc._channel",
    "typer.rich_utils",
)
_MESSAGE_BYTES_MAX: Final = 1 << 20
# Above every descriptor that was open before the fork.
_DESCRIPTORS_MAX: Final = 4096


def _tell_ends(ends: dict[int, int]) -> None:
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        pipe = ends.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(pipe)


def _wait_for_a_child(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork for every message. Returns in each child what it was asked for and its descriptors, in the parent None."""
    ends: dict[int, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _events in selector.select()}
            if woken in ready:
                os.read(woken, 4096)
                _tell_ends(ends)
            if control.fileno() not in ready:
                continue
            raw, descriptors, _flags, _address = socket.recv_fds(control, _MESSAGE_BYTES_MAX, 4)
            if not raw:
                return None
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                return json.loads(raw), descriptors
            ends[pid] = descriptors.pop()
            for descriptor in descriptors:
                os.close(descriptor)
            control.send(str(pid).encode())


def _become(asked: dict[str, Any], descriptors: list[int]) -> None:
    """Run the program. Its end is the process's."""
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, _DESCRIPTORS_MAX)
    if asked["descriptors"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, tuple(asked["descriptors"]))
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    # As of a program of its own, for what its help calls it.
    sys.modules["__main__"].__package__ = None
    sys.argv = asked["arguments"]
    _run_to_its_end(importlib.import_module(asked["module"]).main)


def _run_to_its_end(program: Callable[[], int | None]) -> NoReturn:
    """Run the program and end as the interpreter does: threads are waited for, what was registered for the end is called.

    Only the interpreter itself is not taken apart, which would touch, and the kernel then copy, every page that is shared
    with the parent. A program that ends by any other exception ends in the usual way.
    """
    code: object
    try:
        code = program()
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, str):
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


def _fork_when_asked() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    # The collector would touch, and the kernel then copy, every page that children share.
    gc.freeze()
    child = _wait_for_a_child(socket.socket(fileno=int(sys.argv[1])))
    if child is not None:
        _become(*child)


if __name__ == "__main__":
    _fork_when_asked()
