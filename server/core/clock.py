"""The only reader of time and randomness; everything else is handed a `Clock`.

A test hands in its own clock, so that waiting, jitter and due times are decided by the test.
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
        """A clock for durations; never goes back."""
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
        """A clock for durations; never goes back."""
        return time.monotonic()

    def random(self) -> float:
        """A number in [0, 1), for jitter; never for keys."""
        return random.random()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
