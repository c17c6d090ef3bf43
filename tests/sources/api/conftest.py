"""Real HTTP servers on loopback for the tests of the API source, and a clock that never waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from server.core.config import Settings
from server.core.errors import SyncError
from server.core.secret_box import SecretBox
from server.sources.api.options import parse_options
from server.sources.api.reader import open_api
from server.sources.contract import SourceBatch, SourceContext
from server.sources.source_type import Reveal

# Made for the tests; it protects nothing.
TEST_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


class ManualClock:
    """Time that passes only in `sleep`, which returns at once; randomness that is always one half."""

    def __init__(self) -> None:
        self.elapsed_seconds = 0.0
        self.waits: list[float] = []

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed_seconds)

    def monotonic_seconds(self) -> float:
        return self.elapsed_seconds

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.elapsed_seconds += seconds
        await asyncio.sleep(0)


class LoopbackServer(uvicorn.Server):
    """Stops when it is told to, rather than at its next look; leaves signals to pytest."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopped = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends answers under way at once: whoever asked is gone."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        answers = list(self.server_state.tasks)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Api:
    """An ASGI app that answers by a function and remembers what it was asked."""

    handler: Callable[[Request], Awaitable[Response]]
    requests: list[Request] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        self.requests.append(request)
        response = await self.handler(request)
        await response(scope, receive, send)

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(request.query_params) for request in self.requests]


@dataclass
class Outcome:
    """All that a reading gave, in order."""

    batches: list[SourceBatch] = field(default_factory=list)
    notices: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    error: SyncError | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.frame.to_dicts()]

    @property
    def ids(self) -> list[str | None]:
        return [row["external_id"] for row in self.rows]

    @property
    def rejects(self) -> list[Any]:
        return [reject for batch in self.batches for reject in batch.rejects]

    @property
    def frame(self) -> pl.DataFrame:
        return pl.concat([batch.frame for batch in self.batches])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Start an ASGI app on a free port of loopback; gives its address."""
    running: list[tuple[LoopbackServer, asyncio.Task[None]]] = []

    async def start(app: Any, **config: Any) -> str:
        # With the protocol named, asyncio sets TCP_NODELAY; without it each answer waits for a delayed ACK.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = LoopbackServer(
            uvicorn.Config(
                app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1, **config
            )
        )
        running.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        scheme = "https" if "ssl_certfile" in config else "http"
        return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, _ in running:
        server.stopped.set()
    await asyncio.gather(*(task for _, task in running))


@pytest.fixture
def context(clock: ManualClock) -> Callable[..., SourceContext]:
    """Settings for a server on loopback, changed as asked."""

    def make(**settings: Any) -> SourceContext:
        values = {"allow_private_addresses": True, "http_timeout_seconds": 5.0, **settings}
        return SourceContext(Settings(**values), clock)

    return make


@pytest.fixture
def reveal() -> Reveal:
    box = SecretBox(TEST_KEY)
    environ = {"SOURCE_TOKEN": "token-of-the-environment", "SOURCE_TOKEN_HOSTS": "127.0.0.1"}
    environ |= {"SOURCE_ECHO": "canary-7f31-tok3n", "SOURCE_ECHO_HOSTS": "127.0.0.1,localhost,songs.example"}
    return lambda secret, url: box.reveal(secret, url, environ)


Read = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def read(context: Callable[..., SourceContext], reveal: Reveal) -> Read:
    """Read a whole source; the error that ended it stands in the outcome."""

    async def run(
        url: str,
        options: Mapping[str, Any] | None = None,
        *,
        after: Mapping[str, Any] | None = None,
        first_batch_no: int = 1,
        **settings: Any,
    ) -> Outcome:
        outcome = Outcome()
        reader = await open_api(url, parse_options(options or {}), context(**settings), reveal)
        try:
            async for batch in reader.batches(after, first_batch_no):
                # The checkpoint goes through JSON, as it does in the database.
                json.dumps(batch.position)
                assert tuple(batch.frame.columns) == reader.info.columns
                outcome.batches.append(batch)
        except SyncError as error:
            outcome.error = error
        finally:
            outcome.notices, outcome.doubts = reader.notices(), reader.doubts()
            await reader.close()
        return outcome

    return run


@pytest.fixture
def api() -> Callable[[Callable[[Request], Any]], Api]:
    """Make an app from a plain function: request -> Response, or what goes out as JSON."""

    def make(answer: Callable[[Request], Any]) -> Api:
        async def handler(request: Request) -> Response:
            found = answer(request)
            return found if isinstance(found, Response) else JSONResponse(found)

        return Api(handler)

    return make
