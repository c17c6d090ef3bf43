"""Runs that callers hold and end while another replica executes them, and sources that hang or are only slow."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import cast

import pytest
from techaura.sync.v1 import resources_pb2
from techaura_sync import SyncClient

from tests.e2e.test_api_to_table import options
from tests.support.database_server import DatabaseServer
from tests.support.items_api import ItemsApi, items_api
from tests.support.service import Service, environment, service_running

PENDING = resources_pb2.SYNC_STATUS_PENDING


@pytest.fixture(scope="module")
def pair(
    database_server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Service]]:
    """Two programs on one database; only the first executes runs, the second is asked."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "data").mkdir()
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    environ = environment(database_server.url(database_server.new_database()), folder / "data", HTTP_BATCH_ROWS=100)
    asleep = environ | {"TECHAURA_SYNC_POLL_INTERVAL_SECONDS": "60"}
    with service_running(folder / "a", environ) as first, service_running(folder / "b", asleep) as second:
        yield first, second


def in_progress(service: Service, api: ItemsApi) -> int:
    """A run that waits for its second page, which is not answered before `api.hold` is set."""
    run_id = service.trigger("api", api.url, options())
    assert api.holds.wait(30)
    return run_id


def test_a_run_is_cancelled_through_a_replica_that_does_not_execute_it(pair: tuple[Service, Service]) -> None:
    first, second = pair
    with items_api(hold=threading.Event()) as api:
        run_id = in_progress(first, api)
        with SyncClient(first.grpc_target) as here, SyncClient(second.grpc_target) as there:
            watching = [here.watch(run_id), there.watch(run_id)]
            for stream in watching:
                next(stream)
            assert second.post(f"/v1/sync/{run_id}/cancel")[0] == 200
            last = [[update.run.status for update in stream][-1] for stream in watching]
        assert last == [resources_pb2.SYNC_STATUS_CANCELLED] * 2


def test_a_run_is_paused_elsewhere_stays_so_and_goes_on_where_it_stopped(pair: tuple[Service, Service]) -> None:
    first, second = pair
    with items_api(hold=threading.Event()) as api:
        run_id = in_progress(first, api)
        status, answer = second.post(f"/v1/sync/{run_id}/pause")
        assert (status, answer["data"]["paused"]) == (200, True)
        with SyncClient(second.grpc_target) as client:
            for update in client.watch(run_id):
                if update.run.status == PENDING:
                    break
        assert first.get(f"/v1/sync/{run_id}")[1]["data"]["status"] == "pending"
        assert first.trigger("api", api.url, options()) == run_id
        # Pausing twice is no fault; neither wakes it.
        assert second.post(f"/v1/sync/{run_id}/pause")[1]["data"]["paused"] is True
        assert api.hold is not None
        api.hold.set()
        status, answer = first.post(f"/v1/sync/{run_id}/continue")
        assert (status, answer["data"]["paused"]) == (200, False)
        run = first.finished(run_id)
    assert (run["status"], run["ledger"]["inserted"], run["paused"]) == ("completed", 350, False)
    assert first.post(f"/v1/sync/{run_id}/pause")[1]["reason"] == "RUN_ENDED"
    assert first.post(f"/v1/sync/{run_id}/continue")[1]["reason"] == "RUN_ENDED"
    assert first.post("/v1/sync/99999999/pause")[0] == 404


def test_a_paused_run_is_cancelled_at_once(pair: tuple[Service, Service]) -> None:
    first, second = pair
    with items_api(hold=threading.Event()) as api:
        run_id = in_progress(first, api)
        second.post(f"/v1/sync/{run_id}/pause")
        second.post(f"/v1/sync/{run_id}/cancel")
        run = first.finished(run_id)
    assert (run["status"], run["paused"]) == ("cancelled", False)


def test_a_pause_outlives_a_restart(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 'sync.db'}", tmp_path / "data")
    with items_api(hold=threading.Event()) as api:
        with service_running(tmp_path, environ) as service:
            run_id = in_progress(service, api)
            service.post(f"/v1/sync/{run_id}/pause")
        assert api.hold is not None
        api.hold.set()
        with service_running(tmp_path, environ) as service:
            (service.data_root / "other.csv").write_text("title\na\n")
            assert service.run("csv", "other.csv")["status"] == "completed"
            held = service.get(f"/v1/sync/{run_id}")[1]["data"]
            assert (held["status"], held["paused"]) == ("pending", True)
            service.post(f"/v1/sync/{run_id}/continue")
            assert service.finished(run_id)["status"] == "completed"


def test_a_source_that_hangs_ends_its_run_and_one_that_is_slow_does_not(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 'sync.db'}", tmp_path / "data", STALL_TIMEOUT_SECONDS=0.8)
    with service_running(tmp_path, environ) as service:
        with items_api(hold=threading.Event()) as api:
            run = service.run("api", api.url, options())
        assert (run["status"], run["failure"]["reason"]) == ("failed", "SOURCE_STALLED")
        assert run["failure"]["retryable"] is True
        with items_api(pause_seconds=0.05, count=20) as api:
            run = service.run("api", api.url, options())
        assert (run["status"], run["ledger"]["inserted"]) == ("completed", 20)


def test_a_run_that_waits_behind_another_is_shown_to_its_watcher_at_once(pair: tuple[Service, Service]) -> None:
    first, second = pair
    with items_api(hold=threading.Event()) as api, SyncClient(second.grpc_target) as client:
        in_progress(first, api)
        waiting = first.trigger("api", api.url, options() | {"contentType": "video"})
        watching = client.watch(waiting)
        assert next(iter(watching)).run.status == PENDING
        cast(Generator[object], watching).close()
        assert api.hold is not None
        api.hold.set()
        assert first.finished(waiting)["status"] == "completed"
