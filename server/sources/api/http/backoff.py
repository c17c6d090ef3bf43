"""When a page is asked for again, and when no longer: server/core/retry.py with what HTTP adds to it.

Faults are tried again a limited number of times. A source that asks to come back later has not failed: short waits are
waited for at once, whatever their number; longer ones give the run back, pending, until it may go on (HostPausedError).
"""

from __future__ import annotations

import math
from typing import Final

from server.core.clock import Clock
from server.core.errors import RetryableError
from server.core.retry import Retries, RetryPolicy
from server.sources.throttle.circuit import ComeBackLaterError, HostPausedError
from server.sources.throttle.host_pace import HostPace

_ASKED_JITTER_SHARE: Final = 0.1
# A source that goes on telling short waits, 0 above all, is asked less and less often from here on.
_TOLD_BELIEVED_MAX: Final = 4
_EXPONENT_MAX: Final = 20


class Backoff:
    """The tries of one request.

    Args:
        policy: their limits.
        pace: of the host; knows how often it has asked for patience.
        wait_seconds_max: the longest wait where the source tells none.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock, pace: HostPace, wait_seconds_max: float) -> None:
        self._retries = Retries(policy, clock)
        self._policy = policy
        self._clock = clock
        self._pace = pace
        self._wait_seconds_max = wait_seconds_max
        self._began_seconds = clock.monotonic_seconds()
        self._fault: RetryableError | None = None

    async def wait_or_raise(self, fault: RetryableError, asked_at_seconds: float = math.inf) -> None:
        """Wait before the next try.

        Args:
            asked_at_seconds: when the request was sent.

        Raises:
            RetryableError: no try is left, or the wait would be too long; the text tells how many tries there were.
            HostPausedError: the source wants to be asked later than this run may wait for it, or was not asked once.
        """
        if isinstance(fault, ComeBackLaterError):
            await self._be_patient(fault, asked_at_seconds)
            return
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

    async def _be_patient(self, fault: ComeBackLaterError, asked_at_seconds: float) -> None:
        if self._policy.attempts_max == 1:
            # Who asks once, as a test of a source does, wants to know what is the matter.
            raise fault
        waits = self._pace.waits(asked_at_seconds, self._clock.monotonic_seconds())
        seconds = self._patience_seconds(fault.retry_after_seconds, waits)
        waited_seconds = self._clock.monotonic_seconds() - self._began_seconds
        is_long = seconds > self._policy.wait_seconds_max * (1 + _ASKED_JITTER_SHARE)
        if is_long or waited_seconds + seconds > self._policy.elapsed_seconds_max:
            raise HostPausedError(
                fault.reason,
                fault.message,
                category=fault.category,
                next_step=fault.next_step,
                retry_after_seconds=seconds,
            ) from fault
        await self._clock.sleep(seconds)

    def _patience_seconds(self, told_seconds: float | None, waits: int) -> float:
        """The wait that a source tells; where it tells none twice the last one, up to minutes."""
        if told_seconds is None:
            own_seconds = min(self._wait_seconds_max, 2.0 ** min(waits - 1, _EXPONENT_MAX))
            return own_seconds * (0.5 + 0.5 * self._clock.random())
        least_seconds = 2.0 ** min(waits - _TOLD_BELIEVED_MAX, _EXPONENT_MAX) if waits > _TOLD_BELIEVED_MAX else 0.0
        jittered = told_seconds * (1 + _ASKED_JITTER_SHARE * self._clock.random())
        return max(jittered, min(least_seconds, self._wait_seconds_max))
