"""How many connections the gateway holds, and which one is closed to admit a new one.

At the limit a new connection takes the place of the one that has kept the gateway waiting longest: for the rest of a
head or body, or for its next request. A connection whose request is being processed is never cut off; when all are,
the new one is refused. So a client that only holds connections open cannot lock others out. Refusals are logged as
counts.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

_log = structlog.get_logger(__name__)

# The rest is for gRPC, the database, files and sources of the same process, and for connections not fully accepted yet.
_DESCRIPTORS_SHARE: Final = 3
_LOG_INTERVAL_SECONDS: Final = 60.0


class Waiting(Protocol):
    """A connection that can be cut off."""

    def evict(self) -> None:
        """Cut it off, without a response."""
        ...


def _nobody_counts(_why: str) -> None:
    pass


class ConnectionPool:
    """The connections of one gateway.

    Args:
        connections_max: open at once; fewer when the process has a low descriptor limit.
        streams_max: event streams and downloads at once; at most half of the connections.
    """

    def __init__(self, connections_max: int, streams_max: int) -> None:
        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.connections_max = connections_max if soft < 0 else max(1, min(connections_max, soft // _DESCRIPTORS_SHARE))
        self.streams_max = max(1, min(streams_max, self.connections_max // 2))
        if self.connections_max < connections_max:
            _log.warning("few_descriptors", action="gateway", limit=soft, connections_max=self.connections_max)
        # Told each time why a connection was refused or cut off.
        self.on_refusal: Callable[[str], None] = _nobody_counts
        self._open: set[Waiting] = set()
        self._waiting: dict[Waiting, None] = {}
        self._streams = 0
        self._refused: Counter[str] = Counter()
        self._log_timer: asyncio.TimerHandle | None = None

    def admit(self, connection: Waiting) -> bool:
        """Admit a new connection; False when there is no place and it must be refused."""
        self._open.add(connection)
        if len(self._open) <= self.connections_max:
            return True
        longest = next(iter(self._waiting), None)
        if longest is None:
            self.note("full")
            return False
        self.note("made_way")
        self.leave(longest)
        longest.evict()
        return True

    def leave(self, connection: Waiting) -> None:
        """Remove a connection that was closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def waits(self, connection: Waiting, *, is_waiting: bool) -> None:
        """Record that a connection keeps the gateway waiting, or no longer does."""
        self._waiting.pop(connection, None)
        if is_waiting and connection in self._open:
            self._waiting[connection] = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def streams(self) -> int:
        """How many event streams and downloads are open."""
        return self._streams

    @property
    def has_stream_left(self) -> bool:
        """Whether another event stream or download may begin."""
        return self._streams < self.streams_max

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count an event stream or download while the block runs."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    def note(self, what: str) -> None:
        """Count a connection that was refused or cut off; the first is logged at once, later ones as sums."""
        self.on_refusal(what)
        self._refused[what] += 1
        if self._log_timer is None:
            self._say()

    def _say(self) -> None:
        self._log_timer = None
        if self._refused:
            _log.warning("connections_refused", action="gateway", **self._refused)
            self._refused.clear()
            self._log_timer = asyncio.get_running_loop().call_later(_LOG_INTERVAL_SECONDS, self._say)
