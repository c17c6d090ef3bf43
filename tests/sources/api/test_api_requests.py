"""What requests are made of: query parameters, bodies as JSON and as forms, their secrets, and cookies within a run."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from server.core.errors import InvalidRequestError
from server.core.secret_box import SecretBox
from server.sources.api.options import SECRET_PLACES, parse_options
from tests.sources.api.conftest import TEST_KEY
from tests.sources.api.pages import songs

CANARY = "canary-3ee7"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """A document as it comes back from the database, in which no secret stands in clear."""
    stored = SecretBox(TEST_KEY).seal(document, SECRET_PLACES)
    assert CANARY not in json.dumps(stored)
    return stored


async def test_query_parameters_go_with_every_request_whatever_their_name_and_length(serve, api, read):
    query = {"session": "45-1", "q": "x y&z" * 400, "api_key": CANARY, "by": {"env": "SOURCE_TOKEN"}, "empty": ""}

    def answer(request: Any) -> Any:
        asked = request.query_params
        if any(
            asked[name] != (value if isinstance(value, str) else "token-of-the-environment")
            for name, value in query.items()
        ):
            return Response(status_code=400)
        page = int(asked.get("page", 1))
        # Some sources say all back, and some something else.
        following = f"/songs?page={page + 1}&api_key={CANARY}&q=other" if page < 3 else None
        return {"data": songs(2, page * 2 - 1), "next": following}

    document = sealed({"query": query, "pagination": {"enabled": True, "type": "link"}})
    assert (document["query"]["q"], document["query"]["by"]) == (query["q"], query["by"])
    outcome = await read(await serve(api(answer)) + "/songs?a=1", document)
    assert (outcome.error, len(outcome.ids)) == (None, 6)
    assert CANARY not in json.dumps([batch.position for batch in outcome.batches])


async def test_a_secret_parameter_is_never_shown_or_sent_elsewhere(serve, api, read, caplog):
    other = api(lambda _request: songs(1))
    other_url = await serve(other)
    for answer in (
        lambda request: JSONResponse({"message": f"bad {request.url}"}, 400),
        lambda request: RedirectResponse(f"{other_url}/?{request.url.query}"),
        lambda request: {"next": f"{other_url}/?{request.url.query}", "data": songs(1)},
    ):
        document = sealed({"query": {"token": CANARY}, "pagination": {"enabled": True, "type": "link"}})
        outcome = await read(await serve(api(answer)), document)
        assert outcome.error is not None
        assert CANARY not in outcome.error.message + caplog.text
    assert other.requests == []


@pytest.mark.parametrize("headers", [{}, FORM, {"Content-Type": "application/vnd.api+json"}])
async def test_secrets_of_a_body_are_sent_in_their_place_as_json_or_as_a_form(serve, api, read, headers):
    bodies = []

    def answer(request: Any) -> Any:
        text = request._body.decode()
        bodies.append(parse_qs(text, keep_blank_values=True) if headers == FORM else json.loads(text))
        assert request.headers["content-type"] == headers.get("Content-Type", "application/json")
        return {"items": songs(2, len(bodies) * 2), "has_more": len(bodies) < 2}

    body = {"key": {"env": "SOURCE_TOKEN"}, "password": CANARY, "query": "*", "session": 2024, "tags": ["a", "b"]}
    document = {
        "method": "POST", "body": body, "headers": headers,
        "pagination": {"enabled": True, "paramsIn": "body", "pageSize": 2},
    }  # fmt: skip
    outcome = await read(await serve(api(answer)), sealed(document))
    assert (outcome.error, len(outcome.ids)) == (None, 4)
    sent = {"key": "token-of-the-environment", "password": CANARY, "query": "*", "session": 2024, "tags": ["a", "b"]}
    expected: Any = sent | {"page": 2, "limit": 2}
    if headers == FORM:
        expected = {
            name: [str(each) for each in (value if isinstance(value, list) else [value])]
            for name, value in expected.items()
        }
    assert bodies[1] == expected


async def test_secrets_stand_at_any_depth_of_a_json_body_and_data_that_only_looks_like_one_stays(serve, api, read):
    seen = []

    def answer(request: Any) -> Any:
        seen.append(json.loads(request._body))
        return songs(1)

    body = {
        "auth": [{"deep": {"apiKey": CANARY, "by": {"env": "SOURCE_TOKEN"}}}],
        "filter": {"env": "production"},
        "on": True,
    }
    outcome = await read(await serve(api(answer)), sealed({"method": "POST", "body": body}))
    assert outcome.error is None
    token = "token-of-the-environment"
    assert seen == [{"auth": [{"deep": {"apiKey": CANARY, "by": token}}], "filter": {"env": "production"}, "on": True}]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"headers": {"content-type": "text/xml"}, "body": {"a": 1}}, "Content-Type text/xml"),
        ({"headers": FORM, "body": {"a": {"b": 1}}}, "'a'"),
        ({"headers": FORM, "body": {"a": [[1]]}}, "'a'"),
        ({"incremental": {"cursorField": "a", "param": "b", "template": "x"}}, "template"),
        ({"auth": {"type": "oauth2", "tokenUrl": "https://t.example/", "clientId": "c", "grant": "password", "username": "u"}}, "password"),
        ({"auth": {"type": "oauth2", "tokenUrl": "https://t.example/", "clientId": "c", "clientSecret": "s", "username": "u"}}, "username"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_with_its_name(document, words):
    with pytest.raises(InvalidRequestError) as caught:
        parse_options({"method": "POST", **document})
    assert words in caught.value.message


def test_a_sealed_part_of_a_body_is_not_taken_from_a_caller():
    document = sealed({"method": "POST", "body": {"a": [{"secret": CANARY}]}, "query": {"token": CANARY}})
    for part in ({"method": "POST", "body": document["body"]}, {"query": document["query"]}):
        with pytest.raises(InvalidRequestError) as caught:
            parse_options(part, from_caller=True)
        assert "is encrypted" in caught.value.message


async def test_oauth_fields_go_to_the_token_endpoint_only(serve, api, read):
    forms = []

    def endpoint(request: Any) -> Any:
        forms.append(parse_qs(request._body.decode()))
        return {"access_token": "a", "token_type": "Bearer"}

    source, token_url = api(lambda _request: songs(1)), await serve(api(endpoint))
    base = {"type": "oauth2", "tokenUrl": token_url, "clientId": "c"}
    for auth in (
        {
            "clientSecret": "s",
            "audience": "https://x",
            "params": {"resource": "r", "api_key": CANARY, "pin": {"env": "SOURCE_TOKEN"}},
        },
        {"grant": "password", "username": "u", "password": CANARY, "scope": "songs"},
        {"clientSecret": "s", "params": {"grant_type": "account_credentials", "account_id": "7"}},
    ):
        outcome = await read(await serve(source), sealed({"auth": base | auth}))
        assert outcome.error is None
    assert forms == [
        {"grant_type": ["client_credentials"], "audience": ["https://x"], "resource": ["r"], "api_key": [CANARY], "pin": ["token-of-the-environment"]},
        {"grant_type": ["password"], "username": ["u"], "password": [CANARY], "scope": ["songs"], "client_id": ["c"]},
        {"grant_type": ["account_credentials"], "account_id": ["7"]},
    ]  # fmt: skip
    assert all(not request.query_params and CANARY not in str(request.headers) for request in source.requests)


async def test_a_cookie_that_is_asked_for_at_the_door_is_sent_back_within_the_run(serve, api, read):
    def answer(request: Any) -> Any:
        if request.cookies.get("seen") != "1":
            return RedirectResponse(str(request.url), headers={"Set-Cookie": "seen=1; HttpOnly; Path=/"})
        return songs(5)

    app = api(answer)
    url = await serve(app)
    for count in (2, 4):
        outcome = await read(url)
        assert (outcome.error, len(outcome.ids), len(app.requests)) == (None, 5, count)


async def test_cookies_carry_a_walk_keep_to_their_path_and_end_when_they_are_told_to(serve, api, read):
    """A session that holds the place of a walk; a caller's own cookie stays beside it."""
    said = [
        ["walk=1; Path=/songs", "other=x; Path=/films", f"both={CANARY}", "far=1; Secure"],
        ["walk=2; Path=/songs; Max-Age=60", f"both={CANARY}; Path=/; Max-Age=0"],
        ["walk=; Path=/songs; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "broken"],
    ]

    def answer(_request: Any) -> Any:
        number = len(app.requests)
        response = JSONResponse({"data": songs(1, number), "has_more": number < 4})
        for cookie in said[number - 1] if number <= len(said) else []:
            response.headers.append("Set-Cookie", cookie)
        return response

    app: Any = api(answer)
    document = {"headers": {"Cookie": "mine=7"}, "pagination": {"enabled": True}}
    outcome = await read(await serve(app) + "/songs", document)
    assert (outcome.error, len(outcome.ids)) == (None, 4)
    sent = [sorted(request.headers["cookie"].split("; ")) for request in app.requests]
    assert sent == [["mine=7"], [f"both={CANARY}", "mine=7", "walk=1"], ["mine=7", "walk=2"], ["mine=7"]]
    assert CANARY not in json.dumps([batch.position for batch in outcome.batches])


async def test_a_cookie_is_not_shown_when_the_source_says_it_back(serve, api, read):
    def answer(request: Any) -> Any:
        said = request.headers.get("cookie")
        if said is None:
            return RedirectResponse("/", headers={"Set-Cookie": f"sid={CANARY}"})
        return JSONResponse({"message": f"no session {said}"}, 400)

    outcome = await read(await serve(api(answer)))
    assert outcome.error is not None
    assert CANARY not in outcome.error.message
    assert "no session" in outcome.error.message
