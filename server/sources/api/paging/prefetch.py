"""Fetches pages ahead of the one that is read and written, in their order: as many at once as the caller begins.

A page is asked for early in two cases: where the request for it is known (every kind of paging, once the page before
was understood), and where it can be guessed before that (page numbers and offsets that are sure to be there, and cursors
and links that a look at the page has shown). A guess that turns out wrong is dropped with those behind it, and after the
first wrong one nothing is guessed any more, so a source that gives shorter pages than asked for is not asked twice for
each.

Whatever befalls a page that was asked for together with others is no verdict on it: many sources serve a caller one request, or
one connection, at a time, and say so in every way there is, or let the others wait. Such a page is asked for again in its
turn and by itself, and what comes then counts. Closing drops what is under way; a page that nobody took is not read at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from server.core.clock import Clock
from server.sources.api.http.client import Answer, PageRequest
from server.sources.api.http.conditional import ConditionalPages

_TURNS_TO_SOCKET: Final = 4
# How long a page that was asked for together with others may take: a multiple of the longest that came, and at least this.
_OVERTIME_FACTOR: Final = 10.0
_OVERTIME_SECONDS_MIN: Final = 5.0


@dataclass(frozen=True, slots=True)
class _UnderWay:
    request: PageRequest
    task: asyncio.Task[Answer]
    is_alone: bool
    began_seconds: float

    @property
    def has_failed(self) -> bool:
        """Whether it is done, and no page."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


class PagePrefetcher:
    """The pages of one walk, fetched in order."""

    def __init__(self, pages: ConditionalPages, clock: Clock) -> None:
        self._pages = pages
        self._clock = clock
        self._ahead: deque[_UnderWay] = deque()
        self._guesses = True
        self._failed = 0
        self._longest_seconds = 0.0

    def __len__(self) -> int:
        """How many pages are under way or have come, and were not taken."""
        return len(self._ahead)

    @property
    def asked(self) -> int:
        """How many of them have not come yet."""
        return sum(not each.task.done() for each in self._ahead)

    @property
    def failed(self) -> int:
        """How many pages that were asked for together with others have failed."""
        return self._failed + sum(each.has_failed and not each.is_alone for each in self._ahead)

    @property
    def guesses(self) -> bool:
        """Whether no guess was wrong so far."""
        return self._guesses

    async def take(self, request: PageRequest, label: str) -> tuple[Answer, bool]:
        """The response to a request, whether it is under way or not, and whether it was asked for together with others.

        Raises:
            RetryableError, FatalError: see ConditionalPages.fetch.
        """
        if self._ahead and self._ahead[0].request != request:
            self._guesses = False
            await self.close()
        if not self._ahead:
            return await self._fetch(request, label, is_alone=True), False
        ahead = self._ahead.popleft()
        try:
            if ahead.is_alone:
                return await ahead.task, False
            await self._wait_for(ahead)
            if not ahead.has_failed:
                return await ahead.task, True
        finally:
            ahead.task.cancel()
        self._failed += 1
        await self._settle()
        return await self._fetch(request, label, is_alone=True), False

    def begin(self, request: PageRequest, label: str, *, is_guess: bool = False, is_alone: bool = True) -> None:
        """Ask for the page behind those that are under way.

        Args:
            is_guess: whether another page may turn out to be the next one.
            is_alone: whether no others are asked for at the same time: then a passing fault is waited for.
        """
        if self._guesses or not is_guess:
            # It outlives this call, so no block can own it: this object does. `take` or `close` waits for it.
            task = asyncio.create_task(self._fetch(request, label, is_alone=is_alone), name=f"fetch {label}")
            self._ahead.append(_UnderWay(request, task, is_alone, self._clock.monotonic_seconds()))

    async def ask_in_turn(self) -> None:
        """Ask for no page ahead of its turn from here on, and drop those that have come."""
        self._guesses = False
        await self._settle()
        await self.close()

    async def flush_to_socket(self) -> None:
        """Let the requests that are under way reach their sockets, before work that keeps the loop busy.

        On a connection that stands already it takes four turns of the loop; nothing is waited for.
        """
        for _ in range(_TURNS_TO_SOCKET if self._ahead else 0):
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no wait

    async def close(self) -> None:
        """Drop the requests that are under way. Safe to call twice."""
        dropped = [each.task for each in self._ahead]
        self._ahead.clear()
        for task in dropped:
            task.cancel()
        # Their outcome, whatever it is, is nobody's business any more.
        await asyncio.gather(*dropped, return_exceptions=True)

    async def _fetch(self, request: PageRequest, label: str, *, is_alone: bool) -> Answer:
        began_seconds = self._clock.monotonic_seconds()
        answer = await self._pages.fetch(request, label, is_alone=is_alone)
        self._longest_seconds = max(self._longest_seconds, self._clock.monotonic_seconds() - began_seconds)
        return answer

    async def _settle(self) -> None:
        """Wait until nothing is under way that would be in the way of the next request again."""
        for each in self._ahead:
            await self._wait_for(each)

    async def _wait_for(self, ahead: _UnderWay) -> None:
        """Wait until a page has come or failed; one that takes too long is cut short, and has failed."""
        over_seconds = max(_OVERTIME_SECONDS_MIN, _OVERTIME_FACTOR * self._longest_seconds)
        left_seconds = ahead.began_seconds + over_seconds - self._clock.monotonic_seconds()
        await asyncio.wait({ahead.task}, timeout=max(0.0, left_seconds))
        if not ahead.task.done():
            ahead.task.cancel()
            await asyncio.wait({ahead.task})
