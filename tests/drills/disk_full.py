"""Score card 13: the database has no space left in the middle of a run.

InnoDB itself ends when a real disk is full under its files (seen with a tmpfs of 256 MiB: that is then drill 10). So its one
tablespace may not grow past a limit here, and a table of ballast leaves the run too little of it. The run has to end as
failed with DATABASE_FULL, with nothing but whole batches in the target; once the ballast is gone, the same source has to be
completed.
"""

from __future__ import annotations

import random
from typing import Final

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed, check_partial, check_target
from tests.drills.program import Outcome, main
from tests.drills.stage import Stage, stage_set
from tests.support.database_server import server_running

_LIMITED: Final = ("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:72M")
_ROWS: Final = 60_000
_FAIL_SECONDS_MAX: Final = 90.0
_BALLAST_MIB: Final = (36, 46)


class Ballast:
    """A table that takes room from the others."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def fill(self, mib: int) -> None:
        """Take so much."""
        self._stage.query("CREATE TABLE ballast (piece LONGBLOB) ENGINE=InnoDB")
        for _ in range(mib):
            self._stage.query("INSERT INTO ballast VALUES (REPEAT('x', 1048576))")

    def drop(self) -> None:
        """Give it back."""
        self._stage.query("DROP TABLE ballast")


def _fill_once(stage: Stage, ballast: Ballast, chance: random.Random, catalogue: Catalogue, outcome: Outcome) -> None:
    stage.put(catalogue)
    ballast.fill(chance.randint(*_BALLAST_MIB))
    run_id = stage.trigger(catalogue.name)
    status = stage.end(run_id, seconds=_FAIL_SECONDS_MAX, revive=False)
    outcome.add(status)
    if status == "failed":
        ((reason, message),) = stage.query("SELECT error_reason, error_message FROM sync_runs WHERE id = %s", run_id)
        outcome.add(str(reason))
        if reason != "DATABASE_FULL" or not message:
            raise ViolationError(f"run {run_id} failed with {reason}: {message}")
        check_partial(stage.eye, run_id, catalogue)
    ballast.drop()
    if status == "failed":
        before = catalogue.expected().rows
        again = stage.trigger(catalogue.name)
        if stage.end(again) != "completed":
            raise ViolationError(f"run {again} with room on the disk is {stage.owner(again)[0]}")
        _check_whole(stage, again, catalogue, before)
    else:
        check_completed(stage.eye, run_id, catalogue)


def _check_whole(stage: Stage, run_id: int, catalogue: Catalogue, rows: dict[str, tuple[str, str, str]]) -> None:
    ((inserted, updated, unchanged),) = stage.query(
        "SELECT rows_inserted, rows_updated, rows_unchanged FROM sync_runs WHERE id = %s", run_id
    )
    if updated or inserted + unchanged != len(rows):
        raise ViolationError(
            f"run {run_id} inserted {inserted}, updated {updated}, left {unchanged} of {len(rows)} rows"
        )
    check_target(stage.eye, catalogue.name, rows)


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On stages of one replica, whose MariaDB may not grow."""
    chance = random.Random(seed)
    for number in range(count):
        # A tablespace gives room back only in its own time, so each has a fresh one.
        with (
            server_running(options=_LIMITED) as database_server,
            stage_set(1, database_server=database_server) as stage,
        ):
            _fill_once(stage, Ballast(stage), chance, Catalogue(f"catalogue-{number}.csv", _ROWS), outcome)
        outcome.done += 1
    if not outcome.figures.get("failed"):
        raise ViolationError("the database was never full")


if __name__ == "__main__":
    main("disk_full", __doc__, drill, 5)
