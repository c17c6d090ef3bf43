"""The runs that execute on one replica, as those see them who steer them."""

from __future__ import annotations

import asyncio

from server.execution.local_runs import LocalRuns
from server.execution.stop_signal import RunSignals


def test_only_the_runs_that_execute_here_are_stopped() -> None:
    local_runs, first, second = LocalRuns(), RunSignals(), RunSignals()
    local_runs.begin(1, first)
    local_runs.begin(2, second)
    local_runs.stop([2, 3], "pause")
    assert (first.reason, second.reason) == (None, "pause")
    assert local_runs.ids == [1, 2]


async def test_a_run_that_ends_wakes_the_worker_once() -> None:
    local_runs = LocalRuns()
    local_runs.begin(1, RunSignals())
    waiting = asyncio.ensure_future(local_runs.woken())
    local_runs.end(1)
    await waiting
    local_runs.looking()
    waiting = asyncio.ensure_future(local_runs.woken())
    done, _ = await asyncio.wait({waiting}, timeout=0)
    waiting.cancel()
    assert not done
    assert local_runs.ids == []
