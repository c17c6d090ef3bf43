"""What drills have found once, told again in small."""

from __future__ import annotations

from itertools import count

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import check_completed
from tests.drills.fault_proxy import Strike
from tests.drills.stage import stage_set
from tests.drills.statements import Statement
from tests.support.database_server import DatabaseServer


def test_a_run_outlives_a_database_that_is_away_for_longer_than_a_batch_is_tried(
    database_server: DatabaseServer,
) -> None:
    """Drill database_restart, seed 1: MariaDB was away for 4.9 s, and the run failed until the next night."""
    tries = count()

    def judge(statement: Statement) -> Strike | None:
        return Strike() if statement.kind == "checkpoint" and 2 <= next(tries) < 6 else None

    with stage_set(1, database_server=database_server, BATCH_RETRY_ATTEMPTS_MAX=2, LOADERS_MAX=1) as stage:
        catalogue = Catalogue("catalogue.csv", 1500)
        stage.put(catalogue)
        stage.judge = judge
        run_id = stage.trigger(catalogue.name)
        stage.end(run_id)
        check_completed(stage.eye, run_id, catalogue)
    assert next(tries) > 6
