"""How late the event loop is: what else runs in it (a long step of Python) holds up heartbeats, streams and deadlines."""

from __future__ import annotations

from typing import Final, NoReturn

from prometheus_client import CollectorRegistry

from server.core.clock import Clock
from server.metrics import definitions

_INTERVAL_SECONDS: Final = 0.5


class LoopLag:
    """Sets a timer again and again, and keeps how late it came."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._lag_seconds = definitions.LOOP_LAG.histogram(registry)
        self._clock = clock

    async def run(self) -> NoReturn:
        """Measure, until cancelled."""
        while True:
            due_seconds = self._clock.monotonic_seconds() + _INTERVAL_SECONDS
            await self._clock.sleep(_INTERVAL_SECONDS)
            self._lag_seconds.observe(max(0.0, self._clock.monotonic_seconds() - due_seconds))
