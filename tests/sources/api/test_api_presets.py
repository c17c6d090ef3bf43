"""Presets, each read from a server that behaves as the vendor's reference says: every item once, its end known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.core.errors import InvalidRequestError
from server.sources.api.options import parse_options
from server.sources.api.presets import PRESETS, filled_in
from server.targets.registry import find_target
from tests.sources.api.pages import ids, songs

COUNT = 230
ALL = songs(COUNT)
Answer = Callable[[Request, str], Any]


def cut(items: list[Any], page: int, size: int, size_max: int = 100) -> list[Any]:
    """A page of a list, from 1; sizes above the vendor's are its own."""
    size = min(size, size_max)
    return items[(page - 1) * size : page * size]


def number(request: Request, name: str, default: int) -> int:
    return int(request.query_params.get(name, default))


def linked(request: Request, url: str, body: Any, next_query: str | None) -> Response:
    links = [f'<{url}/list?{next_query}>; rel="next"'] if next_query else []
    return JSONResponse(body, headers={"Link": ", ".join([*links, f'<{url}/list?page=1>; rel="first"'])})


def github(request: Request, url: str) -> Any:
    if "github" not in request.headers["accept"]:
        return Response(status_code=415)
    page, size = number(request, "page", 1), number(request, "per_page", 30)
    more = page * min(size, 100) < COUNT
    return linked(request, url, cut(ALL, page, size), f"page={page + 1}&per_page={size}" if more else None)


def wordpress(request: Request, url: str) -> Any:
    page, size = number(request, "page", 1), number(request, "per_page", 10)
    found = cut(ALL, page, size)
    if size > 100 or not found:
        return JSONResponse({"code": "rest_post_invalid_page_number", "message": "The page is larger"}, status_code=400)
    posts = [{"id": song["id"], "title": {"rendered": song["title"]}} for song in found]
    return JSONResponse(posts, headers={"X-WP-Total": str(COUNT), "X-WP-TotalPages": str(-(-COUNT // size))})


def woocommerce(request: Request, url: str) -> Any:
    page, size = number(request, "page", 1), number(request, "per_page", 10)
    products = [{"id": song["id"], "name": song["title"]} for song in cut(ALL, page, size)]
    return JSONResponse(products, headers={"X-WP-Total": str(COUNT), "X-WP-TotalPages": str(-(-COUNT // size))})


def shopify(request: Request, url: str) -> Any:
    query = dict(request.query_params)
    page, size = int(query.get("page_info", "p1")[1:]), number(request, "limit", 50)
    if "page_info" in query and set(query) - {"page_info", "limit"}:
        return Response(status_code=400)
    more = page * size < COUNT
    body = {"products": cut(ALL, page, size, 250)}
    return linked(request, url, body, f"limit={size}&page_info=p{page + 1}" if more else None)


def after_id(items: list[Any], after: str | None, size: int) -> tuple[list[Any], bool]:
    first = 0 if after is None else next(n for n, item in enumerate(items, 1) if str(item["id"]) == after)
    return items[first : first + size], first + size < len(items)


def stripe(request: Request, url: str) -> Any:
    size = number(request, "limit", 10)
    if not 1 <= size <= 100:
        return JSONResponse({"error": {"message": "Invalid integer"}}, status_code=400)
    found, more = after_id(ALL, request.query_params.get("starting_after"), size)
    return {"object": "list", "url": "/v1/songs", "has_more": more, "data": found}


def hubspot(request: Request, url: str) -> Any:
    first, size = number(request, "after", 0), number(request, "limit", 10)
    body: dict[str, Any] = {"results": ALL[first : first + size]}
    if first + size < COUNT:
        body["paging"] = {"next": {"after": str(first + size), "link": f"{url}/list?after={first + size}"}}
    return body


async def notion(request: Request, url: str) -> Any:
    if request.method != "POST" or "notion-version" not in request.headers:
        return Response(status_code=400)
    asked = json.loads(await request.body())
    assert asked["filter"] == {"property": "kind"}
    found, more = after_id(ALL, asked.get("start_cursor"), asked["page_size"])
    return {"object": "list", "results": found, "next_cursor": str(found[-1]["id"]) if more else None, "has_more": more}


def drf(request: Request, url: str) -> Any:
    page = number(request, "page", 1)
    around = {
        "next": f"{url}/list?page={page + 1}" if page * 100 < COUNT else None,
        "previous": f"{url}/list?page={page - 1}" if page > 1 else None,
    }
    return {"count": COUNT, **around, "results": cut(ALL, page, 100)}


def jsonapi(request: Request, url: str) -> Any:
    page, size = number(request, "page[number]", 1), number(request, "page[size]", 20)
    found = [
        {"type": "songs", "id": str(song["id"]), "attributes": {"title": song["title"]}}
        for song in cut(ALL, page, size)
    ]
    more = page * size < COUNT
    links = {
        "self": str(request.url),
        "next": f"{url}/list?page[number]={page + 1}&page[size]={size}" if more else None,
    }
    return JSONResponse({"data": found, "links": links}, media_type="application/vnd.api+json")


def odata(request: Request, url: str) -> Any:
    first = number(request, "$skiptoken", 0)
    size = min(90, int(request.headers["prefer"].rpartition("=")[2]))
    body: dict[str, Any] = {"@odata.context": "$metadata#Songs", "value": ALL[first : first + size]}
    if first + size < COUNT:
        body["@odata.nextLink"] = f"{url}/list?$skiptoken={first + size}"
    return body


async def graphql_relay(request: Request, url: str) -> Any:
    asked = json.loads(await request.body())
    assert "songs(" in asked["query"]
    found, more = after_id(ALL, asked["variables"].get("after"), asked["variables"]["first"])
    info = {"endCursor": str(found[-1]["id"]), "hasNextPage": more}
    return {"data": {"songs": {"edges": [{"node": song} for song in found], "pageInfo": info}}}


def strapi(request: Request, url: str) -> Any:
    page, size = number(request, "pagination[page]", 1), min(100, number(request, "pagination[pageSize]", 25))
    told = {"page": page, "pageSize": size, "pageCount": -(-COUNT // size), "total": COUNT}
    return {"data": cut(ALL, page, size), "meta": {"pagination": told}}


def discogs(request: Request, url: str) -> Any:
    page, size = number(request, "page", 1), number(request, "per_page", 50)
    pages = -(-COUNT // size)
    if page > pages:
        return JSONResponse({"message": "Page is outside of valid range"}, status_code=404)
    urls = {"next": f"{url}/list?page={page + 1}&per_page={size}"} if page < pages else {}
    told = {"page": page, "pages": pages, "per_page": size, "items": COUNT, "urls": urls}
    return {"pagination": told, "releases": cut(ALL, page, size)}


def spotify(request: Request, url: str) -> Any:
    first, size = number(request, "offset", 0), number(request, "limit", 20)
    if size > 50:
        return JSONResponse({"error": {"status": 400, "message": "Invalid limit"}}, status_code=400)
    tracks = [
        {"id": song["id"], "name": song["title"], "artists": [{"name": "A"}, {"name": "B"}]}
        for song in ALL[first : first + size]
    ]
    following = f"{url}/list?offset={first + size}&limit={size}" if first + size < COUNT else None
    return {"items": tracks, "limit": size, "offset": first, "total": COUNT, "next": following, "previous": None}


def youtube(request: Request, url: str) -> Any:
    first, size = int(request.query_params.get("pageToken", "T0")[1:]), number(request, "maxResults", 5)
    items = [
        {"id": song["id"], "snippet": {"title": song["title"], "channelTitle": "C"}}
        for song in ALL[first : first + size]
    ]
    body = {"kind": "youtube#list", "items": items, "pageInfo": {"totalResults": 1_000_000, "resultsPerPage": size}}
    return body | ({"nextPageToken": f"T{first + size}"} if first + size < COUNT else {})


def google_sheets(request: Request, url: str) -> Any:
    rows = [[str(song["id"]), song["title"]] for song in ALL]
    return {"range": "Songs!A1:B231", "majorDimension": "ROWS", "values": [["id", "title"], *rows]}


SERVERS: dict[str, Any] = {
    "github": github,
    "wordpress": wordpress,
    "woocommerce": woocommerce,
    "shopify": shopify,
    "stripe": stripe,
    "hubspot": hubspot,
    "notion": notion,
    "drf": drf,
    "jsonapi": jsonapi,
    "odata": odata,
    "graphql-relay": graphql_relay,
    "strapi": strapi,
    "discogs": discogs,
    "spotify": spotify,
    "youtube": youtube,
    "google-sheets": google_sheets,
}
# What a request of this kind needs beside the preset.
BESIDE: dict[str, dict[str, Any]] = {
    "notion": {"body": {"filter": {"property": "kind"}}},
    "graphql-relay": {
        "body": {"query": "query($first: Int, $after: String) { songs(first: $first, after: $after) { edges } }"}
    },
}


@pytest.fixture
def vendor(serve: Any) -> Any:
    """Start the server of a preset; gives its address."""

    async def start(name: str) -> str:
        address = ""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            request = Request(scope, receive)
            found = SERVERS[name](request, address)
            found = await found if hasattr(found, "__await__") else found
            await (found if isinstance(found, Response) else JSONResponse(found))(scope, receive, send)

        address = await serve(app)
        return f"{address}/list"

    return start


@pytest.mark.parametrize("name", PRESETS)
async def test_a_preset_reads_every_item_once_to_a_known_end(vendor, read, name):
    outcome = await read(await vendor(name), {"preset": name} | BESIDE.get(name, {}))
    assert (outcome.error, outcome.ids) == (None, ids(COUNT))
    assert [row["title"] for row in outcome.rows] == [song["title"] for song in ALL]
    assert (outcome.doubts, outcome.rejects) == ((), [])


PLACES = {
    "shopify": "products", "hubspot": "results", "notion": "results", "drf": "results", "odata": "value", "discogs": "releases",
    "graphql-relay": "$.data.songs.edges[*].node", "google-sheets": "values",
}  # fmt: skip


# Whose page parameters nothing in an answer names.
NEEDS = ("stripe", "strapi")


# Notion and GraphQL are asked by POST, with a body; Google Sheets has no pages.
@pytest.mark.parametrize("name", sorted(PRESETS.keys() - {"notion", "graphql-relay", "google-sheets"}))
async def test_auto_finds_the_paging_of_each_out_or_ends_in_words(vendor, read, name):
    headers = PRESETS[name].get("headers", {})
    size = PRESETS[name]["pagination"].get("limitParam", "limit")
    options = {"headers": headers, "pagination": {"enabled": True, "type": "auto", "limitParam": size}}
    options |= {"dataPath": PLACES[name]} if name in PLACES else {}
    if name == "spotify":
        options["pagination"]["pageSize"] = 50
    outcome = await read(await vendor(name), options)
    if name in NEEDS:
        assert outcome.error is not None
        assert "does not know the page parameters. Set options.pagination to what it has" in outcome.error.message
    else:
        assert (outcome.error, outcome.ids) == (None, ids(COUNT))


def test_own_options_win_and_what_is_filled_in_is_told():
    own = {"preset": "github", "headers": {"accept": "text/plain"}, "pagination": {"enabled": True, "pageSize": 30}}
    options = parse_options(own)
    assert {name: secret.text for name, secret in options.headers.items()} == {
        "accept": "text/plain",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    assert (options.pagination.type, options.pagination.page_size, options.pagination.limit_param) == (
        "link",
        30,
        "per_page",
    )
    assert json.loads(options.filled_in) == {
        "headers": {"X-GitHub-Api-Version": "2022-11-28"},
        "pagination": {"type": "link", "limitParam": "per_page"},
    }
    assert parse_options({}).filled_in == ""


@pytest.mark.parametrize("own", [{"pageSize": 30}, {"type": "page"}, {"pagesAtOnce": 1}, {}])
def test_paging_stays_on_unless_it_is_turned_off(own):
    assert parse_options({"preset": "github", "pagination": own}).pagination.enabled
    assert not parse_options({"preset": "github", "pagination": own | {"enabled": False}}).pagination.enabled
    assert not parse_options({"pagination": own}).pagination.enabled


def test_a_column_that_the_table_lacks_is_left_out():
    options = parse_options({"preset": "wordpress", "targetTable": "catalog_items"})
    assert options.field_mapping == {}
    assert "fieldMapping" not in json.loads(filled_in({"preset": "wordpress"}, find_target("catalog_items").by_name))


def test_a_preset_that_does_not_exist_is_refused():
    with pytest.raises(InvalidRequestError, match=r"options\.preset"):
        parse_options({"preset": "gitlab"})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_complete_beside_its_body(name):
    options = parse_options({"preset": name} | BESIDE.get(name, {}))
    assert options.preset == name and options.filled_in
