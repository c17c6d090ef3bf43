"""Fetches the next page while the last one is read and written: one request ahead, never more.

A page is asked for early in two cases: where the request for it is known (every kind of paging, once the page before
was understood), and where it can be guessed before that (page numbers and offsets that are sure to be there, and cursors
and links that a look at the page has shown). A guess that turns out wrong is dropped, and after the first wrong one nothing is guessed any more, so a source that gives shorter pages than asked for
is not asked twice for each. Closing drops what is under way; a page that nobody took is not read at all.
"""

from __future__ import annotations

import asyncio
from typing import Final

from server.sources.api.http.client import Answer, PageRequest
from server.sources.api.http.conditional import ConditionalPages

_TURNS_TO_SOCKET: Final = 4


class PagePrefetcher:
    """The pages of one walk, fetched in order."""

    def __init__(self, pages: ConditionalPages) -> None:
        self._pages = pages
        self._request: PageRequest | None = None
        self._task: asyncio.Task[Answer] | None = None
        self._guesses = True

    async def take(self, request: PageRequest, label: str) -> Answer:
        """The response to a request, whether it is under way or not.

        Raises:
            RetryableError, FatalError: see ConditionalPages.fetch.
        """
        if self._task is not None and self._request != request:
            self._guesses = False
            await self.close()
        task, self._task = self._task, None
        if task is None:
            return await self._pages.fetch(request, label)
        try:
            return await task
        finally:
            task.cancel()

    def begin(self, request: PageRequest, label: str, *, is_guess: bool = False) -> None:
        """Ask for a page, unless one is under way."""
        if self._task is None and (self._guesses or not is_guess):
            self._request = request
            # It outlives this call, so no block can own it: this object does. `take` or `close` waits for it.
            self._task = asyncio.create_task(self._pages.fetch(request, label), name=f"fetch {label}")

    async def flush_to_socket(self) -> None:
        """Let the request that is under way reach its socket, before work that keeps the loop busy.

        On a connection that stands already it takes four turns of the loop; nothing is waited for.
        """
        for _ in range(_TURNS_TO_SOCKET if self._task is not None else 0):
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no wait

    async def close(self) -> None:
        """Drop the request that is under way. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            # Its outcome, whatever it is, is nobody's business any more.
            await asyncio.gather(task, return_exceptions=True)
