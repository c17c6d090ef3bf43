"""Score card 10: MariaDB is killed in the middle of a run, stays away for a while and comes back.

The run has to go on by itself: the figures are the seconds from MariaDB's first answer to the next committed batch (or the
end of the run).
"""

from __future__ import annotations

import random
import time
from typing import Final

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed
from tests.drills.program import Outcome, main, quantile
from tests.drills.stage import Stage, stage_set

_ROWS: Final = 20_000
_AWAY_SECONDS_MAX: Final = 15.0
_GO_ON_SECONDS_MAX: Final = 30.0
_RESTARTS_OF_A_RUN_MAX: Final = 3


def _batches(stage: Stage, run_id: int) -> int:
    ((count,),) = stage.query("SELECT COUNT(*) FROM sync_batches WHERE sync_run_id = %s", run_id)
    return int(count)


def _restart(stage: Stage, run_id: int, away_seconds: float) -> float:
    """Kill MariaDB, start it again; the seconds that the run took to go on.

    Raises:
        ViolationError
    """
    stage.database_server.kill()
    stage.blink()
    time.sleep(away_seconds)
    stage.database_server.start()
    began = time.monotonic()
    before = _batches(stage, run_id)
    while _batches(stage, run_id) == before:
        status = stage.owner(run_id)[0]
        if status == "completed":
            break
        seconds = time.monotonic() - began
        if status == "failed" or seconds > _GO_ON_SECONDS_MAX:
            raise ViolationError(
                f"run {run_id} is {status} {seconds:.1f} s after MariaDB was back; it was away {away_seconds:.1f} s"
            )
        time.sleep(0.02)
    return time.monotonic() - began


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> None:
    """Runs until MariaDB was restarted so often."""
    chance = random.Random(seed)
    waits: list[float] = []
    number = 0
    while len(waits) < count:
        catalogue = Catalogue(f"catalogue-{number}.csv", _ROWS)
        number += 1
        stage.put(catalogue)
        stage.wait_until_up()
        run_id = stage.trigger(catalogue.name)
        for _ in range(min(_RESTARTS_OF_A_RUN_MAX, count - len(waits))):
            batches = _batches(stage, run_id)
            wanted = batches + chance.randint(0, 25)
            while _batches(stage, run_id) < wanted and stage.owner(run_id)[0] != "completed":
                time.sleep(0.01)
            if stage.owner(run_id)[0] == "completed":
                break
            try:
                waits.append(_restart(stage, run_id, chance.random() ** 2 * _AWAY_SECONDS_MAX))
            except ViolationError as violation:
                # A run that has ended for good is counted, and the drill goes on with another one.
                outcome.failures.append(f"seed {seed}, restart {outcome.done + 1}: {violation}")
                waits.append(_GO_ON_SECONDS_MAX)
            outcome.done = len(waits)
            outcome.figures["went on p50 s"] = round(quantile(waits, 0.5), 1)
            outcome.figures["max s"] = round(max(waits), 1)
            if outcome.failures and stage.owner(run_id)[0] == "failed":
                break
        else:
            stage.end(run_id)
        if stage.owner(run_id)[0] == "failed":
            continue
        stage.end(run_id)
        check_completed(stage.eye, run_id, catalogue)
        outcome.add("runs")


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of two replicas with the default lease."""
    with stage_set(
        2, LEASE_TTL_SECONDS=8, HEARTBEAT_INTERVAL_SECONDS=2, POLL_INTERVAL_SECONDS=1, CSV_BLOCK_BYTES=8192
    ) as stage:
        play(stage, seed, count, outcome)


if __name__ == "__main__":
    main("database_restart", __doc__, drill, 20)
