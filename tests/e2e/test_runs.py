"""Runs as their callers steer and watch them: cancel, watch, list, two replicas, a stop in the middle."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path
from typing import cast

import grpc
import pytest
from sqlalchemy import create_engine, text
from techaura.sync.v1 import resources_pb2, sync_service_pb2, sync_service_pb2_grpc
from techaura_sync import SyncClient, sync_spec

from tests.e2e.test_api_to_table import options
from tests.support.database_server import DatabaseServer
from tests.support.items_api import items_api
from tests.support.service import Service, environment, service_running, start_service

ROWS = 30_000


def test_a_trigger_says_accepted_first_and_ends_with_a_terminal_snapshot(service: Service) -> None:
    (service.data_root / "watched.csv").write_text("title\n" + "".join(f"t{n}\n" for n in range(500)))
    with grpc.insecure_channel(service.grpc_target) as channel:
        stub = sync_service_pb2_grpc.SyncServiceStub(channel)
        request = sync_service_pb2.TriggerSyncRequest(spec=sync_spec("csv", "watched.csv"))
        events = list(stub.TriggerSync(request, timeout=30))
    assert events[0].WhichOneof("event") == "accepted"
    progress = [event.progress for event in events[1:]]
    assert {entry.sync_run_id for entry in progress} == {events[0].accepted.sync_run_id}
    assert [entry.sequence for entry in progress] == sorted({entry.sequence for entry in progress})
    assert progress[-1].status == resources_pb2.SYNC_STATUS_COMPLETED
    assert progress[-1].ledger.inserted == 500


def test_a_caller_that_hangs_up_does_not_cancel_its_run(service: Service) -> None:
    hold = threading.Event()
    with items_api(hold=hold) as api, SyncClient(service.grpc_target) as client:
        run_id = service.trigger("api", api.url, options())
        watching = client.watch(run_id)
        next(iter(watching))
        cast(Generator[object], watching).close()
        hold.set()
        assert service.finished(run_id)["status"] == "completed"


def test_a_running_run_is_cancelled_and_keeps_what_is_committed(service: Service) -> None:
    with items_api(hold=threading.Event()) as api:
        run_id = service.trigger("api", api.url, options())
        with SyncClient(service.grpc_target) as client:
            for update in client.watch(run_id):
                if update.run.status == resources_pb2.SYNC_STATUS_IN_PROGRESS:
                    service.post(f"/v1/sync/{run_id}/cancel")
                last = update.run.status
        assert last == resources_pb2.SYNC_STATUS_CANCELLED
        status, answer = service.post(f"/v1/sync/{run_id}/cancel")
        assert (status, answer["reason"]) == (409, "RUN_ENDED")


def test_stats_and_lists_agree(service: Service) -> None:
    (service.data_root / "small.csv").write_text("title\na\n")
    for _ in range(3):
        service.run("csv", "small.csv")
    stats = service.get("/v1/sync/stats")[1]["data"]
    assert stats["total"] == sum(stats[key] for key in stats if key != "total")
    with SyncClient(service.grpc_target) as client:
        listed, token = [], ""
        while True:
            page = client.list_runs(sync_service_pb2.ListSyncRunsRequest(page_size=2, page_token=token))
            listed += [run.sync_run_id for run in page.runs]
            token = page.next_page_token
            if not token:
                break
    assert listed == sorted(listed, reverse=True)
    assert len(listed) == stats["total"]


def test_two_replicas_on_one_database_share_the_work_and_write_each_row_once(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database()
    for number in range(6):
        body = "".join(f"{n},t{n}\n" for n in range(2000))
        (tmp_path / f"f{number}.csv").write_text("external_id,title\n" + body)
    environ = environment(database_server.url(name), tmp_path, CSV_BLOCK_BYTES=4096)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with service_running(tmp_path / "a", environ) as first, service_running(tmp_path / "b", environ) as second:
        ids = [(first, second)[n % 2].trigger("csv", f"f{n}.csv") for n in range(6)]
        # Each run is watched on the replica that was not asked to start it.
        runs = [(second, first)[n % 2].finished(run_id) for n, run_id in enumerate(ids)]
    assert [(run["status"], run["ledger"]["inserted"]) for run in runs] == [("completed", 2000)] * 6
    with database_server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), COUNT(DISTINCT source_identifier, external_id) FROM content_index")
        assert cursor.fetchone() == (12_000, 12_000)


@pytest.mark.parametrize("stop", ["SIGTERM", "SIGKILL"])
def test_a_run_that_a_stop_interrupts_goes_on_in_another_replica(
    database_server: DatabaseServer, tmp_path: Path, stop: str
) -> None:
    name = database_server.new_database()
    (tmp_path / "big.csv").write_text("external_id,title\n" + "".join(f"{n},t{n}\n" for n in range(ROWS)))
    environ = environment(database_server.url(name), tmp_path, CSV_BLOCK_BYTES=8192)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    engine = create_engine(database_server.url(name).replace("+aiomysql", "+pymysql"))
    first = start_service(tmp_path / "a", environ)
    run_id = first.trigger("csv", "big.csv")
    with engine.connect() as connection:
        connection.execute(text("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"))
        while connection.execute(text("SELECT COUNT(*) FROM sync_batches")).scalar_one() < 2:
            connection.rollback()
    if stop == "SIGTERM":
        assert first.stop() == 0
    else:
        first.kill()
    with service_running(tmp_path / "b", environ) as second:
        run = second.finished(run_id)
    assert (run["status"], run["ledger"]["inserted"], run["retryCount"]) == ("completed", ROWS, 0)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM content_index")).scalar_one() == ROWS
        owners = connection.execute(text("SELECT COUNT(DISTINCT lease_epoch) FROM sync_batches")).scalar_one()
    assert owners == 2
    engine.dispose()
