"""The audit: each change with its caller, each refusal, and the ids by which logs and callers know a call."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from techaura_sync import SyncClient, SyncServiceError, sync_spec

from server.core.callers import Scope
from tests.conftest import DATABASES, service_on
from tests.support.callers import ask, make_key
from tests.support.service import PROGRAM, Service


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program, which asks its callers who they are."""
    with service_on(request, tmp_path_factory, AUTH="required") as running:
        (running.data_root / "songs.csv").write_text("external_id,title\n1,One\n")
        yield running


def entries(service: Service, caller: str) -> list[dict[str, Any]]:
    """What the audit has of a caller, oldest first."""
    command = [str(PROGRAM), "audit", "--json", "--caller", caller]
    done = subprocess.run(command, env=dict(service.environ), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found[::-1]


def test_each_change_is_on_record_with_its_caller(service: Service) -> None:
    key = make_key(service, "changer", Scope.ADMIN)
    body = {"sourceType": "csv", "sourceIdentifier": "songs.csv"}
    request_ids = [f"req-{number}" for number in range(5)]

    def changed(verb: str, path: str, content: object, number: int) -> Any:
        headers = {"X-Request-Id": request_ids[number]}
        status, answer, _ = ask(service, verb, path, key, content, headers)
        assert status == 200, answer
        return answer.get("data")

    run_id = changed("POST", "/v1/sync/trigger", body, 0)["syncRunId"]
    changed("POST", "/v1/sync/resume", {}, 1)
    schedule_id = changed("POST", "/v1/sync/schedules", body | {"cron": "0 3 * * *"}, 2)["scheduleId"]
    changed("PATCH", f"/v1/sync/schedules/{schedule_id}", {"cron": "0 4 * * *"}, 3)
    changed("DELETE", f"/v1/sync/schedules/{schedule_id}", {}, 4)
    ask(service, "GET", f"/v1/sync/{run_id}", key)
    found = entries(service, "changer")
    assert [(entry["method"], entry["about"], entry["requestId"]) for entry in found] == [
        ("TriggerSync", f"run {run_id}", "req-0"),
        ("ResumeSyncs", "", "req-1"),
        ("CreateSyncSchedule", f"schedule {schedule_id}", "req-2"),
        ("UpdateSyncSchedule", f"schedule {schedule_id}", "req-3"),
        ("DeleteSyncSchedule", f"schedule {schedule_id}", "req-4"),
    ]
    assert {(entry["outcome"], entry["peer"]) for entry in found} == {("done", "127.0.0.1")}


def test_a_change_that_is_sent_again_is_on_record_once(service: Service) -> None:
    key = make_key(service, "again", Scope.TRIGGER)
    with SyncClient(service.grpc_target, token=key) as client:
        for _time in range(3):
            list(client.trigger(sync_spec("csv", "songs.csv"), detach=True, request_id="once"))
    assert [entry["outcome"] for entry in entries(service, "again")] == ["done"]


def test_refusals_are_on_record_when_the_service_has_stopped_at_the_latest(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder_of_others = tmp_path_factory.mktemp("others") / "secret.csv"
    folder_of_others.write_text("title\nx\n")
    request.param = "sqlite" if "sqlite" in DATABASES else DATABASES[0]
    with service_on(request, tmp_path_factory, AUTH="required") as service:
        key = make_key(service, "prober", Scope.READ, Scope.TRIGGER)
        with SyncClient(service.grpc_target, token=key) as client:
            for _time in range(3):
                refuse(lambda: client.cancel(1))
            refuse(lambda: list(client.trigger(sync_spec("csv", str(folder_of_others)), detach=True)))
            # A question that has no answer is no matter of an audit.
            refuse(lambda: client.status(4_000_000))
        # However many methods a stranger makes up, they are one in the audit.
        with grpc.insecure_channel(service.grpc_target) as channel:
            for number in range(300):
                call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/made.up/M{number}")
                refuse(partial(call, b"", timeout=30))
        with SyncClient(service.grpc_target, token="tas_wrong") as stranger:
            refuse(stranger.stats)
        assert service.stop() == 0
        assert refusals(service, "prober") == {
            ("prober", "CancelSync", "PERMISSION_DENIED"): 3,
            ("prober", "TriggerSync", "SOURCE_FORBIDDEN"): 1,
        }
        everybody = refusals(service, "")
        assert everybody["", "?", "UNAUTHENTICATED"] == 300
        assert everybody["", "GetSyncStats", "UNAUTHENTICATED"] == 1
        # Equal ones are counted together; how often that was written is a matter of time.
        assert sum(1 for entry in entries(service, "") if entry["method"] == "?") < 30


def refusals(service: Service, caller: str) -> Counter[tuple[str, str, str]]:
    """How often each thing was refused to a caller, or to anybody."""
    found: Counter[tuple[str, str, str]] = Counter()
    for entry in entries(service, caller):
        outcome, _, count = entry["outcome"].partition(" x")
        if outcome == "refused":
            found[entry["caller"], entry["method"], entry["reason"]] += int(count or 1)
    return found


def refuse(call: Any) -> None:
    with pytest.raises((SyncServiceError, grpc.RpcError)):
        call()


def test_a_request_has_the_same_id_everywhere(service: Service) -> None:
    key = make_key(service, "traced", Scope.READ)
    given = uuid.uuid4().hex
    _, _, headers = ask(service, "GET", "/v1/sync/stats", key, headers={"X-Request-Id": given})
    assert headers["X-Request-Id"] == given
    with SyncClient(service.grpc_target, token=key, metadata=(("x-request-id", given),)) as client:
        with pytest.raises(SyncServiceError) as failed:
            client.status(4_000_000)
        assert failed.value.request_id == given
    for unfit in ("", "a b", "x" * 65, "<script>", "caf\u00e9"):
        _, _, headers = ask(service, "GET", "/v1/sync/stats", key, headers={"X-Request-Id": unfit})
        made = headers["X-Request-Id"]
        assert made != unfit
        assert len(made) == 32
    for path in ("/healthz", "/nothing", "/v1/sync/x"):
        assert ask(service, "GET", path, key)[2]["X-Request-Id"]
