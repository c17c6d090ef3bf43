"""contract.md, section 1, against the real program on both databases: keys, types, texts and codes of the four routes."""

from __future__ import annotations

import re

import pytest

from tests.support.service import Service

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def run_id(service: Service) -> int:
    (service.data_root / "contract.csv").write_text("title,artist\n" + "".join(f"t{n},a\n" for n in range(30)) + ",a\n")
    identifier = service.trigger("csv", "contract.csv")
    service.finished(identifier)
    return identifier


def test_stats(service: Service, run_id: int) -> None:
    status, answer = service.get("/v1/sync/stats")
    assert status == 200
    assert answer["success"] is True
    assert set(answer["data"]) == {"total", "pending", "in_progress", "completed", "failed", "cancelled"}
    assert all(type(value) is int for value in answer["data"].values())
    assert TIMESTAMP.fullmatch(answer["timestamp"])


def test_status(service: Service, run_id: int) -> None:
    status, answer = service.get(f"/v1/sync/{run_id}")
    data = answer["data"]
    assert (status, answer["success"]) == (200, True)
    assert TIMESTAMP.fullmatch(answer["timestamp"])
    assert (type(data["syncRunId"]), data["syncRunId"]) == (int, run_id)
    assert (data["status"], data["itemsProcessed"], data["itemsFailed"], data["itemsSkipped"]) == (
        "completed",
        30,
        1,
        0,
    )
    assert [set(error) >= {"type", "message"} for error in data["errors"]] == [True]
    assert data["errors"][0]["type"] == "validation"


@pytest.mark.parametrize("wrong", ["abc", "1.5", "1e3", "0x10", "%201"])
def test_an_id_that_is_no_whole_number(service: Service, wrong: str) -> None:
    status, answer = service.get(f"/v1/sync/{wrong}")
    assert (status, answer["success"], answer["error"]) == (400, False, "Invalid sync run ID")


def test_an_id_that_there_is_not(service: Service) -> None:
    status, answer = service.get("/v1/sync/999999")
    assert (status, answer["success"], answer["error"]) == (404, False, "Sync run not found")


def test_trigger(service: Service, run_id: int) -> None:
    status, answer = service.post("/v1/sync/trigger", {"sourceType": "csv", "sourceIdentifier": "contract.csv"})
    assert (status, answer["success"], answer["message"]) == (200, True, "Sync scheduled successfully")
    assert type(answer["data"]["syncRunId"]) is int
    assert TIMESTAMP.fullmatch(answer["timestamp"])


@pytest.mark.parametrize("body", [b"", b"{}", b'{"sourceType": "csv"}', b'{"sourceIdentifier": "a.csv"}'])
def test_a_trigger_without_its_two_fields(service: Service, body: bytes) -> None:
    status, answer = service.post("/v1/sync/trigger", body)
    assert (status, answer["success"]) == (400, False)
    assert answer["error"] == "sourceType and sourceIdentifier are required"


def test_a_trigger_that_is_no_json(service: Service) -> None:
    status, answer = service.post("/v1/sync/trigger", b"sourceType=csv")
    assert (status, answer["success"], answer["error"]) == (400, False, "Invalid JSON")


@pytest.mark.parametrize("body", [None, {}])
def test_resume(service: Service, body: object) -> None:
    status, answer = service.post("/v1/sync/resume", body)
    assert (status, answer["success"], answer["message"]) == (200, True, "Pending syncs resumed")
    assert TIMESTAMP.fullmatch(answer["timestamp"])
