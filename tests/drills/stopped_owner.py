"""Score card 8: the owner of a run is stopped (SIGSTOP) past its lease, then continued; nothing stale is written.

It is stopped at a statement of a batch, so that it holds the locks of an open transaction, or between batches. Another
replica has to take the run over all the same and go on; then the old owner wakes and tries to finish its batch.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Final

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed
from tests.drills.fault_proxy import Strike
from tests.drills.program import Outcome, main, quantile
from tests.drills.stage import Stage, stage_set
from tests.drills.statements import Statement

_ROWS: Final = 8_000
_AT: Final = (
    "insert_direct",
    "load_staging",
    "compare",
    "update_rows",
    "checkpoint",
    "hold_lease",
    "commit_checkpoint",
    "renew",
)
_GO_ON_SECONDS_MAX: Final = 40.0


class Stopper:
    """Stops the replica that sends the n-th statement of a kind; afterwards counts what it still sends."""

    def __init__(self, stage: Stage, kind: str, number: int, *, is_after: bool) -> None:
        self._stage = stage
        self._kind = kind
        self._left = number
        self._is_after = is_after
        self.replica: int | None = None
        self.stopped = threading.Event()
        self.stale: list[str] = []

    def __call__(self, statement: Statement) -> Strike | None:
        if self.replica is not None:
            if statement.replica == self.replica and self.stopped.is_set():
                self.stale.append(statement.kind)
            return None
        if statement.kind != self._kind:
            return None
        self._left -= 1
        if self._left > 0:
            return None
        self.replica = statement.replica
        return Strike(is_cut=False, is_after=self._is_after, act=self._act)

    def _act(self) -> None:
        service = self._stage.replicas[self.replica or 0]
        assert service is not None
        os.kill(service.process.pid, signal.SIGSTOP)
        self.stopped.set()


def _stop_once(stage: Stage, chance: random.Random, catalogue: Catalogue, outcome: Outcome) -> float | None:
    """One run with one stop; the seconds until the run went on in another replica, or None when no stop came."""
    stopper = Stopper(stage, chance.choice(_AT), chance.randint(1, 8), is_after=chance.random() < 0.5)
    stage.judge = stopper
    run_id = stage.trigger(catalogue.name)
    deadline = time.monotonic() + 15
    while not stopper.stopped.wait(0.02) and time.monotonic() < deadline and stage.owner(run_id)[0] != "completed":
        pass
    seconds = None
    if stopper.stopped.is_set() and stopper.replica is not None:
        service = stage.replicas[stopper.replica]
        assert service is not None
        began = time.monotonic()
        try:
            epoch = stage.owner(run_id)[1]
            stage.wait(
                run_id, lambda status, now: now > epoch and _wrote(stage, run_id, now), seconds=_GO_ON_SECONDS_MAX
            )
            seconds = time.monotonic() - began
            time.sleep(chance.random() * 0.3)
        finally:
            os.kill(service.process.pid, signal.SIGCONT)
    stage.end(run_id)
    if stopper.stopped.is_set():
        # It has found out by now, at its next statement or renewal.
        time.sleep(1.0)
        outcome.add("statements of woken owners", len(stopper.stale))
    stage.judge = None
    check_completed(stage.eye, run_id, catalogue)
    return seconds


def _wrote(stage: Stage, run_id: int, epoch: int) -> bool:
    return bool(
        stage.query("SELECT 1 FROM sync_batches WHERE sync_run_id = %s AND lease_epoch = %s LIMIT 1", run_id, epoch)
    )


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> None:
    """Runs until so many owners were stopped.

    Raises:
        ViolationError
    """
    chance = random.Random(seed)
    waits: list[float] = []
    catalogue = Catalogue("stopped.csv", _ROWS)
    idle = 0
    while len(waits) < count:
        stage.put(catalogue)
        seconds = _stop_once(stage, chance, catalogue, outcome)
        outcome.add("runs")
        if seconds is None:
            idle += 1
            if idle > 3 * count + 10:
                raise ViolationError("statements to stop at do not come")
        else:
            waits.append(seconds)
            outcome.done = len(waits)
            outcome.figures["went on p50 s"] = round(quantile(waits, 0.5), 1)
            outcome.figures["max s"] = round(max(waits), 1)
        if chance.random() < 0.4:
            catalogue = Catalogue(f"stopped-{outcome.figures['runs']}.csv", _ROWS)
        else:
            catalogue.advance()


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of two replicas."""
    with stage_set(2, LEASE_TTL_SECONDS=1, HEARTBEAT_INTERVAL_SECONDS=0.3) as stage:
        play(stage, seed, count, outcome)


if __name__ == "__main__":
    main("stopped_owner", __doc__, drill, 20)
