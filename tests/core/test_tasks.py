"""Tasks that a block owns: they end with it, none of their faults is lost, and a cancel from outside is passed on."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from server.core.tasks import owned_tasks


async def _until_cancelled(ended: list[str], fault: Exception | None = None) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("ended")
        if fault is not None:
            raise fault


async def _raise(fault: Exception) -> None:
    raise fault


async def test_a_task_that_runs_at_the_end_of_the_block_is_cancelled_and_waited_for() -> None:
    ended: list[str] = []
    async with owned_tasks() as tasks:
        task = tasks.start(_until_cancelled(ended), name="loop")
        await asyncio.wait({task}, timeout=0)
    assert ended == ["ended"]
    assert task.cancelled()


async def test_the_fault_of_a_task_ends_the_block_and_is_raised_as_itself() -> None:
    fault, ended = ValueError("of a task"), list[str]()
    with pytest.raises(ValueError, match="of a task") as raised:  # noqa: PT012 - the block is the subject
        async with owned_tasks() as tasks:
            tasks.start(_raise(fault), name="faulty")
            await _until_cancelled(ended)
    assert raised.value is fault
    assert ended == ["ended"]


async def test_the_fault_of_the_block_is_raised_and_that_of_its_task_logged() -> None:
    late = ValueError("while it was cancelled")
    with structlog.testing.capture_logs() as logged, pytest.raises(KeyError):  # noqa: PT012 - as above
        async with owned_tasks() as tasks:
            task = tasks.start(_until_cancelled([], late), name="loop")
            await asyncio.wait({task}, timeout=0)
            raise KeyError
    assert [(line["event"], line["exc_info"]) for line in logged] == [("task_fault", late)]


async def test_a_fault_while_the_task_is_cancelled_at_the_end_is_raised() -> None:
    with pytest.raises(ValueError, match="while it was cancelled"):  # noqa: PT012 - as above
        async with owned_tasks() as tasks:
            task = tasks.start(_until_cancelled([], ValueError("while it was cancelled")), name="loop")
            await asyncio.wait({task}, timeout=0)


async def test_a_cancel_from_outside_is_passed_on_whatever_a_task_raises_as_it_ends() -> None:
    started = asyncio.Event()

    async def block() -> None:
        async with owned_tasks() as tasks:
            tasks.start(_until_cancelled([], ValueError("while it was cancelled")), name="loop")
            started.set()
            await asyncio.Event().wait()

    with structlog.testing.capture_logs() as logged:
        outer = asyncio.create_task(block())
        await started.wait()
        await asyncio.wait({outer}, timeout=0)
        outer.cancel()
        await asyncio.wait({outer})
    assert outer.cancelled()
    assert [line["event"] for line in logged] == ["task_fault"]
