"""Rate limits through the real program: a run waits as pending, up to a stated maximum, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.test_csv_to_table import rows
from tests.support.scripted_api import Asked, Said, scripted_api
from tests.support.service import environment, service_running

PAGED: dict[str, Any] = {"pagination": {"enabled": True, "pageSize": 10}}


def test_a_run_waits_as_pending_as_long_as_its_source_asks(database_url: str, tmp_path: Path) -> None:
    """With a longest wait of nothing within a run, each wait gives it back."""
    refused = [True, True]
    message = "API rate limit exceeded for 10.0.0.1"

    def answer(asked: Asked) -> Any:
        page = int(asked.query["page"])
        if page == 2 and refused and refused.pop():
            return Said({"message": message}, 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"})
        first = (page - 1) * 10
        return {"data": [{"id": n, "title": f"song {n}"} for n in range(first, min(first + 10, 25))]}

    environ = environment(database_url, tmp_path, HTTP_RETRY_WAIT_SECONDS_MAX=0)
    with scripted_api(answer) as api, service_running(tmp_path, environ) as service:
        run = service.run("api", f"{api.url}/songs", PAGED)
        assert (run["status"], run["retryCount"], run["ledger"]["inserted"]) == ("completed", 0, 25)
        waited = [notice for notice in run["notices"] if notice.startswith("waited: ")]
        assert len(waited) == 1
        assert "page 2" in waited[0] and "answered 403" in waited[0] and message in waited[0]
        assert rows(service, "SELECT COUNT(*) FROM sync_runs WHERE waited_ms >= 2000")[0][0] == 1
        assert [asked.query["page"] for asked in api.asked].count("2") == 3


def test_a_wait_beyond_the_maximum_fails_the_run_and_says_when_it_goes_on(database_url: str, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Any:
        if asked.query["page"] == "2":
            return Said({"error": "slow down"}, 429, {"Retry-After": "100000"})
        return {"data": [{"id": n, "title": f"song {n}"} for n in range(10)]}

    environ = environment(database_url, tmp_path)
    with scripted_api(answer) as api, scripted_api(answer) as other, service_running(tmp_path, environ) as service:
        run = service.run("api", f"{api.url}/songs", PAGED)
        failure = run["failure"]
        assert (run["status"], failure["reason"], failure["retryable"]) == ("failed", "SOURCE_UNAVAILABLE", True)
        assert run["ledger"]["inserted"] == 10
        for words in ("slow down", "TECHAURA_SYNC_HTTP_RUN_WAIT_SECONDS_MAX", "nightly retry (0 3 * * *)"):
            assert words in failure["message"]
        assert len(api.asked) == 2
        status, looked = service.post(
            "/v1/sync/test", {"sourceType": "api", "sourceIdentifier": f"{other.url}/songs?page=2", "options": {}}
        )
        assert (status, "slow down" in str(looked)) == (503, True)
