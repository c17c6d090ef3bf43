"""Pages that the source has told of are asked for several at once, and read in their order, each one once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sources.api.conftest import Api
from tests.sources.api.pages import CURSOR, OFFSET, PAGE, ids, songs

Answer = Callable[[int, dict[str, Any]], Any]
AUTO = {"pagination": {"enabled": True, "type": "auto"}}
FROM_0 = {"pagination": {"enabled": True, "type": "page", "firstPage": 0}}
SIZE = 100


class Crowd:
    """A source of ten pages that answers nobody before so many requests are there, or all that can still come.

    Args:
        at_once: requests that are waited for.
        pages: of the source.
        told: what each page says beside its items.
    """

    def __init__(self, at_once: int, told: dict[str, Any], pages: int = 10) -> None:
        self.at_once = at_once
        self.told = told
        self.pages = pages
        self.peak = 0
        self.left = pages
        self.waiting: list[asyncio.Event] = []
        self.app = Api(self.answer)

    async def answer(self, request: Request) -> Response:
        query = request.query_params
        first = (int(query["page"]) - 1) * SIZE if "page" in query else int(query.get("offset", 0))
        here = asyncio.Event()
        self.waiting.append(here)
        self.peak = max(self.peak, len(self.waiting))
        # Whoever comes first is alone: only a page that was read tells of others.
        if len(self.waiting) >= min(self.at_once, self.left) or len(self.app.requests) == 1:
            self.left -= len(self.waiting)
            for each in self.waiting:
                each.set()
            self.waiting = []
        await here.wait()
        return JSONResponse({"data": songs(max(0, min(SIZE, self.pages * SIZE - first)), first + 1), **self.told})


@pytest.mark.parametrize("at_once", [2, 4, 8])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (PAGE, {"total": 1000}),
        (PAGE, {"total_pages": 10}),
        (PAGE, {"meta": {"total": 1000, "last_page": 10}}),
        (OFFSET, {"total": 1000}),
        (AUTO, {"total": 1000}),
        ({"pagination": {"enabled": True, "type": "page", "limitParam": ""}}, {"total": 1000}),
        ({"pagination": {"enabled": True, "type": "page", "totalPath": "of"}}, {"of": "1000"}),
    ],
    ids=["total", "pages", "both", "offset", "auto", "size unasked", "own place"],
)
async def test_known_pages_are_asked_for_at_once_and_come_in_order(serve, read, options, told, at_once):
    crowd = Crowd(at_once, told)
    outcome = await read(await serve(crowd.app), options, http_pages_at_once_max=at_once)
    assert (outcome.error, outcome.ids) == (None, ids(1000))
    assert crowd.peak == at_once
    assert len(crowd.app.requests) == 10


@pytest.mark.parametrize(("own", "peak"), [({}, 4), ({"pagesAtOnce": 2}, 2), ({"pagesAtOnce": 32}, 4)])
async def test_four_are_asked_for_at_once_unless_the_source_wants_fewer(serve, read, own, peak):
    crowd = Crowd(peak, {"total": 1000})
    options = {"pagination": {"enabled": True, "type": "page", **own}}
    assert (await read(await serve(crowd.app), options)).ids == ids(1000)
    assert crowd.peak == peak


async def in_order_of(numbers: list[int], number: int, done: dict[int, asyncio.Event]) -> None:
    """Wait until the pages before this one in a list were answered."""
    if number in numbers:
        for earlier in numbers[: numbers.index(number)]:
            await done[earlier].wait()


async def test_answers_that_come_in_another_order_are_read_in_their_own(serve, read):
    done = {number: asyncio.Event() for number in range(1, 11)}

    async def answer(request: Request) -> Response:
        number = int(request.query_params["page"])
        await in_order_of([5, 4, 3, 2], number, done)
        done[number].set()
        return JSONResponse({"data": songs(SIZE, (number - 1) * SIZE + 1), "total": 1000})

    outcome = await read(await serve(Api(answer)), PAGE)
    assert (outcome.error, outcome.ids) == (None, ids(1000))


def one_by_one(answer: Answer) -> tuple[Api, list[int]]:
    """An app whose answers are made while another one is never under way, and how many were at each moment."""
    under_way: list[int] = [0]

    async def handler(request: Request) -> Response:
        under_way[0] += 1
        under_way.append(under_way[0])
        for _ in range(20):
            await asyncio.sleep(0)
        under_way[0] -= 1
        number = int(request.query_params.get("page", 1))
        found = answer(number, {"data": songs(SIZE, (number - 1) * SIZE + 1)})
        return found if isinstance(found, Response) else JSONResponse(found)

    return Api(handler), under_way


@pytest.mark.parametrize(
    ("options", "settings", "answer"),
    [
        (PAGE, {"http_pages_at_once_max": 1}, lambda _n, page: page | {"total": 500}),
        (
            {"pagination": {"enabled": True, "type": "page", "total": "estimate"}},
            {},
            lambda n, page: page | {"total": 500, "has_more": n < 5},
        ),
        (PAGE, {}, lambda n, page: page | {"has_more": n < 5}),
        (PAGE, {}, lambda _n, page: JSONResponse(page | {"total": 500}, headers={"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "9"})),
        (PAGE, {}, lambda _n, page: JSONResponse(page | {"total": 500}, headers={"RateLimit": '"a";r=1;t=9'})),
        (CURSOR, {}, lambda n, page: page | {"next_cursor": str(n + 1) if n < 5 else None, "total": 500}),
    ],
    ids=["setting", "estimate", "unknown", "window", "newer window", "cursor"],
)  # fmt: skip
async def test_one_page_is_asked_for_at_a_time_where_more_is_not_known_or_not_wanted(
    serve, read, options, settings, answer
):
    if options is CURSOR:
        options = {"pagination": {"enabled": True, "type": "cursor", "cursorParam": "page"}}
    app, under_way = one_by_one(answer)
    outcome = await read(await serve(app), options, **settings)
    assert (outcome.error, outcome.ids, len(app.requests)) == (None, ids(500), 5)
    assert max(under_way) == 1


async def test_a_window_with_few_requests_left_bounds_how_many_are_under_way(serve, read):
    left = iter(range(20, 0, -1))

    def answer(_number: int, page: dict[str, Any]) -> Response:
        remaining = min(3, next(left))
        headers = {"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": "9"}
        return JSONResponse(page | {"total": 1000}, headers=headers)

    app, under_way = one_by_one(answer)
    outcome = await read(await serve(app), PAGE, http_pages_at_once_max=8)
    assert (outcome.error, outcome.ids) == (None, ids(1000))
    assert max(under_way) == 3


@pytest.mark.parametrize("told", ["total", "repeated"])
async def test_a_list_that_moves_is_asked_for_in_turn_from_then_on(serve, read, told):
    def answer(number: int, page: dict[str, Any]) -> dict[str, Any]:
        if told == "repeated" and number == 2:
            page = {"data": songs(1, 1) + page["data"][1:]}
        return page | {"total": 2000 + (told == "total" and number > 1)}

    app, under_way = one_by_one(answer)
    outcome = await read(await serve(app), PAGE | {"pagination": {"enabled": True, "type": "page", "maxPages": 12}})
    assert len(outcome.ids) == 1200
    # Those that were under way when it showed are the last ones together.
    assert max(under_way[-5:]) == 1 < max(under_way)


async def test_a_budget_is_kept_whatever_is_under_way(serve, read, clock):
    crowd = Crowd(1, {"total": 1000})
    outcome = await read(await serve(crowd.app), PAGE | {"requestsPerSecond": 4})
    assert (outcome.error, outcome.ids) == (None, ids(1000))
    assert clock.elapsed_seconds == pytest.approx(9 / 4)


async def test_a_rate_limit_that_meets_several_requests_is_one(serve, read, clock):
    refused = iter([True] * 4)

    def answer(number: int, page: dict[str, Any]) -> Any:
        if number > 1 and next(refused, False):
            return Response("too many requests", status_code=429, headers={"Retry-After": "2"})
        return page | {"total": 1000}

    app, _under_way = one_by_one(answer)
    outcome = await read(await serve(app), PAGE)
    assert (outcome.error, outcome.ids) == (None, ids(1000))
    assert len(app.requests) == 14
    # Two seconds, the gaps that follow, and no patience that grew with each of the four.
    assert clock.elapsed_seconds < 8


REFUSALS: list[Response | dict[str, Any]] = [
    *(Response(status_code=status) for status in (429, 503, 500, 409, 403, 401, 400, 404)),
    {"data": [], "total": 5000},
    {"success": False, "error": "one request at a time"},
    Response("<html><h1>Slow down</h1></html>", media_type="text/html"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=range(len(REFUSALS)))
async def test_a_source_that_serves_one_request_at_a_time_is_asked_in_turn(serve, read, refusal):
    busy, refused = [False], []

    async def answer(request: Request) -> Response:
        number = int(request.query_params["page"])
        if busy[0]:
            refused.append(number)
            return refusal if isinstance(refusal, Response) else JSONResponse(refusal)
        busy[0] = True
        for _ in range(50):
            await asyncio.sleep(0)
        busy[0] = False
        return JSONResponse({"data": songs(SIZE, (number - 1) * SIZE + 1), "total": 5000})

    outcome = await read(await serve(Api(answer)), PAGE)
    assert (outcome.error, outcome.ids) == (None, ids(5000))
    # Of fifty pages: those of the first windows.
    assert len(refused) <= 15


async def test_a_page_that_hangs_beside_others_is_asked_for_by_itself(serve, read, clock):
    """As of a server of one thread, which looks at a second connection once the first is closed."""
    clients: list[Any] = []
    answered = asyncio.Event()

    async def answer(request: Request) -> Response:
        clients.append(request.client)
        if request.client != clients[0]:
            # Once the page on the first connection has come, the manual clock passes the time that others may take.
            await answered.wait()
            for _ in range(200):
                await asyncio.sleep(0)
            clock.elapsed_seconds += 60
            await asyncio.Event().wait()
        if clients.count(clients[0]) > 1:
            answered.set()
        number = int(request.query_params["page"])
        return JSONResponse({"data": songs(SIZE, (number - 1) * SIZE + 1), "total": 1000})

    # The good connection outlasts the wait.
    url = await serve(Api(answer), timeout_keep_alive=60)
    outcome = await read(url, PAGE, http_timeout_seconds=30.0)
    assert (outcome.error, outcome.ids) == (None, ids(1000))


@pytest.mark.parametrize("uses", [1, 2, 3])
@pytest.mark.parametrize("status", [401, 403])
async def test_tokens_that_are_soon_used_up_are_renewed_in_turn(serve, read, uses, status):
    left: dict[str, int] = {}

    async def answer(request: Request) -> Response:
        if request.url.path == "/token":
            name = f"t{len(left)}"
            left[name] = uses
            return JSONResponse({"access_token": name, "token_type": "bearer", "expires_in": 3600})
        name = request.headers["authorization"].removeprefix("Bearer ")
        left[name] -= 1
        if left[name] < 0:
            return Response("token expired", status_code=status)
        number = int(request.query_params["page"])
        return JSONResponse({"data": songs(SIZE, (number - 1) * SIZE + 1), "total": 1000})

    url = await serve(Api(answer))
    auth = {"type": "oauth2", "tokenUrl": f"{url}/token", "clientId": "a", "clientSecret": "b"}
    outcome = await read(url, PAGE | {"auth": auth})
    assert (outcome.error, outcome.ids) == (None, ids(1000))


@pytest.mark.parametrize("status", [500, 403, 404])
async def test_a_page_that_fails_hands_over_those_before_it_and_the_next_attempt_goes_on_there(serve, read, status):
    broken = [True]

    def answer(number: int, page: dict[str, Any]) -> Any:
        if number == 6 and broken[0]:
            return Response(status_code=status)
        return page | {"total": 1000}

    app, _under_way = one_by_one(answer)
    url = await serve(app)
    failed = await read(url, PAGE, http_batch_rows=100)
    assert failed.error is not None
    assert failed.ids == ids(500)
    broken[0] = False
    rest = await read(url, PAGE, after=failed.batches[-1].position, first_batch_no=6, http_batch_rows=100)
    assert (rest.error, failed.ids + rest.ids) == (None, ids(1000))


async def test_an_item_that_slips_past_pages_which_came_early_is_missed_in_the_count(serve, read):
    """Page 3 comes before a song is put first, and page 2 after it: what moved from 2 to 3 is on neither."""
    three = asyncio.Event()

    async def answer(request: Request) -> Response:
        number = int(request.query_params["page"])
        moved = False
        if number == 3:
            three.set()
        elif number == 2:
            await three.wait()
            moved = True
        first = (number - 1) * SIZE + 1 - moved
        found = songs(SIZE, first) if number > 1 or not moved else songs(SIZE, 1)
        return JSONResponse({"data": found, "total": 500 + moved})

    outcome = await read(await serve(Api(answer)), PAGE)
    assert any("the total of the source changed" in text for text in outcome.doubts)


async def test_no_more_pages_are_asked_for_than_max_pages_and_none_twice(serve, read):
    crowd = Crowd(1, {"total": 1000})
    outcome = await read(await serve(crowd.app), {"pagination": {"enabled": True, "type": "page", "maxPages": 3}})
    assert outcome.ids == ids(300)
    assert sorted(query["page"] for query in crowd.app.queries) == ["1", "2", "3"]


async def test_large_pages_are_not_held_in_memory_by_the_dozen(serve, read):
    wide = {"x" * 10: "y" * 200_000}

    def answer(_number: int, page: dict[str, Any]) -> dict[str, Any]:
        return page | {"total": 1000} | wide

    app, under_way = one_by_one(answer)
    outcome = await read(await serve(app), PAGE, http_pages_at_once_max=8, http_page_bytes_max=900_000)
    assert (outcome.error, outcome.ids) == (None, ids(1000))
    assert max(under_way) == 2
