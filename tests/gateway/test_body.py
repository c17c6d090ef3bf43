"""Request bodies: what is JSON, what is not, and what is too much of it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body import parse_object
from gateway.errors import RequestFaultError
from tests.clients.scripted_service import Script

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture
def gateway_limits() -> dict[str, Any]:
    return {"http_body_bytes_max": 2048, "http_json_depth_max": 5}


@given(st.dictionaries(TEXT, VALUES, max_size=5), st.booleans())
def test_every_json_object_comes_back_as_it_was_written(value: dict[str, Any], ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8")

    assert parse_object(raw, depth_max=100) == value


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0dE189 -+.eNaIntrufls', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    refused: RequestFaultError | None = None
    value = None
    try:
        value = parse_object(raw, depth_max=8)
    except RequestFaultError as fault:
        refused = fault

    if refused is None:
        assert json.loads(raw) == value
    else:
        assert refused.status == 400


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"[]", "the body must be a JSON object"),
        (b'"csv"', "the body must be a JSON object"),
        (b'{"a": 1, "a": 2}', 'the key "a" stands twice in one object'),
        (b'{"options": {"a": 1, "\\u0061": 2}}', 'the key "a" stands twice in one object'),
        (b'{"a": 1e999}', "the body holds a number beyond what a double can hold"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body holds a whole number of more than 20 digits"),
        (b'{"a": "\\ud800"}', "the body holds half of a surrogate pair, which is no text"),
        (b'{"a": {"b": {"c": {"d": {"e": 1}}}}}', None),
        (b'{"a": {"b": {"c": {"d": {"e": {}}}}}}', "the body is nested deeper than 5 levels"),
        (b'{"a": "[[[[[[[[\\"[[[["}', None),
    ],
)
def test_json_that_would_lose_something_is_refused_with_the_reason(raw: bytes, text: str | None) -> None:
    if text is None:
        assert parse_object(raw, depth_max=5) == json.loads(raw)
        return
    with pytest.raises(RequestFaultError) as caught:
        parse_object(raw, depth_max=5)
    assert caught.value.text == text


@pytest.mark.parametrize("bracket", [b"[", b'{"a":', b'["'])
def test_a_megabyte_of_brackets_is_refused(bracket: bytes) -> None:
    with pytest.raises(RequestFaultError):
        parse_object(bracket * 200_000, depth_max=32)


async def test_a_body_at_the_limit_is_taken(http: httpx.AsyncClient, script: Script) -> None:
    body = json.dumps({"sourceType": "csv", "sourceIdentifier": "/data/a.csv"})

    answer = await http.post("/v1/sync/trigger", content=body.ljust(2048))

    assert answer.status_code == 200
    assert len(script.requests) == 1


@pytest.mark.parametrize("route", ["/v1/sync/trigger", "/v1/sync/test", "/v1/sync/resume", "/v1/sync/41/cancel"])
async def test_a_body_over_the_limit_is_refused_by_its_announced_length(
    http: httpx.AsyncClient, script: Script, route: str
) -> None:
    answer = await http.post(route, content=b"{}".ljust(2049))

    assert answer.status_code == 413
    assert answer.json()["success"] is False
    assert "2048 bytes" in answer.json()["error"]
    assert script.requests == []


async def test_a_chunked_body_over_the_limit_is_refused_while_it_is_read(
    http: httpx.AsyncClient, script: Script
) -> None:
    async def chunks() -> Any:
        for _ in range(5):
            yield b" " * 1000

    answer = await http.post("/v1/sync/trigger", content=chunks())

    assert answer.status_code == 413
    assert answer.json()["success"] is False
    assert script.requests == []


async def test_a_body_that_is_nested_too_deep_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/sync/trigger", content=b'{"a":' * 6 + b"1" + b"}" * 6)

    assert answer.status_code == 400
    assert answer.json()["error"] == "the body is nested deeper than 5 levels"
