"""Which requests a web page of another site could send, and which only a caller who means it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import httpx
import pytest
from techaura.sync.v1 import sync_service_pb2

from gateway.callers import AllowedHosts
from gateway.serving import gateway_running
from tests.clients.scripted_service import Script, serving
from tests.gateway.conftest import settings

BODY = {"sourceType": "csv", "sourceIdentifier": "/data/a.csv"}
RAW = json.dumps(BODY).encode()


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; profile=x",
        "application/merge-patch+json",
        "application/vnd.techaura.v1+json; charset=utf-8",
    ],
)
async def test_json_in_every_form_of_its_type_is_taken(http: httpx.AsyncClient, script: Script, kind: str) -> None:
    answer = await http.post("/v1/sync/trigger", content=RAW, headers={"Content-Type": kind})

    assert answer.status_code == 200
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonp",
        "application/json+xml",
        "text/plain; application/json",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "json",
        "",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sync/trigger"),
        ("POST", "/v1/sync/test"),
        ("POST", "/v1/sync/resume"),
        ("POST", "/v1/sync/1/cancel"),
        ("POST", "/v1/sync/schedules"),
        ("PATCH", "/v1/sync/schedules/5"),
        ("POST", "/v1/sync/schedules/5/run"),
    ],
)
async def test_a_body_of_another_type_is_refused_by_its_name(
    http: httpx.AsyncClient, script: Script, method: str, path: str, kind: str
) -> None:
    answer = await http.request(method, path, content=RAW, headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["field"]) == (415, "Content-Type")
    assert "application/json" in answer.json()["error"] or "UTF-8" in answer.json()["error"]
    assert script.requests == []


async def test_a_body_without_a_type_is_refused(http: httpx.AsyncClient, script: Script) -> None:
    del http.headers["Content-Type"]

    answer = await http.post("/v1/sync/trigger", content=RAW)

    assert (answer.status_code, answer.json()["field"]) == (415, "Content-Type")
    assert script.requests == []


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf"])
async def test_an_empty_body_may_have_any_type_or_none(
    http: httpx.AsyncClient, script: Script, body: bytes, kind: str | None
) -> None:
    del http.headers["Content-Type"]
    headers = {} if kind is None else {"Content-Type": kind}

    answer = await http.post("/v1/sync/resume", content=body, headers=headers)

    assert (answer.status_code, answer.json()["message"]) == (200, "Pending syncs resumed")
    assert script.requests == [sync_service_pb2.ResumeSyncsRequest()]


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "identity, gzip", "x"])
async def test_a_body_in_another_coding_is_refused_by_its_name(http: httpx.AsyncClient, coding: str) -> None:
    answer = await http.post("/v1/sync/trigger", content=RAW, headers={"Content-Encoding": coding})

    assert (answer.status_code, answer.json()["field"]) == (415, "Content-Encoding")
    assert coding in answer.json()["error"]


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_that_says_it_has_no_coding_is_read(http: httpx.AsyncClient, coding: str) -> None:
    answer = await http.post("/v1/sync/trigger", content=RAW, headers={"Content-Encoding": coding})

    assert answer.status_code == 200


async def test_a_byte_order_mark_is_read_over(http: httpx.AsyncClient, script: Script) -> None:
    answer = await http.post("/v1/sync/trigger", content=b"\xef\xbb\xbf" + RAW)

    assert answer.status_code == 200
    assert len(script.requests) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
async def test_another_encoding_of_unicode_is_named(http: httpx.AsyncClient, encoding: str) -> None:
    answer = await http.post("/v1/sync/trigger", content=json.dumps(BODY).encode(encoding))

    assert (answer.status_code, answer.json()["error"]) == (400, "the body is in UTF-16 or UTF-32; send JSON in UTF-8")


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("/v1/sync/trigger", BODY | {"option": {}}, "option"),
        ("/v1/sync/trigger", BODY | {"Options": None}, "Options"),
        ("/v1/sync/test", BODY | {"options": {}, "": 1}, ""),
        ("/v1/sync/resume", {"watch": True}, "watch"),
        ("/v1/sync/1/pause", {"syncRunId": 1}, "syncRunId"),
        ("/v1/sync/schedules/5/run", BODY, "sourceType"),
    ],
)
async def test_a_key_that_no_route_knows_is_refused_by_its_name(
    http: httpx.AsyncClient, script: Script, path: str, body: dict[str, Any], key: str
) -> None:
    answer = await http.post(path, json=body)

    assert answer.status_code == 400
    assert f"no key {key!r}" in answer.json()["error"]
    assert script.requests == []


async def statuses(http: httpx.AsyncClient, **headers: str) -> tuple[int, int, int]:
    """What the same headers get at a read, a change and a probe."""
    read = await http.get("/v1/sync/stats", headers=headers)
    change = await http.post("/v1/sync/resume", headers=headers)
    probe = await http.get("/healthz", headers=headers)
    for answer in (read, change, probe):
        if answer.status_code != 200:
            assert [key for key in ("error", "reason", "nextStep") if not answer.json()[key]] == []
    return read.status_code, change.status_code, probe.status_code


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:3006", "localhost.:80", "127.0.0.1", "127.0.0.1:9", "[::1]", "[::1]:3006", "[0:0::1]:1"],
)
async def test_a_host_of_this_machine_is_answered_at_any_port(http: httpx.AsyncClient, host: str) -> None:
    assert await statuses(http, Host=host) == (200, 200, 200)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3006",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example/localhost",
        "localhost@evil.example",
        "192.168.1.7",
        "[2001:db8::1]:3006",
        "localhost:x",
        "",
    ],
)
async def test_a_host_of_a_stranger_is_refused_on_every_route(
    http: httpx.AsyncClient, script: Script, host: str
) -> None:
    assert await statuses(http, Host=host) == (421, 421, 421)
    assert script.requests == []


@pytest.mark.parametrize(
    ("http_host", "named", "allowed", "refused"),
    [
        ("gateway.internal", "", ["gateway.internal:3006", "localhost"], ["gateway", "internal", "10.0.0.4"]),
        ("10.0.0.4", "", ["10.0.0.4:3006", "[::1]"], ["10.0.0.5"]),
        ("0.0.0.0", "", ["10.0.0.5", "[fe80::1]:3006", "localhost"], ["gateway", "evil.example"]),
        ("::", "gateway, bot.example", ["gateway:3006", "BOT.example", "10.0.0.5"], ["x.bot.example"]),
        ("127.0.0.1", "*.example.com", ["a.example.com", "a.b.example.com:1"], ["example.com", "aexample.com"]),
        ("127.0.0.1", "*", ["evil.example", "10.0.0.5"], ["a b", "a@b"]),
    ],
)
def test_the_setting_adds_hosts(http_host: str, named: str, allowed: list[str], refused: list[str]) -> None:
    hosts = AllowedHosts(http_host, named)

    assert [name for name in allowed if not hosts.allows(name)] == []
    assert [name for name in refused if hosts.allows(name)] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://localhost:3006.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_a_page_of_another_site_changes_nothing_even_without_a_body(
    http: httpx.AsyncClient, script: Script, headers: dict[str, str]
) -> None:
    assert await statuses(http, Host="localhost:3006", **headers) == (200, 403, 200)
    assert [type(request).__name__ for request in script.requests] == ["GetSyncStatsRequest"]
    removed = await http.delete("/v1/sync/schedules/5", headers={"Host": "localhost:3006", **headers})
    assert removed.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:3006", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://LOCALHOST:3006"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Mode": "cors"},
    ],
)
async def test_a_page_of_the_gateways_own_host_and_a_program_may_change_things(
    http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert await statuses(http, Host="localhost:3006", **headers) == (200, 200, 200)


async def test_a_page_of_a_host_that_the_setting_names_may_change_things(script: Script) -> None:
    async with (
        serving(script) as target,
        gateway_running(settings(grpc_target=target, gateway_allowed_hosts="desk.example")) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        assert await statuses(http, Origin="https://desk.example:8443") == (200, 200, 200)
        assert await statuses(http, Origin="https://other.example") == (200, 403, 200)


async def test_a_page_gets_no_leave_for_what_it_asks_first(http: httpx.AsyncClient) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}

    answer = await http.options("/v1/sync/trigger", headers=asked)

    # It is told which verbs there are, and nothing that a browser would take for leave.
    assert answer.status_code == 204
    assert [name for name in answer.headers if name.startswith("access-control")] == []


BOT = """
const base = process.argv[1];
const json = { "Content-Type": "application/json" };
const body = JSON.stringify({ sourceType: "csv", sourceIdentifier: "/data/a.csv" });
const answers = [
  await fetch(base + "/v1/sync/trigger", { method: "POST", headers: json, body }),
  await fetch(base + "/v1/sync/resume", { method: "POST" }),
  await fetch(base + "/v1/sync/resume", { method: "POST", headers: json, body: "{}" }),
  await fetch(base + "/v1/sync/stats"),
];
console.log(answers.map((answer) => answer.status).join(" "));
"""


async def test_a_bot_on_node_passes(http: httpx.AsyncClient) -> None:
    command = ["node", "--input-type=module", "-e", BOT, str(http.base_url).rstrip("/")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["200"] * 4
