"""Fetches pages ahead of the one that is read and written, in their order: as many at once as the caller begins.

A page is asked for early in two cases: where the request for it is known (every kind of paging, once the page before
was understood), and where it can be guessed before that (page numbers and offsets that are sure to be there, and cursors
and links that a look at the page has shown). A guess that turns out wrong is dropped with those behind it, and after the
first wrong one nothing is guessed any more, so a source that gives shorter pages than asked for is not asked twice for
each. Of pages that are asked for together, one that meets a passing fault is asked for again in its turn and by itself, so that
no more than one request at a time tries a host that is in trouble. Closing drops what is under way; a page that nobody took is not read at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from server.core.errors import RetryableError
from server.sources.api.http.client import Answer, PageRequest
from server.sources.api.http.conditional import ConditionalPages

_TURNS_TO_SOCKET: Final = 4


@dataclass(frozen=True, slots=True)
class _UnderWay:
    request: PageRequest
    task: asyncio.Task[Answer]
    is_alone: bool

    @property
    def has_failed(self) -> bool:
        """Whether it met a passing fault."""
        return self.task.done() and not self.task.cancelled() and isinstance(self.task.exception(), RetryableError)


class PagePrefetcher:
    """The pages of one walk, fetched in order."""

    def __init__(self, pages: ConditionalPages) -> None:
        self._pages = pages
        self._ahead: deque[_UnderWay] = deque()
        self._guesses = True
        self._failed = 0

    def __len__(self) -> int:
        """How many pages are under way or have come, and were not taken."""
        return len(self._ahead)

    @property
    def asked(self) -> int:
        """How many of them have not come yet."""
        return sum(not each.task.done() for each in self._ahead)

    @property
    def failed(self) -> int:
        """How many pages that were asked for together with others have met a passing fault."""
        return self._failed + sum(each.has_failed for each in self._ahead)

    @property
    def guesses(self) -> bool:
        """Whether no guess was wrong so far."""
        return self._guesses

    async def take(self, request: PageRequest, label: str) -> Answer:
        """The response to a request, whether it is under way or not.

        Raises:
            RetryableError, FatalError: see ConditionalPages.fetch.
        """
        if self._ahead and self._ahead[0].request != request:
            self._guesses = False
            await self.close()
        if not self._ahead:
            return await self._pages.fetch(request, label)
        ahead = self._ahead.popleft()
        try:
            return await ahead.task
        except RetryableError:
            if ahead.is_alone:
                raise
            self._failed += 1
        finally:
            ahead.task.cancel()
        # Where a source serves one request at a time, the others that are under way would be in the way of this one again.
        await asyncio.wait([each.task for each in self._ahead] or [ahead.task])
        return await self._pages.fetch(request, label)

    def begin(self, request: PageRequest, label: str, *, is_guess: bool = False, is_alone: bool = True) -> None:
        """Ask for the page behind those that are under way.

        Args:
            is_guess: whether another page may turn out to be the next one.
            is_alone: whether no others are asked for at the same time: then a passing fault is waited for.
        """
        if self._guesses or not is_guess:
            # It outlives this call, so no block can own it: this object does. `take` or `close` waits for it.
            fetching = self._pages.fetch(request, label, is_patient=is_alone)
            self._ahead.append(_UnderWay(request, asyncio.create_task(fetching, name=f"fetch {label}"), is_alone))

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
