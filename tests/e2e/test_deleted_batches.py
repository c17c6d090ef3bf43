"""Somebody deletes rows of sync_batches while a run is on: its counts are sums over them, so it must not be completed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from techaura_sync import SyncClient

from tests.conftest import DATABASES, service_on
from tests.support.list_api import list_api
from tests.support.seen import change
from tests.support.service import Service

SIZE, PAGES = 50, 6


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program with a batch for each page."""
    with service_on(request, tmp_path_factory, HTTP_BATCH_ROWS=SIZE) as running:
        yield running


@pytest.mark.parametrize("gone", ["= 1", "= 2", "<= 3", "= 3"])
def test_a_run_whose_batches_were_deleted_is_not_completed(service: Service, gone: str) -> None:
    held, go = threading.Event(), threading.Event()

    def answer(query: Mapping[str, str]) -> tuple[int, object, Mapping[str, str]]:
        number = int(query["page"])
        if number == 5:
            held.set()
            go.wait(60)
        first = number * SIZE - SIZE + 1
        ids = range(first, first + SIZE) if number <= PAGES else range(0)
        return 200, {"data": [{"id": each, "title": f"Song {each}"} for each in ids]}, {}

    paging: dict[str, Any] = {"enabled": True, "type": "page", "pageSize": SIZE, "pagesAtOnce": 1}
    with list_api(answer) as api:
        run_id = service.trigger("api", api.url, {"pagination": paging})
        assert held.wait(60)
        with SyncClient(service.grpc_target) as client:
            for update in client.watch(run_id):
                if update.run.ledger.rows_read >= 3 * SIZE:
                    break
        change(service, f"DELETE FROM sync_batches WHERE sync_run_id = {run_id} AND batch_no {gone}")
        go.set()
        run = service.finished(run_id)
    assert (run["status"], run["failure"]["reason"]) == ("failed", "LEDGER_MISMATCH"), run
    assert "sync_batches" in run["failure"]["message"]
