"""Lists whose items are long: a page ends by bytes, and all of them are there page by page."""

from __future__ import annotations

import json

import pytest

from tests.support.seen import change
from tests.support.service import Service

# One gRPC message takes 4 MiB.
LONG = "a notice " * 5_000
COUNT = 150


def listed(service: Service, path: str) -> tuple[list[int], list[int]]:
    """The ids of all items, and how many each page had."""
    ids: list[int] = []
    pages: list[int] = []
    token = ""
    while True:
        status, answer = service.get(f"{path}?pageSize=1000" + (f"&pageToken={token}" if token else ""))
        assert status == 200, answer
        ids += [item.get("syncRunId") or item["scheduleId"] for item in answer["data"]]
        pages.append(len(answer["data"]))
        token = answer["nextPageToken"]
        if not token:
            return ids, pages


@pytest.fixture(scope="module")
def first_id(service: Service) -> int:
    """Of as many runs as make a list of 6.75 MB, none of which is to be executed."""
    (service.data_root / "one.csv").write_text("external_id,title\n1,One\n")
    start = service.trigger("csv", "one.csv")
    service.finished(start)
    for number in range(COUNT):
        change(
            service,
            "INSERT INTO sync_runs (id, source_type, source_identifier, status, notices, completed_at) VALUES "
            "(:id, 'csv', 'one.csv', 'cancelled', :notices, CURRENT_TIMESTAMP)",
            id=start + 1 + number,
            notices=json.dumps([LONG]),
        )
    return start


def test_a_page_of_runs_ends_by_bytes(service: Service, first_id: int) -> None:
    ids, pages = listed(service, "/v1/sync/runs")
    assert ids == sorted(range(first_id, first_id + COUNT + 1), reverse=True)
    assert len(pages) > 2 and max(pages) < COUNT


def test_a_page_of_schedules_ends_by_bytes(service: Service) -> None:
    body = {
        "sourceType": "api",
        "sourceIdentifier": "https://songs.example/list",
        "cron": "0 5 * * *",
        "options": {"method": "POST", "body": {"query": "x" * 100_000}},
    }
    made = []
    for _ in range(45):
        status, answer = service.post("/v1/sync/schedules", body)
        assert status == 200, answer
        made.append(answer["data"]["scheduleId"])
    ids, pages = listed(service, "/v1/sync/schedules")
    assert ids == sorted(made, reverse=True)
    assert len(pages) > 1
