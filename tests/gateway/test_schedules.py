"""The schedule routes: JSON in, one call of the service, JSON out."""

from __future__ import annotations

import httpx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from techaura.sync.v1 import csv_source_pb2, schedules_pb2, sync_spec_pb2
from techaura_sync import sync_spec

from tests.clients.scripted_service import Script

BODY = {
    "sourceType": "csv",
    "sourceIdentifier": "a.csv",
    "options": {"contentType": "video"},
    "cron": "0 3 * * *",
    "timeZone": "Europe/Helsinki",
    "overlapPolicy": "queue",
    "catchUpSeconds": 0,
    "enabled": False,
}


async def test_a_schedule_is_stored_as_it_was_written(http: httpx.AsyncClient, script: Script) -> None:
    answer = await http.post("/v1/sync/schedules", json=BODY)

    assert answer.status_code == 200
    assert answer.json()["data"]["scheduleId"] == 5
    schedule = schedules_pb2.SyncSchedule(
        spec=sync_spec_pb2.SyncSpec(
            source_identifier="a.csv",
            csv=csv_source_pb2.CsvOptions(),
            write=sync_spec_pb2.WriteOptions(content_type=sync_spec_pb2.CONTENT_TYPE_VIDEO),
        ),
        cron="0 3 * * *",
        time_zone="Europe/Helsinki",
        overlap_policy=schedules_pb2.OVERLAP_POLICY_QUEUE,
        catch_up_seconds=0,
        enabled=False,
    )
    assert script.requests == [schedules_pb2.CreateSyncScheduleRequest(schedule=schedule)]


async def test_a_patch_changes_the_fields_that_it_has_and_no_other(http: httpx.AsyncClient, script: Script) -> None:
    answer = await http.patch(
        "/v1/sync/schedules/5", json={"enabled": False, "options": {}, "cron": None, "revision": 3}
    )

    assert answer.status_code == 200
    schedule = schedules_pb2.SyncSchedule(sync_schedule_id=5, enabled=False, revision=3, spec=sync_spec("csv", ""))
    assert script.requests == [
        schedules_pb2.GetSyncScheduleRequest(sync_schedule_id=5),
        schedules_pb2.UpdateSyncScheduleRequest(
            schedule=schedule, update_mask=FieldMask(paths=["enabled", "spec.csv"])
        ),
    ]


async def test_schedules_are_listed_run_and_removed(http: httpx.AsyncClient, script: Script) -> None:
    script.next_page_token = "more"

    page = (await http.get("/v1/sync/schedules?pageSize=3&pageToken=x")).json()
    started = (await http.post("/v1/sync/schedules/5/run")).json()
    removed = (await http.delete("/v1/sync/schedules/5")).json()

    assert ([entry["scheduleId"] for entry in page["data"]], page["nextPageToken"]) == ([5], "more")
    assert (started["data"], removed["data"]) == ({"syncRunId": 41}, {"scheduleId": 5})
    assert script.requests == [
        schedules_pb2.ListSyncSchedulesRequest(page_size=3, page_token="x"),
        schedules_pb2.RunSyncScheduleRequest(sync_schedule_id=5),
        schedules_pb2.DeleteSyncScheduleRequest(sync_schedule_id=5),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": 3}, "cron"),
        ({"enabled": "yes"}, "enabled"),
        ({"catchUpSeconds": True}, "catchUpSeconds"),
        ({"catchUpSeconds": -1}, "catchUpSeconds"),
        ({"overlapPolicy": "twice"}, "overlapPolicy"),
        ({"options": {"nope": 1}}, "options"),
        ({"every": "day"}, "every"),
        ({"sourceType": ""}, "sourceType"),
        ({"sourceIdentifier": ""}, "sourceIdentifier"),
    ],
)
async def test_a_malformed_schedule_is_refused_by_its_field(
    http: httpx.AsyncClient, script: Script, change: dict[str, object], field: str
) -> None:
    answer = await http.post("/v1/sync/schedules", json=BODY | change)

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert script.requests == []


@pytest.mark.parametrize("text", ["x", "0", "000", "-1", "1.0"])
async def test_a_schedule_id_is_a_whole_number_over_0(http: httpx.AsyncClient, script: Script, text: str) -> None:
    answer = await http.get(f"/v1/sync/schedules/{text}")

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid schedule ID")
    assert script.requests == []


@pytest.mark.parametrize("body", [b"", b"{}", b'{"revision": 3}', b'{"cron": null, "options": null}'])
async def test_a_patch_that_changes_nothing_is_refused(http: httpx.AsyncClient, script: Script, body: bytes) -> None:
    answer = await http.patch("/v1/sync/schedules/5", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("nothing to change")
    assert script.requests == []


@pytest.mark.parametrize("value", ["", 5, ["csv"]])
async def test_a_source_type_that_is_no_name_is_refused_by_its_field(http: httpx.AsyncClient, value: object) -> None:
    answer = await http.patch("/v1/sync/schedules/5", json={"sourceType": value})

    assert (answer.status_code, answer.json()["field"]) == (400, "sourceType")


async def test_a_new_schedule_has_no_revision_yet(http: httpx.AsyncClient, script: Script) -> None:
    answer = await http.post("/v1/sync/schedules", json=BODY | {"revision": 3})

    assert (answer.status_code, answer.json()["field"]) == (400, "revision")
    assert script.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sync/trigger?dryRun=true"),
        ("POST", "/v1/sync/test?x=1"),
        ("POST", "/v1/sync/resume?x=1"),
        ("POST", "/v1/sync/1/cancel?x=1"),
        ("POST", "/v1/sync/schedules?pageSize=3"),
        ("POST", "/v1/sync/schedules/5/run?x"),
        ("PATCH", "/v1/sync/schedules/5?x=1"),
        ("DELETE", "/v1/sync/schedules/5?x=1"),
        ("GET", "/v1/sync/stats?x=1"),
        ("GET", "/v1/sync/1?x=1"),
        ("GET", "/v1/sync/1/events?x=1"),
        ("GET", "/v1/sync/schedules/5?pageSize=3"),
        ("GET", "/v1/sync/runs?pageSize=3&pageSize=4"),
    ],
)
async def test_a_query_key_that_a_route_does_not_know_is_refused(
    http: httpx.AsyncClient, script: Script, method: str, path: str
) -> None:
    answer = await http.request(method, path, json=BODY if method in ("POST", "PATCH") else None)

    assert (answer.status_code, "the query" in answer.json()["error"]) == (400, True)
    assert script.requests == []


async def test_a_removal_takes_no_body(http: httpx.AsyncClient, script: Script) -> None:
    answer = await http.request("DELETE", "/v1/sync/schedules/5", json={"x": 1})

    assert answer.status_code == 400
    assert script.requests == []
