"""The next page is asked for while a page is parsed and written: never more than one, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from starlette.responses import Response

from server.sources.api.options import parse_options
from server.sources.api.reader import open_api
from tests.sources.api.pages import PAGE, paged

LINK: dict[str, Any] = {"pagination": {"enabled": True, "type": "link"}}


def linked(request: Any) -> dict[str, Any]:
    number = int(request.query_params.get("page", 1))
    return {"data": [{"id": number}], "next": f"/?page={number + 1}" if number < 9 else None}


@pytest.mark.parametrize(("options", "answer"), [(PAGE, paged(950)), (LINK, linked)], ids=["page", "link"])
async def test_a_page_is_on_its_way_before_the_batch_before_it_is_taken(serve, api, context, reveal, options, answer):
    asked = asyncio.Semaphore(0)

    def told(request: Any) -> Any:
        asked.release()
        return answer(request)

    app = api(told)
    reader = await open_api(await serve(app), parse_options(options), context(http_batch_rows=1), reveal)
    batches = reader.batches(None, 1)
    await anext(batches)
    # Page 1 is in our hands, 2 waits as a batch, 3 waits to become one, and 4 lies ready; nobody asks for 5.
    for _ in range(4):
        await asyncio.wait_for(asked.acquire(), 10)
    assert len(app.requests) == 4
    await cast(AsyncGenerator[object], batches).aclose()
    await reader.close()


async def test_each_page_is_asked_for_once(serve, api, read):
    app = api(paged(950))
    outcome = await read(await serve(app), PAGE)
    assert len(outcome.ids) == 950
    assert [query["page"] for query in app.queries] == [str(number) for number in range(1, len(app.queries) + 1)]


async def test_a_source_that_gives_fewer_items_than_asked_for_is_not_asked_twice_for_each_page(serve, api, read):
    def answer(request: Any) -> dict[str, Any]:
        offset = int(request.query_params["offset"])
        return {"data": [{"id": number} for number in range(offset, min(offset + 30, 300))], "total": 300}

    app = api(answer)
    outcome = await read(await serve(app), {"pagination": {"enabled": True, "type": "offset"}})
    assert outcome.error is None
    assert outcome.ids == [str(number) for number in range(300)]
    assert len(app.requests) <= 12


async def test_no_page_beyond_max_pages_is_asked_for(serve, api, read):
    app = api(paged(950))
    await read(await serve(app), {"pagination": {"enabled": True, "type": "page", "maxPages": 3}})
    assert len(app.requests) == 3


async def test_no_page_beyond_a_stated_total_is_asked_for(serve, api, read):
    def answer(request: Any) -> dict[str, Any]:
        page = int(request.query_params["page"])
        return {
            "data": [{"id": number} for number in range(page * 100, page * 100 + 100)],
            "total": 300,
            "has_more": page < 3,
        }

    app = api(answer)
    outcome = await read(await serve(app), PAGE)
    assert outcome.error is None
    assert len(app.requests) == 3


async def test_a_fault_of_a_page_that_turns_out_not_to_be_needed_does_no_harm(serve, api, read):
    # Full pages, so the next is guessed; the third says that it is the last one.
    def answer(request: Any) -> Any:
        page = int(request.query_params["page"])
        if page > 3:
            return Response(status_code=500)
        return {"data": [{"id": number} for number in range(page * 100, page * 100 + 100)], "has_more": page < 3}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert len(outcome.ids) == 300
