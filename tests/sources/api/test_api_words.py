"""The source's own words in errors: its message wherever it stands, what its answer is, and never a secret."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import zstandard
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.sources.api.pages import PAGE

CANARY = "canary-55d1"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (JSONResponse({"error": {"code": "validation", "message": "page_size must be <= 50"}}, 400), "page_size must be <= 50"),
        (JSONResponse({"error": "invalid_filter", "error_description": "no field x"}, 422), "invalid_filter: no field x"),
        (JSONResponse({"errors": [{"detail": "a is wrong"}, {"detail": "b too"}]}, 400), "a is wrong: b too"),
        (JSONResponse({"a": [{"b": {"errorMessage": "deep down"}}]}, 410), "deep down"),
        (JSONResponse({"Fault": {"faultstring": "bad call"}}, 500), "bad call"),
        (JSONResponse({"limit": ["This field may not be blank."]}, 400), "This field may not be blank."),
        (JSONResponse(["first", "second"], 409), "first"),
        (Response("plain words\r\n\x1b[31m of an old server", 405), "plain words"),
        (Response("<html><head><title>403 &amp; out</title></head></html>", 403, media_type="text/html"), "403 & out"),
        (Response("<html><body><h1>It <b>broke</b></h1></body></html>", 502, media_type="text/html"), "It broke"),
        (Response("<e><m>xml words</m></e>", 400, media_type="application/xml"), "xml words"),
        (Response(gzip.compress(b'{"message": "packed words"}'), 400, {"Content-Encoding": "gzip"}), "packed words"),
        (Response('{"message": "käse"}'.encode("utf-16"), 400), "käse"),
    ],
)  # fmt: skip
async def test_the_message_of_the_source_stands_in_the_error(serve, api, read, answer, words):
    app = api(lambda _request: answer)
    outcome = await read(await serve(app), PAGE, http_retry_attempts_max=1)
    assert outcome.error is not None
    assert words in outcome.error.message
    assert str(answer.status_code) in outcome.error.message
    assert "\x1b" not in outcome.error.message


@pytest.mark.parametrize(
    "options",
    [
        {"auth": {"type": "bearer", "token": CANARY}},
        {"auth": {"type": "basic", "username": "bob", "password": CANARY}},
        {"auth": {"type": "apikey", "apiKeyParam": "k", "apiKeyValue": CANARY}},
        {"headers": {"X-Any": CANARY}},
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        {"message": f"the key {CANARY} is wrong"},
        {"message": "x" * 190 + f" {CANARY}"},
        {"api_key": "field-canary-55d1"},
        [f"Basic {CANARY}"],
    ],
)
async def test_what_a_source_says_back_of_a_secret_is_masked_before_it_is_cut(serve, api, read, options, body):
    app = api(lambda _request: JSONResponse(body, 400))
    outcome = await read(await serve(app), options)
    assert outcome.error is not None
    assert "canary" not in outcome.error.message + outcome.error.next_step


async def test_a_long_message_is_cut_and_an_endless_one_is_not_read(serve, api, read):
    app = api(lambda _request: Response(b"word " * 1_000_000, 400))
    outcome = await read(await serve(app))
    assert outcome.error is not None
    assert "word word" in outcome.error.message
    assert len(outcome.error.message) < 400


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ('Digest realm="x", nonce="a,b", Negotiate', "asks for Digest, Negotiate, which is not supported"),
        ("NTLM", "asks for NTLM, which is not supported"),
        ('Bearer realm="api", error="invalid_token"', "asks for Bearer;"),
        ('Digest realm="x", Basic realm="y"', "asks for Digest, Basic;"),
    ],
)
async def test_the_schemes_that_a_source_offers_are_named(serve, api, read, offered, said):
    app = api(lambda _request: Response(status_code=401, headers={"WWW-Authenticate": offered}))
    outcome = await read(await serve(app), {"auth": {"type": "basic", "username": "u", "password": "pass"}})
    assert outcome.error is not None
    assert (outcome.error.reason, said in outcome.error.message) == ("AUTHENTICATION_FAILED", True)


LOGIN = "<!DOCTYPE html>\n<html><title>Sign in</title><form><input type=password></form></html>"


@pytest.mark.parametrize("data_format", ["auto", "json", "ndjson", "csv"])
async def test_a_login_page_is_named_in_every_format(serve, api, read, data_format):
    app: Any = api(lambda _request: Response(LOGIN, media_type="text/html"))
    outcome = await read(await serve(app), PAGE | {"format": data_format})
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.category) == ("SOURCE_MALFORMED", "parsing")
    assert "it is HTML (Sign in), perhaps a login page" in outcome.error.message
    assert "options.auth" in outcome.error.next_step
    assert "delimiter" not in outcome.error.next_step


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"<?xml version='1.0'?><songs/>", "XML"),
        (b"<rss version='2'><channel/></rss>", "XML"),
        (b"  ", "empty"),
        (b"%PDF-1.7 ...", "a PDF file"),
        (b"PK\x03\x04\x14\0\0\0", "a ZIP file"),
        (b"\x01\x02\0\0\0\x03abc", "binary data"),
        (b"<body>maintenance</body>", "HTML"),
    ],
)
async def test_what_is_no_json_has_a_name(serve, api, read, body, name):
    outcome = await read(await serve(api(lambda _request: Response(body, media_type="application/json"))), {})
    assert outcome.error is not None
    assert (outcome.error.reason, f"it is {name}" in outcome.error.message) == ("SOURCE_MALFORMED", True)


@pytest.mark.parametrize(
    ("mapping", "unmet"),
    [
        ({"artist": "artists.name"}, {"artist"}),
        ({"artist": "artists[0].name", "genre": "$.tags[*].label"}, {"genre"}),
        ({"artist": "{artists[0].name} ({label})"}, {"artist"}),
        ({"artist": "sometimes"}, set()),
    ],
)
async def test_a_mapped_path_that_leads_nowhere_in_all_items_is_said_once(serve, api, read, mapping, unmet):
    def answer(request: Any) -> Any:
        first = int(request.query_params["page"]) * 10
        items = [{"id": first + n, "artists": [{"name": "A"}], "tags": ["x"]} for n in range(10)]
        return {"data": items[:4] if first == 30 else [*items[1:], items[0] | {"sometimes": "B"}], "total": 24}

    outcome = await read(
        await serve(api(answer)), {"pagination": {"enabled": True, "pageSize": 10}, "fieldMapping": mapping}
    )
    assert outcome.error is None
    said = [notice for notice in outcome.notices if "options.fieldMapping" in notice]
    assert {column for column in mapping if any(f"fieldMapping.{column} " in notice for notice in said)} == unmet
    assert len(said) == len(unmet)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("data_format", ["json", "ndjson", "csv"])
async def test_a_packed_file_needs_no_header_in_any_format(serve, api, read, name, data_format):
    body = {"json": b'[{"id": 1}, {"id": 2}]', "ndjson": b'{"id": 1}\n{"id": 2}\n', "csv": b"id,title\n1,a\n2,b\n"}[
        data_format
    ]
    packed = gzip.compress(body) if name == "gzip" else zstandard.compress(body)

    async def pieces() -> Any:
        for at in range(0, len(packed), 3):
            yield packed[at : at + 3]

    app = api(lambda _request: StreamingResponse(pieces(), media_type=f"application/{name}"))
    outcome = await read(await serve(app), {"format": data_format})
    assert (outcome.error, outcome.ids) == (None, ["1", "2"])


async def test_a_bomb_without_a_header_is_refused_as_one_with_it(serve, api, read):
    body = gzip.compress(b"[" + b" " * 64_000_000 + b"]")
    outcome = await read(await serve(api(lambda _request: Response(body, media_type="application/gzip"))))
    assert outcome.error is not None
    assert (outcome.error.reason, "200 times" in outcome.error.message) == ("SOURCE_MALFORMED", True)


@pytest.mark.parametrize(
    "body",
    [
        {"error": 29, "message": "Rate Limit Exceeded"},
        {"errors": [{"message": "Rate Limit Exceeded"}], "data": None},
        {"ok": False, "error": "Rate Limit Exceeded"},
        {"data": [], "success": False, "msg": "Rate Limit Exceeded"},
    ],
)
@pytest.mark.parametrize("times", [2, 99])
async def test_an_error_in_a_200_is_a_passing_fault_with_its_words(serve, api, read, body, times):
    left = [times]

    def answer(request: Any) -> Any:
        page = int(request.query_params["page"])
        if page == 2 and left[0]:
            left[0] -= 1
            return body
        return {"data": [{"id": page}] if page < 4 else []}

    outcome = await read(await serve(api(answer)), PAGE)
    if times == 2:
        assert (outcome.error, outcome.ids) == (None, ["1", "2", "3"])
        return
    assert outcome.error is not None
    assert (outcome.error.retryable, outcome.ids) == (True, ["1"])
    assert "Rate Limit Exceeded" in outcome.error.message
