"""Score card 17: thousands of watch streams, opened and cancelled; nothing of them stays in the server.

Measured on the process from outside: resident memory, threads, sockets and connections to the database, after a first
thousand streams (which fill pools and caches) and at the end. That no task stays is seen in the server's own statistics of
the run: the follower of a run that nobody watches asks the database nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any, Final

import grpc
from techaura.sync.v1 import sync_service_pb2, sync_service_pb2_grpc

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError
from tests.drills.program import Outcome, main
from tests.drills.stage import Stage, stage_set

_AT_ONCE: Final = 100
_WARM_UP: Final = 1_000
_RSS_MIB_MAX: Final = 16.0
_QUIET_SECONDS: Final = 3.0


def _figures(pid: int) -> tuple[float, int, int]:
    """(resident MiB, threads, open sockets) of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    sockets = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets += str(link.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return pages * 4096 / 2**20, len(list(Path(f"/proc/{pid}/task").iterdir())), sockets


async def _watch_and_cancel(stub: sync_service_pb2_grpc.SyncServiceStub, run_id: int, chance: random.Random) -> None:
    call: Any = stub.GetSyncStatus(sync_service_pb2.GetSyncStatusRequest(sync_run_id=run_id, watch=True))
    how = chance.random()
    if how < 0.7:
        await call.read()
    elif how < 0.9:
        await asyncio.sleep(chance.random() * 0.02)
    call.cancel()


async def _storm(target: str, run_id: int, count: int, chance: random.Random) -> None:
    done = 0
    while done < count:
        # A new connection every so often: half of the clients vanish with theirs.
        async with grpc.aio.insecure_channel(target) as channel:
            stub = sync_service_pb2_grpc.SyncServiceStub(channel)
            for _ in range(5):
                some = min(_AT_ONCE, count - done)
                await asyncio.gather(*(_watch_and_cancel(stub, run_id, chance) for _ in range(some)))
                done += some


def _reads_when_nobody_watches(stage: Stage) -> int:
    """How often the run's row is read within the quiet time; a follower that was left behind does so twice a second."""
    time.sleep(1.0)
    before = stage.kinds["look_at_run"]
    time.sleep(_QUIET_SECONDS)
    return stage.kinds["look_at_run"] - before


def play(stage: Stage, seed: int, count: int, outcome: Outcome) -> None:
    """Watch one paused run and cancel, so often.

    Raises:
        ViolationError
    """
    chance = random.Random(seed)
    service = stage.replicas[0]
    assert service is not None
    catalogue = Catalogue("watched.csv", 200)
    stage.put(catalogue)
    ((run_id,),) = _paused_run(stage)
    asyncio.run(_storm(service.grpc_target, run_id, min(_WARM_UP, count), chance))
    quiet_before = _reads_when_nobody_watches(stage)
    before = _figures(service.process.pid)
    asyncio.run(_storm(service.grpc_target, run_id, count, chance))
    outcome.done = count
    quiet_after = _reads_when_nobody_watches(stage)
    after = _figures(service.process.pid)
    ((connections,),) = stage.query("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = %s", stage.database)
    outcome.figures |= {
        "RSS MiB": f"{before[0]:.1f} -> {after[0]:.1f}",
        "threads": f"{before[1]} -> {after[1]}",
        "sockets": f"{before[2]} -> {after[2]}",
        "database connections": connections,
        "reads of the run when quiet": f"{quiet_before} -> {quiet_after}",
    }
    if after[0] - before[0] > _RSS_MIB_MAX:
        raise ViolationError(f"memory grew by {after[0] - before[0]:.1f} MiB")
    # The pool may have opened what it may have; a socket per stream would be thousands.
    if after[1] > before[1] + 2 or after[2] > before[2] + 10:
        raise ViolationError(f"threads or sockets stayed: {before[1:]} -> {after[1:]}")
    if quiet_after > quiet_before:
        raise ViolationError(f"followers stayed: {quiet_after} reads of the run in a quiet time, before {quiet_before}")


def _paused_run(stage: Stage) -> list[tuple[int]]:
    """A run that does not end while it is watched."""
    stage.query(
        "INSERT INTO sync_runs (source_type, source_identifier, status, paused, sync_metadata) "
        "VALUES ('csv', 'watched.csv', 'pending', 1, '{}')"
    )
    return [(int(row[0]),) for row in stage.query("SELECT MAX(id) FROM sync_runs")]


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a stage of one replica."""
    with stage_set(1) as stage:
        play(stage, seed, count, outcome)


if __name__ == "__main__":
    main("cancelled_watches", __doc__, drill, 20_000)
