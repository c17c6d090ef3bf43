"""Credentials of APIs through the real program: what is kept from run to run, and what no database or log may show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.support.items_api import items_api
from tests.support.oauth_api import OAuthApi, oauth_api
from tests.support.service import Service, environment, service_running


def options(api: OAuthApi) -> dict[str, Any]:
    return {
        "auth": {
            "type": "oauth2",
            "grant": "refreshToken",
            "tokenUrl": f"{api.url}/token",
            "clientId": "client",
            "clientSecret": "secret-canary",
            "refreshToken": "refresh-canary-0",
        }
    }


def everything(service: Service) -> str:
    """All texts that the service stores of runs and of what sources keep, and its log."""
    stored = [
        *rows(service, "SELECT sync_metadata, error_message FROM sync_runs"),
        *rows(service, "SELECT error_message, item_data FROM sync_errors"),
        *rows(service, "SELECT memory_key, content FROM sync_source_memory"),
    ]
    return json.dumps([[str(value) for value in row] for row in stored]) + service.log()


def test_a_renewed_refresh_token_is_kept_sealed_and_used_by_the_next_run(service: Service) -> None:
    with oauth_api() as api:
        for _ in range(3):
            assert service.run("api", f"{api.url}/items", options(api))["status"] == "completed"
            api.revoke()
    asked = [form["refresh_token"][0] for form in api.forms]
    assert asked == [f"refresh-canary-{number}" for number in range(3)]
    assert rows(service, "SELECT COUNT(*) FROM sync_source_memory")[0][0] >= 1
    assert "canary" not in everything(service)


def test_a_renewed_refresh_token_outlives_the_program(tmp_path: Path) -> None:
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 'sync.db'}", tmp_path)
    with oauth_api() as api:
        for _ in range(2):
            with service_running(tmp_path, environ) as service:
                assert service.run("api", f"{api.url}/items", options(api))["status"] == "completed"
            api.revoke()
        assert len(api.forms) >= 2
        # The first one is worthless by now: only the kept one could have worked.
        assert api.forms[-1]["refresh_token"] != ["refresh-canary-0"]


def test_a_grant_that_is_refused_fails_the_run_for_good(service: Service) -> None:
    with oauth_api() as api:
        api.refresh = "another"
        run = service.run("api", f"{api.url}/refused", options(api))
    assert (run["status"], run["failure"]["category"]) == ("failed", "authentication")
    assert run["failure"]["retryable"] is False
    assert "canary" not in json.dumps(run)


@pytest.mark.parametrize("place", ["username", "password"])
def test_both_halves_of_basic_credentials_are_stored_sealed(service: Service, place: str) -> None:
    auth = {"type": "basic", "username": "user", "password": "word"} | {place: "half-canary"}
    with items_api() as api:
        run = service.run("api", f"{api.url}/{place}", {"auth": auth})
    assert run["failure"]["category"] == "authentication"
    assert "half-canary" not in everything(service) + json.dumps(run)
