"""The runs that this replica executes, shared by those who steer runs and by the worker that executes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from server.execution.stop_signal import RunSignals, StopReason


class LocalRuns:
    """Which runs execute here, and the signal that makes the worker look for more.

    It is made before both sides: `Runs` stops runs and wakes the worker through it, `Worker` keeps it up to date.
    """

    def __init__(self) -> None:
        self._signals: dict[int, RunSignals] = {}
        self._types: dict[int, str] = {}
        self._wake = asyncio.Event()

    @property
    def ids(self) -> list[int]:
        """The runs that execute here."""
        return list(self._signals)

    @property
    def source_types(self) -> frozenset[str]:
        """Of what types the runs are that execute here."""
        return frozenset(self._types.values())

    def begin(self, run_id: int, signals: RunSignals, source_type: str = "") -> None:
        """A run begins to execute here."""
        self._signals[run_id] = signals
        self._types[run_id] = source_type

    def end(self, run_id: int) -> None:
        """The run does not execute here any more; there is room for another one."""
        self._signals.pop(run_id, None)
        self._types.pop(run_id, None)
        self.wake()

    def stop(self, run_ids: Iterable[int], reason: StopReason) -> None:
        """Stop those of the runs that execute here."""
        for run_id in run_ids:
            if (signals := self._signals.get(run_id)) is not None:
                signals.stop(reason)

    def wake(self) -> None:
        """Make the worker look for work now."""
        self._wake.set()

    async def woken(self) -> None:
        """Wait until the worker is to look for work."""
        await self._wake.wait()

    def looking(self) -> None:
        """The worker looks: only what happens from now on wakes it again."""
        self._wake.clear()
