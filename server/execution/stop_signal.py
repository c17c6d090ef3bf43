"""How a running run is told to stop, and what it raises when it does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, Final, Literal, TypeVar

from server.core.errors import RetryableError
from server.core.reasons import Reason

T = TypeVar("T")

_STALL_LOOKS: Final = 8

StopReason = Literal["cancel", "pause", "release", "lease_lost"]


class RunStoppedError(Exception):
    """The run was told to stop; not a fault.

    Args:
        reason: cancel or pause (a caller asked), release (this worker stops), lease_lost (another worker owns the run).
    """

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason


class RunSignals:
    """Carries the first reason to stop to the run's loop, and watches the source for progress.

    Args:
        stall_timeout_seconds: a source that delivers nothing for this long while it is waited for is hung. A slow one
            calls `source_progressed` with each piece that it gets, and is not.
    """

    def __init__(self, stall_timeout_seconds: float = math.inf) -> None:
        self._reason: StopReason | None = None
        self._event = asyncio.Event()
        self._stall_timeout_seconds = stall_timeout_seconds
        self._moves = 0
        self.batches_written = 0

    @property
    def reason(self) -> StopReason | None:
        """Why the run is to stop, or None."""
        return self._reason

    def stop(self, reason: StopReason) -> None:
        """Tell the run to stop. A lost lease overrides: nothing may be written then."""
        if self._reason is None or reason == "lease_lost":
            self._reason = reason
        self._event.set()

    async def stopped(self) -> None:
        """Wait until the run is told to stop."""
        await self._event.wait()

    def source_progressed(self) -> None:
        """The source delivered something: bytes, a row, a page."""
        self._moves += 1

    def batch_committed(self) -> None:
        """A batch was committed."""
        self.batches_written += 1

    def check(self) -> None:
        """Raise RunStoppedError when the run is to stop."""
        if self._reason is not None:
            raise RunStoppedError(self._reason)

    async def guard(self, work: Coroutine[Any, Any, T], *, is_source: bool = False) -> T:
        """Await `work`, but cancel it as soon as the run is to stop. Never for what a cancel would damage.

        Args:
            is_source: the source is waited for, and may be hung.

        Raises:
            RunStoppedError
            RetryableError: SOURCE_STALLED.
        """
        if self._reason is not None:
            work.close()
            raise RunStoppedError(self._reason)
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._event.wait())
        try:
            if is_source:
                await self._wait_for_movement({task, stop})
            else:
                await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            stop.cancel()
            if not task.done():
                # What it raises once it is cancelled is of no use: the run stops for the reason that it was given.
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self.check()
        raise AssertionError("unreachable: the event is set with a reason")

    async def _wait_for_movement(self, tasks: set[asyncio.Future[Any]]) -> None:
        """Wait until one is done. Only whole intervals without progress count: a hang is found one interval late at most."""
        look_seconds = None if math.isinf(self._stall_timeout_seconds) else self._stall_timeout_seconds / _STALL_LOOKS
        still_looks, seen = 0, self._moves
        while True:
            done, _ = await asyncio.wait(tasks, timeout=look_seconds, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            still_looks = still_looks + 1 if self._moves == seen else 0
            seen = self._moves
            if still_looks >= _STALL_LOOKS:
                raise RetryableError(
                    Reason.SOURCE_STALLED,
                    f"the source delivered nothing for {self._stall_timeout_seconds:g} seconds; what was committed "
                    "stays, and the run goes on from there when it is retried",
                )
