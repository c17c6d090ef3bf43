"""Pagination against real servers: every item once, and the end only where the source says so."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sources.api.pages import CURSOR, OFFSET, PAGE, by_offset, ids, paged, songs


async def test_without_pagination_one_request_is_made(serve, api, read):
    app = api(lambda request: songs(3))
    outcome = await read(await serve(app))
    assert outcome.ids == ["1", "2", "3"]
    assert app.queries == [{}]
    assert outcome.notices == ()


async def test_without_pagination_a_source_that_has_more_leaves_a_notice(serve, api, read):
    app = api(lambda request: {"data": songs(3), "has_more": True})
    outcome = await read(await serve(app))
    assert outcome.error is None
    assert "set options.pagination" in outcome.notices[0]


@pytest.mark.parametrize("said", [{"has_more": True}, {"total": 9}, {"next": "/?page=2"}])
async def test_a_mirror_is_never_made_of_one_page_of_more(serve, api, read, said):
    app = api(lambda request: {"data": songs(3), **said})
    outcome = await read(await serve(app), {"mode": "mirror"})
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable) == ("SOURCE_MALFORMED", False)
    assert outcome.batches == []


@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 250])
async def test_pages_are_read_to_the_end(serve, api, read, total):
    outcome = await read(await serve(api(paged(total))), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(total)


async def test_pages_count_from_one_with_100_items_each(serve, api, read):
    app = api(paged(200))
    await read(await serve(app), PAGE)
    assert app.queries == [{"page": str(n), "limit": "100"} for n in (1, 2, 3)]


async def test_parameter_names_and_the_urls_own_parameters_are_kept(serve, api, read):
    app = api(lambda request: songs(2) if request.query_params["p"] == "1" else [])
    options = {"pagination": {"enabled": True, "type": "page", "pageParam": "p", "limitParam": "size"}}
    outcome = await read(await serve(app) + "/v1?genre=rock%20%26%20roll&p=9", options)
    assert outcome.ids == ["1", "2"]
    assert app.queries[0] == {"genre": "rock & roll", "p": "1", "size": "100"}


async def test_a_source_that_gives_smaller_pages_than_asked_for_is_read_whole(serve, api, read):
    for answer, options in ((paged(95, size_max=30), PAGE), (by_offset(95, size_max=30), OFFSET)):
        outcome = await read(await serve(api(answer)), options)
        assert outcome.error is None
        assert outcome.ids == ids(95)


@pytest.mark.parametrize("total", [0, 100, 230])
async def test_offsets_are_read_to_the_end(serve, api, read, total):
    outcome = await read(await serve(api(by_offset(total))), OFFSET)
    assert outcome.error is None
    assert outcome.ids == ids(total)


CURSOR_SHAPES = {
    "cursor": lambda token: {"cursor": token},
    "nextCursor": lambda token: {"nextCursor": token},
    "next_cursor": lambda token: {"next_cursor": token},
    "pagination.cursor": lambda token: {"pagination": {"cursor": token}},
    "pagination.nextCursor": lambda token: {"pagination": {"nextCursor": token}},
}


@pytest.mark.parametrize("shape", CURSOR_SHAPES)
@pytest.mark.parametrize("end", [None, "", "absent"])
async def test_cursors_are_followed_to_the_end(serve, api, read, shape, end):
    def answer(request: Request) -> Any:
        number = int(request.query_params.get("cursor", "0"))
        page = {"data": songs(10, number * 10 + 1)}
        if number < 4:
            return page | CURSOR_SHAPES[shape](str(number + 1))
        return page if end == "absent" else page | CURSOR_SHAPES[shape](end)

    app = api(answer)
    outcome = await read(await serve(app), CURSOR)
    assert outcome.error is None
    assert outcome.ids == ids(50)
    assert app.queries[0] == {"limit": "100"}


async def test_a_number_is_a_cursor_too(serve, api, read):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", "0"))
        return {"data": songs(5, at + 1), "next_cursor": at + 5 if at < 10 else None}

    outcome = await read(await serve(api(answer)), CURSOR)
    assert outcome.ids == ids(15)


async def test_an_empty_page_with_a_cursor_is_not_the_end(serve, api, read):
    pages = {"": ([], "a"), "a": (songs(2), "b"), "b": ([], "c"), "c": (songs(1, 3), None)}

    def answer(request: Request) -> Any:
        items, token = pages[request.query_params.get("cursor", "")]
        return {"data": items, "cursor": token}

    outcome = await read(await serve(api(answer)), CURSOR)
    assert outcome.error is None
    assert outcome.ids == ids(3)


async def test_max_pages_ends_the_run_with_a_notice(serve, api, read):
    app = api(paged(1000))
    outcome = await read(await serve(app), {"pagination": {"enabled": True, "maxPages": 3}})
    assert outcome.error is None
    assert outcome.ids == ids(300)
    assert len(app.requests) == 3
    assert "maxPages" in outcome.notices[0]


async def test_max_pages_that_are_enough_leave_no_notice(serve, api, read):
    app = api(lambda request: {"data": songs(5), "has_more": False})
    outcome = await read(await serve(app), {"pagination": {"enabled": True, "maxPages": 1}})
    assert outcome.error is None
    assert outcome.notices == ()


async def test_without_max_pages_more_than_100_pages_are_read(serve, api, read):
    options = {"pagination": {"enabled": True, "type": "page"}}
    outcome = await read(await serve(api(paged(330, size_max=3))), options)
    assert outcome.error is None
    assert outcome.ids == ids(330)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"http_pages_max": 2}, "HTTP_PAGES_MAX"),
        ({"http_items_max": 150}, "HTTP_ITEMS_MAX"),
        ({"http_bytes_max": 1024}, "HTTP_BYTES_MAX"),
    ],
)
async def test_the_services_own_limits_fail_the_run_and_a_retry_goes_on(serve, api, read, settings, name):
    url = await serve(api(paged(250)))
    outcome = await read(url, PAGE, **settings)
    assert outcome.error is not None
    assert outcome.error.retryable
    assert name in outcome.error.message
    rest = await read(url, PAGE, after=outcome.batches[-1].position, first_batch_no=2)
    assert outcome.ids + rest.ids == ids(250)


async def test_the_services_own_time_limit_fails_the_run_and_a_retry_goes_on(serve, api, read, clock):
    waited: set[str] = set()

    def answer(request: Request) -> Any:
        page = request.query_params["page"]
        if page == "2" and not waited:
            waited.add(page)
            return Response(status_code=503, headers={"Retry-After": "20"})
        return paged(450)(request)

    url = await serve(api(answer))
    outcome = await read(url, PAGE, http_run_seconds_max=15)
    assert outcome.error is not None
    assert outcome.error.retryable
    assert (outcome.error.reason, "HTTP_RUN_SECONDS_MAX" in outcome.error.message) == ("SOURCE_LIMIT_REACHED", True)
    assert outcome.ids == ids(200)
    rest = await read(url, PAGE, after=outcome.batches[-1].position, first_batch_no=2)
    assert outcome.ids + rest.ids == ids(450)


@pytest.mark.parametrize("length", [1, 2, 5])
async def test_a_cursor_that_comes_back_is_an_error(serve, api, read, length):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", "0"))
        return {"data": songs(1, len(app.requests)), "cursor": str(at % length + 1)}

    app = api(answer)
    outcome = await read(await serve(app), CURSOR)
    assert outcome.error is not None
    assert outcome.error.reason == "PAGINATION_LOOP"
    assert not outcome.error.retryable


@pytest.mark.parametrize("options", [PAGE, OFFSET])
@pytest.mark.parametrize("count", [7, 100])
async def test_a_source_that_ignores_the_page_parameters_is_an_error(serve, api, read, options, count):
    outcome = await read(await serve(api(lambda request: songs(count))), options)
    assert outcome.error is not None
    assert outcome.error.reason == "PAGINATION_LOOP"
    assert "page 2" in outcome.error.message


async def test_pages_that_start_over_after_the_last_are_an_error(serve, api, read):
    def answer(request: Request) -> Any:
        number = (int(request.query_params["page"]) - 1) % 3
        return songs(100, number * 100 + 1)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is not None
    assert outcome.error.reason == "PAGINATION_LOOP"


async def test_a_full_first_page_without_any_cursor_is_an_error(serve, api, read):
    outcome = await read(await serve(api(lambda request: {"data": songs(100), "meta": {"after": "x"}})), CURSOR)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_MALFORMED"


async def test_a_page_that_says_it_has_more_but_gives_no_cursor_is_an_error(serve, api, read):
    outcome = await read(await serve(api(lambda request: {"data": songs(3), "has_more": True})), CURSOR)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_MALFORMED"


async def test_post_sends_the_page_parameters_in_the_query(serve, api, read):
    app = api(paged(150))
    outcome = await read(await serve(app), {"method": "POST", **PAGE})
    assert outcome.ids == ids(150)
    assert {request.method for request in app.requests} == {"POST"}


async def test_a_failing_page_is_handed_over_as_an_error_and_the_run_goes_on_from_it(serve, api, read, clock):
    broken = {"7"}

    def answer(request: Request) -> Any:
        if request.query_params["page"] in broken:
            return Response(status_code=503)
        return paged(1000)(request)

    app = api(answer)
    url = await serve(app)
    first = await read(url, PAGE, http_retry_attempts_max=3)
    assert first.error is not None
    assert (first.error.reason, first.error.category, first.error.retryable) == ("SOURCE_UNAVAILABLE", "network", True)
    assert "page 7" in first.error.message and "503" in first.error.message
    assert first.ids == ids(600)
    assert len(app.requests) == 6 + 3

    broken.clear()
    app.requests.clear()
    second = await read(url, PAGE, after=first.batches[-1].position, first_batch_no=len(first.batches) + 1)
    assert second.error is None
    assert app.queries[0]["page"] == "7"
    assert first.ids + second.ids == ids(1000)
    assert [batch.batch_no for batch in first.batches + second.batches] == list(range(1, len(first.batches) + 2))
    assert second.batches[0].record_nos[0] == 601


async def test_a_run_that_was_read_to_its_end_asks_nothing_when_it_is_resumed(serve, api, read):
    app = api(lambda request: JSONResponse({"data": songs(5), "has_more": False}))
    url = await serve(app)
    first = await read(url, PAGE)
    app.requests.clear()
    again = await read(url, PAGE, after=first.batches[-1].position)
    assert again.error is None
    assert app.requests == []


async def test_batches_end_at_pages_and_are_numbered(serve, api, read):
    outcome = await read(await serve(api(paged(950))), PAGE, http_batch_rows=250)
    assert [batch.frame.height for batch in outcome.batches] == [300, 300, 300, 50]
    assert [batch.batch_no for batch in outcome.batches] == [1, 2, 3, 4]
    assert [list(batch.record_nos)[:1] for batch in outcome.batches] == [[1], [301], [601], [901]]


async def test_a_page_of_more_items_than_may_be_ends_the_run_before_it(serve, api, read):
    url = await serve(api(paged(350)))
    outcome = await read(url, PAGE, http_page_items_max=100)
    assert (outcome.error, outcome.ids) == (None, ids(350))
    outcome = await read(url, {"pagination": {"enabled": True, "pageSize": 101}}, http_page_items_max=100)
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable, outcome.ids) == ("SOURCE_LIMIT_REACHED", True, [])
    assert "HTTP_PAGE_ITEMS_MAX (100)" in outcome.error.message
