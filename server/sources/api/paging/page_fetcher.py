"""Fetches the pages of a walk in order; the next ones are under way as early as they are known, or sure enough.

Where pages are counted by us and the source has said how many items or pages it has, several are asked for at once. They are
read and written in their order all the same, and a page that came early is one like any other: the total that it states
and the keys of its items are checked as those of every page are. So an item that moved from a page that was asked for
later to one that had come already is missing from the stated total, and the walk ends as one whose list changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from server.core.errors import SyncError
from server.sources.api.http.backoff import Backoff
from server.sources.api.http.client import Answer, PageRequest
from server.sources.api.http.conditional import ConditionalPages
from server.sources.api.items.fast_json import envelope_of
from server.sources.api.options import ApiOptions
from server.sources.api.paging.choose import hint_places
from server.sources.api.paging.counted import PageFacts, PageToken, Paging
from server.sources.api.paging.hints import PageHints, read_hints
from server.sources.api.paging.page_request import PageRequests
from server.sources.api.paging.position import PagingState
from server.sources.api.paging.prefetch import PagePrefetcher
from server.sources.contract import SourceContext

# Pages that were asked for beside another one and failed, after which they are asked for in turn.
_FAILED_MAX: Final = 2


class PageFetcher:
    """The answers of one source.

    Args:
        url: of the source.
        paging: how its pages are asked for.
        pages: fetches them, those that have not changed from what was kept.
    """

    def __init__(
        self, url: str, options: ApiOptions, paging: Paging, pages: ConditionalPages, context: SourceContext
    ) -> None:
        self._options = options
        self._settings = context.settings
        self._is_exact = options.pagination.total in (None, "exact")
        self._paging = paging
        self._requests = PageRequests(url, options, paging)
        self._pages = pages
        self._ahead = PagePrefetcher(pages, context.clock)
        # Whether the last page was asked for together with others.
        self.came_together = False
        self._places = hint_places(options)
        # Whether the pages so far left it open if there are more.
        self._says_nothing = False
        self._page_count: int | None = None
        self._last_bytes = 0

    def is_enough(self, pages: int) -> bool:
        """Whether these are as many pages as the caller asked for."""
        pages_max = self._options.pagination.max_pages
        return pages_max is not None and pages >= pages_max

    async def fetch(self, position: PagingState) -> tuple[PageRequest, Answer]:
        """The request for the page at a position, and its response.

        Raises:
            RetryableError, FatalError: see ConditionalPages.fetch.
            PageMissingError: the source does not give a page there.
        """
        request = self._requests.at(position)
        self.came_together = False
        answer, self.came_together = await self._ahead.take(request, f"page {position.pages + 1}")
        self._begin_early(position, answer)
        await self._ahead.flush_to_socket()
        return request, answer

    async def fetch_smaller(self, position: PagingState, items: int) -> tuple[PageRequest, Answer]:
        """As `fetch`, with so many items asked for, and beside the walk.

        Raises: as `fetch`.
        """
        request = self._requests.at(position, items)
        return request, await self._pages.fetch(request, f"page {position.pages + 1}")

    def backoff(self) -> Backoff:
        """The patience for one page, beside that for one request of it."""
        return self._pages.backoff()

    def request_at(self, position: PagingState) -> PageRequest:
        """The request for the page at a position."""
        return self._requests.at(position)

    def parsed(self, signals: PageHints) -> None:
        """The page at hand was parsed, and says this of others."""
        has_flag = bool(self._places.stop_path)
        self._says_nothing = signals.more is None and signals.pages is None and not has_flag
        self._page_count = signals.pages if self._is_exact else None

    async def begin(self, position: PagingState) -> None:
        """Ask for the page at a position, which will be fetched next for certain, and for those that are known behind it."""
        if position.done or self.is_enough(position.pages):
            return
        was_full = 0 < position.page_items_max <= position.last_count
        known = self._known_ahead(position) if was_full else 0
        if not self._ahead:
            is_alone = min(known, self._at_once(position)) <= 1
            self._ahead.begin(self._requests.at(position), f"page {position.pages + 1}", is_alone=is_alone)
        self._fill(position, position.place, known)
        await self._ahead.flush_to_socket()

    async def ask_in_turn(self) -> None:
        """Ask for no page ahead of its turn from here on: what came together with others was not what it should be."""
        self.came_together = False
        await self._ahead.ask_in_turn()

    async def close(self) -> None:
        """Drop what is under way. Safe to call twice."""
        await self._ahead.close()

    def _begin_guess(self, position: PagingState) -> None:
        """Ask for the pages after the one at hand before that one is parsed, where they are most likely known."""
        size = position.page_items_max
        was_full = 0 < size <= position.last_count
        is_last = position.total is not None and position.items + position.last_count >= position.total
        place = self._paging.predicted_next(position.place, size) if was_full and not is_last else None
        if place is None:
            return
        behind = replace(position, place=place, pages=position.pages + 1, items=position.items + size)
        known = self._known_ahead(behind)
        if not known:
            self._begin_guessed(position, place)
        self._fill(behind, place, known)

    def _fill(self, position: PagingState, place: PageToken | None, known: int) -> None:
        """Ask for known pages from a place on, until as many are under way as may be.

        Args:
            position: before the page at that place.
            known: pages that are there from that place on.
        """
        at_once = self._at_once(position)
        # As many again may have come and wait for their turn, so that the source is asked while pages are read.
        for nth in range(min(known, 2 * at_once if at_once > 1 else 1)):
            if place is None or not self._ahead.guesses or self.is_enough(position.pages + nth):
                return
            if nth >= len(self._ahead):
                if self._ahead.asked >= at_once:
                    return
                request = self._requests.at(replace(position, place=place))
                label = f"page {position.pages + nth + 1}"
                self._ahead.begin(request, label, is_guess=True, is_alone=at_once == 1)
            place = self._paging.predicted_next(place, position.page_items_max)

    def _known_ahead(self, position: PagingState) -> int:
        """Pages that the source has said to be there from a position on; 0 where it has said nothing."""
        counts = []
        if self._is_exact and position.total is not None and not position.total_is_count:
            counts.append(-(-(position.total - position.items) // position.page_items_max))
        if self._page_count is not None:
            counts.append(self._page_count - position.pages)
        return min(counts, default=0)

    def _at_once(self, position: PagingState) -> int:
        """How many pages may be under way.

        One where the list has shown that it moves: what is asked for out of turn could then slip from one page to another. One
        where the source has failed several of them, as one does that serves a caller one request at a time. Else as many
        as fit into the memory of the largest one that is allowed, and as the host lets us.
        """
        if position.evidence.repeated or position.evidence.total_moved or self._ahead.failed >= _FAILED_MAX:
            return 1
        fitting = self._settings.http_page_bytes_max // max(1, self._last_bytes) // 2
        at_once_max = self._settings.http_pages_at_once_max
        wanted = min(self._options.pagination.pages_at_once or at_once_max, at_once_max, fitting)
        return self._pages.at_once(max(1, wanted))

    def _begin_guessed(self, position: PagingState, place: PageToken | None) -> None:
        """Ask for the page after the one at hand at a place that is not certain, where there is one."""
        if place is not None and not self._ahead and not self.is_enough(position.pages + 1):
            request = self._requests.at(replace(position, place=place))
            self._ahead.begin(request, f"page {position.pages + 2}", is_guess=True)

    def _begin_early(self, position: PagingState, answer: Answer) -> None:
        """Ask for the next page before this one is read, where it is known or sure enough."""
        if self._is_surely_not_last(position, answer):
            self._begin_guess(position)
            return
        if self._options.pagination.type not in ("cursor", "link", "auto") or answer.status != 200:
            return
        envelope = envelope_of(answer.body)
        signals = read_hints(envelope, answer.headers, self._places)
        facts = PageFacts(0, envelope, signals, position.items, url=answer.url, headers=answer.headers)
        try:
            place = self._paging.early(position.place, facts)
        except SyncError:
            # Whatever is wrong with it is said when the page is read.
            return
        self._begin_guessed(position, place)

    def _is_surely_not_last(self, position: PagingState, answer: Answer) -> bool:
        """Whether a guess may be sent before the page at hand is read: another page will be asked for in any case.

        So it is where the total says so (a guess is made only then), and where pages say nothing of others, as long as
        they are about as large as the one before: there only an empty page is the last.
        """
        before, self._last_bytes = self._last_bytes, len(answer.body)
        return position.total is not None or (self._says_nothing and 2 * len(answer.body) > before)
