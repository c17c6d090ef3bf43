"""Kind 13: the node of a replica is killed under load and stays away; the replica goes on through another one of its URL.

A cluster of three nodes, one replica whose URL names them all. The figures are the seconds from the kill to the next
committed batch, and the log lines that the replica needed for all of it. Each run is compared with its file row by row.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pymysql
from techaura_sync import SyncClient, sync_spec

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, check_completed, query
from tests.drills.program import Outcome, main, quantile
from tests.support.database_server import PASSWORD, USER, MariaDb
from tests.support.galera import galera_missing, galera_running, wait_for_size
from tests.support.service import Service, environment, service_running

_ROWS: Final = 30_000
_GO_ON_SECONDS_MAX: Final = 10.0
_END_SECONDS_MAX: Final = 120.0
_LINES_OF_ONE_KIND_MAX: Final = 4


class Play:
    """One replica on a cluster."""

    def __init__(self, nodes: list[MariaDb], service: Service, database: str, folder: Path) -> None:
        self._nodes, self._service, self._database, self._folder = nodes, service, database, folder
        self._eye: pymysql.connections.Connection | None = None

    def kill_once(self, catalogue: Catalogue, chance: random.Random) -> tuple[float, list[dict[str, Any]]]:
        """One run whose node is killed in its middle: seconds until it went on, lines that the log has of it.

        Raises:
            ViolationError
        """
        (self._folder / catalogue.name).write_bytes(catalogue.content())
        logged = len(self._service.log().splitlines())
        with SyncClient(self._service.grpc_target) as client:
            (answer,) = client.trigger(sync_spec("csv", catalogue.name), detach=True)
        run_id = int(answer.accepted.sync_run_id)
        used = self._used_node()
        self._look_from(next(node for node in self._nodes if node is not used))
        self._until(lambda: self._batches(run_id) > chance.randint(1, 20), "has not begun", run_id)
        used.kill()
        killed, before = time.monotonic(), self._batches(run_id)
        self._until(lambda: self._batches(run_id) > before, "has not gone on", run_id)
        seconds = time.monotonic() - killed
        self._until(lambda: self._status(run_id) != "in_progress", "has not ended", run_id)
        assert self._eye is not None
        check_completed(self._eye, run_id, catalogue)
        lines = [json.loads(line) for line in self._service.log().splitlines()[logged:]]
        used.start()
        for node in self._nodes:
            wait_for_size(node, len(self._nodes))
        return seconds, lines

    def _used_node(self) -> MariaDb:
        ends = time.monotonic() + _END_SECONDS_MAX
        while time.monotonic() < ends:
            for node in self._nodes:
                if node.execute(f"SELECT 1 FROM information_schema.processlist WHERE user = '{USER}'"):
                    return node
        raise ViolationError("the replica is connected to no node")

    def _look_from(self, node: MariaDb) -> None:
        if self._eye is not None:
            self._eye.close()
        # What other nodes have committed is waited for.
        self._eye = node.connect(self._database, init_command="SET SESSION wsrep_sync_wait = 1")

    def _until(self, condition: Any, what: str, run_id: int) -> None:
        ends = time.monotonic() + _END_SECONDS_MAX
        while not condition():
            if time.monotonic() > ends:
                raise ViolationError(
                    f"run {run_id} {what} after {_END_SECONDS_MAX:.0f} s; it is {self._status(run_id)}"
                )
            time.sleep(0.02)

    def _query(self, sql: str, run_id: int) -> Any:
        assert self._eye is not None
        try:
            ((value,),) = query(self._eye, sql, run_id)
        except pymysql.err.OperationalError as error:
            # For the moment in which the cluster agrees on who is left.
            if error.args[0] != 1047:
                raise
            return None
        return value

    def _batches(self, run_id: int) -> int:
        return int(self._query("SELECT COUNT(*) FROM sync_batches WHERE sync_run_id = %s", run_id) or 0)

    def _status(self, run_id: int) -> str:
        return str(self._query("SELECT status FROM sync_runs WHERE id = %s", run_id) or "in_progress")


def play(nodes: list[MariaDb], folder: Path, seed: int, count: int, outcome: Outcome) -> None:
    """So many runs, each with a kill."""
    chance = random.Random(seed)
    database = nodes[0].new_database()
    places = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    url = f"mysql+aiomysql://{USER}:{PASSWORD}@{places}/{database}"
    environ = environment(url, folder, LEASE_TTL_SECONDS=8, HEARTBEAT_INTERVAL_SECONDS=2, CSV_BLOCK_BYTES=8192)
    waits: list[float] = []
    said: Counter[str] = Counter()
    with service_running(folder, environ) as service:
        drill_play = Play(nodes, service, database, folder)
        for number in range(count):
            seconds, lines = drill_play.kill_once(Catalogue(f"catalogue-{number}.csv", _ROWS), chance)
            waits.append(seconds)
            outcome.done = len(waits)
            kinds = Counter(f"{line['event']} {line.get('reason', '')}".strip() for line in lines)
            said.update(kinds)
            outcome.figures |= {"went on p50 s": round(quantile(waits, 0.5), 1), "max s": round(max(waits), 1)}
            outcome.figures["log lines"] = sum(said.values())
            if seconds > _GO_ON_SECONDS_MAX:
                outcome.failures.append(f"seed {seed}, kill {number + 1}: went on after {seconds:.1f} s")
            if kinds["database_host_changed"] != 1:
                outcome.failures.append(f"seed {seed}, kill {number + 1}: the change of host is not said once: {kinds}")
            if any("exception" in line for line in lines):
                outcome.failures.append(f"seed {seed}, kill {number + 1}: the log has a traceback")
            outcome.failures += [
                f"seed {seed}, kill {number + 1}: said {times} times: {kind}"
                for kind, times in kinds.items()
                if times > _LINES_OF_ONE_KIND_MAX
            ]


def drill(seed: int, count: int, outcome: Outcome) -> None:
    """On a cluster of its own."""
    if missing := galera_missing():
        raise ViolationError(missing)
    with galera_running() as nodes, tempfile.TemporaryDirectory(prefix="techaura-drill-") as folder:
        play(nodes, Path(folder), seed, count, outcome)


if __name__ == "__main__":
    main("galera", __doc__, drill, 5)
