"""A REST API through the real program into content_index, on both kinds of database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from techaura_sync import SyncClient, SyncServiceError

from tests.e2e.test_csv_to_table import rows
from tests.support import programs
from tests.support.items_api import items_api
from tests.support.service import Service


def options(token: object = "t0ken", **more: Any) -> dict[str, Any]:
    return {
        "auth": {"type": "bearer", "token": token},
        "fieldMapping": {"title": "name", "artist": "by.name"},
        "pagination": {"enabled": True, "type": "page"} | more,
    }


def test_every_page_is_fetched_and_every_item_stored_whole(service: Service) -> None:
    with items_api(count=350) as api:
        run = service.run("api", api.url, options())
        assert (run["status"], run["itemsProcessed"], run["itemsFailed"]) == ("completed", 350, 0)
        found = rows(
            service,
            "SELECT external_id, title, artist, metadata FROM content_index WHERE source_identifier = :url",
            url=api.url,
        )
        assert {row[:3] for row in found} == {(str(n), f"song {n}", "x") for n in range(350)}
        assert json.loads({row[0]: row[3] for row in found}["7"])["by"] == {"name": "x"}
        again = service.run("api", api.url, options())
        assert again["ledger"]["unchanged"] == 350


def test_a_page_that_fails_is_a_failed_run_that_goes_on_from_there(service: Service) -> None:
    with items_api(count=1000, failing_pages={7}) as api:
        run = service.run("api", api.url, options())
        assert (run["status"], run["failure"]["reason"]) == ("failed", "SOURCE_UNAVAILABLE")
        assert run["failure"]["retryable"] is True
        assert run["errors"][0]["type"] == "network"
        assert run["itemsProcessed"] == 600
        assert run["ledger"]["inserted"] == 600


def test_a_wrong_token_is_an_authentication_error_and_is_not_shown(service: Service) -> None:
    with items_api() as api:
        run = service.run("api", api.url, options("canary-55aa"))
    assert (run["status"], run["failure"]["category"]) == ("failed", "authentication")
    assert run["failure"]["retryable"] is False
    ((stored,),) = rows(service, "SELECT sync_metadata FROM sync_runs WHERE id = :id", id=run["syncRunId"])
    assert "canary-55aa" not in stored + service.log() + json.dumps(run)


def test_a_next_step_for_a_person_is_shown_over_grpc_rest_and_on_the_command_line(service: Service) -> None:
    with items_api() as api:
        run = service.run("api", api.url, options({"env": "SOURCE_E2E_TOKEN"}))
    assert run["failure"]["reason"] == "SECRET_UNAVAILABLE"
    assert "SOURCE_E2E_TOKEN" in run["failure"]["message"]
    with items_api() as api:
        run = service.run("api", api.url, options("wrong"))
    step = "check the token in options.auth.token"
    assert run["failure"]["nextStep"] == step
    with SyncClient(service.grpc_target) as client:
        assert client.status(run["syncRunId"]).run.failure.next_step == step
        with pytest.raises(SyncServiceError) as caught:
            client.status(99_999_999)
    assert caught.value.next_step == "list the runs to find the id"
    asked = ("--target", service.grpc_target, "status", str(run["syncRunId"]))
    shown = programs.run("techaura-sync", *asked, check=True).stdout
    assert f"next step: {step}" in shown
    assert service.get("/v1/sync/99999999")[1]["nextStep"] == "list the runs to find the id"


def test_max_pages_that_the_caller_asked_for_completes_and_says_so(service: Service) -> None:
    with items_api(count=350) as api:
        run = service.run("api", api.url, options(maxPages=2))
    assert (run["status"], run["itemsProcessed"]) == ("completed", 200)
    assert any("maxPages" in notice for notice in run["notices"])
