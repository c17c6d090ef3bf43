"""What HTTP has for callers: OPTIONS, HEAD, ETag, waiting for the end, and one route for each binding of the protos."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from google.api import annotations_pb2
from starlette.endpoints import HTTPEndpoint
from techaura.sync.v1 import resources_pb2, sync_service_pb2

from gateway.app import ROUTES
from tests.clients.scripted_service import Script, snapshot

VERBS = ("get", "post", "put", "patch", "delete")
SERVICE = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"]


def unnamed(path: str) -> str:
    """A path without the names of its parameters."""
    return re.sub(r"{[^}]*}", "{}", path)


def test_each_binding_has_its_route_and_each_route_its_binding() -> None:
    bound = set()
    for method in SERVICE.methods:
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        bound.add((verb, unnamed(getattr(rule, verb))))
    served = set()
    for route in ROUTES:
        if route.path.startswith("/v1/"):
            assert isinstance(route.endpoint, type)
            assert issubclass(route.endpoint, HTTPEndpoint)
            served |= {(verb, unnamed(route.path)) for verb in VERBS if hasattr(route.endpoint, verb)}
    # GetSyncStatus with `watch`, as server-sent events.
    assert served - bound == {("get", "/v1/sync/{}/events")}
    assert bound <= served
    assert len(bound) == len(SERVICE.methods)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/sync/stats", "GET, HEAD, OPTIONS"),
        ("/v1/sync/trigger", "OPTIONS, POST"),
        ("/v1/sync/schedules", "GET, HEAD, OPTIONS, POST"),
        ("/v1/sync/schedules/5", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/v1/sync/7/events", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_names_the_verbs_of_a_path(
    http: httpx.AsyncClient, script: Script, path: str, allowed: str
) -> None:
    answer = await http.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")
    assert "access-control-allow-origin" not in answer.headers
    assert script.requests == []


async def test_options_of_an_unknown_path_is_a_404(http: httpx.AsyncClient) -> None:
    assert (await http.options("/v1/sync/7/nothing")).status_code == 404


async def test_a_status_that_has_not_changed_is_a_304(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[7] = [snapshot(5, run_id=7)]
    first = await http.get("/v1/sync/7")
    etag = first.headers["etag"]
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await http.get("/v1/sync/7", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    head = await http.head("/v1/sync/7")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
    for unknown in ('"other"', "", etag[:-2]):
        assert (await http.get("/v1/sync/7", headers={"If-None-Match": unknown})).status_code == 200
    script.snapshots[7][0].run.notices.append("something else to know")
    changed = await http.get("/v1/sync/7", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


BODY = {"sourceType": "csv", "sourceIdentifier": "songs.csv"}


async def test_a_trigger_waits_for_the_end_of_its_run(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[41] = [snapshot(2), snapshot(9, resources_pb2.SYNC_STATUS_COMPLETED)]
    answer = (await http.post("/v1/sync/trigger?wait=30", json=BODY)).json()
    assert answer["data"]["run"]["syncRunId"] == answer["data"]["syncRunId"]
    assert answer["data"]["run"]["status"] == "completed"


async def test_a_trigger_waits_no_longer_than_it_was_told(http: httpx.AsyncClient, script: Script) -> None:
    script.snapshots[41] = [snapshot(2)]
    script.run_goes_on = True
    answer = await http.post("/v1/sync/trigger?wait=1", json=BODY)
    assert answer.json()["data"]["run"]["status"] == "in_progress"
    async with asyncio.timeout(30):
        await script.watches_ended.wait()


async def test_without_wait_the_answer_is_as_it_was(http: httpx.AsyncClient) -> None:
    for query in ("", "?wait=0"):
        answer = (await http.post(f"/v1/sync/trigger{query}", json=BODY)).json()
        assert answer["data"].keys() == {"syncRunId"}


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "x", "", "99999999999", "1&wait=2"])
async def test_a_wait_that_cannot_be(http: httpx.AsyncClient, script: Script, wait: str) -> None:
    answer = await http.post(f"/v1/sync/trigger?wait={wait}", json=BODY)
    assert (answer.status_code, answer.json()["field"]) == (400, "wait")
    assert script.requests == []


async def test_no_other_post_has_a_query(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/sync/resume?wait=1")).status_code == 400
