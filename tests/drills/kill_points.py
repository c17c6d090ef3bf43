"""Score card 6: kill -9 at named and at random points of a run.

Named points are statements as a fault proxy sees them, before they reach MariaDB or after they were executed but before
the answer is back; the n-th of its kind, n by chance. Random points are moments. A second replica takes the run over, the
dead one is started again, and at the end of each run the oracle compares every row.
"""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import Final

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed
from tests.drills.fault_proxy import Strike
from tests.drills.program import Outcome, main
from tests.drills.stage import LOADERS, Stage, stage_set
from tests.drills.statements import Statement
from tests.drills.takeover import is_taken_after

# Statements of a first load (fresh) and of one over rows that are there (again); the number is the highest n.
_BOTH: Final = {
    "begin_batch": 12, "checkpoint": 12, "hold_lease": 12, "commit_checkpoint": 12, "insert_errors": 3,
    "renew": 2, "commit_renew": 2, "note_source": 1, "note_digest": 1, "complete": 1, "commit_complete": 1,
    "look_for_run": 1, "claim": 1, "commit_claim": 1, "count_target": 1, "warnings": 9,
}  # fmt: skip
FRESH: Final = _BOTH | {"insert_direct": 12, "savepoint": 9, "release_savepoint": 9}
AGAIN: Final = _BOTH | {
    "load_staging": 12, "make_staging": 9, "make_changes": 9, "compare": 9, "update_rows": 9, "drop_staging": 9,
    "insert_staged": 1,
}  # fmt: skip
_KILLS_OF_A_RUN_MAX: Final = 4
_POINT_SECONDS_MAX: Final = 20.0
_ROWS: Final = 8_000


class Point:
    """Kills the replica that sends the n-th statement of a kind."""

    def __init__(self, stage: Stage, kind: str, number: int, *, is_after: bool) -> None:
        self._stage = stage
        self._kind = kind
        self._left = number
        self._is_after = is_after
        self.struck = threading.Event()

    def __call__(self, statement: Statement) -> Strike | None:
        if statement.kind != self._kind or self.struck.is_set():
            return None
        self._left -= 1
        if self._left > 0:
            return None
        self._left = 1 << 30
        return Strike(is_after=self._is_after, act=lambda: self._act(statement.replica))

    def _act(self, replica: int) -> None:
        self._stage.kill(replica)
        self.struck.set()


def named_points() -> list[tuple[bool, str, bool]]:
    """(first load, kind, after its execution) of every named point."""
    return [
        (is_fresh, kind, is_after)
        for is_fresh, kinds in ((True, FRESH), (False, AGAIN))
        for kind in kinds
        for is_after in (False, True)
    ]


class KillDrill:
    """One stage and what was done on it."""

    def __init__(self, stage: Stage, seed: int, outcome: Outcome) -> None:
        self._stage = stage
        self._chance = random.Random(seed)
        self._outcome = outcome
        self._catalogue: Catalogue | None = None
        self._runs = 0
        self.unreached: list[str] = []

    def _prepare(self, *, is_fresh: bool) -> Catalogue:
        """The next source: a new one, or the next version of one that is loaded."""
        catalogue = self._catalogue
        if is_fresh or catalogue is None:
            catalogue = Catalogue(f"catalogue-{self._runs}.csv", _ROWS)
            self._catalogue = catalogue
            if not is_fresh:
                self._stage.put(catalogue)
                self._stage.end(self._stage.trigger(catalogue.name))
                catalogue.advance()
        else:
            catalogue.advance()
        self._runs += 1
        self._stage.put(catalogue)
        return catalogue

    def run_named(self, points: list[tuple[str, bool]], *, is_fresh: bool) -> None:
        """One run with a few named points, each after the run was taken over from the one before."""
        catalogue = self._prepare(is_fresh=is_fresh)
        self._stage.wait_until_up()
        kinds = FRESH if is_fresh else AGAIN
        run_id, kills = 0, 0
        for kind, is_after in points:
            number = self._chance.randint(1, kinds[kind])
            point = Point(self._stage, kind, number, is_after=is_after)
            self._stage.judge = point
            run_id = run_id or self._stage.trigger(catalogue.name)
            self._await(run_id, point)
            self._stage.judge = None
            if point.struck.is_set():
                kills += 1
                self._outcome.done += 1
                self._outcome.add("named")
            else:
                self.unreached.append(f"{kind} {'after' if is_after else 'before'}")
        self._check(run_id, catalogue, kills)

    def _await(self, run_id: int, point: Point) -> None:
        deadline = time.monotonic() + _POINT_SECONDS_MAX
        while not point.struck.is_set() and time.monotonic() < deadline:
            status, _epoch, _owner = self._stage.owner(run_id)
            if status == "completed" and not point.struck.wait(0.3):
                return
            self._stage.revive()
            time.sleep(0.005)

    def run_random(self, kills_wanted: int, *, is_fresh: bool) -> None:
        """One run with kills at random moments of its owner's work."""
        catalogue = self._prepare(is_fresh=is_fresh)
        self._stage.wait_until_up()
        run_id, kills, epoch = self._stage.trigger(catalogue.name), 0, 0
        while kills < kills_wanted:
            status, epoch, owner = self._stage.wait(run_id, partial(is_taken_after, epoch))
            if status != "in_progress" or owner is None:
                break
            time.sleep(self._chance.random() * 1.6)
            status, now, owner = self._stage.owner(run_id)
            if status != "in_progress" or now != epoch or owner is None:
                break
            self._stage.kill(owner)
            kills += 1
            self._outcome.done += 1
            self._outcome.add("random")
        self._check(run_id, catalogue, kills)

    def _check(self, run_id: int, catalogue: Catalogue, kills: int) -> None:
        self._stage.end(run_id)
        check_completed(self._stage.eye, run_id, catalogue)
        again = self._stage.begun_again(run_id)
        self._outcome.add("batches begun again", again)
        if again > kills * LOADERS:
            raise ViolationError(f"run {run_id}: {again} batches begun again after {kills} kills")
        self._outcome.add("runs")
        self._stage.query("DELETE FROM sync_batches WHERE sync_run_id < %s", run_id)


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """Every named point once (as far as `count` goes), then random points."""
    chance = random.Random(seed)
    points = named_points()
    chance.shuffle(points)
    named = points[: max(1, min(len(points), count // 3))]
    # Two kills on the way to the end and the shortest-lived statements apart, so that runs are long enough for all.
    with stage_set(2, LEASE_TTL_SECONDS=1, HEARTBEAT_INTERVAL_SECONDS=0.3) as stage:
        story = KillDrill(stage, seed, outcome)
        for is_fresh in (True, False):
            chosen = [(kind, is_after) for fresh, kind, is_after in named if fresh is is_fresh]
            chosen.sort(key=lambda point: _place(point[0]))
            rounds = -(-len(chosen) // _KILLS_OF_A_RUN_MAX) or 1
            for index in range(rounds):
                if some := chosen[index::rounds]:
                    story.run_named(some, is_fresh=is_fresh)
        while outcome.done < count:
            story.run_random(min(_KILLS_OF_A_RUN_MAX, count - outcome.done), is_fresh=chance.random() < 0.5)
    outcome.figures["points not reached"] = len(story.unreached)
    if story.unreached:
        outcome.figures["namely"] = " / ".join(story.unreached)


def _place(kind: str) -> int:
    """Where in a run a statement stands, roughly: claims first, the end last."""
    early = ("look_for_run", "claim", "commit_claim", "note_source", "note_digest")
    late = ("count_target", "complete", "commit_complete")
    return early.index(kind) - 10 if kind in early else 10 + late.index(kind) if kind in late else 0


if __name__ == "__main__":
    main("kill_points", __doc__, drill, 270)
