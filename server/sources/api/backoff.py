"""How long to wait before a page is asked for again, and when to stop asking.

Algorithm: capped exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS 2015), bounded
by tries and by elapsed time. A wait that the source asked for is the least wait; jitter comes on top, so that runs
that were sent away together don't come back together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from server.core.circuit import NotAsked
from server.core.clock import Clock
from server.core.errors import Retryable

_BASE_SECONDS: Final = 0.5
_JITTER_SHARE: Final = 0.1


class Backoff:
    """The tries of one request.

    Args:
        attempts_max: tries in all, the first included.
        wait_seconds_max: longest wait between two tries.
        elapsed_seconds_max: no try begins later than this after the first.
    """

    def __init__(self, clock: Clock, *, attempts_max: int, wait_seconds_max: float, elapsed_seconds_max: float) -> None:
        self._clock = clock
        self._attempts_max = attempts_max
        self._wait_seconds_max = wait_seconds_max
        self._deadline_seconds = clock.monotonic_seconds() + elapsed_seconds_max
        self._failures = 0
        self._fault: Retryable | None = None

    async def wait_or_raise(self, fault: Retryable) -> None:
        """Wait before the next try.

        Raises:
            Retryable: no try is left, or the wait would be too long; the text tells how many tries there were.
            NotAsked: as before, and the source was not asked once.
        """
        self._failures += 1
        if not isinstance(fault, NotAsked):
            self._fault = fault
        wait_seconds = self._next_wait_seconds(fault.retry_after_seconds)
        if (
            self._failures >= self._attempts_max
            or wait_seconds > self._wait_seconds_max * (1 + _JITTER_SHARE)
            or self._clock.monotonic_seconds() + wait_seconds > self._deadline_seconds
        ):
            if self._fault is None:
                raise fault
            tries = "1 try" if self._failures == 1 else f"{self._failures} tries"
            raise Retryable(
                self._fault.reason,
                f"{self._fault.message} (after {tries})",
                category=self._fault.category,
                next_step=self._fault.next_step,
                retry_after_seconds=fault.retry_after_seconds,
            ) from fault
        await self._clock.sleep(wait_seconds)

    def _next_wait_seconds(self, asked_seconds: float | None) -> float:
        if asked_seconds is not None:
            return asked_seconds * (1 + _JITTER_SHARE * self._clock.random())
        exponential = _BASE_SECONDS * 2.0 ** min(self._failures - 1, 30)
        return min(self._wait_seconds_max, exponential) * self._clock.random()


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that a response asks for: Retry-After in seconds or as a date (RFC 9110, 10.2.3), or None."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
