"""Lists that move while they are read, or have no order: the run is completed with what came, and says what it cannot know."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from server.sources.api.options import parse_options
from server.sources.api.preview import preview_api
from tests.sources.api.pages import PAGE, ids, songs

LINK: dict[str, Any] = {"pagination": {"enabled": True, "type": "link"}}


def page_of(request: Request) -> int:
    return int(request.query_params.get("page", 1))


def overlapping(request: Request) -> list[dict[str, Any]]:
    """Pages of 50 of 250 items; the third begins with ten of the second in place of its own."""
    number = page_of(request)
    items = songs(50, number * 50 - 49) if number <= 5 else []
    return songs(10, 81) + items[10:] if number == 3 else items


OVERLAPS: dict[str, tuple[dict[str, Any], Any]] = {
    "page": (PAGE, lambda _request, _more: {}),
    "page with a total": (PAGE, lambda _request, _more: {"total": 250}),
    "link": (LINK, lambda request, more: {"next": f"/?page={page_of(request) + 1}" if more else None}),
}


@pytest.mark.parametrize("how", OVERLAPS)
async def test_items_that_come_on_two_pages_are_told_and_doubted(serve, api, read, how):
    options, says = OVERLAPS[how]
    url = await serve(api(lambda request: {"data": overlapping(request), **says(request, page_of(request) < 5)}))
    outcome = await read(url, {**options, "pagination": {**options["pagination"], "pageSize": 50}})
    assert outcome.error is None
    assert (len(outcome.ids), len(set(outcome.ids))) == (250, 240)
    assert any("10 items came on more than one page" in notice for notice in outcome.notices)
    assert any("order of the list is not stable" in doubt for doubt in outcome.doubts)


async def test_an_item_that_stands_twice_on_one_page_is_how_the_list_is(serve, api, read):
    def answer(request: Request) -> Any:
        return {
            "data": [*songs(5), *songs(2)] if page_of(request) == 1 else songs(3, 10),
            "total": 10,
            "total_pages": 2,
        }

    outcome = await read(await serve(api(answer)), PAGE)
    assert (outcome.error, len(outcome.ids), outcome.doubts) == (None, 10, ())


async def test_keys_are_those_of_the_rows_whatever_else_stands_in_the_items(serve, api, read):
    def answer(request: Request) -> Any:
        number = page_of(request)
        first = {1: 1, 2: 3, 3: 5}.get(number, 9)
        return {
            "data": [{"uid": n, "title": f"T{n}", "seen": f"{number}-{n}"} for n in range(first, min(first + 3, 8))]
        }

    options = PAGE | {"fieldMapping": {"external_id": "uid"}}
    outcome = await read(await serve(api(answer)), options)
    assert outcome.error is None
    assert any("2 items came on more than one page" in doubt for doubt in outcome.doubts)


async def test_what_was_seen_before_an_interruption_is_not_forgotten(serve, api, read):
    broken = {4}

    def answer(request: Request) -> Any:
        return Response(status_code=500) if page_of(request) in broken else overlapping(request)

    url = await serve(api(answer))
    options = {"pagination": {"enabled": True, "pageSize": 50}}
    for failing in (3, 4):
        broken.add(failing)
        first = await read(url, options, http_retry_attempts_max=1)
        broken.clear()
        rest = await read(url, options, after=first.batches[-1].position, first_batch_no=2)
        assert rest.error is None
        assert any("10 items came on more than one page" in doubt for doubt in rest.doubts), failing


async def test_the_checkpoint_stays_small_whatever_the_number_of_keys(serve, api, read):
    def answer(request: Request) -> Any:
        number = page_of(request)
        return songs(1000, number * 1000 - 999) if number <= 20 else []

    outcome = await read(await serve(api(answer)), {"pagination": {"enabled": True, "pageSize": 1000}})
    assert len(outcome.ids) == 20_000
    assert max(len(str(batch.position)) for batch in outcome.batches) < 8000


@pytest.mark.parametrize(
    ("totals", "words"),
    [({1: 300, 4: 299}, "from 300 to 299"), ({1: 250, 2: 251, 3: 250, 4: 250}, "between 250 and 251")],
    ids=["once", "to and fro"],
)
async def test_a_total_that_moves_is_told_and_doubted(serve, api, read, totals, words):
    def answer(request: Request) -> Any:
        number = page_of(request)
        total = max((at, said) for at, said in totals.items() if at <= number)[1]
        first = number * 50 - 49 + (number >= 4 and total == 299)
        return {"data": songs(max(0, min(50, max(totals.values()) - first + 1)), first), "total": total}

    outcome = await read(await serve(api(answer)), {"pagination": {"enabled": True, "pageSize": 50}})
    assert outcome.error is None
    assert any(words in notice for notice in outcome.notices)
    assert any("items may have moved" in doubt for doubt in outcome.doubts)


async def test_a_list_that_stands_still_is_in_no_doubt(serve, api, read):
    def answer(request: Request) -> Any:
        number = page_of(request)
        return {"data": songs(100 if number < 3 else 50, number * 100 - 99), "total": 250, "pages": 3}

    outcome = await read(await serve(api(answer)), PAGE)
    assert (outcome.error, outcome.ids, outcome.notices, outcome.doubts) == (None, ids(250), (), ())


FACTS: dict[str, Any] = {
    "strapi": lambda total: {"meta": {"pagination": {"page": 1, "pageCount": 3, "total": total}}},
    "beside the items": lambda total: {"total": total},
    "in a frame beside the items": lambda total: {"page_info": {"totalResults": total}},
}


@pytest.mark.parametrize("where", FACTS)
@pytest.mark.parametrize("path", ["data", "result.songs", "$.result.songs"])
async def test_a_total_is_found_wherever_paging_facts_stand(serve, api, read, where, path):
    def answer(request: Request) -> Any:
        number = page_of(request)
        items = songs(80 if number == 2 else 100 if number < 3 else 50, number * 100 - 99) if number < 4 else []
        said = FACTS[where](250)
        return {"data": items, **said} if path == "data" else {"result": {"songs": items, **said}, "status": "ok"}

    outcome = await read(await serve(api(answer)), PAGE | {"dataPath": path})
    if where == "strapi" and path != "data":
        # Two frames below the way to the items is one too many.
        return
    assert outcome.error is not None
    assert (outcome.error.reason, len(outcome.ids)) == ("SOURCE_CHANGED", 230)
    assert "250" in outcome.error.message and "230" in outcome.error.message


@pytest.mark.parametrize("name", ["X-WP-Total", "Total-Count", "X-My-API-Total-Count"])
async def test_headers_that_end_in_total_count_whatever_their_prefix(serve, api, read, name):
    def answer(request: Request) -> Any:
        items = songs(20) if page_of(request) == 1 else []
        return Response(str(items).replace("'", '"'), headers={name: "30", "X-RateLimit-Total": "20"})

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is not None
    assert (outcome.error.reason, "30" in outcome.error.message) == ("SOURCE_CHANGED", True)


async def test_offsets_that_count_from_one_lose_nothing_in_silence_and_can_be_said(serve, api, read):
    def answer(request: Request) -> Any:
        start = max(1, int(request.query_params["startIndex"]))
        count = int(request.query_params["count"])
        return {
            "Resources": songs(max(0, min(count, 250 - start + 1)), start),
            "totalResults": 250,
            "startIndex": start,
        }

    url = await serve(api(answer))
    scim = {"type": "offset", "offsetParam": "startIndex", "limitParam": "count", "enabled": True}
    told = await read(url, {"dataPath": "Resources", "pagination": {**scim, "firstPage": 1}})
    assert (told.error, told.ids, told.doubts) == (None, ids(250), ())
    untold = await read(url, {"dataPath": "Resources", "pagination": scim})
    assert sorted(set(untold.ids), key=int) == ids(250)
    assert any("more than one page" in doubt for doubt in untold.doubts)


async def test_auto_finds_out_that_items_are_counted_from_one(serve, api, read):
    def answer(request: Request) -> Any:
        start, count = (
            int(request.query_params.get("startIndex", 1)),
            min(50, int(request.query_params.get("count", 100))),
        )
        items = songs(max(0, min(count, 130 - start + 1)), start)
        return {"Resources": items, "totalResults": 130, "startIndex": start, "itemsPerPage": len(items)}

    options = {"dataPath": "Resources", "pagination": {"enabled": True, "type": "auto"}}
    outcome = await read(await serve(api(answer)), options)
    assert (outcome.error, outcome.ids, outcome.doubts) == (None, ids(130), ())


@pytest.mark.parametrize("facts", ["nbPages and nbHits", "total alone"])
async def test_pages_that_count_from_zero_are_never_read_from_one_in_silence(serve, api, read, facts):
    def answer(request: Request) -> Any:
        number = page_of(request)
        said = {"nbPages": 3, "nbHits": 250} if facts != "total alone" else {"total": 250}
        return {"hits": songs(max(0, min(100, 250 - number * 100)), number * 100 + 1), "page": number, **said}

    url = await serve(api(answer))
    outcome = await read(url, PAGE | {"dataPath": "hits"})
    assert outcome.error is not None
    assert "options.pagination.firstPage to 0" in outcome.error.message
    zero = {"dataPath": "hits", "pagination": {"enabled": True, "firstPage": 0}}
    assert (await read(url, zero)).ids == ids(250)


ZERO_PAGES: dict[str, tuple[Any, bool]] = {
    "page 0 is the first": (lambda number: songs(100, number * 100 + 1), True),
    "page 0 is page 1": (lambda number: songs(100, max(number - 1, 0) * 100 + 1), False),
    "page 0 is refused": (lambda number: songs(100, number * 100 - 99) if number else None, False),
    "page 0 is empty": (lambda number: songs(100, number * 100 - 99) if number else [], False),
}


@pytest.mark.parametrize("shape", ZERO_PAGES)
async def test_a_test_of_the_source_looks_whether_there_is_a_page_0(serve, api, context, reveal, shape):
    items_of, is_told = ZERO_PAGES[shape]

    def answer(request: Request) -> Any:
        items = items_of(page_of(request))
        return Response(status_code=400) if items is None else {"data": items}

    app = api(answer)
    preview = await preview_api(await serve(app), parse_options(PAGE), context(http_retry_attempts_max=1), reveal, 5)
    assert any("firstPage to 0" in notice for notice in preview.notices) == is_told
    assert [query["page"] for query in app.queries] == ["1", "0"]
