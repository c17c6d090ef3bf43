"""How many runs may wait: of one source, and of all. What is over it is refused, with a word on when to come again."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class Busy:
    """An API that does not answer, the run that waits for it, and those that wait behind that."""

    service: Service
    url: str
    runs: list[int] = field(default_factory=list)

    def source(self, number: int) -> str:
        """One of the API's sources."""
        return f"{self.url}?list={number}"

    def trigger(self, identifier: str, content_type: str = "music") -> tuple[int, dict[str, Any]]:
        """Status and body of a trigger; its run is ended with the others."""
        body = {"sourceType": "api", "sourceIdentifier": identifier, "options": {"contentType": content_type}}
        status, answer = self.service.post("/v1/sync/trigger", body)
        if status == 200:
            self.runs.append(answer["data"]["syncRunId"])
        return status, answer

    def fill(self) -> None:
        """As many wait as may."""
        for number in range(1, OF_ALL + 1):
            assert self.trigger(self.source(number))[0] == 200


@contextmanager
def busy(service: Service) -> Iterator[Busy]:
    """The one place for APIs is taken by a run that does not end before the block does."""
    held, go = threading.Event(), threading.Event()

    def answer(_query: Mapping[str, str]) -> tuple[int, object, Mapping[str, str]]:
        held.set()
        go.wait(60)
        return 200, [{"id": 1, "title": "One"}], {}

    with list_api(answer) as api:
        made = Busy(service, api.url)
        assert made.trigger(made.source(0))[0] == 200
        assert held.wait(60)
        try:
            yield made
        finally:
            go.set()
            for run_id in made.runs:
                assert service.finished(run_id)["status"] == "completed"


def test_so_many_runs_may_wait_and_no_more(service: Service) -> None:
    with busy(service) as made:
        made.fill()
        status, answer = made.trigger(made.source(OF_ALL + 1))
        assert (status, answer["reason"]) == (429, "QUEUE_FULL")
        assert "TECHAURA_SYNC_QUEUE_RUNS_MAX" in str(answer["error"])
        # What waits already is found, and the running one too.
        for number in (0, 1):
            assert made.trigger(made.source(number))[1]["data"]["syncRunId"] == made.runs[number]
        assert service.get("/v1/sync/stats")[1]["data"]["pending"] == OF_ALL
    assert service.get("/v1/sync/stats")[1]["data"]["pending"] == 0


def test_so_many_runs_of_one_source_may_wait(service: Service) -> None:
    kinds = ["music", "video", "movie", "game", "other"]
    with busy(service) as made:
        for kind in kinds[:OF_SOURCE]:
            assert made.trigger(made.source(1), kind)[0] == 200
        for kind in kinds[OF_SOURCE:]:
            # However the address is spelled.
            status, answer = made.trigger(made.source(1).replace("http://", "HTTP://"), kind)
            assert (status, answer["reason"]) == (429, "QUEUE_FULL")
            assert "TECHAURA_SYNC_QUEUE_RUNS_PER_SOURCE_MAX" in str(answer["error"])
        assert made.trigger(made.source(2))[0] == 200


def test_when_to_come_again_is_said_over_rest_and_grpc(service: Service) -> None:
    with busy(service) as made, SyncClient(service.grpc_target) as client:
        made.fill()
        body = json.dumps({"sourceType": "api", "sourceIdentifier": made.source(99)}).encode()
        request = urllib.request.Request(
            f"{service.http_url}/v1/sync/trigger", data=body, headers={"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (429, "10")
        refused.value.close()
        with pytest.raises(SyncServiceError) as caught:
            list(client.trigger(sync_spec("api", made.source(99), {}), detach=True))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert caught.value.retry_after_seconds == 10


def test_a_file_does_not_wait_until_slow_apis_have_answered(service: Service) -> None:
    (service.data_root / "quick.csv").write_text("external_id,title\n1,One\n")
    with busy(service) as made:
        assert made.trigger(made.source(1))[0] == 200
        assert service.run("csv", "quick.csv")["status"] == "completed"
        states = [service.get(f"/v1/sync/{run_id}")[1]["data"]["status"] for run_id in made.runs]
        assert states == ["in_progress", "pending"]
