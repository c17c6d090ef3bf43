"""Failures: one shape, one table, and never a silent one."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest
from techaura.sync.v1 import error_reasons_pb2

from gateway.errors import HTTP_BY_GRPC_CODE
from gateway.serving import gateway_running
from tests.clients.scripted_service import Refusal, Script
from tests.gateway.conftest import settings

NO_ROUTE = {"reason": "INVALID_REQUEST", "nextStep": "compare method and path with /openapi.json"}
KNOWN_REASONS = {name.removeprefix("ERROR_REASON_") for name, _number in error_reasons_pb2.ErrorReason.items()}
BODY = {"sourceType": "csv", "sourceIdentifier": "/data/a.csv"}


@pytest.fixture
def gateway_limits() -> dict[str, Any]:
    return {"gateway_call_timeout_seconds": 0.2}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.FAILED_PRECONDITION, 409),
        (grpc.StatusCode.PERMISSION_DENIED, 403),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.UNAVAILABLE, 503),
    ],
)
async def test_a_refusal_of_the_service_keeps_its_text_reason_and_field(
    http: httpx.AsyncClient, script: Script, code: grpc.StatusCode, status: int
) -> None:
    script.refusal = Refusal(code, "what went wrong", "SOME_REASON", "options.delimiter")

    answer = await http.post("/v1/sync/trigger", json=BODY)

    assert answer.status_code == status
    body = answer.json()
    assert body.pop("nextStep")
    assert body == {
        "success": False,
        "error": "what went wrong",
        "reason": "SOME_REASON",
        "field": "options.delimiter",
    }


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_every_grpc_code_has_an_answer_in_the_one_shape(
    http: httpx.AsyncClient, script: Script, code: grpc.StatusCode
) -> None:
    script.refusal = Refusal(code, "words of the transport")

    answer = await http.get("/v1/sync/stats")

    assert code in HTTP_BY_GRPC_CODE
    assert answer.status_code == HTTP_BY_GRPC_CODE[code].status
    assert answer.json()["success"] is False
    assert [key for key in ("error", "reason", "nextStep") if not answer.json()[key]] == []
    assert answer.json()["reason"] in KNOWN_REASONS


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE])
async def test_what_no_reason_vouches_for_is_not_shown_to_callers(
    http: httpx.AsyncClient, script: Script, code: grpc.StatusCode
) -> None:
    script.refusal = Refusal(code, "ipv4:10.0.0.7:50051: socket.cc:118")

    answer = await http.get("/v1/sync/stats")

    body = answer.json()
    assert body.pop("nextStep")
    assert body.pop("reason") in KNOWN_REASONS
    assert body == {"success": False, "error": "The sync service is unavailable"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/sync/stats"),
        ("GET", "/v1/sync/1"),
        ("GET", "/v1/sync/1/errors"),
        ("GET", "/v1/sync/1/events"),
        ("GET", "/v1/sync/runs"),
        ("POST", "/v1/sync/trigger"),
        ("POST", "/v1/sync/test"),
        ("POST", "/v1/sync/resume"),
        ("POST", "/v1/sync/1/cancel"),
        ("POST", "/v1/sync/1/pause"),
        ("POST", "/v1/sync/1/continue"),
        ("GET", "/v1/sync/schedules"),
        ("GET", "/v1/sync/schedules/1"),
        ("DELETE", "/v1/sync/schedules/1"),
        ("POST", "/v1/sync/schedules/1/run"),
        ("GET", "/readyz"),
    ],
)
async def test_a_service_that_is_down_is_a_503(method: str, path: str) -> None:
    async with (
        gateway_running(settings(grpc_target="127.0.0.1:1")) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        answer = await http.request(method, path, json=BODY if path in ("/v1/sync/trigger", "/v1/sync/test") else None)

    assert answer.status_code == 503
    body = answer.json()
    assert "TECHAURA_SYNC_GRPC_TARGET" in body.pop("nextStep")
    assert body == {"success": False, "error": "The sync service is unavailable", "reason": "SERVICE_UNAVAILABLE"}


async def test_the_gateway_lives_whatever_the_service_does(script: Script) -> None:
    async with (
        gateway_running(settings(grpc_target="127.0.0.1:1")) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        answer = await http.get("/healthz")

    assert (answer.status_code, answer.json()["status"]) == (200, "serving")


async def test_a_service_that_does_not_answer_is_a_504(http: httpx.AsyncClient, script: Script) -> None:
    script.never_answers = True

    answer = await http.get("/v1/sync/stats")

    assert (answer.status_code, answer.json()["reason"]) == (504, "SERVICE_UNAVAILABLE")
    assert answer.json()["error"] == "The sync service did not answer in time"


@pytest.mark.parametrize("path", ["/", "/v1/sync", "/v1/sync/", "/v1/sync/stats/", "/v1/sync/1/nothing", "/v2/sync/1"])
async def test_an_unknown_route_is_a_404_in_the_same_shape(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)

    assert answer.status_code == 404
    assert answer.json() == {"success": False, "error": "Not Found"} | NO_ROUTE


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/sync/trigger", "POST"),
        ("GET", "/v1/sync/resume", "POST"),
        ("POST", "/v1/sync/stats", "GET"),
        ("PUT", "/v1/sync/1", "GET"),
        ("DELETE", "/v1/sync/1/errors", "GET"),
        ("GET", "/v1/sync/1/cancel", "POST"),
        ("TRACE", "/healthz", "GET"),
        ("TRACE", "/v1/sync/runs?status=pending", "GET"),
        ("DELETE", "/v1/sync/1/errors?nonsense=1", "GET"),
    ],
)
async def test_a_wrong_method_is_a_405_that_names_the_right_one(
    http: httpx.AsyncClient, script: Script, method: str, path: str, allowed: str
) -> None:
    answer = await http.request(method, path)

    assert answer.status_code == 405
    assert answer.json() == {"success": False, "error": "Method Not Allowed"} | NO_ROUTE
    assert allowed in answer.headers["allow"]
    assert script.requests == []


async def test_a_busy_port_is_an_error_of_the_caller(http: httpx.AsyncClient) -> None:
    with pytest.raises(OSError, match="in use"):
        async with gateway_running(settings(http_port=http.base_url.port)):
            pytest.fail("two gateways on one port")
