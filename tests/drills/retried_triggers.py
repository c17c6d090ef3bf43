"""Triggers that are sent again: many callers send the same one to three replicas at once, which are killed meanwhile.

Each round has a source and an idempotency key of its own. Whatever is answered is the same run; the database has one run of the
source, one use of the key and one audit entry, also where that run has ended long before the last caller tries.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from techaura_sync import SyncClient, SyncServiceError, sync_spec

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed
from tests.drills.program import Outcome, main
from tests.drills.stage import Stage, stage_set

_ROUND: Final = 1000
_CALLERS: Final = 8
_ROWS: Final = 2_000
_TRIES_MAX: Final = 400
_TRY_AGAIN_SECONDS: Final = 0.05


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> None:
    """Rounds until so many triggers were answered."""
    chance = random.Random(seed)
    for number in range(-(-count // _ROUND)):
        catalogue = Catalogue(f"again-{number}.csv", _ROWS)
        stage.put(catalogue)
        stage.wait_until_up()
        size = min(_ROUND, count - number * _ROUND)
        (run_id,) = _round(stage, chance, catalogue.name, f"drill-{seed}-{number}", size, outcome)
        stage.wait_until_up()
        stage.end(run_id)
        check_completed(stage.eye, run_id, catalogue)
        _check_one(stage, run_id, catalogue.name, f"drill-{seed}-{number}")
        outcome.add("runs")


def _round(stage: Stage, chance: random.Random, name: str, key: str, size: int, outcome: Outcome) -> set[int]:
    """The ids with which the triggers of a round are answered: one, or the drill ends."""
    over = threading.Event()
    killer = threading.Thread(target=_kill_now_and_then, args=(stage, random.Random(chance.random()), over, outcome))
    killer.start()
    try:
        with ThreadPoolExecutor(_CALLERS) as pool:
            seeds = [chance.random() for _caller in range(size)]
            found = set(pool.map(lambda own: _triggered(stage, random.Random(own), name, key, outcome), seeds))
    finally:
        over.set()
        killer.join()
    outcome.done += size
    if len(found) != 1:
        raise ViolationError(f"{key}: {len(found)} runs were answered: {sorted(found)}")
    return found


def _triggered(stage: Stage, chance: random.Random, name: str, key: str, outcome: Outcome) -> int:
    """What a caller is answered who tries until somebody answers."""
    for _try in range(_TRIES_MAX):
        alive = stage.alive()
        if alive:
            service = chance.choice(alive)
            try:
                with SyncClient(service.grpc_target) as client:
                    (answer,) = client.trigger(sync_spec("csv", name), detach=True, request_id=key)
                    return int(answer.accepted.sync_run_id)
            except SyncServiceError as error:
                if not error.unreachable and error.reason not in (
                    "DATABASE_UNAVAILABLE",
                    "DATABASE_LOCKED",
                    "SHUTTING_DOWN",
                ):
                    raise
                outcome.add("tries again")
        time.sleep(_TRY_AGAIN_SECONDS)
    raise ViolationError(f"{key}: no answer in {_TRIES_MAX} tries")


def _kill_now_and_then(stage: Stage, chance: random.Random, over: threading.Event, outcome: Outcome) -> None:
    wait: Callable[[], float] = lambda: 0.05 + chance.random() * 0.4  # noqa: E731 - one line of one drill
    while not over.wait(wait()):
        if len(stage.alive()) > 1:
            stage.kill(chance.randrange(len(stage.replicas)))
            outcome.add("kills")
        stage.revive()


def _check_one(stage: Stage, run_id: int, name: str, key: str) -> None:
    runs = stage.query("SELECT id FROM sync_runs WHERE source_identifier = %s", name)
    uses = stage.query("SELECT result_id FROM sync_idempotency_keys WHERE idempotency_key = %s", key)
    entries = stage.query("SELECT sync_run_id FROM sync_audit WHERE sync_run_id = %s AND outcome = 'done'", run_id)
    for what, found in (("runs", runs), ("uses of the key", uses), ("audit entries", entries)):
        if list(found) != [(run_id,)]:
            raise ViolationError(f"{key}: the database has these {what}: {found}")


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of three replicas."""
    with stage_set(3, LEASE_TTL_SECONDS=2, HEARTBEAT_INTERVAL_SECONDS=0.5, CSV_BLOCK_BYTES=16_384) as stage:
        play(stage, seed, count, outcome)


if __name__ == "__main__":
    main("retried_triggers", __doc__, drill, 1000)
