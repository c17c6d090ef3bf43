"""How many calls a caller may make, on a clock that the test moves."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from server.access.open_calls import OpenCalls
from server.access.pace import CallPace
from server.core.errors import CallsLimitedError
from tests.support.clock import FakeClock


def taken(pace: CallPace, name: str, tries: int) -> int:
    """How many of so many calls are let through."""
    count = 0
    for _try in range(tries):
        try:
            pace.take(name)
        except CallsLimitedError:
            continue
        count += 1
    return count


def test_a_caller_may_make_so_many_in_the_long_run_and_twice_as_many_at_once() -> None:
    clock = FakeClock()
    pace = CallPace(clock, 10)
    assert taken(pace, "bot", 100) == 20
    clock.move(1)
    assert taken(pace, "bot", 100) == 10
    clock.move(3600)
    assert taken(pace, "bot", 100) == 20


def test_callers_do_not_share_theirs() -> None:
    pace = CallPace(FakeClock(), 10)
    assert taken(pace, "loud", 100) == 20
    assert taken(pace, "quiet", 1) == 1


def test_whoever_is_refused_is_told_when_to_come_again() -> None:
    clock = FakeClock()
    pace = CallPace(clock, 2)
    taken(pace, "bot", 4)
    with pytest.raises(CallsLimitedError) as refused:
        pace.take("bot")
    assert refused.value.retry_after_seconds == pytest.approx(0.5)
    clock.move(0.5)
    assert taken(pace, "bot", 2) == 1


def test_so_many_calls_may_be_open_of_all_and_of_each() -> None:
    calls = OpenCalls(all_max=5, caller_max=3)
    with ExitStack() as loud, ExitStack() as others:
        for _call in range(3):
            loud.enter_context(calls.one("loud"))
        with pytest.raises(CallsLimitedError, match="'loud' has 3 calls open"):
            loud.enter_context(calls.one("loud"))
        for name in ("quiet", ""):
            others.enter_context(calls.one(name))
        with pytest.raises(CallsLimitedError, match="5 calls are open"):
            others.enter_context(calls.one("quiet"))
        loud.close()
        for _call in range(3):
            others.enter_context(calls.one("loud"))
