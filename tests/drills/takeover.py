"""Score card 7: three replicas on one database with the default lease; the owner of a run is killed again and again.

Figures are the seconds from the kill to the next owner's claim. That there are never two writers is in the checkpoints:
each carries the epoch of its writer, and none may follow a newer one.
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Final

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed
from tests.drills.program import Outcome, main, quantile
from tests.drills.stage import LOADERS, Stage, stage_set

_ROWS: Final = 20_000
_P50_SECONDS: Final = 10.0
_P99_SECONDS: Final = 20.0
_KILLS_OF_A_RUN_MAX: Final = 8


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> list[float]:
    """Runs until so many owners were killed; the seconds that each takeover took."""
    chance = random.Random(seed)
    waits: list[float] = []
    number = 0
    while len(waits) < count:
        catalogue = Catalogue(f"catalogue-{number}.csv", _ROWS)
        number += 1
        stage.put(catalogue)
        stage.wait_until_up()
        run_id, epoch, kills = stage.trigger(catalogue.name), 0, 0
        while len(waits) < count and kills < _KILLS_OF_A_RUN_MAX:
            status, epoch, owner = stage.wait(run_id, partial(is_taken_after, epoch))
            if status != "in_progress" or owner is None:
                break
            time.sleep(chance.random() * 1.5)
            if stage.owner(run_id) != (status, epoch, owner):
                break
            stage.kill(owner)
            began = time.monotonic()
            stage.wait(run_id, partial(_is_after, epoch))
            kills += 1
            waits.append(time.monotonic() - began)
            outcome.done = len(waits)
        stage.end(run_id)
        check_completed(stage.eye, run_id, catalogue)
        outcome.add("runs")
        if (again := stage.begun_again(run_id)) > kills * LOADERS:
            raise ViolationError(f"run {run_id}: {again} batches begun again after {kills} kills")
        outcome.add("batches begun again", again)
    return waits


def _is_after(epoch: int, _status: str, now: int) -> bool:
    return now > epoch


def is_taken_after(epoch: int, status: str, now: int) -> bool:
    """Whether a run has been claimed since."""
    return status == "in_progress" and now > epoch


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of three replicas."""
    with stage_set(
        3, LEASE_TTL_SECONDS=8, HEARTBEAT_INTERVAL_SECONDS=2, POLL_INTERVAL_SECONDS=1, CSV_BLOCK_BYTES=8192
    ) as stage:
        waits = play(stage, seed, count, outcome)
    p50, p99 = quantile(waits, 0.5), quantile(waits, 0.99)
    outcome.figures |= {"takeover p50 s": round(p50, 2), "p99 s": round(p99, 2), "two writers": 0}
    if p50 > _P50_SECONDS or p99 > _P99_SECONDS:
        raise ViolationError(f"takeovers took p50 {p50:.1f} s, p99 {p99:.1f} s")


if __name__ == "__main__":
    main("takeover", __doc__, drill, 50)
