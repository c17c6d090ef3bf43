"""Progress to many watchers: one follower per subject polls, and all watchers of that subject share the result.

A follower exists while there are watchers. It fetches at once, then whenever it is notified (this replica changed the
subject) and at least every `follow_interval_seconds` (another replica may have), never more often than
`progress_interval_seconds`. Watchers get the latest value only: a slow one skips what came in between, holds nothing up
and costs no queue. A fault of `fetch` reaches every watcher, after the follower has tried for `patience_seconds`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import Context
from typing import Any, Generic, TypeVar

from db.errors import DatabaseError, TransientDatabaseError
from server.core.clock import Clock

T = TypeVar("T")
S = TypeVar("S")


class _Topic(Generic[T]):
    """One subject: its latest value and those who wait for the next."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.version = 0
        self.error: BaseException | None = None
        self.watchers = 0
        self.changed = asyncio.Event()
        self.notified = asyncio.Event()
        self.follower: asyncio.Task[None] | None = None

    def offer(self, value: T) -> None:
        self.value = value
        self.version += 1
        self.wake()

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class SharedMessages(Generic[T, S]):
    """What is made of the latest value of a subject, once for all its watchers.

    Args:
        make: makes it.
        subjects_max: of how many subjects the latest is kept.
    """

    def __init__(self, make: Callable[[T], Awaitable[S]], subjects_max: int) -> None:
        self._make = make
        self._subjects_max = subjects_max
        self._made: dict[int, tuple[T, asyncio.Future[S]]] = {}

    async def of(self, subject: int, value: T) -> S:
        """What is made of a value that a hub gave: the same object to each watcher.

        Raises:
            whatever `make` raises.
        """
        known = self._made.get(subject)
        if known is None or known[0] is not value:
            # A task of its own: a watcher that leaves takes nothing from those that wait with it.
            known = (value, asyncio.ensure_future(self._make(value)))
            known[1].add_done_callback(_looked_at)
            self._made.pop(subject, None)
            self._made[subject] = known
            while len(self._made) > self._subjects_max:
                del self._made[next(iter(self._made))]
        try:
            return await asyncio.shield(known[1])
        except Exception:
            if self._made.get(subject) is known:
                del self._made[subject]
            raise


def _looked_at(task: asyncio.Future[Any]) -> None:
    """Whoever waits for it is told; where nobody does any more, nothing is said of it."""
    if not task.cancelled():
        task.exception()


class ProgressHub(Generic[T]):
    """Shares the latest value of each subject among its watchers.

    Args:
        fetch: reads the present value of a subject.
        clock: for waiting.
        progress_interval_seconds: least time between two polls.
        follow_interval_seconds: most time between two polls.
        patience_seconds: how long a database that does not respond is waited for.
    """

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[T]],
        clock: Clock,
        *,
        progress_interval_seconds: float,
        follow_interval_seconds: float,
        patience_seconds: float = 30.0,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._progress_interval_seconds = progress_interval_seconds
        self._follow_interval_seconds = follow_interval_seconds
        self._patience_seconds = patience_seconds
        self._topics: dict[int, _Topic[T]] = {}
        self._closed: Exception | None = None

    def notify(self, subject: int) -> None:
        """Record that the subject has changed. Free when nobody watches it."""
        topic = self._topics.get(subject)
        if topic is not None:
            topic.notified.set()

    async def close(self, error: Exception) -> None:
        """Send every watcher the current value, then the error. Later watchers get the error only."""
        self._closed = error
        for subject, topic in list(self._topics.items()):
            if topic.follower is not None:
                topic.follower.cancel()
            with contextlib.suppress(DatabaseError):
                topic.offer(await self._fetch(subject))
            self._give_up(subject, topic, error)

    async def watch(self, subject: int) -> AsyncGenerator[T]:
        """Yield the present value, then each later one (latest wins), until the caller stops.

        Raises:
            whatever `fetch` keeps raising.
            whatever `close` was given.
        """
        if self._closed is not None:
            raise self._closed
        topic = self._topics.setdefault(subject, _Topic())
        topic.watchers += 1
        if topic.follower is None:
            # The first watcher starts it, the last one to leave ends it: the topic owns it, and no watcher's block. Its
            # faults reach all watchers (`_give_up`), and its log lines are no caller's.
            topic.follower = asyncio.create_task(self._follow(subject, topic), context=Context())
        seen = 0
        try:
            while True:
                changed = topic.changed
                if topic.version > seen and topic.value is not None:
                    seen = topic.version
                    yield topic.value
                    continue
                if topic.error is not None:
                    raise topic.error
                await changed.wait()
        finally:
            topic.watchers -= 1
            if topic.watchers == 0:
                self._topics.pop(subject, None)
                topic.follower.cancel()

    async def _follow(self, subject: int, topic: _Topic[T]) -> None:
        failing_since: float | None = None
        while True:
            topic.notified.clear()
            try:
                topic.offer(await self._fetch(subject))
                failing_since = None
            except TransientDatabaseError as error:
                failing_since = failing_since or self._clock.monotonic_seconds()
                if self._clock.monotonic_seconds() - failing_since > self._patience_seconds:
                    self._give_up(subject, topic, error)
                    return
            except Exception as error:  # noqa: BLE001 - every watcher is told; nothing is dropped
                self._give_up(subject, topic, error)
                return
            await self._clock.sleep(self._progress_interval_seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._follow_interval_seconds):
                    await topic.notified.wait()

    def _give_up(self, subject: int, topic: _Topic[T], error: Exception) -> None:
        topic.error = error
        self._topics.pop(subject, None)
        topic.wake()
