"""A source says the secrets back that it was sent: none of them leaves the reader in a row, a reject, a notice or an error."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from starlette.responses import JSONResponse, Response

from tests.support.names import names_resolved

CANARY = "canary-7f31-tok3n"
AUTHS: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"type": "bearer", "token": CANARY}},
    "basic": {"auth": {"type": "basic", "username": "ana.perez", "password": CANARY}},
    "apikey in a header": {"auth": {"type": "apikey", "apiKeyHeader": "X-Shop", "apiKeyValue": CANARY}},
    "apikey in the query": {"auth": {"type": "apikey", "apiKeyParam": "shop", "apiKeyValue": CANARY}},
    "a header": {"headers": {"X-Api-Key": CANARY}},
    "a parameter": {"query": {"access_token": CANARY}},
    "the body": {"method": "POST", "body": {"password": CANARY}},
    "a reference in any header": {"headers": {"X-Tenant": {"env": "SOURCE_ECHO"}}},
}


def told(outcome: Any) -> str:
    """All that leaves the reader."""
    rows = [batch.frame.rows() for batch in outcome.batches]
    raws = [batch.raw_text(index) for batch in outcome.batches for index in range(batch.frame.height)]
    rejects = [(each.message, each.raw) for batch in outcome.batches for each in batch.rejects]
    error = (outcome.error.message, str(outcome.error), outcome.error.next_step) if outcome.error else ()
    return repr((rows, raws, rejects, outcome.notices, outcome.doubts, error))


@pytest.mark.parametrize("auth", AUTHS)
async def test_a_secret_that_items_say_back_is_masked_and_told(serve, api, read, auth: str) -> None:
    items = [
        {"id": 1, "title": f"you are {CANARY}", "artist": CANARY},
        {"id": 2, "title": "Song", "deep": {"a": [{"b": f"x{CANARY}y"}], CANARY: 1}},
        {"id": 3, "title": "ana.perez sang this", "price": 19.90},
        f"no object {CANARY}",
    ]
    outcome = await read(await serve(api(lambda request: items)), AUTHS[auth])
    assert outcome.error is None
    assert CANARY not in told(outcome)
    assert outcome.ids == ["1", "2", "3"]
    assert any("said a secret back in 3 items" in notice for notice in outcome.notices)
    (batch,) = outcome.batches
    assert json.loads(batch.raw_text(0))["title"] == "you are ***"
    # What is no secret beyond doubt is stored as it is, and so is every other value, digit for digit.
    assert '"ana.perez sang this"' in batch.raw_text(2) and '"price":19.9' in batch.raw_text(2)


@pytest.mark.parametrize("auth", AUTHS)
async def test_nor_does_an_error_show_it(serve, api, read, auth: str) -> None:
    def answer(request: Any) -> Any:
        if "page-" in request.url.path:
            return Response(f"no {CANARY} here", status_code=404)
        return JSONResponse({"data": [{"id": 1}] * 1, "next": f"/page-/{CANARY}/2"})

    options = AUTHS[auth] | {"pagination": {"enabled": True, "type": "link"}}
    outcome = await read(await serve(api(answer)), options)
    assert outcome.error is not None
    assert CANARY not in told(outcome)


@pytest.mark.parametrize("value", ["short", "1234567"])
async def test_a_short_secret_does_not_damage_what_happens_to_look_like_it(serve, api, read, value: str) -> None:
    items = [{"id": 1, "title": f"a {value} song"}]
    outcome = await read(await serve(api(lambda request: items)), {"auth": {"type": "bearer", "token": value}})
    assert json.loads(outcome.batches[0].raw_text(0))["title"] == f"a {value} song"
    assert outcome.notices == ()


async def test_a_token_that_was_granted_is_masked_too(serve, api, read) -> None:
    def answer(request: Any) -> Any:
        if request.url.path == "/token":
            return JSONResponse({"access_token": CANARY, "token_type": "bearer"})
        return [{"id": 1, "title": request.headers["authorization"]}]

    url = await serve(api(answer))
    auth = {"type": "oauth2", "tokenUrl": f"{url}/token", "clientId": "c", "clientSecret": "s3cret-of-the-client"}
    outcome = await read(url, {"auth": auth})
    assert outcome.ids == ["1"]
    assert CANARY not in told(outcome)


@pytest.mark.parametrize("auth", [*AUTHS, "none", "a tenant"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "songs.example"])
async def test_credentials_that_go_over_http_are_told(serve, api, read, auth: str, host: str) -> None:
    known = {"none": {}, "a tenant": {"headers": {"X-Tenant": "techaura-colombia"}}} | AUTHS
    url = await serve(api(lambda request: [{"id": 1}]))
    port = url.rpartition(":")[2]

    with names_resolved(lambda _name: ["127.0.0.1"]):
        outcome = await read(f"http://{host}:{port}/", known[auth])
    assert outcome.ids == ["1"]
    is_told = host == "songs.example" and auth in AUTHS
    words = "the credentials went to songs.example over http, for all on the way to read; use https"
    assert outcome.notices == ((words,) if is_told else ())


ODD = "abc/def+ghi==jkl"


@pytest.mark.parametrize(
    "spelled",
    [
        ODD,
        ODD.replace("/", "\\/"),
        ODD.replace("=", "\\u003d"),
        "".join(f"\\u{ord(each):04x}" for each in ODD),
        quote(ODD, safe=""),
        quote(ODD),
        f"http://x/?t={quote_plus(ODD)}&page=2",
    ],
)
async def test_a_secret_is_found_however_it_is_spelled(serve, api, read, spelled: str) -> None:
    body = f'[{{"id": 1, "title": "you: {spelled}!"}}, {{"id": 2, "title": "C:\\\\x 100%"}}]'
    app = api(lambda request: Response(body, media_type="application/json"))
    outcome = await read(await serve(app), {"auth": {"type": "bearer", "token": ODD}})
    assert outcome.ids == ["1", "2"]
    stored = [json.loads(outcome.batches[0].raw_text(index))["title"] for index in range(2)]
    assert "***" in stored[0] and ODD not in stored[0] and quote(ODD, safe="") not in stored[0]
    assert stored[1] == "C:\\x 100%"
    assert [notice for notice in outcome.notices if "in 1 item;" in notice]


@pytest.mark.parametrize(
    ("options", "item"),
    [
        ({"query": {"sid": "12345678"}}, {"id": "12345678", "title": "12345678-1"}),
        ({"query": {"key": "electronics-and-gadgets"}}, {"id": "electronics-and-gadgets/1"}),
        ({"query": {"pass": "see the red house"}}, {"id": "the red house", "title": "see the red house"}),
        ({"headers": {"X-Tenant": "techaura-colombia"}}, {"id": "techaura-colombia"}),
        ({"auth": {"type": "bearer", "token": "1234567890"}}, {"id": 1234567890}),
        (
            {"auth": {"type": "basic", "username": "ana.perez@example.com", "password": "p"}},
            {"id": "ana.perez@example.com"},
        ),
    ],
)
async def test_what_may_be_no_secret_is_stored_as_it_is(serve, api, read, options: Any, item: Any) -> None:
    outcome = await read(await serve(api(lambda request: [item])), options)
    assert json.loads(outcome.batches[0].raw_text(0)) == item
    assert outcome.notices == ()


async def test_of_two_secrets_the_longer_is_masked_whole(serve, api, read) -> None:
    options = {"headers": {"X-Api-Key": "abcdefgh", "X-Access-Token": "abcdefgh12345678"}}
    outcome = await read(await serve(api(lambda request: [{"id": 1, "title": "abcdefgh12345678 abcdefgh"}])), options)
    assert json.loads(outcome.batches[0].raw_text(0))["title"] == "*** ***"
