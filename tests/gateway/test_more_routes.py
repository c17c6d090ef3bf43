"""The routes that old callers do not know: runs, errors, cancel, health, and the OpenAPI document."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.endpoints import HTTPEndpoint
from techaura.sync.v1 import resources_pb2, sync_service_pb2

from gateway.app import ROUTES
from gateway.errors import RequestFaultError
from gateway.options import read_spec
from tests.clients.scripted_service import Script, snapshot
from tests.support.openapi import DOCUMENT, component, followed


async def test_runs_are_listed_a_page_at_a_time(http: httpx.AsyncClient, script: Script) -> None:
    script.runs = [resources_pb2.SyncRun(sync_run_id=n, source_type="csv") for n in (3, 2)]
    script.next_page_token = "more"

    query = {"pageSize": "2", "pageToken": "here", "status": "failed", "sourceType": "csv"}
    answer = await http.get("/v1/sync/runs", params=query)

    assert answer.status_code == 200
    assert [run["syncRunId"] for run in answer.json()["data"]] == [3, 2]
    assert answer.json()["nextPageToken"] == "more"
    assert script.requests == [
        sync_service_pb2.ListSyncRunsRequest(
            page_size=2, page_token="here", status=resources_pb2.SYNC_STATUS_FAILED, source_type="csv"
        )
    ]


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=x",
        "pageSize=-1",
        "pageSize=0",
        "pageSize=",
        "pageSize=2147483648",
        "status=done",
        "status=",
        "pagesize=5",
        "limit=5",
        "pageToken=a&pageToken=b",
    ],
)
async def test_a_malformed_query_is_refused_by_its_name(http: httpx.AsyncClient, script: Script, query: str) -> None:
    answer = await http.get(f"/v1/sync/runs?{query}")

    assert answer.status_code == 400
    assert answer.json()["field"] == query.partition("=")[0]
    assert script.requests == []


async def test_errors_of_a_run_show_where_each_row_stands(http: httpx.AsyncClient, script: Script) -> None:
    script.errors = [
        resources_pb2.SyncError(
            sync_error_id=5,
            sync_run_id=41,
            type="validation",
            code="bad_cast",
            message="price is no number",
            line=7,
            byte_offset=120,
            column="price",
            raw='a,"b"',
        )
    ]

    answer = await http.get("/v1/sync/41/errors", params={"pageSize": "10"})

    assert answer.json()["data"] == [
        {
            "syncErrorId": 5,
            "syncRunId": 41,
            "type": "validation",
            "code": "bad_cast",
            "message": "price is no number",
            "line": 7,
            "byteOffset": 120,
            "column": "price",
            "raw": 'a,"b"',
            "retryable": False,
            "createdAt": None,
        }
    ]
    assert script.requests == [sync_service_pb2.ListSyncErrorsRequest(sync_run_id=41, page_size=10)]


async def test_cancel_answers_the_run_as_it_stands(http: httpx.AsyncClient, script: Script) -> None:
    script.runs = [resources_pb2.SyncRun(sync_run_id=41, status=resources_pb2.SYNC_STATUS_CANCELLED)]

    assert (await http.post("/v1/sync/41/cancel")).json()["data"]["status"] == "cancelled"
    assert (await http.post("/v1/sync/42/cancel")).status_code == 404


@pytest.mark.parametrize(("path", "status"), [("/healthz", "serving"), ("/readyz", "ready")])
async def test_a_probe_is_told_that_all_is_well(http: httpx.AsyncClient, path: str, status: str) -> None:
    answer = await http.get(path)

    assert answer.status_code == 200
    assert (answer.json()["success"], answer.json()["status"]) == (True, status)


async def test_head_answers_as_get_does_without_a_body(http: httpx.AsyncClient) -> None:
    answer = await http.head("/v1/sync/stats")

    assert (answer.status_code, answer.content) == (200, b"")


def test_the_document_has_every_route_and_verb_and_no_other() -> None:
    documented = {(path, verb) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}

    served = set()
    for route in ROUTES:
        if not route.include_in_schema:
            continue
        path = route.path.replace("sync_run_id", "syncRunId").replace("schedule_id", "scheduleId")
        endpoint = route.endpoint
        verbs = ["get"]
        if isinstance(endpoint, type) and issubclass(endpoint, HTTPEndpoint):
            verbs = [verb for verb in ("get", "post", "put", "patch", "delete") if hasattr(endpoint, verb)]
        served |= {(path, verb) for verb in verbs}
    assert documented == served


@pytest.mark.parametrize(
    ("source_type", "schema"), [("csv", component("CsvOptions")), ("api", component("ApiOptions"))]
)
def test_the_document_has_every_option_that_the_gateway_reads(source_type: str, schema: dict[str, Any]) -> None:
    with pytest.raises(RequestFaultError) as caught:
        read_spec(source_type, "x", {"": ""})

    known = caught.value.text.partition("it knows ")[2].split(", ")
    assert sorted(schema["properties"]) == known


async def test_answers_have_the_keys_that_the_document_requires(http: httpx.AsyncClient, script: Script) -> None:
    script.runs = [resources_pb2.SyncRun(sync_run_id=41)]
    script.errors = [resources_pb2.SyncError(sync_error_id=1)]
    script.snapshots[41] = [snapshot(1, errors=(resources_pb2.SyncError(type="network", message="m"),))]
    served = (await http.get("/openapi.json")).json()
    assert served == DOCUMENT

    for path, verb in [(path, verb) for path, verbs in served["paths"].items() for verb in verbs]:
        content = served["paths"][path][verb]["responses"]["200"]["content"]
        if "application/json" not in content:
            continue
        body: dict[str, str] | None = {"sourceType": "csv", "sourceIdentifier": "/data/a.csv"}
        if not served["paths"][path][verb].get("requestBody", {}).get("required"):
            body = None
        answer = await http.request(verb, path.replace("{syncRunId}", "41").replace("{scheduleId}", "5"), json=body)
        assert answer.status_code == 200, path
        check_keys(answer.json(), content["application/json"]["schema"])


def check_keys(value: Any, schema: dict[str, Any]) -> None:
    """Check that required keys are there and that no documented object has an undocumented key."""
    schema = followed(schema)
    if isinstance(value, list):
        for item in value:
            check_keys(item, schema["items"])
    elif isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
        for key, item in value.items():
            check_keys(item, schema["properties"][key])
