"""Score card 12: MariaDB's errors 1205, 1213, 2006 and 2013, each injected at random statements of batches.

The proxy answers the error in MariaDB's place and forwards nothing, so the transaction stays open there, with all that the
batch has written so far: undoing it is the client's business. Every other 2006 and 2013 is a connection that is really cut,
before the statement arrives or after it was executed.
"""

from __future__ import annotations

import random
from typing import Final

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import check_completed
from tests.drills.fault_proxy import Strike
from tests.drills.program import Outcome, main
from tests.drills.stage import Stage, stage_set
from tests.drills.statements import Statement

_CODES: Final = ((1205, "HY000"), (1213, "40001"), (2006, "HY000"), (2013, "HY000"))
_ROWS: Final = 12_000
_STATEMENTS_BETWEEN: Final = (15, 90)


class Injector:
    """Injects one error after the other, so far apart that no batch gets more than it must survive."""

    def __init__(self, chance: random.Random, outcome: Outcome, count: int) -> None:
        self._chance = chance
        self._outcome = outcome
        self._count = count
        self._wait = chance.randint(1, _STATEMENTS_BETWEEN[1])

    def __call__(self, statement: Statement) -> Strike | None:
        if not statement.is_in_batch or statement.kind.startswith("rollback") or self._outcome.done >= self._count:
            return None
        self._wait -= 1
        if self._wait > 0:
            return None
        self._wait = self._chance.randint(*_STATEMENTS_BETWEEN)
        number = self._outcome.done
        code, state = _CODES[number % len(_CODES)]
        self._outcome.done += 1
        self._outcome.add(str(code))
        if code == 2006 and number // len(_CODES) % 2:
            return Strike()
        if code == 2013 and number // len(_CODES) % 2:
            return Strike(is_after=True)
        return Strike(error=(code, state))


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> None:
    """Runs until each code was injected `count` times."""
    chance = random.Random(seed)
    catalogue = Catalogue("injected.csv", _ROWS)
    while outcome.done < count * len(_CODES):
        stage.put(catalogue)
        stage.judge = Injector(chance, outcome, count * len(_CODES))
        run_id = stage.trigger(catalogue.name)
        stage.end(run_id)
        stage.judge = None
        check_completed(stage.eye, run_id, catalogue)
        outcome.add("runs")
        if chance.random() < 0.4:
            catalogue = Catalogue(f"injected-{run_id}.csv", _ROWS)
        else:
            catalogue.advance()


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of one replica. `count` is of each code."""
    with stage_set(1) as stage:
        play(stage, seed, count, outcome)


if __name__ == "__main__":
    main("injected_errors", __doc__, drill, 50)
