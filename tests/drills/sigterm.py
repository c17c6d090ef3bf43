"""Score card 16: SIGTERM to a replica under load: two runs in hand, watched by streams.

It has to exit within 10 s; what it has committed are whole batches; its runs are pending, or ended, without a lease; every
stream gets a status from the server, not a broken connection. Then another replica brings the runs to their end.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from typing import Final

import grpc
from techaura.sync.v1 import sync_service_pb2, sync_service_pb2_grpc

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed, check_partial
from tests.drills.program import Outcome, main, quantile
from tests.drills.stage import Stage, stage_set

_ROWS: Final = 8_000
_STREAMS_PER_RUN: Final = 4
_EXIT_SECONDS_MAX: Final = 10.0
_TERMINAL: Final = ("completed", "failed", "cancelled")


class Watcher:
    """One stream that does not reconnect, in a thread."""

    def __init__(self, target: str, run_id: int) -> None:
        self.code: grpc.StatusCode | None = None
        self.details = ""
        self._channel = grpc.insecure_channel(target)
        self._run_id = run_id
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        stub = sync_service_pb2_grpc.SyncServiceStub(self._channel)
        request = sync_service_pb2.GetSyncStatusRequest(sync_run_id=self._run_id, watch=True)
        call = stub.GetSyncStatus(request)
        try:
            for _message in call:
                self._first.set()
        except grpc.RpcError:
            self.details = call.details() or ""
        self.code = call.code()
        self._first.set()

    def wait_for_first(self) -> None:
        """Wait for the first message."""
        self._first.wait(10)

    def end(self) -> str | None:
        """What is wrong with the stream's end; None when nothing is."""
        self._thread.join(3)
        self._channel.close()
        if self.code is None:
            return "a stream has no end"
        if self.code is grpc.StatusCode.OK:
            return None
        is_broken = any(part in self.details for part in ("ocket", "recvmsg", "onnection reset", "GOAWAY"))
        if self.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or is_broken:
            return f"a stream ended with {self.code.name} ({self.details})"
        return None


def _stop_once(stage: Stage, index: int, catalogues: list[Catalogue], chance: random.Random, outcome: Outcome) -> float:
    """SIGTERM the only replica with two runs in hand; the seconds to its exit."""
    service = stage.replicas[index]
    assert service is not None
    runs = {stage.trigger(catalogue.name): catalogue for catalogue in catalogues}
    watchers = [Watcher(service.grpc_target, run_id) for run_id in runs for _ in range(_STREAMS_PER_RUN)]
    for watcher in watchers:
        watcher.wait_for_first()
    time.sleep(chance.random() * 1.2)
    service.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    service.process.wait(30)
    seconds = time.monotonic() - began
    for run_id, catalogue in runs.items():
        status, _epoch, owner = stage.owner(run_id)
        if (status != "pending" and status not in _TERMINAL) or owner is not None:
            raise ViolationError(f"run {run_id} is {status} with owner {owner} after SIGTERM")
        outcome.add(status)
        check_partial(stage.eye, run_id, catalogue)
    for watcher in watchers:
        outcome.add("streams")
        if (fault := watcher.end()) is not None:
            raise ViolationError(fault)
        assert watcher.code is not None
        outcome.add(watcher.code.name)
    stage.wait_until_up()
    for run_id, catalogue in runs.items():
        stage.end(run_id)
        check_completed(stage.eye, run_id, catalogue)
    return seconds


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> None:
    """Stops until there were so many.

    Raises:
        ViolationError
    """
    chance = random.Random(seed)
    waits: list[float] = []
    for number in range(count):
        catalogues = [Catalogue(f"stop-{number}-{part}.csv", _ROWS) for part in range(2)]
        for catalogue in catalogues:
            stage.put(catalogue)
        waits.append(_stop_once(stage, 0, catalogues, chance, outcome))
        outcome.done = len(waits)
        outcome.figures["exit p50 s"] = round(quantile(waits, 0.5), 2)
        outcome.figures["max s"] = round(max(waits), 2)
        if waits[-1] > _EXIT_SECONDS_MAX:
            raise ViolationError(f"exit took {waits[-1]:.1f} s")


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of one replica that is started again each time."""
    with stage_set(1, CSV_BLOCK_BYTES=8192) as stage:
        play(stage, seed, count, outcome)


if __name__ == "__main__":
    main("sigterm", __doc__, drill, 50)
