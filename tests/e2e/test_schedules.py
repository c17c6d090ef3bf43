"""Recurring syncs through the real program: over REST, over gRPC, on the command line, and fired by the service."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from techaura.sync.v1 import schedules_pb2
from techaura_sync import AsyncSyncClient, SyncClient, SyncServiceError, sync_spec

from tests.support.programs import run
from tests.support.service import Service


def command(service: Service, *arguments: str) -> Any:
    asked = ("--target", service.grpc_target, "--json", "schedules", *arguments)
    done = run("techaura-sync", *asked, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_schedule_over_rest_from_its_making_to_its_end(service: Service) -> None:
    (service.data_root / "nightly.csv").write_text("title\na\n")
    body = {"sourceType": "csv", "sourceIdentifier": "nightly.csv", "cron": "0 3 * * *", "timeZone": "Europe/Helsinki"}
    status, answer = service.post("/v1/sync/schedules", body)
    assert status == 200
    made = answer["data"]
    assert (made["enabled"], made["overlapPolicy"], made["options"]) == (True, "skip", {})
    assert made["nextFireAt"] is not None
    url = f"/v1/sync/schedules/{made['scheduleId']}"
    assert service.get(url)[1]["data"] == made
    run_id = service.post(f"{url}/run")[1]["data"]["syncRunId"]
    assert service.finished(run_id)["scheduleId"] == made["scheduleId"]
    change = {"enabled": False, "options": {"contentType": "video"}, "revision": made["revision"]}
    changed = httpx.patch(service.http_url + url, json=change, trust_env=False).json()["data"]
    assert (changed["enabled"], changed["options"], changed["nextFireAt"]) == (False, {"contentType": "video"}, None)
    again = httpx.patch(service.http_url + url, json=change, trust_env=False)
    assert (again.status_code, again.json()["reason"]) == (409, "SCHEDULE_CHANGED")
    assert httpx.delete(service.http_url + url, trust_env=False).status_code == 200
    status, answer = service.get(url)
    assert (status, answer["reason"]) == (404, "SCHEDULE_NOT_FOUND")


NO_PLACE = {
    "../../etc/passwd": "SOURCE_FORBIDDEN",
    "/etc/passwd.csv": "SOURCE_FORBIDDEN",
    "song.exe": "SOURCE_UNSUPPORTED",
    "a\nb.csv": "SOURCE_UNSUPPORTED",
}


@pytest.mark.parametrize("identifier", NO_PLACE)
def test_a_schedule_is_not_stored_for_what_can_never_be_read(live_server: Service, identifier: str) -> None:
    body = {"sourceType": "csv", "sourceIdentifier": identifier, "cron": "0 3 * * *"}

    status, answer = live_server.post("/v1/sync/schedules", body)

    assert (status, answer["reason"], answer["field"]) == (400, NO_PLACE[identifier], "sourceIdentifier")
    assert live_server.get("/v1/sync/schedules")[1]["data"] == []


@pytest.mark.parametrize("identifier", ["later.csv", "later.ods", "incoming", "incoming/*.csv", "incoming/later.csv"])
def test_a_schedule_is_stored_for_what_may_come_later(live_server: Service, identifier: str) -> None:
    body = {"sourceType": "csv", "sourceIdentifier": identifier, "cron": "0 3 * * *"}
    status, answer = live_server.post("/v1/sync/schedules", body)
    assert (status, answer["data"]["sourceIdentifier"]) == (200, identifier)
    url = f"{live_server.http_url}/v1/sync/schedules/{answer['data']['scheduleId']}"

    moved = httpx.patch(url, json={"sourceIdentifier": "/etc/passwd.csv"}, trust_env=False)

    assert (moved.status_code, moved.json()["reason"]) == (400, "SOURCE_FORBIDDEN")
    assert httpx.delete(url, trust_env=False).status_code == 200


def test_a_schedule_that_is_due_every_minute_is_fired_by_the_service(live_server: Service) -> None:
    """Made before the present minute, so that this minute's fire is due at once."""
    (live_server.data_root / "minute.csv").write_text("title\na\nb\n")
    with SyncClient(live_server.grpc_target) as client:
        made = client.schedules.create(
            schedules_pb2.SyncSchedule(spec=sync_spec("csv", "minute.csv"), cron="* * * * *")
        )
        engine = create_engine(live_server.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", ""))
        with engine.begin() as connection:
            connection.execute(text("UPDATE sync_schedules SET starts_at_ms = 0"))
        engine.dispose()
        # The counts change when it fires.
        for _counts in client.watch_stats():
            fired = client.schedules.get(made.sync_schedule_id)
            if fired.last_sync_run_id:
                break
        assert live_server.finished(fired.last_sync_run_id)["ledger"]["inserted"] == 2
        client.schedules.delete(made.sync_schedule_id)


async def test_the_asyncio_client_has_the_same_calls(live_server: Service) -> None:
    schedule = schedules_pb2.SyncSchedule(spec=sync_spec("csv", "x.csv"), cron="0 3 * * *")
    async with AsyncSyncClient(live_server.grpc_target) as client:
        made = await client.schedules.create(schedule)
        changed = await client.schedules.update(
            schedules_pb2.SyncSchedule(sync_schedule_id=made.sync_schedule_id, enabled=False), ["enabled"]
        )
        assert (changed.enabled, changed.cron) == (False, "0 3 * * *")
        with pytest.raises(SyncServiceError, match="no field 'nope'"):
            await client.schedules.update(changed, ["nope"])
        page = await client.schedules.page(1)
        assert [entry.sync_schedule_id for entry in page.schedules] == [made.sync_schedule_id]
        await client.schedules.delete(made.sync_schedule_id)
        with pytest.raises(SyncServiceError) as caught:
            await client.schedules.run_now(made.sync_schedule_id)
    assert caught.value.reason == "SCHEDULE_NOT_FOUND"


def test_schedules_on_the_command_line(live_server: Service) -> None:
    (live_server.data_root / "cli.csv").write_text("title\na\n")
    (made,) = command(live_server, "create", "csv", "cli.csv", "--cron", "0 3 * * *", "--overlap", "queue")
    schedule_id = str(made["scheduleId"])
    assert made["overlapPolicy"] == "queue"
    options = '{"contentType": "video"}'
    (changed,) = command(live_server, "update", schedule_id, "--disable", "--options", options)
    assert (changed["enabled"], changed["options"]) == (False, {"contentType": "video"})
    assert command(live_server, "show", schedule_id) == [changed]
    assert changed in command(live_server, "list")
    (started,) = command(live_server, "run", schedule_id)
    assert live_server.finished(started["syncRunId"])["status"] == "completed"
    assert command(live_server, "delete", schedule_id) == [{"scheduleId": made["scheduleId"]}]
