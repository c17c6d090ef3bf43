"""How many calls each caller may make: a bucket that holds some seconds of calls and fills steadily (token bucket)."""

from __future__ import annotations

from typing import Final

from server.core.clock import Clock
from server.core.errors import CallsLimitedError
from server.core.reasons import Reason

_BURST_SECONDS: Final = 2.0
_ROUNDING_SECONDS: Final = 1e-6
_CALLERS_MAX: Final = 10_000


class CallPace:
    """Counts the calls of each caller.

    Args:
        per_second_max: calls of one caller; twice as many may come at once.
    """

    def __init__(self, clock: Clock, per_second_max: float) -> None:
        self._clock = clock
        self._rate = per_second_max
        # Caller -> when its bucket will be full again; who is not there has a full one.
        self._full_at: dict[str, float] = {}

    def take(self, name: str) -> None:
        """Count a call.

        Raises:
            CallsLimitedError: it is one too many.
        """
        now = self._clock.monotonic_seconds()
        if len(self._full_at) >= _CALLERS_MAX:
            self._full_at = {caller: at for caller, at in self._full_at.items() if at > now}
        full_at = max(now, self._full_at.get(name, now)) + 1 / self._rate
        if full_at - now > _BURST_SECONDS + _ROUNDING_SECONDS:
            raise CallsLimitedError(
                Reason.CALLS_LIMITED,
                f"{name!r} makes more than {self._rate:g} calls a second (TECHAURA_SYNC_CALLS_PER_SECOND_MAX)",
                retry_after_seconds=full_at - now - _BURST_SECONDS,
            )
        self._full_at[name] = full_at
