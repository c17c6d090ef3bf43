"""The four routes that old callers use, as contract.md section 1 states them."""

from __future__ import annotations

import re

import httpx
import pytest
from techaura.sync.v1 import resources_pb2, sync_service_pb2
from techaura_sync import sync_spec

from tests.clients.scripted_service import Script, snapshot

TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")


async def test_stats_answers_six_counts_and_a_timestamp(http: httpx.AsyncClient, script: Script) -> None:
    script.stats = resources_pb2.SyncStats(total=21, pending=1, in_progress=2, completed=3, failed=4, cancelled=11)

    answer = await http.get("/v1/sync/stats")

    assert answer.status_code == 200
    body = answer.json()
    assert TIMESTAMP.fullmatch(body.pop("timestamp"))
    assert body == {
        "success": True,
        "data": {"total": 21, "pending": 1, "in_progress": 2, "completed": 3, "failed": 4, "cancelled": 11},
    }


async def test_status_answers_the_counts_under_their_old_names(http: httpx.AsyncClient, script: Script) -> None:
    ledger = resources_pb2.Ledger(rows_read=100, inserted=50, updated=20, unchanged=7, rejected=13, skipped=10)
    script.snapshots[9] = [snapshot(5, resources_pb2.SYNC_STATUS_COMPLETED, run_id=9, ledger=ledger)]

    answer = await http.get("/v1/sync/9")

    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True
    assert TIMESTAMP.fullmatch(body["timestamp"])
    data = body["data"]
    assert (data["syncRunId"], data["status"], data["errors"]) == (9, "completed", [])
    assert (data["itemsProcessed"], data["itemsFailed"], data["itemsSkipped"]) == (77, 13, 10)


async def test_status_lists_errors_by_type_and_message_in_the_order_of_the_service(
    http: httpx.AsyncClient, script: Script
) -> None:
    errors = tuple(resources_pb2.SyncError(type="validation", message=f"row {n}", raw="a,b") for n in (3, 2, 1))
    script.snapshots[9] = [snapshot(5, resources_pb2.SYNC_STATUS_FAILED, run_id=9, errors=errors)]

    data = (await http.get("/v1/sync/9")).json()["data"]

    assert data["status"] == "failed"
    assert data["errors"] == [{"type": "validation", "message": f"row {n}"} for n in (3, 2, 1)]


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (resources_pb2.SYNC_STATUS_PENDING, "pending"),
        (resources_pb2.SYNC_STATUS_IN_PROGRESS, "in_progress"),
        (resources_pb2.SYNC_STATUS_COMPLETED, "completed"),
        (resources_pb2.SYNC_STATUS_FAILED, "failed"),
        (resources_pb2.SYNC_STATUS_CANCELLED, "cancelled"),
    ],
)
async def test_status_is_one_of_the_five_old_words(
    http: httpx.AsyncClient, script: Script, status: resources_pb2.SyncStatus.ValueType, name: str
) -> None:
    script.snapshots[9] = [snapshot(1, status, run_id=9)]

    assert (await http.get("/v1/sync/9")).json()["data"]["status"] == name


@pytest.mark.parametrize(
    "path", ["abc", "1.5", "-1", "+1", "1e3", "0x10", "%201", "1%20", "%D9%A1", "9223372036854775808", "1" * 400]
)
async def test_an_id_that_is_no_whole_number_is_refused(http: httpx.AsyncClient, script: Script, path: str) -> None:
    answer = await http.get(f"/v1/sync/{path}")

    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert answer.json()["error"] == "Invalid sync run ID"
    assert script.requests == []


@pytest.mark.parametrize("run_id", [0, 8, 2**63 - 1])
async def test_an_unknown_run_is_not_found(http: httpx.AsyncClient, run_id: int) -> None:
    answer = await http.get(f"/v1/sync/{run_id}")

    assert answer.status_code == 404
    assert answer.json()["success"] is False
    assert answer.json()["error"] == "Sync run not found"
    assert answer.json()["reason"] == "RUN_NOT_FOUND"


async def test_trigger_answers_the_id_of_the_stored_run_at_once(http: httpx.AsyncClient, script: Script) -> None:
    script.accepted_run_id = 2**53 - 1

    answer = await http.post("/v1/sync/trigger", json={"sourceType": "csv", "sourceIdentifier": "/data/songs.csv"})

    assert answer.status_code == 200
    body = answer.json()
    assert TIMESTAMP.fullmatch(body.pop("timestamp"))
    assert body == {
        "success": True,
        "data": {"syncRunId": 2**53 - 1},
        "message": "Sync scheduled successfully",
    }
    assert script.requests == [
        sync_service_pb2.TriggerSyncRequest(spec=sync_spec("csv", "/data/songs.csv"), detach=True)
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"{}",
        b'{"sourceType": "csv"}',
        b'{"sourceIdentifier": "/data/songs.csv"}',
        b'{"sourceType": "", "sourceIdentifier": "/data/songs.csv"}',
        b'{"sourceType": "csv", "sourceIdentifier": null}',
    ],
)
async def test_trigger_needs_source_type_and_source_identifier(
    http: httpx.AsyncClient, script: Script, body: bytes
) -> None:
    answer = await http.post("/v1/sync/trigger", content=body)

    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert answer.json()["error"] == "sourceType and sourceIdentifier are required"
    assert script.requests == []


@pytest.mark.parametrize("route", ["/v1/sync/trigger", "/v1/sync/test", "/v1/sync/resume"])
@pytest.mark.parametrize(
    "body", [b"sourceType=csv", b'{"sourceType": "csv",}', b"{", b'{"a": NaN}', b'{"a": "\xff"}', b"nul", b"{} {}"]
)
async def test_a_body_that_is_no_json_is_refused_as_such(http: httpx.AsyncClient, route: str, body: bytes) -> None:
    answer = await http.post(route, content=body)

    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert answer.json()["error"] == "Invalid JSON"


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_resume_answers_its_message(http: httpx.AsyncClient, script: Script, body: bytes) -> None:
    script.pending_count = 3

    answer = await http.post("/v1/sync/resume", content=body)

    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["message"] == "Pending syncs resumed"
    assert TIMESTAMP.fullmatch(answer.json()["timestamp"])
    assert script.requests == [sync_service_pb2.ResumeSyncsRequest()]
