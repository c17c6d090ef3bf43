"""When a page is asked for again, and when no longer: server/core/retry.py with what HTTP adds to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from server.core.clock import Clock
from server.core.errors import RetryableError
from server.core.retry import Retries, RetryPolicy
from server.sources.throttle.circuit import HostPausedError


class Backoff:
    """The tries of one request.

    Args:
        policy: their limits.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock) -> None:
        self._retries = Retries(policy, clock)
        self._fault: RetryableError | None = None

    async def wait_or_raise(self, fault: RetryableError) -> None:
        """Wait before the next try.

        Raises:
            RetryableError: no try is left, or the wait would be too long; the text tells how many tries there were.
            HostPausedError: as before, and the source was not asked once.
        """
        if not isinstance(fault, HostPausedError):
            self._fault = fault
        if await self._retries.wait(fault.retry_after_seconds):
            return
        if self._fault is None:
            raise fault
        failures = self._retries.failures
        tries = "1 try" if failures == 1 else f"{failures} tries"
        raise RetryableError(
            self._fault.reason,
            f"{self._fault.message} (after {tries})",
            category=self._fault.category,
            next_step=self._fault.next_step,
            retry_after_seconds=fault.retry_after_seconds,
        ) from fault


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
