"""The only reader of time and randomness; everything else is given a `Clock`.

A test passes in its own clock, and so controls waits, jitter and due times.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time and randomness."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic_seconds(self) -> float:
        """A monotonic clock, for durations."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock and random source."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic_seconds(self) -> float:
        """A monotonic clock, for durations."""
        return time.monotonic()

    def random(self) -> float:
        """A number in [0, 1), for jitter; never for keys."""
        return random.random()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
