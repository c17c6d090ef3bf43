"""The circuit of a source host: several runs together ask a host that fails no more often than one would."""

from __future__ import annotations

import asyncio

import pytest

from server.core.config import Settings
from server.core.errors import FatalError, RetryableError
from server.core.reasons import Reason
from server.sources.throttle.circuit import Circuits, RateLimitedError
from tests.support.clock import FakeClock

DOWN = RetryableError(Reason.SOURCE_UNAVAILABLE, "503")


async def ask(circuits: Circuits, clock: FakeClock, answer: Exception | None = None, host: str = "h:443") -> str:
    """One request: `answered`, `failed` when the host was asked, `refused` when it was not."""
    asked = False
    try:
        async with circuits.passing(host, clock):
            asked = True
            if answer is not None:
                raise answer
    except (RetryableError, FatalError):
        return "failed" if asked else "refused"
    return "answered"


async def test_failures_in_a_row_open_the_circuit_and_one_request_tries_again() -> None:
    circuits, clock = Circuits(failures_max=3, open_seconds=10), FakeClock()
    assert [await ask(circuits, clock, DOWN) for _ in range(5)] == ["failed"] * 3 + ["refused"] * 2
    clock.move(9)
    assert await ask(circuits, clock) == "refused"
    clock.move(2)
    assert [await ask(circuits, clock, DOWN), await ask(circuits, clock)] == ["failed", "refused"]
    clock.move(19)
    assert await ask(circuits, clock) == "refused"
    clock.move(2)
    assert [await ask(circuits, clock) for _ in range(3)] == ["answered"] * 3
    assert len(circuits) == 0


async def test_a_success_between_failures_keeps_it_closed() -> None:
    circuits, clock = Circuits(failures_max=3), FakeClock()
    answers = [DOWN, DOWN, None, DOWN, DOWN, FatalError(Reason.SOURCE_REFUSED, "404"), DOWN, DOWN]
    assert "refused" not in [await ask(circuits, clock, answer) for answer in answers]


async def test_a_host_that_is_asked_too_often_is_there() -> None:
    circuits, clock = Circuits(failures_max=2), FakeClock()
    busy = RateLimitedError(Reason.SOURCE_UNAVAILABLE, "429")
    assert "refused" not in [
        await ask(circuits, clock, answer) for answer in (busy, busy, busy, DOWN, busy, DOWN, busy)
    ]
    assert (
        await ask(circuits, clock, RateLimitedError(Reason.SOURCE_UNAVAILABLE, "429", retry_after_seconds=20))
        == "failed"
    )
    assert await ask(circuits, clock) == "refused"


async def test_what_a_source_asks_for_holds_for_every_run() -> None:
    circuits, clock = Circuits(open_seconds_max=60), FakeClock()
    patience = RetryableError(Reason.SOURCE_UNAVAILABLE, "429", retry_after_seconds=20)
    assert await ask(circuits, clock, patience) == "failed"
    with pytest.raises(RetryableError) as caught:
        async with circuits.passing("h:443", clock):
            pass
    assert caught.value.retry_after_seconds == 20
    assert await ask(circuits, clock, host="other:443") == "answered"
    clock.move(20.5)
    assert (
        await ask(circuits, clock, RetryableError(Reason.SOURCE_UNAVAILABLE, "429", retry_after_seconds=10_000))
        == "failed"
    )
    clock.move(61)
    assert await ask(circuits, clock) == "answered"


async def test_only_one_request_tries_a_host_whose_time_is_over() -> None:
    circuits, clock = Circuits(failures_max=1, open_seconds=10), FakeClock()
    await ask(circuits, clock, DOWN)
    clock.move(11)
    hold = asyncio.Event()

    async def probe() -> None:
        async with circuits.passing("h:443", clock):
            await hold.wait()

    probing = asyncio.create_task(probe())
    await asyncio.sleep(0)
    assert await ask(circuits, clock) == "refused"
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    # A probe that was cut short decides nothing; the next one does.
    assert await ask(circuits, clock) == "answered"


async def test_the_table_of_hosts_is_bounded() -> None:
    circuits, clock = Circuits(failures_max=1, hosts_max=10), FakeClock()
    for number in range(100):
        await ask(circuits, clock, DOWN, host=f"h{number}:443")
    assert len(circuits) == 10
    assert await ask(circuits, clock, host="h99:443") == "refused"
    assert await ask(circuits, clock, host="h0:443") == "answered"


async def test_the_settings_decide_when_a_circuit_opens() -> None:
    circuits = Circuits.from_settings(Settings(http_circuit_failures_max=2, http_circuit_open_seconds=40))
    clock = FakeClock()
    assert [await ask(circuits, clock, DOWN) for _ in range(3)] == ["failed", "failed", "refused"]
    clock.move(39)
    assert await ask(circuits, clock) == "refused"
    clock.move(2)
    assert await ask(circuits, clock) == "answered"
