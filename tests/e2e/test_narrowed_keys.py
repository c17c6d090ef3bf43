"""Keys that are narrowed to sources, folders, hosts and secrets: what is out of their reach is not there for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from techaura_sync import SyncClient, SyncServiceError

from server.core.callers import Reach, Scope
from server.core.host_patterns import HostPatterns
from tests.conftest import DATABASES, service_on
from tests.support.callers import ask, make_key, revoke
from tests.support.list_api import list_api
from tests.support.service import Service

EVERY_SCOPE = tuple(scope for scope in Scope if scope is not Scope.ADMIN)
ROW = "external_id,title\n1,One\n"


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program with files in two folders, and a key for everything."""
    settings = {"AUTH": "required", "CALLS_PER_SECOND_MAX": 10_000}
    with service_on(request, tmp_path_factory, **settings) as running:
        for name in ("shop/a.csv", "shop/deep/b.csv", "payroll/c.csv"):
            path = running.data_root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(ROW)
        (running.data_root / "shop" / "link.csv").symlink_to(running.data_root / "payroll" / "c.csv")
        yield running


@pytest.fixture(scope="module")
def admin(service: Service) -> str:
    """A key for everything, with which each file was synced once."""
    key = make_key(service, "admin", Scope.ADMIN)
    for name in ("shop/a.csv", "payroll/c.csv"):
        trigger(service, key, "csv", name)
    return key


def trigger(service: Service, key: str, kind: str, name: str, **options: object) -> tuple[int, str]:
    """The status and reason with which a trigger is answered."""
    body = {"sourceType": kind, "sourceIdentifier": name, "options": options}
    status, answer, _ = ask(service, "POST", "/v1/sync/trigger", key, body)
    if answer.get("reason") == "PERMISSION_DENIED":
        # A test of the source is as far out of reach as a run.
        tested = ask(service, "POST", "/v1/sync/test", key, body)
        assert (tested[0], tested[1]["reason"]) == (status, "PERMISSION_DENIED"), name
    return status, answer.get("reason", "")


DENIED = (403, "PERMISSION_DENIED")
STARTED = (200, "")


def test_narrowed_to_sources(service: Service, admin: str) -> None:
    key = make_key(service, "shop-sources", *EVERY_SCOPE, reach=Reach(sources=("shop/*", "exact.csv")))
    assert trigger(service, key, "csv", "shop/a.csv") == STARTED
    assert trigger(service, key, "csv", "shop/deep/b.csv") == STARTED
    outside = [
        "payroll/c.csv",
        "shop/../payroll/c.csv",
        "shop/./a.csv",
        "shop/%2e%2e/payroll/c.csv",
        "shop/..\\payroll/c.csv",
    ]
    # A link within reach to what is not.
    outside += ["shop/link.csv"]
    outside += ["shop", "./shop/a.csv", "SHOP/a.csv", f"{service.data_root}/shop/a.csv", "exact.csv/../payroll/c.csv"]
    for name in outside:
        assert trigger(service, key, "csv", name) == DENIED, name
    assert trigger(service, key, "api", "http://127.0.0.1:1/shop/") == DENIED


def test_narrowed_to_folders(service: Service, admin: str) -> None:
    root = PurePosixPath(service.data_root / "shop")
    key = make_key(service, "shop-folder", *EVERY_SCOPE, reach=Reach(roots=(root,)))
    for name in (
        "shop/a.csv",
        f"{service.data_root}/shop/deep/b.csv",
        "shop/deep/*.csv",
        "shop/deep",
    ):
        assert trigger(service, key, "csv", name) == STARTED, name
    # What a link in a folder names is not in the folder, for anybody.
    for who in (key, admin):
        for name in ("shop/", "shop", "shop/*.csv", "shop/l*.csv"):
            assert trigger(service, who, "csv", name) == (400, "SOURCE_FORBIDDEN"), name
    for name in (
        "payroll/c.csv",
        "shop/../payroll/c.csv",
        "shop/link.csv",
        "*/c.csv",
        ".",
        "/etc/passwd",
        "shopping.csv",
    ):
        assert trigger(service, key, "csv", name) == DENIED, name
    # Neither is any API within the reach of a key for a folder.
    assert trigger(service, key, "api", "http://127.0.0.1:1/") == DENIED


def test_narrowed_to_hosts(service: Service, admin: str) -> None:
    with list_api(lambda _query: (200, [{"id": 1, "title": "One"}], {})) as api:
        host = api.url.split("/")[2]
        key = make_key(service, "one-host", *EVERY_SCOPE, reach=Reach(hosts=HostPatterns.parse(host)))
        assert trigger(service, key, "api", api.url) == STARTED
        grant = {"type": "oauth2", "clientId": "x", "clientSecret": "s", "tokenUrl": "http://127.0.0.1:1/token"}
        assert trigger(service, key, "api", api.url, auth=grant) == DENIED
        for url in (
            "http://127.0.0.1:1/",
            f"http://127.0.0.1:1/{host}",
            "http://localhost/",
        ):
            assert trigger(service, key, "api", url) == DENIED, url
        assert trigger(service, key, "csv", "shop/a.csv") == DENIED


def test_narrowed_to_secrets(service: Service, admin: str) -> None:
    key = make_key(service, "one-secret", *EVERY_SCOPE, reach=Reach(secrets=frozenset({"SOURCE_MINE"})))
    url = "http://127.0.0.1:1/"
    for secret in ({"env": "SOURCE_OTHERS"}, {"file": "token"}):
        assert trigger(service, key, "api", url, auth={"type": "bearer", "token": secret}) == DENIED
        assert trigger(service, key, "api", url, headers={"X-Key": secret}) == DENIED
    assert trigger(service, key, "api", url, auth={"type": "bearer", "token": {"env": "SOURCE_MINE"}}) != DENIED
    assert trigger(service, key, "api", url, auth={"type": "bearer", "token": "in clear"}) != DENIED
    # What may be seen is not narrowed by it.
    assert ask(service, "GET", "/v1/sync/stats", key)[0] == 200


def test_sources_of_every_spelling_are_in_the_lists_of_a_key_for_hosts(service: Service, admin: str) -> None:
    ipv6 = "http://[::1]:9/songs"
    assert trigger(service, admin, "api", ipv6) == STARTED
    body = {"sourceType": "api", "sourceIdentifier": ipv6, "cron": "0 3 * * *", "enabled": False}
    assert ask(service, "POST", "/v1/sync/schedules", admin, body)[0] == 200
    own = make_key(service, "ipv6-host", *EVERY_SCOPE, reach=Reach(hosts=HostPatterns.parse("[::1]:9")))
    other = make_key(service, "other-host", *EVERY_SCOPE, reach=Reach(hosts=HostPatterns.parse("api.example")))
    for path in ("/v1/sync/runs?pageSize=1000", "/v1/sync/schedules?pageSize=1000"):
        assert {one["sourceIdentifier"] for one in ask(service, "GET", path, own)[1]["data"]} == {ipv6}
        assert ask(service, "GET", path, other)[1]["data"] == []
    assert trigger(service, own, "api", ipv6) == STARTED
    international = make_key(
        service, "idn-host", *EVERY_SCOPE, reach=Reach(hosts=HostPatterns.parse("xn--bcher-kva.example"))
    )
    assert trigger(service, international, "api", "http://b\u00fccher.example:1/") != DENIED


def test_an_answer_that_is_sent_again_goes_no_further_than_the_key(service: Service, admin: str) -> None:
    body = {"sourceType": "csv", "sourceIdentifier": "shop/a.csv", "cron": "0 3 * * *", "enabled": False}
    wide = make_key(service, "same-name", *EVERY_SCOPE)
    schedule = ask(service, "POST", "/v1/sync/schedules", wide, body, {"Idempotency-Key": "narrow-1"})[1]["data"]
    revoke(service, "same-name")
    narrow = make_key(service, "same-name", *EVERY_SCOPE, reach=Reach(sources=("nothing/*",)))
    again = ask(service, "POST", "/v1/sync/schedules", narrow, body, {"Idempotency-Key": "narrow-1"})
    assert (again[0], again[1]["reason"]) == (404, "SCHEDULE_NOT_FOUND")
    assert schedule["scheduleId"]


def test_what_is_out_of_reach_is_not_there(service: Service, admin: str) -> None:
    key = make_key(service, "sees-shop", *EVERY_SCOPE, reach=Reach(sources=("shop/*",)))
    listed = ask(service, "GET", "/v1/sync/runs?pageSize=1000", admin)[1]["data"]
    runs = {run["syncRunId"]: run["sourceIdentifier"] for run in listed}
    mine = [run_id for run_id, name in runs.items() if name.startswith("shop/") and ".." not in name]
    assert 0 < len(mine) < len(runs)
    seen = ask(service, "GET", "/v1/sync/runs?pageSize=1000", key)[1]["data"]
    assert [run["syncRunId"] for run in seen] == mine
    paths = ("", "/errors", "/events", "/rejects.csv")
    for run_id in runs.keys() - set(mine):
        for path in paths:
            hidden, missing = (ask(service, "GET", f"/v1/sync/{one}{path}", key)[:2] for one in (run_id, 4_000_000))
            assert hidden == missing
            assert hidden[0] == 404
        for verb in ("cancel", "pause", "continue"):
            assert ask(service, "POST", f"/v1/sync/{run_id}/{verb}", key)[1]["reason"] == "RUN_NOT_FOUND"
    assert ask(service, "GET", f"/v1/sync/{mine[0]}", key)[0] == 200
    assert ask(service, "GET", "/v1/sync/stats", key)[1]["reason"] == "PERMISSION_DENIED"
    assert ask(service, "POST", "/v1/sync/resume", key)[1]["reason"] == "PERMISSION_DENIED"
    with SyncClient(service.grpc_target, token=key) as client:
        for watched in (client.watch_stats(), client.watch_resume(), client.watch(min(runs.keys() - set(mine)))):
            with pytest.raises(SyncServiceError) as refused:
                next(iter(watched))
            assert refused.value.reason in ("PERMISSION_DENIED", "RUN_NOT_FOUND")


def test_pages_of_what_is_within_reach_lead_to_all_of_it(service: Service, admin: str) -> None:
    key = make_key(service, "pages", *EVERY_SCOPE, reach=Reach(sources=("payroll/c.csv",)))
    for _turn in range(3):
        trigger(service, admin, "csv", "payroll/c.csv")
    whole = [run["syncRunId"] for run in ask(service, "GET", "/v1/sync/runs?pageSize=1000", key)[1]["data"]]
    found, token = [], ""
    while True:
        page = ask(service, "GET", f"/v1/sync/runs?pageSize=1{f'&pageToken={token}' if token else ''}", key)[1]
        found += [run["syncRunId"] for run in page["data"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert found == whole
    assert whole


def test_schedules_out_of_reach(service: Service, admin: str) -> None:
    key = make_key(service, "schedules", *EVERY_SCOPE, reach=Reach(sources=("shop/*",)))
    path = "/v1/sync/schedules"
    ids = {}
    for name in ("shop/a.csv", "payroll/c.csv"):
        body = {"sourceType": "csv", "sourceIdentifier": name, "cron": "0 3 * * *", "enabled": False}
        status, answer, _ = ask(service, "POST", path, admin, body)
        assert status == 200, answer
        ids[name] = answer["data"]["scheduleId"]
        mine = ask(service, "POST", path, key, body)
        assert (mine[0] == 200) == name.startswith("shop")
    listed = ask(service, "GET", path, key)[1]["data"]
    assert {one["sourceIdentifier"] for one in listed} == {"shop/a.csv"}
    other = f"{path}/{ids['payroll/c.csv']}"
    for verb, where, change in (("GET", other, None), ("PATCH", other, {"cron": "0 4 * * *"}), ("DELETE", other, {})):
        assert ask(service, verb, where, key, change)[1]["reason"] == "SCHEDULE_NOT_FOUND"
    assert ask(service, "POST", f"{other}/run", key)[1]["reason"] == "SCHEDULE_NOT_FOUND"
    own = f"{path}/{ids['shop/a.csv']}"
    assert ask(service, "PATCH", own, key, {"sourceIdentifier": "payroll/c.csv"})[1]["reason"] == "PERMISSION_DENIED"
    assert ask(service, "POST", f"{own}/run", key)[0] == 200
