"""Score card 11: black hole, resets, 1 KB/s and 2 s of delay, on the way to the database and to the source, mid-run.

Database: the replica that owns the run gets the bad line, a second one a good line; the run has to be completed within its
deadline. Source: the run has to end within its deadline, completed or failed with a reason of the source. Then the line is
good again: the replica has to answer many calls at once and to bring a new run to its end, with no connection too many.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from techaura_sync import SyncClient

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed, query
from tests.drills.fault_proxy import FaultProxy, ProxyThread, Weather
from tests.drills.program import Outcome, main
from tests.drills.stage import Stage, stage_set
from tests.support.items_api import ItemsApi, items_api

FAULTS: Final = ("black hole", "reset", "1 KB/s", "2 s delay")
_ROWS: Final = 20_000
_ITEMS: Final = 1_500
_POOL_SIZE_MAX: Final = 6
_DEADLINE_SECONDS: Final = 90.0
_RESETS: Final = 15
_CALLS: Final = 24
_SOURCE_OPTIONS: Final = {
    "auth": {"type": "bearer", "token": "t0ken"},
    "fieldMapping": {"title": "name", "artist": "by.name"},
    "pagination": {"enabled": True, "type": "page"},
}


def worsen(weather: Weather, fault: str) -> None:
    """Make a line bad."""
    weather.is_black_hole = fault == "black hole"
    weather.bytes_per_second = 1024 if fault == "1 KB/s" else 0
    weather.delay_seconds = 2.0 if fault == "2 s delay" else 0.0


def clear(proxy: FaultProxy, fault: str) -> None:
    """Make it good again; what hangs in a black hole is lost."""
    if fault == "black hole":
        proxy.reset_all()
    proxy.weather.is_black_hole, proxy.weather.bytes_per_second, proxy.weather.delay_seconds = False, 0, 0.0


def on_database(stage: Stage, fault: str, chance: random.Random, outcome: Outcome) -> float | None:
    """A bad line between a run's owner and the database; the seconds until the run was completed; None: too late."""
    catalogue = Catalogue(f"catalogue-{time.monotonic_ns()}.csv", _ROWS)
    stage.put(catalogue)
    run_id = stage.trigger(catalogue.name)
    _status, _epoch, owner = stage.wait(run_id, lambda status, _epoch: status == "in_progress")
    time.sleep(chance.random() * 0.5)
    proxy = stage.proxies[owner or 0]
    began = time.monotonic()
    worsen(proxy.weather, fault)
    is_late = stage.owner(run_id)[0] == "completed"
    for _ in range(_RESETS if fault == "reset" else 0):
        proxy.reset_all()
        time.sleep(0.2)
    status = stage.end(run_id, seconds=_DEADLINE_SECONDS)
    seconds = time.monotonic() - began
    clear(proxy, fault)
    if status != "completed":
        raise ViolationError(f"database, {fault}: run {run_id} ended as {status}")
    check_completed(stage.eye, run_id, catalogue)
    _check_health(stage, owner or 0, fault)
    return None if is_late else seconds


def on_source(stage: Stage, api: ItemsApi, proxy: FaultProxy, fault: str, outcome: Outcome) -> float | None:
    """A bad line to the source; the seconds until the run had ended; None: too late."""
    name = f"drill={time.monotonic_ns()}"
    url = f"http://127.0.0.1:{proxy.port}/items?{name}"
    run_id = stage.trigger(url, "api", _SOURCE_OPTIONS)
    while not stage.query("SELECT 1 FROM sync_batches WHERE sync_run_id = %s LIMIT 1", run_id):
        if stage.owner(run_id)[0] in ("completed", "failed"):
            break
        time.sleep(0.01)
    began = time.monotonic()
    proxy.weather.is_down = fault == "reset"
    worsen(proxy.weather, fault)
    if fault == "reset":
        proxy.reset_all()
    is_late = stage.owner(run_id)[0] == "completed"
    status = stage.end(run_id, seconds=_DEADLINE_SECONDS)
    seconds = time.monotonic() - began
    clear(proxy, fault)
    proxy.weather.is_down = False
    ((reason, message),) = stage.query("SELECT error_reason, error_message FROM sync_runs WHERE id = %s", run_id)
    if status == "failed" and (not str(reason).startswith("SOURCE_") or not message):
        raise ViolationError(f"source, {fault}: run {run_id} failed with {reason}")
    outcome.figures[f"source {fault} ended"] = f"{status}{' ' + reason if reason else ''}"
    again = stage.trigger(url, "api", _SOURCE_OPTIONS)
    if stage.end(again, seconds=_DEADLINE_SECONDS) != "completed":
        raise ViolationError(f"source, {fault}: run {again} with a good line ended as {stage.owner(again)[0]}")
    rows = query(
        stage.eye,
        "SELECT external_id, title FROM content_index WHERE source_identifier LIKE %s",
        f"%{name}",
    )
    if sorted(rows) != sorted((str(n), f"song {n}") for n in range(_ITEMS)):
        raise ViolationError(f"source, {fault}: the target has {len(rows)} rows of {_ITEMS}, or others")
    return None if is_late else seconds


def _check_health(stage: Stage, index: int, fault: str) -> None:
    """The replica whose line was bad answers many calls at once and holds no more connections than its pool may."""
    service = stage.replicas[index]
    assert service is not None
    with SyncClient(service.grpc_target) as client, ThreadPoolExecutor(_CALLS) as pool:
        for answer in [pool.submit(client.stats) for _ in range(_CALLS)]:
            if answer.result(30).completed < 1:
                raise ViolationError(f"database, {fault}: a replica counts no completed run")
    ((count,),) = stage.query("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = %s", stage.database)
    if count > _POOL_SIZE_MAX * len(stage.replicas) + 1:
        raise ViolationError(f"database, {fault}: {count} connections are open")
    catalogue = Catalogue(f"after-{time.monotonic_ns()}.csv", 300)
    stage.put(catalogue)
    run_id = stage.trigger(catalogue.name)
    stage.end(run_id, seconds=30)
    check_completed(stage.eye, run_id, catalogue)


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """Each fault on both lines, `count` times."""
    chance = random.Random(seed)
    settings: dict[str, Any] = {
        "CSV_BLOCK_BYTES": 4096,
        "HTTP_BATCH_ROWS": 100,
        "DATABASE_POOL_SIZE_MAX": _POOL_SIZE_MAX,
        "DATABASE_TIMEOUT_SECONDS": 15,
        "HTTP_TIMEOUT_SECONDS": 5,
        "HTTP_RETRY_ATTEMPTS_MAX": 2,
        "HTTP_RETRY_WAIT_SECONDS_MAX": 2,
        "STALL_TIMEOUT_SECONDS": 10,
    }
    longest: dict[str, float] = {}
    with (
        stage_set(2, **settings) as stage,
        ProxyThread() as thread,
        items_api(count=_ITEMS, pause_seconds=0.005) as api,
    ):
        source = FaultProxy(thread, int(api.url.split(":")[2].split("/")[0]))
        for _ in range(count):
            for fault in FAULTS:
                for place in ("database", "source"):
                    try:
                        if place == "database":
                            seconds = on_database(stage, fault, chance, outcome)
                        else:
                            seconds = on_source(stage, api, source, fault, outcome)
                    except ViolationError as violation:
                        outcome.failures.append(f"seed {seed}: {violation}")
                        for proxy in (*stage.proxies, source):
                            clear(proxy, fault)
                    else:
                        if seconds is None:
                            outcome.add("too late")
                            continue
                        name = f"{place} {fault} s"
                        longest[name] = round(max(longest.get(name, 0.0), seconds), 1)
                    outcome.done += 1
                    outcome.figures |= longest


if __name__ == "__main__":
    main("bad_network", __doc__, drill, 5)
