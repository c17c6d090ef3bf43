"""A little of each drill with real processes in every test run; `./scripts/drill NAME` is the whole of it.

Also that the oracle sees what it must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.drills import cancelled_watches, commit_unknown, injected_errors, retried_triggers, sigterm, stopped_owner
from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed
from tests.drills.kill_points import KillDrill
from tests.drills.program import Outcome
from tests.drills.stage import Stage, stage_set
from tests.support.database_server import DatabaseServer

TWICE = (
    "INSERT INTO sync_errors (sync_run_id, error_type, error_message, error_code, line_no) SELECT sync_run_id, error_type, "
    "error_message, error_code, line_no FROM sync_errors WHERE sync_run_id = {run_id} LIMIT 1"
)
Play = Callable[[Stage, int, int, Outcome], None]


@pytest.fixture(scope="module")
def stage(database_server: DatabaseServer) -> Iterator[Stage]:
    """Two replicas with a short lease."""
    with stage_set(2, database_server=database_server, LEASE_TTL_SECONDS=1, HEARTBEAT_INTERVAL_SECONDS=0.3) as made:
        yield made


@pytest.fixture(scope="module")
def single(database_server: DatabaseServer) -> Iterator[Stage]:
    """One replica."""
    with stage_set(1, database_server=database_server) as made:
        yield made


def test_kills_at_named_points(stage: Stage) -> None:
    outcome = Outcome()
    KillDrill(stage, 1, outcome).run_named([("checkpoint", False), ("commit_checkpoint", True)], is_fresh=True)
    assert outcome.done == 2


def test_triggers_that_are_sent_again(stage: Stage) -> None:
    outcome = Outcome()
    retried_triggers.play(stage, 1, 20, outcome)
    assert outcome.done == 20


def test_a_stopped_owner(stage: Stage) -> None:
    outcome = Outcome()
    stopped_owner.play(stage, 1, 1, outcome)
    assert outcome.done == 1


@pytest.mark.parametrize(
    ("play", "count", "done"),
    [
        (commit_unknown.play, 4, 4),
        (injected_errors.play, 2, 8),
        (sigterm.play, 1, 1),
        (cancelled_watches.play, 100, 100),
    ],
    ids=["commit unknown", "injected errors", "sigterm", "cancelled watches"],
)
def test_a_drill_with_one_replica(single: Stage, play: Play, count: int, done: int) -> None:
    outcome = Outcome()
    play(single, 1, count, outcome)
    assert outcome.done == done


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM content_index WHERE source_identifier = '{name}' LIMIT 1",
        "UPDATE content_index SET title = 'x' WHERE source_identifier = '{name}' LIMIT 1",
        "INSERT INTO content_index (content_type, title, source_type, source_identifier) VALUES ('a', 'x', 'csv', '{name}')",
        "DELETE FROM sync_batches WHERE batch_no = 2 AND sync_run_id = {run_id}",
        "UPDATE sync_batches SET lease_epoch = 9 WHERE batch_no = 1 AND sync_run_id = {run_id}",
        "UPDATE sync_runs SET rows_inserted = rows_inserted - 1 WHERE id = {run_id}",
        "DELETE FROM sync_errors WHERE sync_run_id = {run_id} LIMIT 1",
        TWICE,
    ],
    ids=["lost", "altered", "too many", "no batch", "stale writer", "ledger", "not listed", "listed twice"],
)
def test_the_oracle_sees_damage(single: Stage, damage: str, request: pytest.FixtureRequest) -> None:
    catalogue = Catalogue(f"damage-{request.node.callspec.indices['damage']}.csv", 900)
    single.put(catalogue)
    run_id = single.trigger(catalogue.name)
    single.end(run_id)
    check_completed(single.eye, run_id, catalogue)
    single.query(damage.format(name=catalogue.name, run_id=run_id))
    with pytest.raises(ViolationError):
        check_completed(single.eye, run_id, catalogue)
