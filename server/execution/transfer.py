"""Keeps a few batches being written while the next ones are read. They commit in order; see server/writer.py."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from db.records import Batch
from server.execution.stop_signal import RunSignals, RunStoppedError
from server.writer import BatchWriter, WriteJob


class BatchPipeline:
    """Writes jobs, `loaders_max` at a time. Use as a context manager, so that none is left behind.

    At its end all batches in hand are waited for, also when the source failed or the worker stops: they are good. But
    where a caller cancels, the lease is lost or an earlier batch could not be written, they are cut short, and the
    database rolls them back.

    Args:
        writer: writes a batch.
        loaders_max: batches in hand at most.
        signals: how the run is told to stop.
        written: told each committed batch, in order.
    """

    def __init__(
        self, writer: BatchWriter, loaders_max: int, signals: RunSignals, written: Callable[[Batch], None]
    ) -> None:
        self._writer = writer
        self._loaders_max = loaders_max
        self._signals = signals
        self._written = written
        self._in_hand: deque[asyncio.Task[Batch]] = deque()
        self._has_failed = False

    async def put(self, job: WriteJob) -> None:
        """Start to write a job, once there is room for it.

        Raises:
            RunStoppedError: the run is to stop; the job was not begun.
            SyncError, DatabaseError: an earlier batch could not be written.
        """
        while len(self._in_hand) >= self._loaders_max:
            await self._signals.guard(self._oldest())
        self._signals.check()
        # No TaskGroup: it would cut good batches as soon as a later one fails. `__aexit__` waits for each task.
        task = asyncio.create_task(self._writer.write(job), name=f"write-batch-{job.batch_no}")
        self._in_hand.append(task)

    async def finish(self) -> None:
        """Wait for the batches in hand.

        Raises:
            RunStoppedError, SyncError, DatabaseError: as `put`.
        """
        while self._in_hand:
            await self._signals.guard(self._oldest())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        in_hand = list(self._in_hand)
        self._in_hand.clear()
        is_cut = isinstance(error, asyncio.CancelledError) or (
            isinstance(error, RunStoppedError) and error.reason != "release"
        )
        try:
            if in_hand and not is_cut and not self._has_failed:
                await asyncio.wait(in_hand)
        finally:
            for task in in_hand:
                task.cancel()
            # Faults beside the one that ends the run are looked at here, so that they are not reported as lost.
            await asyncio.gather(*in_hand, return_exceptions=True)

    async def _oldest(self) -> None:
        """Wait for the batch that commits next. Cancelling this leaves the batch alone."""
        task = self._in_hand[0]
        await asyncio.wait({task})
        self._in_hand.popleft()
        self._has_failed = task.cancelled() or task.exception() is not None
        self._written(task.result())
