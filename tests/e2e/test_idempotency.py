"""Calls that are sent again: with the same key they change nothing more, and their answer is that of the first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from techaura.sync.v1 import schedules_pb2
from techaura_sync import SyncClient, SyncServiceError, sync_spec

from tests.support.callers import ask
from tests.support.service import Service

PATH = "/v1/sync/trigger"


def write(service: Service, name: str) -> dict[str, Any]:
    """A file, and the body of a request that syncs it."""
    (service.data_root / name).write_text("external_id,title\n1,One\n")
    return {"sourceType": "csv", "sourceIdentifier": name}


def post(service: Service, path: str, key: str, body: object = None) -> tuple[int, dict[str, Any]]:
    status, answer, _ = ask(service, "POST", path, body=body, headers={"Idempotency-Key": key})
    return status, answer


def total(service: Service) -> int:
    return int(service.get("/v1/sync/stats")[1]["data"]["total"])


def test_a_trigger_that_is_sent_again_finds_its_run_also_when_that_has_ended(service: Service) -> None:
    body = write(service, "again.csv")
    first = post(service, PATH, "again-1", body)[1]["data"]
    service.finished(first["syncRunId"])
    count = total(service)
    # What a request means does not hang on how its JSON is written, nor on whether the file is still there.
    (service.data_root / "again.csv").unlink()
    for same in (body, body | {"options": None}, dict(reversed(body.items())), body | {"options": {}}):
        status, answer = post(service, PATH, "again-1", same)
        assert (status, answer["data"]) == (200, first)
    assert post(service, PATH, '"again-1"', body)[1]["data"] == first
    assert total(service) == count


def test_without_a_key_each_trigger_is_one_of_its_own(service: Service) -> None:
    body = write(service, "each.csv")
    ids = set()
    for _time in range(2):
        ids.add(service.run("csv", body["sourceIdentifier"])["syncRunId"])
    assert len(ids) == 2


def test_the_key_of_another_request_is_refused(service: Service) -> None:
    body, other = write(service, "mine.csv"), write(service, "other.csv")
    run_id = post(service, PATH, "mine-1", body)[1]["data"]["syncRunId"]
    different: list[tuple[str, object]] = [
        (PATH, other),
        (PATH, body | {"options": {"contentType": "video"}}),
        (f"/v1/sync/{run_id}/pause", {}),
        ("/v1/sync/resume", {}),
        ("/v1/sync/schedules", body | {"cron": "0 3 * * *"}),
    ]
    for path, content in different:
        status, answer = post(service, path, "mine-1", content)
        assert (status, answer["reason"], answer["field"]) == (409, "REQUEST_ID_REUSED", "Idempotency-Key"), path
    assert post(service, PATH, "mine-1", body)[1]["data"]["syncRunId"] == run_id


def test_a_call_that_failed_has_used_up_no_key(service: Service) -> None:
    body = {"sourceType": "csv", "sourceIdentifier": "late.csv"}
    assert post(service, PATH, "late-1", body)[0] == 400
    write(service, "late.csv")
    assert post(service, PATH, "late-1", body)[0] == 200


def test_many_at_once_make_one_run(service: Service) -> None:
    body = write(service, "storm.csv")
    before = total(service)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(service, PATH, "storm-1", body), range(48)))
    assert {status for status, _ in answers} == {200}
    (run_id,) = {answer["data"]["syncRunId"] for _, answer in answers}
    assert total(service) == before + 1
    service.finished(run_id)


def test_many_at_once_with_different_content_make_one_run(service: Service) -> None:
    bodies = [write(service, f"rivals-{number}.csv") for number in range(8)]
    before = total(service)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: post(service, PATH, "rivals-1", body), bodies))
    won = [answer for status, answer in answers if status == 200]
    assert len(won) == 1
    assert {answer["reason"] for status, answer in answers if status != 200} == {"REQUEST_ID_REUSED"}
    assert total(service) == before + 1


def test_changes_of_a_run_that_are_sent_again(service: Service) -> None:
    write(service, "steered.csv")
    with SyncClient(service.grpc_target) as client:
        (service.data_root / "steered.csv").write_text(
            "external_id,title\n" + "".join(f"{n},T\n" for n in range(50_000))
        )
        run_id = next(iter(client.trigger(sync_spec("csv", "steered.csv"), detach=True))).accepted.sync_run_id
        for change in (client.pause, client.continue_run, client.pause, client.cancel):
            key = f"{change.__name__}-{run_id}"
            if change is client.pause:
                change(run_id)
            assert change(run_id, request_id=key).sync_run_id == run_id
        service.finished(run_id)
        # Without the key it would be told that the run has ended.
        assert client.cancel(run_id, request_id=f"cancel-{run_id}").sync_run_id == run_id
        with pytest.raises(SyncServiceError) as ended:
            client.cancel(run_id)
        assert ended.value.reason == "RUN_ENDED"


def test_changes_that_are_sent_at_once_are_all_answered_as_the_first(service: Service) -> None:
    write(service, "at-once.csv")
    (service.data_root / "held.csv").write_text("external_id,title\n" + "".join(f"{n},T\n" for n in range(50_000)))
    run_id = service.trigger("csv", "held.csv")
    path = "/v1/sync/schedules"
    body = {"sourceType": "csv", "sourceIdentifier": "at-once.csv", "cron": "0 3 * * *"}
    schedule = service.post(path, body)[1]["data"]
    own = f"{path}/{schedule['scheduleId']}"
    change = {"cron": "0 4 * * *", "revision": schedule["revision"]}
    calls: list[tuple[str, str, object]] = [
        ("POST", f"/v1/sync/{run_id}/cancel", {}),
        ("PATCH", own, change),
        ("PATCH", own, {"cron": "0 5 * * *"}),
        ("DELETE", own, {}),
    ]
    for number, (verb, where, content) in enumerate(calls):
        headers = {"Idempotency-Key": f"at-once-{number}"}
        with ThreadPoolExecutor(12) as pool:
            found = list(pool.map(lambda _: ask(service, verb, where, body=content, headers=headers)[0], range(24)))  # noqa: B023 - used at once
        assert set(found) == {200}, (verb, where)


def test_a_change_that_changes_nothing_is_one_all_the_same(service: Service) -> None:
    write(service, "nothing.csv")
    path = "/v1/sync/schedules"
    body = {"sourceType": "csv", "sourceIdentifier": "nothing.csv", "cron": "0 3 * * *"}
    own = f"{path}/{service.post(path, body)[1]['data']['scheduleId']}"
    headers = {"Idempotency-Key": "nothing-1"}
    assert ask(service, "PATCH", own, body={"enabled": True}, headers=headers)[1]["data"]["enabled"] is True
    ask(service, "PATCH", own, body={"enabled": False})
    assert ask(service, "PATCH", own, body={"enabled": True}, headers=headers)[1]["data"]["enabled"] is False


def test_how_a_trigger_is_answered_is_no_part_of_its_content(service: Service) -> None:
    write(service, "either.csv")
    with SyncClient(service.grpc_target) as client:
        spec = sync_spec("csv", "either.csv")
        ids = {
            next(iter(client.trigger(spec, detach=detach, request_id="either-1"))).accepted.sync_run_id
            for detach in (True, False)
        }
    assert len(ids) == 1


def test_changes_of_schedules_that_are_sent_again(service: Service) -> None:
    write(service, "planned.csv")
    schedule = schedules_pb2.SyncSchedule(spec=sync_spec("csv", "planned.csv"), cron="0 3 * * *")
    with SyncClient(service.grpc_target) as client:
        calls = client.schedules
        made = calls.create(schedule, request_id="plan-1")
        assert calls.create(schedule, request_id="plan-1") == made
        change = schedules_pb2.SyncSchedule(
            sync_schedule_id=made.sync_schedule_id, cron="0 4 * * *", revision=made.revision
        )
        changed = calls.update(change, request_id="plan-2")
        # Without the key it would be told that somebody else has changed it.
        assert calls.update(change, request_id="plan-2") == changed
        run_id = calls.run_now(made.sync_schedule_id, request_id="plan-3")
        service.finished(run_id)
        assert calls.run_now(made.sync_schedule_id, request_id="plan-3") == run_id
        for _time in range(2):
            calls.delete(made.sync_schedule_id, request_id="plan-4")
        assert [one for one in calls.page().schedules if one.sync_schedule_id == made.sync_schedule_id] == []


def refused(call: Callable[[], object]) -> SyncServiceError:
    with pytest.raises(SyncServiceError) as error:
        call()
    return error.value


@pytest.mark.parametrize("key", ["a b", "x" * 129, "caf\u00e9", "tab\there", "\u200b"])
def test_keys_that_are_none(live_server: Service, key: str) -> None:
    write(live_server, "key.csv")
    with SyncClient(live_server.grpc_target) as client:
        error = refused(lambda: list(client.trigger(sync_spec("csv", "key.csv"), detach=True, request_id=key)))
    assert (error.reason, error.field) == ("INVALID_REQUEST", "request_id")


@pytest.mark.parametrize("header", ["", " ", '""', "a b", "x" * 129])
def test_headers_that_are_no_key(live_server: Service, header: str) -> None:
    status, answer = post(live_server, PATH, header, write(live_server, "key.csv"))
    assert (status, answer["field"]) == (400, "Idempotency-Key")
