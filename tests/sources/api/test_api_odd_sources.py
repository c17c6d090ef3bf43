"""Sources as they are: what a review has found that real APIs do, and that once lost rows or failed for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from tests.sources.api.pages import OFFSET, PAGE, ids, songs

AUTO: dict[str, Any] = {"pagination": {"enabled": True, "type": "auto"}}


def spring(total: int, size: int) -> Any:
    """Pages from 0, in the envelope of Spring Data."""

    def answer(request: Any) -> dict[str, Any]:
        number = int(request.query_params.get("page", 0))
        pages = -(-total // size)
        return {
            "content": songs(max(0, min(size, total - number * size)), number * size + 1),
            "number": number,
            "first": number == 0,
            "last": number >= pages - 1,
        }

    return answer


async def test_pages_that_count_from_zero_are_found_out_or_asked_for_and_never_skipped(serve, api, read):
    url = await serve(api(spring(35, 10)))
    content = {"dataPath": "content"}
    assert (await read(url, AUTO | content)).ids == ids(35)
    zero = {"pagination": {"enabled": True, "type": "page", "firstPage": 0}} | content
    assert (await read(url, zero)).ids == ids(35)
    outcome = await read(url, PAGE | content)
    assert outcome.error is not None
    assert (outcome.error.reason, "firstPage" in outcome.error.message, outcome.ids) == ("INVALID_OPTION", True, [])


@pytest.mark.parametrize(
    "envelope",
    [
        {"next_cursor": None},
        {"response_metadata": {"next_cursor": ""}},
        {"links": {"next": None}},
        {"next": None},
        {"nextPageToken": ""},
    ],
    ids=str,
)
async def test_an_empty_place_for_the_next_page_is_the_end(serve, api, read, envelope):
    app = api(lambda _request: {"data": songs(3)} | envelope)
    outcome = await read(await serve(app), AUTO)
    assert (outcome.error, outcome.ids, len(app.requests)) == (None, ids(3), 1)


@pytest.mark.parametrize("total", [15, 20])
async def test_404_behind_the_stated_total_is_the_end(serve, api, read, total):
    def answer(request: Any) -> Response:
        first = (int(request.query_params["page"]) - 1) * 10
        if first >= total:
            return Response(status_code=404)
        return JSONResponse(songs(min(10, total - first), first + 1), headers={"X-Total-Count": str(total)})

    outcome = await read(await serve(api(answer)), {"pagination": {"enabled": True, "pageSize": 10}})
    assert (outcome.error, outcome.ids) == (None, ids(total))


async def test_a_relative_next_address_belongs_to_where_the_page_came_from(serve, api, read):
    def answer(request: Any) -> Any:
        if request.url.path == "/songs":
            return RedirectResponse("/v2/songs/list", 302)
        if request.url.path == "/v2/songs/list":
            return {"data": songs(2), "next": "page2?x=1"}
        assert request.url.path == "/v2/songs/page2"
        return {"data": songs(1, 3), "next": None}

    outcome = await read(await serve(api(answer)) + "/songs", {"pagination": {"enabled": True, "type": "link"}})
    assert (outcome.error, outcome.ids) == (None, ids(3))


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/x-ndjson", b'{"id": 1, "title": "a"}\n{"id": 2, "tit'),
        ("text/csv", b'id,title\n1,a\n2,"b'),
        ("text/csv", b"id,title\n1,a\n2"),
    ],
)
async def test_an_answer_that_ends_within_a_record_is_cut_off(serve, api, read, media_type, body):
    outcome = await read(await serve(api(lambda _request: Response(body, media_type=media_type))))
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable, outcome.ids) == ("SOURCE_UNAVAILABLE", True, [])


async def test_an_empty_body_is_no_gzip(serve, api, read):
    answer = Response(b"", media_type="application/x-ndjson", headers={"Content-Encoding": "gzip"})
    outcome = await read(await serve(api(lambda _request: answer)))
    assert outcome.error is not None
    assert outcome.error.retryable


@pytest.mark.parametrize("charset", ["undefined", "punycode", "unicode_escape", "utf-7", "idna", "no-such"])
async def test_what_is_no_charset_is_refused(serve, api, read, charset):
    answer = Response(b'["\xff"]', headers={"Content-Type": f"application/json; charset={charset}"})
    outcome = await read(await serve(api(lambda _request: answer)))
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_MALFORMED"


async def test_a_byte_order_mark_is_no_part_of_the_content(serve, api, read):
    body = '\ufeff{"data": [{"id": 1, "title": "a"}]}'.encode("utf-16-le")
    answer = Response(body, headers={"Content-Type": "application/json; charset=utf-16le"})
    assert (await read(await serve(api(lambda _request: answer)))).ids == ["1"]


async def test_a_part_of_a_list_says_how_many_there_are_and_a_part_of_bytes_is_refused(serve, api, read):
    part = JSONResponse(songs(10), 206, headers={"Content-Range": "0-9/573"})
    outcome = await read(await serve(api(lambda _request: part)))
    assert any("a part of its items (206)" in notice for notice in outcome.notices)
    bytes_part = JSONResponse(songs(10), 206, headers={"Content-Range": "bytes 0-99/573"})
    outcome = await read(await serve(api(lambda _request: bytes_part)))
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_REFUSED"


@pytest.mark.parametrize("size", [10, 4000])
async def test_no_page_is_asked_for_behind_a_stated_end_however_large_the_pages_are(serve, api, read, size):
    def answer(request: Any) -> dict[str, Any]:
        page = int(request.query_params["page"])
        held = [{"id": page * 100 + n, "title": "x" * size} for n in range(100)]
        return {"data": held, "has_more": page < 3}

    app = api(answer)
    outcome = await read(await serve(app), PAGE)
    assert (outcome.error, len(outcome.ids), len(app.requests)) == (None, 300, 3)


async def test_a_secret_that_is_said_back_in_the_next_address_is_not_kept(serve, api, read):
    def answer(request: Any) -> dict[str, Any]:
        page = int(request.query_params.get("p", 1))
        following = f"{request.url.path}?p={page + 1}&access_token=CANARYTOKEN" if page < 3 else None
        return {"data": songs(1, page), "next": following}

    options = {
        "auth": {"type": "bearer", "token": "CANARYTOKEN"},
        "pagination": {"enabled": True, "type": "link"},
    }
    outcome = await read(await serve(api(answer)), options, http_batch_rows=1)
    assert (outcome.error, outcome.ids) == (None, ids(3))
    assert "CANARYTOKEN" not in str([batch.position for batch in outcome.batches])


async def test_offsets_are_not_taken_for_zero_based_pages(serve, api, read):
    def answer(request: Any) -> dict[str, Any]:
        offset = int(request.query_params["offset"])
        return {"data": songs(max(0, min(10, 25 - offset)), offset + 1), "page": 0, "total": 25}

    assert (await read(await serve(api(answer)), OFFSET)).ids == ids(25)


@pytest.mark.parametrize(
    "error", [{"error": {"code": 500}}, {"errors": ["timeout"]}, {"error": "busy", "partial": True}]
)
async def test_an_empty_page_that_tells_of_an_error_is_not_the_end(serve, api, read, error):
    def answer(request: Any) -> dict[str, Any]:
        page = int(request.query_params["page"])
        return {"items": songs(100, page * 100 - 99), "error": None} if page < 3 else {"items": [], **error}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable, len(outcome.ids)) == ("SOURCE_UNAVAILABLE", True, 200)
