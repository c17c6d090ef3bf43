"""Next pages that the source names itself, pages found out by `auto`, and page parameters in a body or an URL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def songs(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [{"id": n, "title": f"Song {n}"} for n in range(first, first + count)]


def ids(count: int) -> list[str]:
    return [str(n) for n in range(1, count + 1)]


def pagination(kind: str, **options: Any) -> dict[str, Any]:
    return {"pagination": {"enabled": True, "type": kind, **options}}


def page_of(request: Request, name: str = "p") -> int:
    return int(request.query_params.get(name, "1"))


def link_header(request: Request) -> Response:
    """GitHub's way: the next page as an absolute URL in a header, none on the last."""
    number = page_of(request)
    base = str(request.url).partition("?")[0]
    links = [f'<{base}?p=1>; rel="first"']
    if number < 4:
        links.append(f'<{base}?p={number + 1}&per=2>; rel="next"; title="a, b; c"')
    return JSONResponse(songs(10, number * 10 - 9), headers={"Link": ", ".join(links)})


BODY_LINKS: dict[str, Any] = {
    "next absolute": lambda request, url: {"next": f"http://{request.headers['host']}{url}" if url else None},
    "next relative": lambda request, url: {"next": url},
    "links.next": lambda request, url: {"links": {"next": url}},
    "hal": lambda request, url: {"_links": {"self": {"href": "/x"}, **({"next": {"href": url}} if url else {})}},
    "odata": lambda request, url: {"@odata.nextLink": url} if url else {},
    "paging.next": lambda request, url: {"paging": {"next": url} if url else {}},
}


@pytest.mark.parametrize("kind", ["link", "auto"])
async def test_the_link_header_is_followed_to_its_end(serve, api, read, kind):
    app = api(link_header)
    outcome = await read(await serve(app), pagination(kind))
    assert outcome.error is None
    assert outcome.ids == ids(40)
    assert app.queries == [{"limit": "100"}, *({"p": str(n), "per": "2"} for n in (2, 3, 4))]


@pytest.mark.parametrize("kind", ["link", "auto"])
@pytest.mark.parametrize("shape", BODY_LINKS)
async def test_urls_in_the_body_are_followed_to_their_end(serve, api, read, shape, kind):
    def answer(request: Request) -> Any:
        number = page_of(request)
        url = f"/songs?p={number + 1}" if number < 4 else None
        return {"data": songs(10, number * 10 - 9)} | BODY_LINKS[shape](request, url)

    app = api(answer)
    outcome = await read(await serve(app) + "/songs", pagination(kind))
    assert outcome.error is None
    assert outcome.ids == ids(40)
    assert len(app.requests) == 4


async def test_a_next_page_on_another_host_is_refused(serve, api, read):
    other = api(lambda request: songs(1))
    elsewhere = await serve(other)
    app = api(lambda request: {"data": songs(2), "next": f"{elsewhere}/x"})
    outcome = await read(await serve(app), pagination("link") | {"auth": {"type": "bearer", "token": "t"}})
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_REFUSED"
    assert other.requests == []
    assert outcome.ids == ids(2)


async def test_links_that_lead_in_a_circle_are_an_error(serve, api, read):
    def answer(request: Request) -> Any:
        number = page_of(request)
        return {"data": songs(1, len(app.requests)), "next": f"/?p={number % 3 + 1}"}

    app = api(answer)
    outcome = await read(await serve(app), pagination("link"))
    assert outcome.error is not None
    assert outcome.error.reason == "PAGINATION_LOOP"


async def test_a_full_page_without_any_link_is_an_error(serve, api, read):
    outcome = await read(await serve(api(lambda request: songs(100))), pagination("link"))
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_MALFORMED"


async def test_a_run_resumes_at_the_url_that_was_next(serve, api, read):
    failing = {3}

    def answer(request: Request) -> Any:
        number = page_of(request)
        if number in failing:
            return Response(status_code=500)
        return {"data": songs(10, number * 10 - 9), "next": f"/songs?p={number + 1}" if number < 5 else None}

    url = await serve(api(answer))
    for kind in ("link", "auto"):
        failing.add(3)
        first = await read(url, pagination(kind), http_retry_attempts_max=1)
        failing.clear()
        rest = await read(url, pagination(kind), after=first.batches[-1].position, first_batch_no=2)
        assert first.error is not None and rest.error is None
        assert first.ids + rest.ids == ids(50)


async def test_a_cursor_is_found_at_a_path_of_the_callers(serve, api, read):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("after", "0"))
        return {"items": songs(10, at + 1), "page": {"token": {"next": at + 10 if at < 20 else None}}}

    options = pagination("cursor", cursorPath="page.token.next", cursorParam="after")
    outcome = await read(await serve(api(answer)), options)
    assert outcome.error is None
    assert outcome.ids == ids(30)


async def test_a_cursor_is_found_in_a_header(serve, api, read):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", "0"))
        return JSONResponse(songs(10, at + 1), headers={"X-Next-Cursor": str(at + 10)} if at < 20 else {})

    outcome = await read(await serve(api(answer)), pagination("cursor", cursorHeader="x-next-cursor"))
    assert outcome.error is None
    assert outcome.ids == ids(30)


async def test_a_cursor_that_is_a_url_is_followed(serve, api, read):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("c", "0"))
        return {"data": songs(10, at + 1), "next_cursor": f"/songs?c={at + 10}&k=v" if at < 20 else None}

    app = api(answer)
    outcome = await read(await serve(app) + "/songs", pagination("cursor"))
    assert outcome.ids == ids(30)
    assert app.queries[1] == {"c": "10", "k": "v"}


AUTO: dict[str, Any] = {
    "page numbers": lambda q: {"data": songs(10, int(q.get("page", 1)) * 10 - 9), "total_pages": 3, "page": 1},
    "contract cursor": lambda q: {
        "data": songs(10, int(q.get("cursor", 0)) + 1),
        "next_cursor": str(int(q.get("cursor", 0)) + 10) if int(q.get("cursor", 0)) < 20 else None,
    },
    "google": lambda q: (
        {"items": songs(10, int(q.get("pageToken", 0)) + 1)}
        | ({"nextPageToken": str(int(q.get("pageToken", 0)) + 10)} if int(q.get("pageToken", 0)) < 20 else {})
    ),
    "offset": lambda q: {
        "data": songs(10 if int(q.get("offset", 0)) < 30 else 0, int(q.get("offset", 0)) + 1),
        "meta": {"offset": int(q.get("offset", 0)), "total": 30},
    },
    "next is a page number": lambda q: {
        "data": songs(10, int(q.get("page", 1)) * 10 - 9),
        "next": int(q.get("page", 1)) + 1 if int(q.get("page", 1)) < 3 else None,
    },
    "nothing but pages": lambda q: songs(10 if int(q.get("page", 1)) <= 3 else 0, int(q.get("page", 1)) * 10 - 9),
}


@pytest.mark.parametrize("shape", AUTO)
async def test_auto_finds_out_how_the_source_is_paged(serve, api, read, shape):
    outcome = await read(await serve(api(lambda request: AUTO[shape](request.query_params))), pagination("auto"))
    assert outcome.error is None
    assert outcome.ids == ids(30)


async def test_auto_does_not_end_early_on_a_source_that_it_cannot_make_out(serve, api, read):
    outcome = await read(await serve(api(lambda request: songs(100))), pagination("auto"))
    assert outcome.error is not None
    assert outcome.error.reason == "PAGINATION_LOOP"


async def test_the_page_size_is_the_options_or_the_urls_or_100(serve, api, read):
    app = api(lambda request: [])
    url = await serve(app)
    await read(f"{url}/?limit=25", pagination("page", pageSize=7))
    await read(f"{url}/?limit=25", pagination("page"))
    await read(f"{url}/?limit=all", pagination("page"))
    assert [query["limit"] for query in app.queries] == ["7", "25", "100"]


async def test_an_api_key_in_the_query_is_sent_but_never_kept(serve, api, read):
    def answer(request: Request) -> Any:
        number = page_of(request)
        again = f"/songs?p={number + 1}&key={request.query_params['key']}"
        return {"data": songs(10, number * 10 - 9), "next": again if number < 3 else None}

    app = api(answer)
    options = pagination("link") | {"auth": {"type": "apikey", "apiKeyParam": "key", "apiKeyValue": "canary-77"}}
    outcome = await read(await serve(app) + "/songs", options, http_batch_rows=10)
    assert outcome.ids == ids(30)
    assert [query["key"] for query in app.queries] == ["canary-77"] * 3
    assert "canary-77" not in json.dumps([batch.position for batch in outcome.batches])


async def test_page_parameters_go_into_a_posted_body(serve, api, read):
    seen: list[Any] = []

    async def handler(request: Request) -> Response:
        asked = json.loads(await request.body())
        seen.append(asked)
        first = (asked["paging"]["page"] - 1) * 20 + 1
        return JSONResponse({"data": songs(max(0, min(20, 50 - first + 1)), first)})

    app = api(None)
    app.handler = handler
    options = pagination("page", paramsIn="body", pageParam="paging.page", limitParam="paging.size", pageSize=20)
    body = {"filter": {"genre": "rock"}, "paging": {"sort": "id"}}
    outcome = await read(await serve(app), options | {"method": "POST", "body": body})
    assert outcome.error is None
    assert outcome.ids == ids(50)
    assert seen[0] == {"filter": {"genre": "rock"}, "paging": {"sort": "id", "page": 1, "size": 20}}
    assert app.queries[0] == {}
    assert app.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "cursors",
    [
        [100, 200], [1.50, -2.25], [["2024-01-01", 5], ["2024-01-02", 10]], [{"after": {"id": 5}}, {"after": {"id": 9}}],
        ["100", "?abc", "/x?y"], ["?x", "a/b?c=="], ['é \\ "', "next"],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("place", ["body", "query"])
async def test_a_cursor_goes_back_as_what_it_is(serve, api, read, cursors, place):
    """Numbers, lists and objects are themselves in a body, and JSON in a query; texts are texts in both."""
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        sent = json.loads(request._body).get("offset") if place == "body" else request.query_params.get("offset")
        asked.append(sent)
        number = len(asked)
        following = cursors[number - 1] if number <= len(cursors) else None
        return {"result": {"points": songs(2, number * 2), "next": following}}

    options = {
        "method": "POST" if place == "body" else "GET",
        "dataPath": "result.points",
        "pagination": {
            "enabled": True, "type": "cursor", "paramsIn": place, "cursorParam": "offset", "cursorPath": "result.next", "pageSize": 2,
        },
    }  # fmt: skip
    app = api(answer)
    url = await serve(app)
    outcome = await read(url, options, http_batch_rows=1)
    assert (outcome.error, len(outcome.ids)) == (None, 2 * len(cursors) + 2)
    sent = [
        each if isinstance(each, str) or place == "body" else json.dumps(each, separators=(",", ":"))
        for each in cursors
    ]
    assert asked == [None, *sent]
    # The checkpoint keeps the kind.
    asked[:] = asked[:1]
    resumed = await read(url, options, after=outcome.batches[0].position, first_batch_no=2)
    assert (resumed.error, asked) == (None, [None, *sent])
