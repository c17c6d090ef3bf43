"""Retries of something that may fail for a while: whether and when to try again.

Capped exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015): the wait before try n is
random in [0, min(cap, base * 2^n)), so that many callers that failed together don't come back together. A wait that the
other side asked for is the least wait; jitter comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from server.core.clock import Clock

_ASKED_JITTER_SHARE: Final = 0.1
# 2^30 seconds exceed every bound.
_EXPONENT_MAX: Final = 30


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of one series of tries.

    Args:
        attempts_max: tries at most, the first one included.
        elapsed_seconds_max: no try begins later than this after the first.
        wait_base_seconds, wait_seconds_max: the first bound of the wait, and the last; a wait that the other side asks
            for is not longer either, or there is no further try.
    """

    attempts_max: int
    elapsed_seconds_max: float
    wait_base_seconds: float = 0.2
    wait_seconds_max: float = 10.0


class Retries:
    """One series of tries. It begins when the object is created.

    Args:
        policy: its limits.
        clock: of the waits and their jitter.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Start a new series, after progress."""
        self._started = self._clock.monotonic_seconds()
        self.failures = 0
        self.gave_up_because = ""

    def next_wait_seconds(self, asked_seconds: float | None = None) -> float | None:
        """How long to wait after a try that failed; None for no further try, which `gave_up_because` explains.

        Args:
            asked_seconds: the least wait that the other side asks for.
        """
        policy = self._policy
        self.failures += 1
        if asked_seconds is None:
            exponential = policy.wait_base_seconds * 2.0 ** min(self.failures - 1, _EXPONENT_MAX)
            wait_seconds = min(policy.wait_seconds_max, exponential) * self._clock.random()
        else:
            wait_seconds = asked_seconds * (1 + _ASKED_JITTER_SHARE * self._clock.random())
        if self.failures >= policy.attempts_max:
            self.gave_up_because = "1 try failed" if self.failures == 1 else f"{self.failures} tries failed"
        elif wait_seconds > policy.wait_seconds_max * (1 + _ASKED_JITTER_SHARE):
            self.gave_up_because = f"the wait that is asked for is longer than {policy.wait_seconds_max:g} s"
        elif self._clock.monotonic_seconds() - self._started + wait_seconds > policy.elapsed_seconds_max:
            self.gave_up_because = f"no success within {policy.elapsed_seconds_max:g} s"
        else:
            return wait_seconds
        return None

    async def wait(self, asked_seconds: float | None = None) -> bool:
        """Wait before the next try; return whether there is one, otherwise at once."""
        wait_seconds = self.next_wait_seconds(asked_seconds)
        if wait_seconds is None:
            return False
        await self._clock.sleep(wait_seconds)
        return True
