"""How fast requests go to one host, shared by all runs of this replica.

Three things set the pace, and the slowest wins: the budget (requests a second), what the host says in RateLimit headers,
and a gap between requests that doubles with each 429 and shrinks with each good answer. Times are those of the clock
that is handed in. Nothing is kept beyond the process: after a restart the host says again what it wants.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from server.core.clock import Clock

_HOSTS_MAX: Final = 10_000
_GAP_FIRST_SECONDS: Final = 0.1
# After 20 good answers a gap is a tenth of what it was.
_GAP_SHRINK: Final = 0.89
_GAP_LEAST_SECONDS: Final = 0.02
_WAIT_SECONDS_MAX: Final = 1.0


@dataclass(slots=True)
class HostPace:
    """The pace of one host.

    Args:
        last_at_seconds: when the last request had its turn.
        held_until_seconds: no request before this moment; the host said so.
        gap_seconds: what 429 answers have made of the time between two requests.
        waits_in_a_row: how often it has asked for patience since it last answered well. Requests that were under way when it
            asked, and were answered alike, count once with it.
        left: requests that its window has left, as it last said; None where it does not say.
        lock: for what is to happen once at a time on this host, such as the renewal of a token.
    """

    last_at_seconds: float = -math.inf
    held_until_seconds: float = 0.0
    gap_seconds: float = 0.0
    waits_in_a_row: int = 0
    left: float | None = None
    slowed_at_seconds: float = -math.inf
    waited_at_seconds: float = -math.inf
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def held_seconds(self, clock: Clock) -> float:
        """For how long the host wants no request."""
        return max(0.0, self.held_until_seconds - clock.monotonic_seconds())

    async def wait_for_slot(self, clock: Clock, per_second_max: float, waiting: Callable[[], None]) -> None:
        """Wait for this request's turn: its own gap after whichever request was last.

        A gap is the affair of whoever asked for it: it holds up no request that wants a smaller one. Where others ask
        all the time, nobody waits for more than two gaps.

        Args:
            per_second_max: the budget; 0 for none.
            waiting: told now and then that the wait is ours, and not the source's.
        """
        began_seconds = clock.monotonic_seconds()
        while True:
            gap_seconds = max(1 / per_second_max if per_second_max else 0.0, self.gap_seconds)
            turn_seconds = min(self.last_at_seconds + gap_seconds, began_seconds + 2 * gap_seconds)
            now_seconds = clock.monotonic_seconds()
            wait_seconds = max(turn_seconds, self.held_until_seconds) - now_seconds
            if wait_seconds <= 0:
                self.last_at_seconds = now_seconds
                return
            await clock.sleep(min(wait_seconds, _WAIT_SECONDS_MAX))
            waiting()

    def at_once(self, clock: Clock, wanted: int) -> int:
        """How many requests of one run may be under way, of as many as are wanted; one at least."""
        if self.gap_seconds or self.held_seconds(clock):
            return 1
        return wanted if self.left is None else max(1, min(wanted, int(self.left)))

    def on_rate_limited(self, gap_seconds_max: float, asked_at_seconds: float, now_seconds: float) -> None:
        """The host answered 429: leave twice the gap, up to a limit; once for requests that were under way together.

        Args:
            asked_at_seconds: when the request was sent.
        """
        if asked_at_seconds >= self.slowed_at_seconds:
            self.gap_seconds = min(gap_seconds_max, max(_GAP_FIRST_SECONDS, self.gap_seconds * 2))
            self.slowed_at_seconds = now_seconds

    def waits(self, asked_at_seconds: float, now_seconds: float) -> int:
        """How often in a row the host has asked for patience, with the answer to a request that was sent then."""
        if asked_at_seconds >= self.waited_at_seconds or not self.waits_in_a_row:
            self.waits_in_a_row += 1
            self.waited_at_seconds = now_seconds
        return self.waits_in_a_row

    def on_success(self) -> None:
        """The host answered well: leave a little less of a gap."""
        self.waits_in_a_row = 0
        self.gap_seconds = self.gap_seconds * _GAP_SHRINK if self.gap_seconds > _GAP_LEAST_SECONDS else 0.0

    def hold(self, clock: Clock, seconds: float) -> None:
        """No request for so long: the host's window is used up."""
        self.held_until_seconds = max(self.held_until_seconds, clock.monotonic_seconds() + seconds)


class HostPaces:
    """The paces of all hosts."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, int], HostPace] = {}

    def of(self, host: str, port: int) -> HostPace:
        """The pace of a host; where there are too many, the one that was asked for least lately is forgotten."""
        pace = self._paces.pop((host, port), None) or HostPace()
        if len(self._paces) >= _HOSTS_MAX:
            del self._paces[next(iter(self._paces))]
        self._paces[host, port] = pace
        return pace
