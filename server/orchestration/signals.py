"""How a running run is told to stop, and what it raises when it does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

T = TypeVar("T")

StopReason = Literal["cancel", "release", "lease_lost"]


class RunStopped(Exception):
    """The run was told to stop; not a fault.

    Args:
        reason: cancel (a caller asked), release (this worker stops), lease_lost (another worker owns the run).
    """

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason


class RunSignals:
    """Carries the first reason to stop from whoever has it to the run's loop."""

    def __init__(self) -> None:
        self._reason: StopReason | None = None
        self._event = asyncio.Event()

    @property
    def reason(self) -> StopReason | None:
        """Why the run is to stop, or None."""
        return self._reason

    def stop(self, reason: StopReason) -> None:
        """Tell the run to stop. A lost lease overrides: nothing may be written then."""
        if self._reason is None or reason == "lease_lost":
            self._reason = reason
        self._event.set()

    def check(self) -> None:
        """Raise RunStopped when the run is to stop."""
        if self._reason is not None:
            raise RunStopped(self._reason)

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, but cancel it as soon as the run is to stop. For reading only, never for a write.

        Raises:
            RunStopped
        """
        if self._reason is not None:
            work.close()
            raise RunStopped(self._reason)
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self.check()
        raise AssertionError("unreachable: the event is set with a reason")
