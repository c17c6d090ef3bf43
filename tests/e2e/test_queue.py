"""How many runs may wait: of one source, and of all. What is over it is refused, with a word on when to come again."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
import pytest
from techaura_sync import SyncClient, SyncServiceError, sync_spec

from tests.conftest import DATABASES, service_on
from tests.support.list_api import list_api
from tests.support.service import Service

OF_ALL, OF_SOURCE = 4, 2


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program with one run at a time and a short queue."""
    limits = {"QUEUE_RUNS_MAX": OF_ALL, "QUEUE_RUNS_PER_SOURCE_MAX": OF_SOURCE, "RUNS_CONCURRENT_MAX": 1}
    with service_on(request, tmp_path_factory, **limits) as running:
        yield running


@contextmanager
def busy(service: Service) -> Iterator[list[int]]:
    """The only worker has a run that does not end before the block does; the runs to be ended with it."""
    held, go = threading.Event(), threading.Event()
    runs: list[int] = []

    def answer(_query: Mapping[str, str]) -> tuple[int, object, Mapping[str, str]]:
        held.set()
        go.wait(60)
        return 200, [{"id": 1, "title": "One"}], {}

    with list_api(answer) as api:
        runs.append(service.trigger("api", api.url))
        assert held.wait(60)
        try:
            yield runs
        finally:
            go.set()
            for run_id in runs:
                assert service.finished(run_id)["status"] == "completed"


def write(service: Service, count: int) -> list[str]:
    names = [f"q{number}.csv" for number in range(count)]
    for name in names:
        (service.data_root / name).write_text("external_id,title\n1,One\n")
    return names


def trigger(service: Service, name: str, **options: str) -> tuple[int, dict[str, object]]:
    return service.post(
        "/v1/sync/trigger",
        {"sourceType": "csv", "sourceIdentifier": name, "options": {"contentType": "music"} | options},
    )


def test_so_many_runs_may_wait_and_no_more(service: Service) -> None:
    names = write(service, OF_ALL + 1)
    with busy(service) as runs:
        for name in names[:OF_ALL]:
            runs.append(service.trigger("csv", name))
        status, answer = trigger(service, names[-1])
        assert (status, answer["reason"]) == (429, "QUEUE_FULL")
        assert "TECHAURA_SYNC_QUEUE_RUNS_MAX" in str(answer["error"])
        # What waits already is found, and the running one too.
        assert service.trigger("csv", names[0]) == runs[1]
        assert service.get("/v1/sync/stats")[1]["data"]["pending"] == OF_ALL
    runs.append(service.trigger("csv", names[-1]))
    assert service.finished(runs[-1])["status"] == "completed"


def test_so_many_runs_of_one_source_may_wait(service: Service) -> None:
    name, other = write(service, 2)
    kinds = ["music", "video", "movie", "game", "other"]
    with busy(service) as runs:
        for kind in kinds[:OF_SOURCE]:
            runs.append(service.trigger("csv", name, {"contentType": kind}))
        for kind in kinds[OF_SOURCE:]:
            # However the file is spelled.
            status, answer = trigger(service, f"./{name}", contentType=kind)
            assert (status, answer["reason"]) == (429, "QUEUE_FULL")
            assert "TECHAURA_SYNC_QUEUE_RUNS_PER_SOURCE_MAX" in str(answer["error"])
        runs.append(service.trigger("csv", other))


def test_when_to_come_again_is_said_over_rest_and_grpc(service: Service) -> None:
    names = write(service, OF_ALL + 1)
    with busy(service) as runs, SyncClient(service.grpc_target) as client:
        for name in names[:OF_ALL]:
            runs.append(service.trigger("csv", name))
        body = b'{"sourceType": "csv", "sourceIdentifier": "q4.csv"}'
        request = urllib.request.Request(
            f"{service.http_url}/v1/sync/trigger", data=body, headers={"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (429, "10")
        refused.value.close()
        with pytest.raises(SyncServiceError) as caught:
            list(client.trigger(sync_spec("csv", names[-1], {}), detach=True))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert caught.value.retry_after_seconds == 10
