"""What ends a walk and what does not: errors in the middle, ends that are assumed, sources that answer for ever."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.sources.api.options import parse_options
from server.sources.api.preview import preview_api
from tests.sources.api.pages import OFFSET, PAGE, ids, songs

LINK: dict[str, Any] = {"pagination": {"enabled": True, "type": "link"}}
AUTO: dict[str, Any] = {"pagination": {"enabled": True, "type": "auto"}}


def page_of(request: Request) -> int:
    return int(request.query_params.get("page", 1))


def capped(total: int, size: int, missing: int, status: int) -> Any:
    """Pages of at most `size` items, one of which is answered with an error."""

    def answer(request: Request) -> Any:
        number = page_of(request)
        first = (number - 1) * size + 1
        if number == missing:
            return Response("<h1>Not Found</h1>", status)
        return {"data": songs(max(0, min(size, total - first + 1)), first)}

    return answer


@pytest.mark.parametrize(("missing", "status"), [(4, 404), (2, 416), (3, 400), (5, 422)])
async def test_an_error_behind_full_pages_is_none_however_many_items_were_asked_for(serve, api, read, missing, status):
    app = api(capped(300, 50, missing, status))
    options = {"pagination": {"enabled": True, "pageSize": 50 if missing == 2 else 100}}
    outcome = await read(await serve(app), options)
    assert outcome.error is not None
    assert (outcome.error.reason, len(outcome.ids)) == ("SOURCE_REFUSED", (missing - 1) * 50)
    assert "pages before it were full" in outcome.error.message
    assert [page_of(request) for request in app.requests].count(missing) == (2 if status == 404 else 1)


async def test_a_page_that_is_there_when_it_is_asked_for_again_is_read(serve, api, read):
    seen: list[int] = []

    def answer(request: Request) -> Any:
        seen.append(page_of(request))
        return capped(300, 50, 4 if seen.count(4) == 1 else 0, 404)(request)

    assert (await read(await serve(api(answer)), PAGE)).ids == ids(300)


def ends_with_a_total_of(total: int) -> Any:
    """Four full pages that say nothing of a total, and an empty one that does."""

    def answer(request: Request) -> Any:
        first = int(request.query_params.get("offset") or (page_of(request) - 1) * 20) + 1
        return {"data": songs(20, first)} if first <= 80 else {"data": [], "total": total}

    return answer


@pytest.mark.parametrize(("total", "options"), [(0, PAGE), (0, OFFSET), (81, PAGE), (79, OFFSET)])
async def test_a_total_that_comes_at_the_end_must_be_that_of_what_came(serve, api, read, total, options):
    """That an empty page holds 0 items is no reason to take 0 for the size of each page."""
    outcome = await read(await serve(api(ends_with_a_total_of(total))), options)
    assert outcome.ids == ids(80)
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable) == ("SOURCE_CHANGED", True)
    assert f"it has {total} items, and 80 came" in outcome.error.message


@pytest.mark.parametrize("options", [PAGE, OFFSET])
async def test_a_right_total_that_comes_at_the_end_is_one(serve, api, read, options):
    outcome = await read(await serve(api(ends_with_a_total_of(80))), options)
    assert (outcome.error, outcome.ids, outcome.doubts) == (None, ids(80), ())


@pytest.mark.parametrize("status", [404, 416])
async def test_an_error_behind_a_page_shorter_than_the_fullest_is_the_end(serve, api, read, status):
    outcome = await read(await serve(api(capped(220, 50, 6, status))), PAGE)
    assert (outcome.error, outcome.ids, outcome.doubts) == (None, ids(220), ())


async def test_an_error_behind_the_only_page_is_an_assumed_end(serve, api, read):
    outcome = await read(await serve(api(capped(30, 50, 2, 404))), PAGE)
    assert (outcome.error, outcome.ids) == (None, ids(30))
    assert any("end of the source is assumed" in doubt for doubt in outcome.doubts)


@pytest.mark.parametrize("options", [PAGE, OFFSET], ids=["page", "offset"])
@pytest.mark.parametrize("status", [400, 404, 416, 422])
async def test_no_page_is_missed_behind_a_total_that_was_reached(serve, api, read, options, status):
    def answer(request: Request) -> Any:
        first = int(request.query_params.get("offset", (page_of(request) - 1) * 100))
        if first >= 200:
            return JSONResponse({"error": "offset must be less than 200"}, status)
        return {"data": songs(100, first + 1), "total": 200}

    outcome = await read(await serve(api(answer)), options)
    assert (outcome.error, outcome.ids, outcome.doubts) == (None, ids(200), ())


@pytest.mark.parametrize(
    "said",
    [
        {"success": False, "message": "Server busy"},
        {"ok": False, "error_description": "Server busy"},
        {"status": "FAILED", "errors": [{"detail": "Server busy"}]},
        {"result": "error", "msg": "Server busy"},
    ],
    ids=str,
)
@pytest.mark.parametrize("lasts", [True, False])
async def test_a_page_without_items_that_says_no_is_a_passing_fault_and_no_end(serve, api, read, said, lasts):
    refused: list[int] = []

    def answer(request: Request) -> Any:
        number = page_of(request)
        if number == 3 and (lasts or len(refused) < 2):
            refused.append(number)
            return {"data": [], **said}
        return {
            "success": True,
            "status": "ok",
            "data": songs(max(0, min(100, 250 - number * 100 + 100)), number * 100 - 99),
        }

    outcome = await read(await serve(api(answer)), PAGE)
    if not lasts:
        assert (outcome.error, outcome.ids) == (None, ids(250))
        return
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable, len(outcome.ids)) == ("SOURCE_UNAVAILABLE", True, 200)
    assert "Server busy" in outcome.error.message and len(refused) == 4


async def test_no_secret_of_the_request_stands_in_the_words_of_the_source(serve, api, read):
    options = {"auth": {"type": "bearer", "token": "CANARY-77"}}
    outcome = await read(await serve(api(lambda _: {"data": [], "error": "token CANARY-77 is wrong"})), options)
    assert outcome.error is not None
    assert "is wrong" in outcome.error.message and "CANARY-77" not in outcome.error.message


@pytest.mark.parametrize("content_range", ["id 0..199; max=200", "items 0-199/*", ""])
@pytest.mark.parametrize("mode", ["upsert", "mirror"])
async def test_a_part_that_calls_itself_a_part_is_no_whole(serve, api, read, content_range, mode):
    headers = {"Content-Range": content_range} if content_range else {}
    outcome = await read(await serve(api(lambda _: JSONResponse(songs(200), 206, headers))), {"mode": mode})
    if mode == "mirror":
        assert outcome.error is not None
        assert (outcome.error.reason, "206" in outcome.error.message) == ("SOURCE_MALFORMED", True)
    else:
        assert (outcome.error, outcome.ids) == (None, ids(200))
        assert any("a part of its items (206)" in notice for notice in outcome.notices)


async def test_parts_are_pages_like_others_where_the_source_is_paged(serve, api, read):
    def answer(request: Request) -> Any:
        first = (page_of(request) - 1) * 100
        status = 206 if first < 200 else 200
        return JSONResponse(songs(max(0, min(100, 250 - first)), first + 1), status, {"Content-Range": f"{first}-/250"})

    assert (await read(await serve(api(answer)), PAGE)).ids == ids(250)


@pytest.mark.parametrize("kind", ["cursor", "link"])
@pytest.mark.parametrize(("empty", "max_given"), [(80, None), (10_000, None), (10_000, 3)])
async def test_empty_pages_that_name_a_next_one_have_an_end(serve, api, read, kind, empty, max_given):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", 0))
        items = songs(100 if at < 2 else 50, at * 100 + 1) if at < 3 else []
        items = songs(1, 251) if at == 3 + empty else items
        following = None if at == 3 + empty else at + 1
        named = f"/?cursor={following}" if kind == "link" and following else following
        return {"data": items, "next" if kind == "link" else "next_cursor": named}

    app = api(answer)
    pagination: dict[str, Any] = {"enabled": True, "type": kind}
    pagination |= {} if max_given is None else {"emptyPagesMax": max_given}
    outcome = await read(await serve(app), {"pagination": pagination})
    assert outcome.error is None
    if empty == 80:
        assert (outcome.ids, outcome.doubts) == (ids(251), ())
    else:
        assert outcome.ids == ids(250)
        assert len(app.requests) <= 3 + (100 if max_given is None else max_given) + 2
        assert any("end of the source is assumed" in doubt for doubt in outcome.doubts)


async def test_a_link_that_says_it_has_no_results_is_the_end(serve, api, read):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", 1))
        more = str(at < 3).lower()
        link = f'</?cursor={at + 1}>; rel="next"; results="{more}"; cursor="0:100:0"'
        return JSONResponse(
            songs(10, at * 10 - 9), headers={"Link": f'</?cursor=0>; rel="previous"; results="false", {link}'}
        )

    app = api(answer)
    outcome = await read(await serve(app), LINK)
    assert (outcome.error, outcome.ids, len(app.requests)) == (None, ids(30), 3)


@pytest.mark.parametrize("options", [PAGE, OFFSET], ids=["page", "offset"])
@pytest.mark.parametrize("identified", [True, False])
async def test_the_same_items_in_other_bytes_are_the_same_page(serve, api, read, options, identified):
    def answer(_request: Request) -> Any:
        signed = [{"cover": f"x?sig={len(app.requests)}", "title": f"T{n}"} for n in range(100)]
        return {"data": [{"id": n, **item} if identified else item for n, item in enumerate(signed)]}

    app = api(answer)
    outcome = await read(await serve(app), options)
    assert outcome.error is not None
    assert (outcome.error.reason, len(outcome.ids)) == ("PAGINATION_LOOP", 100)
    assert "page 2 has the same items as page 1: the source does not know the page parameters" in outcome.error.message
    assert len(app.requests) <= 4


ENDLESS: dict[str, Any] = {
    "any of its items": lambda at: [*range(at * 37 % 250, min(at * 37 % 250 + 40, 250))],
    "its only item": lambda at: [1],
    "its last page": lambda at: range(at * 100, at * 100 + 100) if at < 3 else range(200, 300 - at % 5),
}


@pytest.mark.parametrize("shape", ENDLESS)
@pytest.mark.parametrize("kind", ["page", "cursor", "link"])
async def test_a_source_that_answers_for_ever_is_found_out_within_five_requests(serve, api, read, shape, kind):
    first_stale: list[int] = []
    known: set[int] = set()

    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", page_of(request) - 1))
        found = list(ENDLESS[shape](at))
        if known >= set(found):
            first_stale.append(at)
        known.update(found)
        ways: dict[str, Any] = {"cursor": {"next_cursor": at + 1}, "link": {"next": f"/?cursor={at + 1}"}}
        named = ways.get(kind, {})
        return {"data": [{"id": n, "title": "T", "at": len(app.requests)} for n in found], **named}

    app = api(answer)
    outcome = await read(await serve(app), {"pagination": {"enabled": True, "type": kind}})
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable) == ("PAGINATION_LOOP", False)
    assert len(app.requests) - first_stale[-4 if len(first_stale) > 4 else 0] <= 6


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ({"meta": {"has_more": False}}, {"links": {"next": "/?page=9"}}),
        ({"result": {"paging": {"isLast": True}}}, {"next": "/?page=9"}),
        ({"hasMore": False}, {"next_page_url": "/?page=9"}),
    ],
    ids=str,
)
async def test_a_flag_that_says_no_more_is_believed_whatever_address_stands_beside_it(serve, api, read, flag, named):
    app = api(lambda _request: {"songs": songs(10), "result": {"songs": songs(10)}, **flag, **named})
    path = "songs"
    if "result" in flag:
        path, app = "result.songs", api(lambda _request: {"result": {"songs": songs(10), **flag["result"]}, **named})
    outcome = await read(await serve(app), LINK | {"dataPath": path})
    assert (outcome.error, outcome.ids, len(app.requests)) == (None, ids(10), 1)


@pytest.mark.parametrize("kind", ["cursor", "link"])
async def test_an_empty_page_that_names_itself_is_the_end(serve, api, read, kind):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", 0))
        token = min(at + 100, 250)
        named = {"next_cursor": str(token)} if kind == "cursor" else {"next": f"/?cursor={token}"}
        return {"data": songs(token - at, at + 1), **named}

    app = api(answer)
    outcome = await read(await serve(app), {"pagination": {"enabled": True, "type": kind}})
    assert (outcome.error, outcome.ids, len(app.requests), outcome.doubts) == (None, ids(250), 4, ())


async def test_the_first_page_may_be_empty_and_name_itself(serve, api, read):
    app = api(lambda request: {"data": [], "next": str(request.url)})
    outcome = await read(await serve(app) + "/songs", LINK)
    assert (outcome.error, outcome.ids, len(app.requests)) == (None, [], 1)


@pytest.mark.parametrize("total", [100, 250, 7])
async def test_exactly_one_full_page_is_told_by_one_probe(serve, api, read, total):
    def answer(request: Request) -> Any:
        at, limit = int(request.query_params.get("after", 0)), int(request.query_params["limit"])
        items = songs(max(0, min(limit, total - at)), at + 1)
        return {"results": items} | ({"paging": {"next": {"after": at + limit}}} if at + limit < total else {})

    app = api(answer)
    pagination = {"enabled": True, "type": "cursor", "cursorParam": "after", "cursorPath": "paging.next.after"}
    outcome = await read(await serve(app), {"dataPath": "results", "pagination": pagination})
    assert (outcome.error, outcome.ids) == (None, ids(total))
    assert len(app.requests) == {100: 2, 250: 3, 7: 1}[total]


@pytest.mark.parametrize("kind", ["cursor", "link"])
async def test_a_source_that_pages_in_another_way_is_an_error_with_its_first_page(serve, api, read, kind):
    app = api(lambda request: {"data": songs(int(request.query_params["limit"])), "meta": {"after": "x"}})
    outcome = await read(await serve(app), {"pagination": {"enabled": True, "type": kind}})
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.ids, len(app.requests)) == ("SOURCE_MALFORMED", ids(100), 2)


@pytest.mark.parametrize("kind", ["cursor", "link"])
@pytest.mark.parametrize("meaning", [None, "estimate", "ignore", "exact"])
async def test_a_total_beside_an_end_that_was_told_is_a_hint(serve, api, read, kind, meaning):
    url = await serve(api(lambda _: {"pageInfo": {"totalResults": 1_000_000}, "items": songs(20)}))
    outcome = await read(url, {"pagination": {"enabled": True, "type": kind} | ({"total": meaning} if meaning else {})})
    assert outcome.ids == ids(20)
    assert (outcome.error is not None) == (meaning == "exact")
    assert any("1000000 items" in notice for notice in outcome.notices) == (meaning in (None, "estimate"))
    assert bool(outcome.doubts) == (meaning is None)


@pytest.mark.parametrize("options", [PAGE, OFFSET], ids=["page", "offset"])
async def test_an_estimate_ends_no_run_early(serve, api, read, options):
    def answer(request: Request) -> Any:
        first = int(request.query_params.get("offset", (page_of(request) - 1) * 100))
        return {"data": songs(max(0, min(100, 250 - first)), first + 1), "total": 120}

    pagination = {**options["pagination"], "total": "estimate"}
    outcome = await read(await serve(api(answer)), {"pagination": pagination})
    assert (outcome.error, outcome.ids) == (None, ids(250))


async def test_a_total_that_falls_ends_nothing_before_the_items_do(serve, api, read):
    """The first page tells the total of the list, the others that of their page."""

    def answer(request: Request) -> Any:
        page = page_of(request)
        return {"data": songs(100 if page <= 10 else 0, (page - 1) * 100 + 1), "total": 1000 if page == 1 else 100}

    outcome = await read(await serve(api(answer)), {"pagination": {"enabled": True, "type": "page"}})
    assert outcome.ids == ids(1000)
    assert outcome.error is not None or outcome.doubts


@pytest.mark.parametrize(
    ("count", "told", "ends"),
    [(250, {}, "assumed"), (250, {"total": 250}, "known"), (100, {"total": 100}, "known"), (100, {}, "failed")],
)
async def test_a_source_without_pages_is_found_out_however_long_its_list_is(serve, api, read, count, told, ends):
    app = api(lambda _request: {"data": songs(count), **told})
    outcome = await read(await serve(app), AUTO)
    assert outcome.ids == ids(count)
    assert (outcome.error is not None) == (ends == "failed")
    assert any("end of the source is assumed" in doubt for doubt in outcome.doubts) == (ends == "assumed")


async def test_a_source_without_pages_is_found_out_by_auto(serve, api, read):
    calls: list[Request] = []

    def answer(request: Request) -> Any:
        calls.append(request)
        return {"data": [{**song, "at": len(calls)} for song in songs(30)]}

    app = api(answer)
    outcome = await read(await serve(app), AUTO)
    assert (outcome.error, outcome.ids) == (None, ids(30))
    assert len(app.requests) <= 3
    assert any("end of the source is assumed" in doubt for doubt in outcome.doubts)


@pytest.mark.parametrize("zero", ["same", "other"])
async def test_a_page_before_the_first_is_told_only_where_its_items_are_others(serve, api, context, reveal, zero):
    calls: list[Request] = []

    def answer(request: Request) -> Any:
        calls.append(request)
        page = page_of(request)
        first = 1 if zero == "same" and page <= 1 else page * 100 + 1
        # Signed addresses are new each time, and the order is nobody's.
        return {
            "data": [{**song, "url": f"https://x/{len(calls)}"} for song in songs(100, first)][:: 1 if page else -1]
        }

    options = parse_options({"pagination": {"enabled": True, "type": "page"}})
    preview = await preview_api(await serve(api(answer)), options, context(), reveal, 5)
    assert any("page 0 has other items" in notice for notice in preview.notices) == (zero == "other")
