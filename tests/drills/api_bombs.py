"""Security drill 23: bombs are refused within a second, and the program's memory grows by 32 MiB at the most.

usage: python -m tests.drills.api_bombs [--seed N] [--count N]

The real program reads each bomb from a server in a process of its own, and gets two gRPC messages that are too large. A
bomb in one item of a page rejects that item; every other one fails the run. Memory is the kernel's high-water mark of
the program over what it held before. With --count, so many bombs are drawn by the seed, with repetition.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import brotli
import grpc
import zstandard
from techaura.sync.v1 import sync_service_pb2, sync_service_pb2_grpc
from techaura_sync import sync_spec

from bench.memory import PeakMemory
from tests.support.service import Service, environment, service_running
from tests.support.serving import serving

SECONDS_MAX: Final = 1.0
GROWTH_MIB_MAX: Final = 32.0
_MIB: Final = 1024 * 1024
_GRPC_BYTES: Final = 64 * _MIB


@dataclass(frozen=True)
class Bomb:
    """A body.

    Args:
        make: its content.
        encoding: Content-Encoding.
        repeats: how often the content is sent, without a Content-Length; 0: once, with it.
        completes: whether the run completes, with one rejected item.
    """

    make: Callable[[], bytes]
    encoding: str = ""
    media_type: str = "application/json"
    repeats: int = 0
    completes: bool = False


def _spaces(mib: int) -> bytes:
    return b"[" + b" " * (mib * _MIB) + b"]"


def _items(bad: bytes) -> bytes:
    """Twenty good items and a bad one; the share stays within the error budget."""
    return b"[" + b"".join(b'{"id":%d,"title":"t"},' % number for number in range(20)) + bad + b"]"


BOMBS: Final = {
    "gzip 1000:1": Bomb(lambda: gzip.compress(_spaces(100)), "gzip"),
    "br 1000:1": Bomb(lambda: brotli.compress(_spaces(100), quality=5), "br"),
    "zstd 1000:1": Bomb(lambda: zstandard.compress(_spaces(100)), "zstd"),
    "gzip in gzip": Bomb(lambda: gzip.compress(gzip.compress(_spaces(100))), "gzip, gzip"),
    "gzip in br": Bomb(lambda: brotli.compress(gzip.compress(_spaces(50)), quality=5), "gzip, br"),
    "200,000 deep": Bomb(lambda: b"[" * 200_000 + b"]" * 200_000),
    "200,000 objects deep": Bomb(lambda: b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "200,000 deep, packed": Bomb(lambda: gzip.compress(b"[" * 200_000 + b"]" * 200_000), "gzip"),
    "200,000 deep, open": Bomb(lambda: b"[" * 200_000),
    "item 65 deep": Bomb(lambda: _items(b'{"id":99,"x":' + b"[" * 64 + b"]" * 64 + b"}")),
    "1e999": Bomb(lambda: _items(b'{"id":99,"title":1e999}'), completes=True),
    "NaN": Bomb(lambda: _items(b'{"id":99,"title":NaN}'), completes=True),
    "Infinity": Bomb(lambda: _items(b'{"id":99,"title":-Infinity}'), completes=True),
    "a number of 5,000 digits": Bomb(lambda: _items(b'{"id":' + b"9" * 5000 + b"}"), completes=True),
    "a name twice": Bomb(lambda: _items(b'{"id":99,"id":98}'), completes=True),
    "100 MB line": Bomb(lambda: b'{"title":"' + b"a" * 100_000_000 + b'"}', media_type="application/x-ndjson"),
    "100 MB line without a length": Bomb(lambda: b"a" * _MIB, media_type="application/x-ndjson", repeats=100),
    "100 MB of JSON without a length": Bomb(lambda: b" " * _MIB, repeats=100),
}


def bomb_server() -> AbstractContextManager[str]:
    """The address of a server, in a process of its own, that has every bomb at /<number>."""
    return serving("tests.drills.api_bombs", "--serve")


def serve() -> None:
    """Serve until a signal comes; each bomb is made once, before the first one is asked for."""
    bombs = list(BOMBS.values())
    bodies = [bomb.make() for bomb in bombs]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = int(self.path.partition("?")[0].strip("/"))
            bomb, body = bombs[number], bodies[number]
            self.send_response(200)
            self.send_header("Content-Type", bomb.media_type)
            if bomb.encoding:
                self.send_header("Content-Encoding", bomb.encoding)
            self.send_header(*(("Connection", "close") if bomb.repeats else ("Content-Length", str(len(body)))))
            self.end_headers()
            try:
                for _ in range(bomb.repeats or 1):
                    self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, *_args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


def _resident_mib(service: Service) -> float:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def try_bomb(service: Service, base: str, name: str, nonce: int) -> tuple[float, float, str]:
    """Let the program read one; answer seconds, growth in MiB, and what is wrong or an empty text."""
    bomb, number = BOMBS[name], list(BOMBS).index(name)

    def read() -> str:
        run: dict[str, Any] = service.run("api", f"{base}/{number}?n={nonce}")
        if bomb.completes:
            return (
                "" if (run["status"], run["itemsFailed"], run["itemsProcessed"]) == ("completed", 1, 20) else str(run)
            )
        return "" if (run["status"], run["itemsProcessed"]) == ("failed", 0) else str(run)[:300]

    return _measured(service, read)


def try_message(service: Service, which: str) -> tuple[float, float, str]:
    """Send one gRPC message that is too large."""
    text = "a" * _GRPC_BYTES
    options = [("grpc.max_send_message_length", -1)]

    def send() -> str:
        with grpc.insecure_channel(service.grpc_target, options=options) as channel:
            stub = sync_service_pb2_grpc.SyncServiceStub(channel)
            request = sync_service_pb2.TriggerSyncRequest(spec=sync_spec("api", "x"))
            if which == "header":
                request.spec.api.headers["X"].value = text
            else:
                request.spec.source_identifier = text
            try:
                list(stub.TriggerSync(request, timeout=20))
            except grpc.RpcError as error:
                return "" if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED else str(error.code())
        return "it was taken"

    return _measured(service, send)


def _measured(service: Service, work: Callable[[], str]) -> tuple[float, float, str]:
    before = _resident_mib(service)
    with PeakMemory(service.process.pid) as memory:
        started = time.perf_counter()
        wrong = work()
        seconds = time.perf_counter() - started
        growth = memory.peak_mib - before
    return seconds, growth, wrong


def main() -> int:
    """Run the drill and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    if given.serve:
        serve()
    names = list(BOMBS)
    chosen = random.Random(given.seed).choices(names, k=given.count) if given.count else names
    problems = 0
    slowest = largest = 0.0
    with tempfile.TemporaryDirectory(prefix="techaura-drill-") as folder, bomb_server() as base:
        environ = environment(f"sqlite+aiosqlite:///{folder}/sync.db", Path(folder))
        with service_running(Path(folder), environ) as service:
            # What a first run loads is no bomb's doing.
            try_bomb(service, base, "NaN", -1)
            tries = [(name, partial(try_bomb, service, base, name, n)) for n, name in enumerate(chosen)]
            tries += [(f"gRPC {which}", partial(try_message, service, which)) for which in ("identifier", "header")]
            for name, attempt in tries:
                seconds, growth, wrong = attempt()
                slowest, largest = max(slowest, seconds), max(largest, growth)
                if wrong or seconds > SECONDS_MAX or growth > GROWTH_MIB_MAX:
                    problems += 1
                    print(f"{name}: {seconds:.2f} s, +{growth:.1f} MiB {wrong}")
    print(
        f"drill 23 bombs: {len(tries)} bombs, {problems} not refused within {SECONDS_MAX:g} s and +{GROWTH_MIB_MAX:g} MiB; "
        f"slowest {slowest:.2f} s, largest +{largest:.1f} MiB (seed {given.seed})"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
