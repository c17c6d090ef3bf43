"""What watchers of one run are sent is made once, however many they are and whoever of them leaves."""

from __future__ import annotations

import asyncio

import pytest

from server.events import SharedMessages


class Maker:
    """Counts what it makes; waits until it is let go, or fails."""

    def __init__(self) -> None:
        self.made: list[object] = []
        self.go = asyncio.Event()
        self.fails = False

    async def __call__(self, value: object) -> str:
        self.made.append(value)
        await self.go.wait()
        if self.fails:
            raise RuntimeError("not now")
        return f"message of {value}"


async def test_a_message_is_made_once_for_each_value() -> None:
    maker = Maker()
    shared = SharedMessages(maker, 4)
    first, second = "v1", "v2"
    waiting = [asyncio.create_task(shared.of(1, first)) for _ in range(200)]
    await asyncio.sleep(0)
    maker.go.set()
    messages = await asyncio.gather(*waiting)
    assert maker.made == [first]
    assert all(message is messages[0] for message in messages)
    assert await shared.of(1, first) is messages[0]
    assert await shared.of(1, second) == "message of v2"
    assert await shared.of(2, first) == "message of v1"
    assert maker.made == [first, second, first]


async def test_a_watcher_that_leaves_takes_the_message_from_nobody() -> None:
    maker = Maker()
    shared = SharedMessages(maker, 4)
    leaving, staying = (asyncio.create_task(shared.of(1, "v")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    maker.go.set()
    assert await staying == "message of v"
    assert maker.made == ["v"]


async def test_a_failure_reaches_all_that_wait_and_is_tried_again_by_the_next() -> None:
    maker = Maker()
    shared = SharedMessages(maker, 4)
    maker.fails = True
    waiting = [asyncio.create_task(shared.of(1, "v")) for _ in range(3)]
    await asyncio.sleep(0)
    maker.go.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError] * 3
    maker.fails = False
    assert await shared.of(1, "v") == "message of v"
    assert len(maker.made) == 2


async def test_only_so_many_messages_are_kept() -> None:
    maker = Maker()
    maker.go.set()
    shared = SharedMessages(maker, 2)
    for subject in (1, 2, 3, 1):
        await shared.of(subject, "v")
    assert len(maker.made) == 4
    await shared.of(3, "v")
    assert len(maker.made) == 4
