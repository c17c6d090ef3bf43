"""Rows that another program has stored and nobody can read stop nothing but themselves."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import create_engine, text
from techaura_sync import SyncClient

from tests.e2e.test_api_to_table import options
from tests.e2e.test_incremental import execute
from tests.support.items_api import items_api
from tests.support.service import Service

DIGITS = '{"a": ' + "9" * 5000 + "}"
DEEP = "[" * 1500 + "]" * 1500


def strange(service: Service, identifier: object, metadata: str, status: str = "pending") -> None:
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    engine = create_engine(url)
    values = {"identifier": identifier, "metadata": metadata, "status": status}
    try:
        with engine.begin() as connection:
            if "mysql" in url:
                # As in a database that was adopted: nothing there keeps the text from being anything.
                connection.execute(text("ALTER TABLE sync_runs MODIFY sync_metadata LONGTEXT"))
            connection.execute(
                text(
                    "INSERT INTO sync_runs (source_type, source_identifier, sync_metadata, status) "
                    "VALUES ('csv', :identifier, :metadata, :status)"
                ),
                values,
            )
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("identifier", "metadata"),
    [("x.csv", "not json"), ("x.csv", DIGITS), ("x.csv", DEEP), (b"\xff\x00x.csv", "{}")],
    ids=["no JSON", "digits", "deep", "bytes"],
)
def test_a_row_that_cannot_be_read_fails_alone(service: Service, identifier: object, metadata: str) -> None:
    if isinstance(identifier, bytes) and "mysql" in service.environ["TECHAURA_SYNC_DATABASE_URL"]:
        identifier = identifier.replace(b"\xff", b"").decode()
    (service.data_root / "good.csv").write_text("external_id,title\n1,a\n")
    strange(service, identifier, metadata)
    assert service.run("csv", "good.csv")["status"] == "completed"
    status, answer = service.get("/v1/sync/runs")
    assert status == 200, answer
    run = next(run for run in answer["data"] if run["sourceIdentifier"] != "good.csv")
    done = service.finished(run["syncRunId"])
    assert (done["status"], bool(done["failure"]["nextStep"])) == ("failed", True)
    execute(service, f"DELETE FROM sync_runs WHERE id = {run['syncRunId']}")


def test_a_status_that_is_not_known_is_left_alone_and_said(service: Service) -> None:
    strange(service, "y.csv", "{}", status="queued")
    status, answer = service.get("/v1/sync/runs")
    assert status == 200
    run_id = next(run["syncRunId"] for run in answer["data"] if run["sourceIdentifier"] == "y.csv")
    for act in ("cancel", "pause", "continue"):
        status, answer = service.post(f"/v1/sync/{run_id}/{act}")
        assert (status, answer["reason"], "'queued'" in answer["error"]) == (409, "RUN_ENDED", True)
    execute(service, f"DELETE FROM sync_runs WHERE id = {run_id}")


def test_a_schedule_that_cannot_be_used_here_stops_no_other(live_server: Service) -> None:
    service = live_server
    (service.data_root / "s.csv").write_text("external_id,title\n1,a\n")
    made = []
    for zone in ("UTC", "America/Bogota"):
        body = {"sourceType": "csv", "sourceIdentifier": "s.csv", "cron": "* * * * *", "timeZone": zone}
        made.append(service.post("/v1/sync/schedules", body)[1]["data"]["scheduleId"])
    execute(service, f"UPDATE sync_schedules SET time_zone = 'America/New_Zone' WHERE id = {made[0]}")
    execute(service, f"UPDATE sync_schedules SET starts_at_ms = 0 WHERE id = {made[1]}")
    status, answer = service.get("/v1/sync/schedules")
    assert (status, {row["scheduleId"] for row in answer["data"]} >= set(made)) == (200, True)
    with SyncClient(service.grpc_target) as client:
        # The counts change when it fires.
        for _counts in client.watch_stats():
            if client.schedules.get(made[1]).last_sync_run_id:
                break
        assert client.schedules.get(made[0]).last_sync_run_id == 0
    for schedule_id in made:
        execute(service, f"DELETE FROM sync_schedules WHERE id = {schedule_id}")


def test_a_run_that_loses_all_its_owners_ends_and_says_so(service: Service) -> None:
    (service.data_root / "poison.csv").write_text("external_id,title\n1,a\n")
    execute(
        service,
        "INSERT INTO sync_runs (source_type, source_identifier, status, lease_owner, lease_epoch, lease_expires_at_ms, "
        "takeover_count, sync_metadata) VALUES ('csv', 'poison.csv', 'in_progress', 'dead', 12, 1, 10, '{}')",
    )
    answer = service.get("/v1/sync/runs")[1]
    run = next(run for run in answer["data"] if run["sourceIdentifier"] == "poison.csv")
    done = service.finished(run["syncRunId"])
    assert (done["status"], done["failure"]["reason"], done["failure"]["retryable"]) == ("failed", "OWNERS_LOST", True)
    assert done["errors"][0]["type"] == "system"


def test_a_run_behind_another_says_what_it_waits_for(service: Service) -> None:
    with items_api(hold=threading.Event()) as api:
        first = service.trigger("api", api.url, options())
        assert api.holds.wait(30)
        second = service.trigger("api", api.url, options() | {"contentType": "video"})
        waiting = service.get(f"/v1/sync/{second}")[1]["data"]
        assert (waiting["status"], waiting["notices"]) == (
            "pending",
            [f"waits until run {first} of the same source has ended"],
        )
        for run_id in (first, second):
            service.post(f"/v1/sync/{run_id}/cancel")
