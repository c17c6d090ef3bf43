"""What a watch remembers and decides: the last sequence, and whether a broken stream is opened again.

Pure: the clients do the calling and the waiting. A watch that gives up leaves the run as it is; it goes on without
its watcher.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import grpc
from techaura.sync.v1 import sync_service_pb2

from techaura_sync.errors import SyncServiceError
from techaura_sync.requests import CallLimits, is_terminal

# Codes that say that the way to the service broke, not that the service refused.
_BROKEN = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN}
)


class WatchState:
    """One watch of one run, over as many streams as it takes.

    Args:
        sync_run_id: the run.
        after_sequence: the last sequence that the caller has seen; 0 for none.
        limits: how many streams in a row may fail, and the waits between them.
        jitter: a number in [0, 1), so that many watchers do not come back at the same instant.
    """

    def __init__(
        self,
        sync_run_id: int,
        after_sequence: int,
        limits: CallLimits,
        jitter: Callable[[], float] = random.random,  # noqa: TID251 - what is injected, by default
    ) -> None:
        self._sync_run_id = sync_run_id
        self._after_sequence = after_sequence
        self._limits = limits
        self._jitter = jitter
        self._failures = 0
        self.ended = False

    def request(self) -> sync_service_pb2.GetSyncStatusRequest:
        """The request of the next stream; it names the last sequence that was seen."""
        return sync_service_pb2.GetSyncStatusRequest(
            sync_run_id=self._sync_run_id, watch=True, after_sequence=self._after_sequence
        )

    def seen(self, response: sync_service_pb2.GetSyncStatusResponse) -> None:
        """Note a message that the caller is handed."""
        self._after_sequence = max(self._after_sequence, response.sequence)
        self._failures = 0
        self.ended = is_terminal(response.run.status)

    def wait_after(self, error: SyncServiceError | None) -> float:
        """Decide what follows a stream that ended before its run.

        Args:
            error: why the stream broke; None when it just ended.

        Returns:
            seconds to wait before the next stream.

        Raises:
            SyncServiceError: the error, when another try cannot help or the last one was made.
        """
        if error is None:
            error = SyncServiceError("", "the service ended the watch before the run", grpc.StatusCode.UNAVAILABLE)
        if error.code not in _BROKEN or self._failures >= self._limits.watch_retries_max:
            raise error
        wait = min(self._limits.retry_wait_seconds_first * 2.0**self._failures, self._limits.retry_wait_seconds_max)
        self._failures += 1
        return wait * (0.5 + self._jitter() / 2)
