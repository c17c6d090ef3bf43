"""The stage of a drill with real processes: a private durable server, replicas, and a fault proxy before each."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pymysql
from techaura_sync import SyncClient, SyncServiceError, sync_spec

from tests.drills.catalogue import Catalogue
from tests.drills.exactness import ViolationError, query
from tests.drills.fault_proxy import FaultProxy, ProxyThread, Strike
from tests.drills.statements import Statement
from tests.support.database_server import DatabaseServer, server_running
from tests.support.service import Service, environment, start_service

LOADERS: Final = 2
_END_SECONDS_MAX: Final = 120.0


class Stage:
    """Replicas on one database. Made by `stage_set`.

    Args:
        settings: of every replica, beside those of tests/support/service.py.
    """

    def __init__(
        self,
        folder: Path,
        database_server: DatabaseServer,
        thread: ProxyThread,
        replicas: int,
        settings: dict[str, object],
    ) -> None:
        self.folder = folder
        self.data_root = folder / "data"
        self.data_root.mkdir()
        self.database_server = database_server
        self.database = database_server.new_database()
        self.settings = {"CSV_BLOCK_BYTES": 16_384, "CSV_SETTLE_SECONDS": 0, "LOADERS_MAX": LOADERS} | settings
        self.judge: Callable[[Statement], Strike | None] | None = None
        self.kinds: Counter[str] = Counter()
        self.proxies = [FaultProxy(thread, database_server.port, self._judged, index) for index in range(replicas)]
        self.replicas: list[Service | None] = [None] * replicas
        self._generations = [0] * replicas
        # Which owners began a batch: (run id, batch number) -> (replica, generation).
        self._begun: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        self._pool = ThreadPoolExecutor(max_workers=max(1, replicas))
        self._starting: dict[int, Future[Service]] = {}
        self._eye: pymysql.connections.Connection | None = None

    # ---- what the drill sees with its own eyes

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query on a connection that no proxy touches."""
        return query(self.eye, sql, *values)

    @property
    def eye(self) -> pymysql.connections.Connection:
        """That connection."""
        if self._eye is None:
            self._eye = self.database_server.connect(self.database)
        return self._eye

    def blink(self) -> None:
        """Forget that connection: the server goes away."""
        if self._eye is not None:
            with contextlib.suppress(pymysql.err.Error):
                self._eye.close()
        self._eye = None

    def _judged(self, statement: Statement) -> Strike | None:
        self.kinds[statement.kind] += 1
        if statement.batch is not None:
            self._begun[statement.batch].add((statement.replica, self._generations[statement.replica]))
        judge = self.judge
        return judge(statement) if judge is not None else None

    def begun_again(self, run_id: int) -> int:
        """How often a batch of a run was begun by one more owner."""
        return sum(len(owners) - 1 for (run, _batch), owners in self._begun.items() if run == run_id)

    # ---- replicas

    def start(self, index: int) -> Service:
        """Start a replica and wait until it serves."""
        folder = self.folder / f"replica-{index}"
        folder.mkdir(exist_ok=True)
        url = self.database_server.url(self.database, port=self.proxies[index].port)
        service = start_service(folder, environment(url, self.data_root, **self.settings), command="server")
        self.replicas[index] = service
        return service

    def start_all(self) -> None:
        """Start every replica."""
        for index in range(len(self.replicas)):
            self.start(index)

    def kill(self, index: int) -> None:
        """kill -9. May be called on the proxy's thread."""
        service = self.replicas[index]
        if service is not None:
            self._generations[index] += 1
            service.process.kill()

    def revive(self) -> None:
        """Begin to start what is dead; pick up what has started. Returns at once."""
        for index, service in enumerate(self.replicas):
            if index in self._starting:
                if self._starting[index].done():
                    self._starting.pop(index).result()
            elif service is None or service.process.poll() is not None:
                self._close(service)
                self.replicas[index] = None
                self._starting[index] = self._pool.submit(self.start, index)

    def wait_until_up(self) -> None:
        """Wait until every replica serves."""
        self.revive()
        while self._starting:
            time.sleep(0.02)
            self.revive()

    def alive(self) -> list[Service]:
        """Replicas that run."""
        return [service for service in self.replicas if service is not None and service.process.poll() is None]

    @staticmethod
    def _close(service: Service | None) -> None:
        if service is not None and service.process.stdout is not None:
            service.process.wait()
            service.process.stdout.close()

    def close(self) -> None:
        """End every replica."""
        self._pool.shutdown()
        for service in self.replicas:
            if service is not None and service.process.poll() is None:
                service.process.kill()
            self._close(service)
        self.blink()

    # ---- runs

    def put(self, catalogue: Catalogue) -> None:
        """Write the present version of a catalogue, at once and whole."""
        part = self.data_root / f".{catalogue.name}.part"
        part.write_bytes(catalogue.content())
        part.replace(self.data_root / catalogue.name)

    def trigger(self, name: str, source_type: str = "csv", options: Mapping[str, Any] | None = None) -> int:
        """Trigger a source on some replica; one that dies meanwhile is no fault of the drill."""
        ((before,),) = self.query("SELECT COALESCE(MAX(id), 0) FROM sync_runs")
        deadline = time.monotonic() + _END_SECONDS_MAX
        while time.monotonic() < deadline:
            for service in self.alive():
                with contextlib.suppress(SyncServiceError), SyncClient(service.grpc_target) as client:
                    (answer,) = client.trigger(sync_spec(source_type, name, options), detach=True)
                    return int(answer.accepted.sync_run_id)
                found = self.query("SELECT id FROM sync_runs WHERE id > %s ORDER BY id LIMIT 1", before)
                if found:
                    return int(found[0][0])
            self.revive()
            time.sleep(0.05)
        raise ViolationError(f"{name} could not be triggered")

    def owner(self, run_id: int) -> tuple[str, int, int | None]:
        """(status, epoch, index of the replica that owns the run)."""
        ((status, epoch, owner),) = self.query(
            "SELECT status, lease_epoch, lease_owner FROM sync_runs WHERE id = %s", run_id
        )
        pid = int(owner.split(":")[1]) if owner else None
        indexes = [i for i, service in enumerate(self.replicas) if service is not None and service.process.pid == pid]
        return status, epoch, indexes[0] if indexes else None

    def wait(
        self, run_id: int, until: Callable[[str, int], bool], *, seconds: float = _END_SECONDS_MAX, revive: bool = True
    ) -> tuple[str, int, int | None]:
        """Wait until `until(status, epoch)` holds or the run has ended.

        Raises:
            ViolationError: neither came within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.owner(run_id)
            if until(found[0], found[1]) or found[0] in ("completed", "failed", "cancelled"):
                return found
            if revive:
                self.revive()
            time.sleep(0.01)
        raise ViolationError(f"run {run_id} is {self.owner(run_id)} after {seconds:.0f} s")

    def end(self, run_id: int, *, seconds: float = _END_SECONDS_MAX, revive: bool = True) -> str:
        """Wait until a run has ended; answer its status."""
        return self.wait(run_id, lambda _status, _epoch: False, seconds=seconds, revive=revive)[0]


@contextmanager
def stage_set(
    replicas: int = 2,
    *,
    database_server: DatabaseServer | None = None,
    **settings: object,
) -> Iterator[Stage]:
    """A stage with its replicas started, and taken down whatever happens.

    Args:
        database_server: one that runs already; a private durable one without it.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="techaura-drill-")))
        thread = stack.enter_context(ProxyThread())
        server = database_server or stack.enter_context(
            server_running(durable=True, options=("--innodb-buffer-pool-size=256M",))
        )
        stage = Stage(folder, server, thread, replicas, settings)
        stack.callback(stage.close)
        stage.start_all()
        yield stage
