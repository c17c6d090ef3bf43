"""The pace of requests: what the host says, a budget, and 429. Time is a test's own; nothing waits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from server.core.errors import RetryableError
from server.sources.api.http.rate_limits import window_of
from server.sources.api.options import parse_options
from server.sources.api.reader import open_api
from server.sources.throttle.host_pace import HostPaces

PAGE: dict[str, Any] = {"pagination": {"enabled": True, "type": "page"}}
NOW = datetime(2030, 1, 1, tzinfo=UTC)
UNIX = int(NOW.timestamp())


def pages(count: int, **headers: str) -> Any:
    def answer(request: Any) -> Response:
        page = int(request.query_params["page"])
        return JSONResponse({"data": [{"id": page}], "has_more": page < count}, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(UNIX + 45)}, 45),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{UNIX + 45}000"}, 45),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "7"}, 7),
        ({"ratelimit": "limit=100, remaining=0, reset=50"}, 50),
        ({"ratelimit": '"default";r=0;t=20'}, 20),
        ({"ratelimit": '"burst";r=5;t=1, "daily";r=0;t=900'}, 900),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(UNIX - 5)}, 0),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "30"}, None),
        ({"ratelimit-remaining": "0"}, None),
        ({"ratelimit-remaining": "none", "ratelimit-reset": "x"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "inf"}, None),
        ({"ratelimit": '"default";r=12;t=20'}, None),
        ({"ratelimit": "nonsense"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "999999999"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{UNIX + 45}000000"}, None),
        ({}, None),
    ],
)
def test_what_headers_say_of_the_window(headers, seconds):
    assert window_of(headers, NOW).pause_seconds == seconds


async def test_a_used_up_window_is_waited_for_before_the_next_page(serve, api, read, clock):
    url = await serve(api(pages(3, **{"RateLimit-Remaining": "0", "RateLimit-Reset": "12"})))
    outcome = await read(url, PAGE)
    assert outcome.error is None
    assert clock.elapsed_seconds == pytest.approx(24)


async def test_a_window_that_opens_too_late_gives_the_run_back_with_its_pages(serve, api, read, clock):
    app = api(pages(3, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"}))
    outcome = await read(await serve(app), PAGE)
    assert outcome.ids == ["1"]
    assert outcome.error is not None
    assert outcome.error.retryable
    assert outcome.error.retry_after_seconds == pytest.approx(3600)
    assert len(app.requests) == 1
    assert clock.waits == []


@pytest.mark.parametrize(
    ("options", "settings"),
    [({"requestsPerSecond": 4}, {}), ({}, {"http_host_requests_per_second_max": 4}),
     ({"requestsPerSecond": 4}, {"http_host_requests_per_second_max": 9})],
    ids=["option", "setting", "the lower one"],
)  # fmt: skip
async def test_a_budget_spreads_requests(serve, api, read, clock, options, settings):
    outcome = await read(await serve(api(pages(9))), PAGE | options, **settings)
    assert outcome.error is None
    assert clock.elapsed_seconds == pytest.approx(8 / 4)


async def test_runs_on_one_host_share_its_budget(serve, api, context, reveal, clock):
    app = api(pages(5))
    url = await serve(app)
    shared = context(http_host_requests_per_second_max=10)

    async def run(path: str) -> int:
        reader = await open_api(url + path, parse_options(PAGE), shared, reveal)
        try:
            return len([batch async for batch in reader.batches(None, 1)])
        finally:
            await reader.close()

    await asyncio.gather(run("/songs"), run("/films"))
    assert len(app.requests) == 10
    # The turns of the manual clock overlap, so more than the budget's time passes, and never less.
    assert clock.elapsed_seconds >= 0.9 - 1e-6


async def test_a_small_budget_holds_up_nobody_else_and_is_not_starved(clock):
    pace = HostPaces().of("api.example.com", 443)

    async def turn(per_second_max: float) -> float:
        await pace.wait_for_slot(clock, per_second_max, lambda: None)
        return float(clock.elapsed_seconds)

    assert await turn(0.01) == 0
    # Its next turn is 100 seconds away; who has no budget goes at once.
    assert await turn(0) == 0
    waiting = asyncio.create_task(turn(0.01))
    while not waiting.done():
        await turn(0)
        await asyncio.sleep(0)
    assert 100 <= waiting.result() <= 201


def test_429_doubles_the_gap_and_good_answers_close_it_again(clock):
    pace = HostPaces().of("api.example.com", 443)
    gaps = []
    for _ in range(12):
        pace.on_rate_limited(30, clock.monotonic_seconds(), clock.monotonic_seconds())
        gaps.append(pace.gap_seconds)
    assert gaps[:3] == [pytest.approx(0.1), pytest.approx(0.2), pytest.approx(0.4)]
    assert gaps[-1] == 30
    for _ in range(100):
        pace.on_success()
    assert pace.gap_seconds == 0


async def test_after_429_the_next_pages_come_more_slowly(serve, api, read, clock):
    refused = [True, True]

    def answer(request: Any) -> Any:
        return Response(status_code=429) if refused and refused.pop() else pages(4)(request)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    # Two waits of the retries, and from then on a gap before each page.
    assert len(clock.waits) >= 5


async def test_a_gap_is_waited_for_however_short_the_longest_wait_is(serve, api, context, reveal, clock):
    """A storm of 429 on one source must not end the runs of the others on its host."""
    storm = api(lambda request: Response(status_code=429) if request.url.path == "/storm" else [{"id": 1}])
    url, shared = await serve(storm), context(http_retry_wait_seconds_max=0.02)
    for path, ends_well in (("/storm", False), ("/storm", False), ("/songs", True)):
        reader = await open_api(url + path, parse_options({}), shared, reveal)
        try:
            assert [batch.frame.height async for batch in reader.batches(None, 1)] == [1]
        except RetryableError:
            assert not ends_well
        finally:
            await reader.close()


async def test_the_pace_of_one_host_is_not_that_of_another_port(serve, api, context, reveal, clock):
    slow, quick = api(pages(1, **{"RateLimit-Remaining": "0", "RateLimit-Reset": "20"})), api(pages(1))
    shared = context()
    for app in (slow, quick):
        reader = await open_api(await serve(app), parse_options(PAGE), shared, reveal)
        assert [batch async for batch in reader.batches(None, 1)]
        await reader.close()
    assert clock.waits == []
