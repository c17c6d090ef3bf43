"""Score card 9: the connection is cut between a batch's COMMIT and its answer.

Half of the cuts come after MariaDB has committed; in the other half the COMMIT itself arrives up to a second after the cut,
while the batch is being written again already.
"""

from __future__ import annotations

import random

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import check_completed
from tests.drills.fault_proxy import Strike
from tests.drills.program import Outcome, main
from tests.drills.stage import Stage, stage_set
from tests.drills.statements import Statement

_ROWS = 12_000
_BATCHES_BETWEEN_MAX = 8


class Cutter:
    """Cuts at COMMITs of batches, a few apart."""

    def __init__(self, chance: random.Random, outcome: Outcome, count: int) -> None:
        self._chance = chance
        self._outcome = outcome
        self._count = count
        self._wait = chance.randint(1, _BATCHES_BETWEEN_MAX)

    def __call__(self, statement: Statement) -> Strike | None:
        if statement.kind != "commit_checkpoint" or self._outcome.done >= self._count:
            return None
        self._wait -= 1
        if self._wait > 0:
            return None
        self._wait = self._chance.randint(1, _BATCHES_BETWEEN_MAX)
        self._outcome.done += 1
        if self._chance.random() < 0.5:
            self._outcome.add("arriving late")
            return Strike(late_seconds=self._chance.random())
        self._outcome.add("after it")
        return Strike(is_after=True)


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> None:
    """Runs until so many cuts were made."""
    chance = random.Random(seed)
    catalogue = Catalogue("unknown.csv", _ROWS)
    while outcome.done < count:
        stage.put(catalogue)
        stage.judge = Cutter(chance, outcome, count)
        run_id = stage.trigger(catalogue.name)
        stage.end(run_id)
        check_completed(stage.eye, run_id, catalogue)
        outcome.add("runs")
        if chance.random() < 0.4:
            catalogue = Catalogue(f"unknown-{run_id}.csv", _ROWS)
        else:
            catalogue.advance()


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of one replica."""
    with stage_set(1) as stage:
        play(stage, seed, count, outcome)


if __name__ == "__main__":
    main("commit_unknown", __doc__, drill, 100)
