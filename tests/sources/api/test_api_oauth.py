"""OAuth 2.0 against real servers: an endpoint that gives tokens, and a source that takes only those."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from server.core.errors import InvalidRequestError
from server.sources.api.options import parse_options
from server.sources.api.reader import check_api, open_api
from server.sources.contract import SourceContext

CANARY = "canary-91c2"


@dataclass
class Endpoint:
    """An endpoint that counts its tokens; each renewal makes the refresh token before it worthless."""

    lifetime: Any = 3600
    rotates: bool = True
    says_empty: bool = False
    refresh: str = "r-0"
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    async def __call__(self, request: Request) -> Any:
        form = parse_qs((await request.body()).decode())
        self.forms.append(form)
        self.authorizations.append(request.headers.get("authorization", ""))
        number = len(self.forms)
        answer: dict[str, Any] = {"access_token": f"a-{number}", "token_type": "bearer", "expires_in": self.lifetime}
        if form["grant_type"] == ["refresh_token"]:
            if form["refresh_token"] != [self.refresh]:
                return JSONResponse({"error": "invalid_grant", "error_description": CANARY}, status_code=400)
            if self.says_empty:
                answer["refresh_token"] = ""
            elif self.rotates:
                self.refresh = answer["refresh_token"] = f"r-{number}"
        return answer


@dataclass
class Source:
    """Takes only these tokens."""

    good: set[str]
    seen: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Any:
        self.seen.append(request.headers.get("authorization", ""))
        if self.seen[-1].removeprefix("Bearer ") not in self.good:
            return Response(status_code=401)
        return [{"id": 1}]


@pytest.fixture
def answering(api):
    """An app of a function that may be a coroutine."""

    def make(answer: Any) -> Any:
        app = api(lambda request: None)

        async def handler(request: Request) -> Response:
            found = answer(request)
            found = await found if asyncio.iscoroutine(found) else found
            return found if isinstance(found, Response) else JSONResponse(found)

        app.handler = handler
        return app

    return make


def options(token_url: str, **auth: Any) -> dict[str, Any]:
    given = {"clientSecret": "s-1"} | auth
    return {"auth": {"type": "oauth2", "tokenUrl": token_url, "clientId": "c-1", **given}}


def refreshing(token_url: str, **auth: Any) -> dict[str, Any]:
    return options(token_url, grant="refreshToken", refreshToken="r-0", **auth)


async def run(url: str, document: dict[str, Any], context: SourceContext, reveal: Any) -> Any:
    """Read the source once with a context that later reads share."""
    reader = await open_api(url, parse_options(document), context, reveal)
    try:
        return [row async for batch in reader.batches(None, 1) for row in batch.frame.to_dicts()]
    finally:
        await reader.close()


async def test_client_credentials_are_sent_to_the_endpoint_and_its_token_to_the_source(serve, answering, read):
    endpoint, source = Endpoint(), Source({"a-1"})
    outcome = await read(
        await serve(answering(source)), options(await serve(answering(endpoint)), scope="songs.read songs.list")
    )
    assert outcome.error is None
    assert outcome.ids == ["1"]
    assert endpoint.forms == [{"grant_type": ["client_credentials"], "scope": ["songs.read songs.list"]}]
    assert base64.b64decode(endpoint.authorizations[0].removeprefix("Basic ")) == b"c-1:s-1"
    assert source.seen == ["Bearer a-1"]


async def test_credentials_go_into_the_form_where_the_endpoint_wants_them_there(serve, answering, read):
    endpoint = Endpoint()
    await read(await serve(answering(Source({"a-1"}))), options(await serve(answering(endpoint)), clientAuth="body"))
    assert endpoint.forms[0] == {
        "grant_type": ["client_credentials"],
        "client_id": ["c-1"],
        "client_secret": ["s-1"],
    }
    assert endpoint.authorizations == [""]


async def test_special_characters_of_a_secret_survive(serve, answering, read):
    endpoint = Endpoint()
    await read(
        await serve(answering(Source({"a-1"}))), options(await serve(answering(endpoint)), clientSecret="ñ:& +%")
    )
    pair = base64.b64decode(endpoint.authorizations[0].removeprefix("Basic "))
    assert pair == b"c-1:%C3%B1%3A%26+%2B%25"


async def test_a_token_is_used_again_by_later_runs_for_as_long_as_it_is_good(serve, answering, context, reveal, clock):
    endpoint, source = Endpoint(lifetime=600), Source({"a-1", "a-2"})
    url, document = await serve(answering(source)), options(await serve(answering(endpoint)))
    shared = context()
    await run(url, document, shared, reveal)
    await run(url, document, shared, reveal)
    assert len(endpoint.forms) == 1
    clock.elapsed_seconds += 590
    await run(url, document, shared, reveal)
    assert len(endpoint.forms) == 2
    assert source.seen == ["Bearer a-1", "Bearer a-1", "Bearer a-2"]


async def test_a_401_renews_the_token_once_and_the_page_is_asked_for_again(serve, answering, read):
    endpoint, source = Endpoint(), Source({"a-2"})
    outcome = await read(await serve(answering(source)), options(await serve(answering(endpoint))))
    assert outcome.error is None
    assert source.seen == ["Bearer a-1", "Bearer a-2"]


async def test_a_second_401_is_an_authentication_error(serve, answering, read):
    endpoint, source = Endpoint(), Source(set())
    outcome = await read(await serve(answering(source)), options(await serve(answering(endpoint))))
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.category) == ("AUTHENTICATION_FAILED", "authentication")
    assert not outcome.error.retryable
    assert source.seen == ["Bearer a-1", "Bearer a-2"]


async def test_a_token_that_ends_in_the_middle_of_a_run_is_renewed(serve, answering, read, clock):
    endpoint = Endpoint(lifetime=60)

    def answer(request: Request) -> Any:
        page = int(request.query_params["page"])
        clock.elapsed_seconds += 40
        return {"data": [{"id": page}], "has_more": page < 4}

    source = answering(answer)
    document = options(await serve(answering(endpoint))) | {"pagination": {"enabled": True, "type": "page"}}
    outcome = await read(await serve(source), document)
    assert outcome.error is None
    assert len(outcome.ids) == 4
    assert len(endpoint.forms) > 1
    assert len({request.headers["authorization"] for request in source.requests}) > 1


async def test_a_rotated_refresh_token_is_kept_for_the_next_run(serve, answering, context, reveal, clock):
    endpoint = Endpoint(lifetime=60)
    source = Source({"a-1", "a-2", "a-3"})
    url, document = await serve(answering(source)), refreshing(await serve(answering(endpoint)))
    shared = context()
    for _ in range(3):
        await run(url, document, shared, reveal)
        clock.elapsed_seconds += 61
    assert [form["refresh_token"] for form in endpoint.forms] == [["r-0"], ["r-1"], ["r-2"]]


async def test_an_empty_refresh_token_means_that_the_one_before_still_holds(serve, answering, context, reveal, clock):
    endpoint = Endpoint(lifetime=60)
    source = Source({"a-1", "a-2", "a-3"})
    url, document = await serve(answering(source)), refreshing(await serve(answering(endpoint)))
    shared = context()
    for _ in range(3):
        await run(url, document, shared, reveal)
        clock.elapsed_seconds += 61
        endpoint.says_empty = True
    assert [form["refresh_token"] for form in endpoint.forms] == [["r-0"], ["r-1"], ["r-1"]]


async def test_an_endpoint_that_does_not_rotate_is_asked_with_the_first_token_again(
    serve, answering, context, reveal, clock
):
    endpoint = Endpoint(lifetime=60, rotates=False)
    url, document = await serve(answering(Source({"a-1", "a-2"}))), refreshing(await serve(answering(endpoint)))
    shared = context()
    for _ in range(2):
        await run(url, document, shared, reveal)
        clock.elapsed_seconds += 61
    assert [form["refresh_token"] for form in endpoint.forms] == [["r-0"], ["r-0"]]


async def test_a_new_refresh_token_in_the_options_is_used_in_place_of_the_kept_one(serve, answering, context, reveal):
    endpoint, source = Endpoint(), Source({f"a-{number}" for number in range(9)})
    url, token_url = await serve(answering(source)), await serve(answering(endpoint))
    shared = context()
    await run(url, refreshing(token_url), shared, reveal)
    endpoint.refresh = "fresh"
    await run(
        url, refreshing(token_url) | {"auth": refreshing(token_url)["auth"] | {"refreshToken": "fresh"}}, shared, reveal
    )
    assert endpoint.forms[1]["refresh_token"] == ["fresh"]


async def test_two_runs_at_once_renew_once(serve, answering, context, reveal):
    endpoint, source = Endpoint(), Source({"a-1"})
    url, document = await serve(answering(source)), refreshing(await serve(answering(endpoint)))
    shared = context()
    await asyncio.gather(*(run(url, document, shared, reveal) for _ in range(4)))
    assert len(endpoint.forms) == 1


async def test_a_refused_grant_is_an_authentication_error_that_shows_no_secret(serve, answering, read):
    endpoint = Endpoint(refresh="another")
    source = Source({"a-1"})
    document = refreshing(await serve(answering(endpoint)), clientSecret=CANARY)
    outcome = await read(await serve(answering(source)), document)
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable) == ("AUTHENTICATION_FAILED", False)
    assert "invalid_grant" in outcome.error.message
    assert CANARY not in outcome.error.message
    assert source.seen == []


async def test_an_endpoint_that_fails_is_tried_again(serve, answering, read, clock):
    endpoint, faults = Endpoint(), [500, 429, 503]
    app = answering(lambda request: Response(status_code=faults.pop()) if faults else endpoint(request))
    outcome = await read(await serve(answering(Source({"a-1"}))), options(await serve(app)))
    assert outcome.error is None
    assert len(clock.waits) >= 3


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"token_type": "bearer"},
        {"access_token": ""},
        {"access_token": "a\nb"},
        {"access_token": "a", "token_type": "mac"},
    ],
    ids=["list", "no token", "empty token", "line break", "other type"],
)
async def test_an_answer_without_a_usable_token_is_refused(serve, answering, read, answer):
    source = Source({"a"})
    outcome = await read(await serve(answering(source)), options(await serve(answering(lambda request: answer))))
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_MALFORMED"
    assert source.seen == []


async def test_an_endpoint_that_redirects_is_refused_and_the_secret_stays_where_it_is(serve, answering, read):
    other = answering(lambda request: {"access_token": "a-1"})
    elsewhere = await serve(other)
    endpoint = answering(lambda request: RedirectResponse(elsewhere, 307))
    outcome = await read(await serve(answering(Source({"a-1"}))), options(await serve(endpoint)))
    assert outcome.error is not None
    assert outcome.error.reason == "AUTHENTICATION_FAILED"
    assert other.requests == []


async def test_the_endpoint_stands_under_the_guard_of_addresses(context):
    document = parse_options(options("http://127.0.0.1:1/token"))
    with pytest.raises(InvalidRequestError) as caught:
        await check_api("https://api.example.com/", document, context(allow_private_addresses=False))
    assert (caught.value.reason, caught.value.field) == ("SOURCE_FORBIDDEN", "options.auth.tokenUrl")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clientSecret": None}, "clientSecret"),
        ({"grant": "refreshToken"}, "refreshToken"),
        ({"refreshToken": "r"}, "refreshToken"),
        ({"tokenUrl": "ftp://x/"}, "http"),
        ({"tokenUrl": "https://u:p@x/"}, "user name"),
        ({"grant": "password"}, "grant"),
        ({"clientAuth": "cookie"}, "clientAuth"),
    ],
)
def test_grants_that_are_not_complete_are_refused(changes, words):
    document = options("https://t.example/token")
    document["auth"] |= changes
    with pytest.raises(InvalidRequestError, match=words):
        parse_options(document)


async def test_a_token_that_has_ended_is_renewed_when_the_source_says_403(serve, answering, read):
    """Each token is good for two requests; the first renewal of each request helps."""
    endpoint, uses = Endpoint(), dict[str, int]()

    def source(request: Request) -> Any:
        token = request.headers["authorization"]
        uses[token] = uses.get(token, 0) + 1
        if uses[token] > 2:
            return JSONResponse({"message": "The incoming token has expired"}, 403)
        page = int(request.query_params["page"])
        return {"data": [{"id": page}], "has_more": page < 6}

    document = options(await serve(answering(endpoint))) | {"pagination": {"enabled": True}}
    outcome = await read(await serve(answering(source)), document)
    assert (outcome.error, outcome.ids, len(endpoint.forms)) == (None, ["1", "2", "3", "4", "5", "6"], 3)


async def test_a_403_for_a_fresh_token_fails_at_once_and_one_after_a_renewal_too(serve, answering, read):
    endpoint, asked = Endpoint(), list[str]()

    def source(request: Request) -> Any:
        asked.append(request.query_params["page"])
        if len(asked) > 1:
            return JSONResponse({"message": "scope songs.read is missing"}, 403)
        return {"data": [{"id": 1}], "has_more": True}

    document = options(await serve(answering(endpoint))) | {"pagination": {"enabled": True}}
    outcome = await read(await serve(answering(source)), document)
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.ids) == ("AUTHENTICATION_FAILED", ["1"])
    assert "scope songs.read is missing" in outcome.error.message
    assert (asked, len(endpoint.forms)) == (["1", "2", "2"], 2)
    again = await read(await serve(answering(source)), document)
    assert again.error is not None
    assert (len(asked), len(endpoint.forms)) == (4, 3)


@pytest.mark.parametrize(
    ("status", "body", "headers", "is_wait"),
    [
        (401, {"error": "invalid_client", "error_description": "client c-1 with s-canary is unknown"}, {}, False),
        (400, {"errors": [{"message": "audience is missing; you sent s-canary"}]}, {}, False),
        (429, {"message": "too many tokens for s-canary"}, {"Retry-After": "50"}, True),
    ],
)
async def test_the_words_of_a_token_endpoint_stand_in_the_error_without_secrets(
    serve, answering, read, status, body, headers, is_wait
):
    endpoint = await serve(answering(lambda _request: JSONResponse(body, status, headers)))
    outcome = await read(await serve(answering(Source({"a"}))), options(endpoint, clientSecret="s-canary"))
    assert outcome.error is not None
    assert outcome.error.retryable is is_wait
    assert "canary" not in outcome.error.message
    assert "***" in outcome.error.message and str(status) in outcome.error.message
