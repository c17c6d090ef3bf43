"""GET /v1/sync/{syncRunId}/events: snapshots as server-sent events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from techaura.sync.v1 import resources_pb2, sync_service_pb2

from gateway.serving import gateway_running
from tests.clients.scripted_service import CONNECTION_LOST, Script, serving, snapshot
from tests.gateway.conftest import settings

COMPLETED = resources_pb2.SYNC_STATUS_COMPLETED


@pytest.fixture
def gateway_limits() -> dict[str, Any]:
    return {"gateway_watch_retries_max": 1}


def events(text: str) -> list[dict[str, str]]:
    """The events of a stream that has ended; comments are left out."""
    blocks = [
        block for block in text.replace("\r\n", "\n").split("\n\n") if block.strip() and not block.startswith(":")
    ]
    return [dict(line.split(": ", 1) for line in block.strip().split("\n")) for block in blocks]


def watches(script: Script) -> list[int]:
    """The sequences after which each watch asked to go on."""
    return [
        request.after_sequence
        for request in script.requests
        if isinstance(request, sync_service_pb2.GetSyncStatusRequest) and request.watch
    ]


async def test_each_snapshot_is_an_event_and_the_terminal_one_is_the_last(
    http: httpx.AsyncClient, script: Script
) -> None:
    script.snapshots[41] = [snapshot(2), snapshot(5), snapshot(9, COMPLETED)]

    answer = await http.get("/v1/sync/41/events")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    stream = events(answer.text)
    assert [event["id"] for event in stream] == ["2", "5", "9"]
    states = [json.loads(event["data"]) for event in stream]
    assert [state["status"] for state in states] == ["in_progress", "in_progress", "completed"]
    assert {state["syncRunId"] for state in states} == {41}


async def test_last_event_id_resumes_after_what_was_seen(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[41] = [snapshot(2), snapshot(5), snapshot(9, COMPLETED)]

    answer = await http.get("/v1/sync/41/events", headers={"Last-Event-ID": "2"})

    assert [event["id"] for event in events(answer.text)] == ["5", "9"]
    assert watches(script) == [2]


async def test_a_caller_that_has_seen_the_end_is_told_to_stop(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[41] = [snapshot(9, COMPLETED)]

    answer = await http.get("/v1/sync/41/events", headers={"Last-Event-ID": "9"})

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "18446744073709551616"])
async def test_a_malformed_last_event_id_is_refused(http: httpx.AsyncClient, script: Script, value: str) -> None:
    script.snapshots[41] = [snapshot(9, COMPLETED)]

    answer = await http.get("/v1/sync/41/events", headers={"Last-Event-ID": value})

    assert answer.status_code == 400
    assert answer.json()["field"] == "Last-Event-ID"


async def test_an_unknown_run_is_a_404_and_no_stream(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/sync/41/events")

    assert answer.status_code == 404
    assert answer.json()["error"] == "Sync run not found"


async def test_a_broken_watch_behind_the_gateway_is_not_seen_by_the_caller(
    http: httpx.AsyncClient, script: Script
) -> None:
    script.snapshots[41] = [snapshot(2), snapshot(9, COMPLETED)]
    script.watch_breaks = [(1, CONNECTION_LOST)]

    answer = await http.get("/v1/sync/41/events")

    assert [event["id"] for event in events(answer.text)] == ["2", "9"]
    assert watches(script) == [0, 2]


async def test_a_stream_that_cannot_go_on_says_so(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[41] = [snapshot(2), snapshot(9, COMPLETED)]
    script.watch_breaks = [(0, CONNECTION_LOST)] * 2

    (event,) = events((await http.get("/v1/sync/41/events")).text)

    assert event["event"] == "failure"
    body = json.loads(event["data"])
    assert body.pop("nextStep")
    assert body == {"success": False, "error": "The sync service is unavailable", "reason": "SERVICE_UNAVAILABLE"}


async def test_a_caller_that_hangs_up_ends_its_watch(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[41] = [snapshot(2)]
    script.run_goes_on = True

    async with http.stream("GET", "/v1/sync/41/events") as answer:
        assert "id: 2" in [line async for line in first_lines(answer)]
    async with asyncio.timeout(10):
        await script.watches_ended.wait()


async def test_a_stop_of_the_gateway_ends_open_streams(script: Script) -> None:
    script.snapshots[41] = [snapshot(2)]
    script.run_goes_on = True
    async with serving(script) as target, httpx.AsyncClient(trust_env=False) as http:
        async with gateway_running(settings(grpc_target=target)) as port:
            request = http.build_request("GET", f"http://127.0.0.1:{port}/v1/sync/41/events")
            answer = await http.send(request, stream=True)
            lines = answer.aiter_lines()
            assert await anext(lines) == "id: 2"
        rest = [line async for line in lines]
        await answer.aclose()

    assert "event: failure" in rest


async def first_lines(answer: httpx.Response) -> Any:
    """The lines of the first event."""
    async for line in answer.aiter_lines():
        if not line:
            return
        yield line
