"""What asks to come back later is no failure: rate limits in their customary forms, and reports that are still made."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from server.sources.throttle.circuit import HostPausedError
from tests.sources.api.pages import PAGE, ids, paged
from tests.sources.api.test_api_pace import NOW, UNIX


def limited(times: int, answer: Any, *, page: str = "2") -> Any:
    """250 songs; a page is refused so many times before it is given."""
    left = [times]

    def respond(request: Any) -> Any:
        if request.query_params["page"] == page and left[0]:
            left[0] -= 1
            return answer() if callable(answer) else answer
        return paged(250)(request)

    return respond


def later(status: int, headers: dict[str, str], body: Any = None) -> Any:
    return lambda: JSONResponse(body, status, headers=headers)


SHORT: dict[str, tuple[Any, float]] = {
    "403 window": (later(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(UNIX + 6)}), 6),
    "403 Retry-After": (later(403, {"Retry-After": "9"}), 9),
    "403 in words": (later(403, {}, {"message": "You have exceeded a secondary rate limit."}), 0.1),
    "403 by reason": (later(403, {}, {"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}), 0.1),
    "429 milliseconds": (later(429, {"retry-after-ms": "2500"}), 2.5),
    "429 of Azure": (later(429, {"x-ms-retry-after-ms": "4000"}), 4),
    "429 length": (later(429, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0m8s"}), 8),
    "429 only a reset": (later(429, {"RateLimit-Reset": "11"}), 11),
    "429 reset after": (later(429, {"X-RateLimit-Reset-After": "3.5"}), 3.5),
    "429 ISO date": (later(429, {"X-Retry-At": "2030-01-01T00:00:12Z"}), 12),
    "429 Unix seconds": (later(429, {"Retry-After": str(UNIX + 14)}), 14),
    "429 draft": (later(429, {"RateLimit": '"burst";r=0;t=7'}), 7),
    "429 says nothing": (later(429, {}), 0.1),
    "420": (later(420, {}), 0.1),
    "503 in words": (later(503, {}, {"Message": "Request was throttled. Slow down."}), 0.1),
    "503 date": (later(503, {"Retry-After": "Tue, 01 Jan 2030 00:00:15 GMT"}), 15),
    "409 Retry-After": (later(409, {"Retry-After": "5"}), 5),
    "202": (later(202, {"Retry-After": "1"}, {"status": "pending"}), 1),
    "202 without a body": (lambda: Response(status_code=202), 0.1),
}  # fmt: skip


@pytest.mark.parametrize("case", SHORT)
async def test_a_short_wait_is_waited_for_and_costs_no_try(serve, api, read, clock, case):
    answer, seconds = SHORT[case]
    app = api(limited(5, answer))
    outcome = await read(await serve(app), PAGE, http_retry_attempts_max=2)
    assert (outcome.error, outcome.ids) == (None, ids(250))
    assert clock.elapsed_seconds >= seconds * 0.99


LONG: dict[str, tuple[Any, float]] = {
    "35 seconds": (later(429, {"Retry-After": "35"}), 35),
    "35 seconds told by 500": (later(500, {"Retry-After": "35"}), 35),
    "403 and an hour": (later(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(UNIX + 3600)}), 3600),
    "a report that takes minutes": (later(202, {"Retry-After": "120"}), 120),
}  # fmt: skip


@pytest.mark.parametrize("case", LONG)
async def test_a_long_wait_gives_the_run_back_with_its_pages(serve, api, read, clock, case):
    answer, seconds = LONG[case]
    app = api(limited(99, answer))
    outcome = await read(await serve(app), PAGE)
    assert isinstance(outcome.error, HostPausedError)
    assert outcome.error.retry_after_seconds is not None
    assert seconds * 0.99 <= outcome.error.retry_after_seconds <= seconds * 1.1 + 1
    assert (outcome.ids, len(app.requests)) == (ids(100), 2)


async def test_patience_grows_to_minutes_where_no_wait_is_told(serve, api, context, reveal, clock):
    """Each time the run goes on it is given back for longer; a good answer begins anew."""
    from server.sources.api.options import parse_options
    from server.sources.api.reader import open_api

    app = api(limited(40, later(429, {}), page="1"))
    url, shared, waits = await serve(app), context(), []
    while True:
        reader = await open_api(url, parse_options(PAGE), shared, reveal)
        try:
            assert [batch async for batch in reader.batches(None, 1)]
            break
        except HostPausedError as error:
            waits.append(error.retry_after_seconds or 0)
            clock.elapsed_seconds += error.retry_after_seconds or 0
        finally:
            await reader.close()
    assert waits == sorted(waits)
    assert waits[0] > 30 and waits[-1] == pytest.approx(900 * 0.75)
    assert len(waits) > 20


async def test_a_host_that_always_says_at_once_is_asked_less_and_less_often(serve, api, read, clock):
    app = api(limited(1000, later(503, {"Retry-After": "0"})))
    outcome = await read(await serve(app), PAGE)
    assert isinstance(outcome.error, HostPausedError)
    assert len(app.requests) < 15


async def test_a_report_that_is_not_ready_holds_up_no_other_source_of_its_host(serve, api, context, reveal, clock):
    from server.sources.api.options import parse_options
    from server.sources.api.reader import open_api

    app = api(
        lambda request: (
            Response(status_code=202, headers={"Retry-After": "600"}) if request.url.path == "/report" else [{"id": 1}]
        )
    )
    url, shared = await serve(app), context()
    for path, rows in (("/report", 0), ("/songs", 1)):
        reader = await open_api(url + path, parse_options({}), shared, reveal)
        try:
            assert sum([batch.frame.height async for batch in reader.batches(None, 1)]) == rows
        except HostPausedError as error:
            assert "202" in error.message and path == "/report"
        finally:
            await reader.close()
    assert clock.waits == []


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (403, {"X-RateLimit-Remaining": "55", "X-RateLimit-Reset": "60"}, {"message": "no such scope"}),
        (403, {}, {"message": "Forbidden"}),
        (401, {"Retry-After": "5"}, None),
        (404, {"Retry-After": "5"}, None),
        (400, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"}, {"message": "limit must be at most 50"}),
    ],
)
async def test_a_refusal_stays_a_refusal(serve, api, read, status, headers, body):
    app = api(lambda _request: JSONResponse(body, status, headers=headers))
    outcome = await read(await serve(app), {})
    assert outcome.error is not None
    assert not outcome.error.retryable
    assert len(app.requests) == 1


def test_the_moment_of_these_tests_is_that_of_their_clock(clock):
    assert clock.now() == NOW
