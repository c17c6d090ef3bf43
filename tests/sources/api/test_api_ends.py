"""Where a paged source ends: what it says of its end, and what its pages show."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.sources.api.pages import PAGE, ids, songs

STATED_ENDS: dict[str, Any] = {
    "has_more": lambda last, total: {"has_more": not last},
    "hasMore in meta": lambda last, total: {"meta": {"hasMore": not last}},
    "next is null": lambda last, total: {"next": None if last else "/next"},
    "total pages": lambda last, total: {"total_pages": 2},
    "total with a short page": lambda last, total: {"total": total},
    "rest framework": lambda last, total: {
        "count": total,
        "next": None if last else "x",
        "previous": None,
    },
}


@pytest.mark.parametrize("shape", STATED_ENDS)
async def test_no_page_is_asked_for_after_the_one_that_is_said_to_be_the_last(serve, api, read, shape):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        return {"data": songs(100 if number == 1 else 50, number * 100 - 99)} | STATED_ENDS[shape](number == 2, 150)

    app = api(answer)
    outcome = await read(await serve(app), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(150)
    assert len(app.requests) == 2


async def test_short_pages_go_on_while_the_source_says_that_there_are_more(serve, api, read):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        return {"data": songs(2, number * 2 - 1), "has_more": number < 5}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.ids == ids(10)


async def test_a_total_that_was_not_reached_is_an_error_and_what_came_is_handed_over(serve, api, read):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        return {"data": songs(100, number * 100 - 99) if number <= 2 else [], "total": 350}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_CHANGED"
    assert "350" in outcome.error.message and "200" in outcome.error.message
    assert len(outcome.ids) == 200


async def test_a_pages_own_count_called_total_does_not_end_the_run_early(serve, api, read):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        items = songs(max(0, min(100, 250 - (number - 1) * 100)), number * 100 - 99)
        return {"data": items, "total": len(items)}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(250)


async def test_an_empty_page_that_says_there_are_more_is_an_error(serve, api, read):
    outcome = await read(await serve(api(lambda request: {"data": [], "has_more": True})), PAGE)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_CHANGED"


async def test_404_past_a_short_page_is_the_end(serve, api, read):
    def answer(request: Request) -> Any:
        return songs(3) if request.query_params["page"] == "1" else Response(status_code=404)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(3)


async def test_404_past_a_full_page_is_an_error(serve, api, read):
    def answer(request: Request) -> Any:
        return songs(100) if request.query_params["page"] == "1" else Response(status_code=404)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_REFUSED"
    assert len(outcome.ids) == 100


async def test_204_is_a_page_without_items(serve, api, read):
    def answer(request: Request) -> Any:
        return songs(3) if request.query_params["page"] == "1" else Response(status_code=204)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(3)


async def test_a_short_page_before_others_leaves_a_notice(serve, api, read):
    def answer(request: Request) -> Any:
        sizes = [100, 60, 100, 0]
        number = int(request.query_params["page"])
        return songs(sizes[number - 1], number * 100 - 99)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert len(outcome.ids) == 260
    assert "fewer items" in outcome.notices[0]
