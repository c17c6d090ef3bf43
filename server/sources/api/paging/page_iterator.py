"""Walks the pages of a source, one after the other, from a position to the page that the source calls its last.

Each page is fetched, parsed, checked against the guards and handed over with the position after it. The walk ends
without an error only where the source said so, or at the number of pages that the request asked for, which leaves a
notice. The next page is under way while a page is parsed and written (page_fetcher.py). After an error the pages handed
over before it are whole, and their last position leads to the failed page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final

from server.core.errors import FatalError, SyncError
from server.core.reasons import Category, Reason
from server.sources.api.http.conditional import ConditionalPages
from server.sources.api.items.json_page import Page
from server.sources.api.options import ApiOptions
from server.sources.api.paging.choose import paging_seen
from server.sources.api.paging.counted import PageFacts, Paging, token_of
from server.sources.api.paging.hints import PageHints
from server.sources.api.paging.loop_guards import LimitGuard, LoopGuard, check_total, digest_of
from server.sources.api.paging.page_fetcher import PageFetcher
from server.sources.api.paging.page_parser import PageParser, ParsedPage, label_of
from server.sources.api.paging.position import PagingState
from server.sources.api.watermark import SeenWatermark, WatermarkTracker, first_value
from server.sources.contract import SourceContext

# Faults that say nothing about what was sent before them.
_PASSING: Final = frozenset(
    {
        Reason.SOURCE_UNAVAILABLE,
        Reason.SOURCE_LIMIT_REACHED,
        Reason.AUTHENTICATION_FAILED,
        Reason.SECRET_UNAVAILABLE,
        Reason.DATABASE_UNAVAILABLE,
    }
)


@dataclass(frozen=True, slots=True)
class WalkedPage:
    """A page that was read.

    Args:
        page: its items and what stands around them.
        first_number: number of the first one in the source, from 1.
        size_bytes: of the body.
        after: the position after the page.
    """

    page: Page
    first_number: int
    size_bytes: int
    after: PagingState


class PageIterator:
    """The pages of one source."""

    def __init__(
        self, url: str, options: ApiOptions, paging: Paging, pages: ConditionalPages, context: SourceContext
    ) -> None:
        self._url = url
        self._options = options
        self._paging = paging
        self._pages = pages
        self._fetcher = PageFetcher(url, options, paging, pages)
        self._parser = PageParser(options, context.settings, pages.spoken)
        self._context = context
        self._notices: dict[str, None] = {}
        self._marks = WatermarkTracker(options.incremental, context.clock.now()) if options.incremental else None
        self.at_end = False
        self.detected: dict[str, str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know, each once."""
        unchanged = self._pages.unchanged_count
        kept = [f"{unchanged} pages had not changed and were not sent again"] if unchanged else []
        return (*self._notices, *(self._marks.notices if self._marks else ()), *kept)

    def start(self) -> PagingState:
        """The position before the first page."""
        options = self._options.incremental
        since = "" if options is None else first_value(options, self._context.watermark)
        # The value that the first run asks for is the caller's own limit of what there is.
        return PagingState(self._paging.first(), since=since, is_full=self._context.watermark is None)

    async def pages(self, start: PagingState) -> AsyncGenerator[WalkedPage, None]:
        """Yield the pages after a position.

        Raises:
            RetryableError, FatalError: see http/client.py, counted.py, linked.py and loop_guards.py.
        """
        position = start
        loops = LoopGuard(start)
        limits = LimitGuard(self._context.settings, self._context.clock, start)
        try:
            while not position.done:
                if self._fetcher.is_enough(position.pages):
                    self._notice(
                        f"stopped after {position.pages} pages as asked for by maxPages; the source may have more"
                    )
                    await self._pages.finish(is_whole=False)
                    return
                limits.check(position)
                loops.check_token(token_of(position.place), position.pages + 1)
                page = await self._page(position)
                if page.page.values:
                    loops.check_page(page.after.digest, page.after.pages)
                position = page.after
                await self._fetcher.begin(position)
                yield page
            await self._pages.finish(is_whole=start.pages == 0)
        except SyncError as error:
            if error.reason not in _PASSING:
                await self._pages.forget()
            raise
        finally:
            await self._fetcher.close()

    async def _page(self, position: PagingState) -> WalkedPage:
        number = position.pages + 1
        request, answer = await self._fetcher.fetch(position)
        if answer is None:
            parsed = ParsedPage(request.url)
        else:
            parsed = await self._parser.parse(answer, label_of(number, request.url))
        self._fetcher.parsed(parsed.signals)
        facts = PageFacts(
            len(parsed.page.values), parsed.page.envelope, parsed.signals, position.items, parsed.url, parsed.headers
        )
        self._tell(parsed, facts, is_first=position.pages == 0)
        place = self._paging.next(position.place, facts)
        if answer is not None:
            is_last = self._options.pagination.enabled and place is None and facts.count > 0
            await self._pages.remember(request, answer, is_last=is_last)
        self.at_end = place is None and (self._options.pagination.enabled or self.detected["pagination"] == "none")
        after = self._with_mark(
            self._after(position, facts, parsed.size_bytes, digest_of(parsed.page.text)), parsed.page
        )
        after = replace(after, place={}, done=True) if place is None else replace(after, place=place)
        if after.done:
            self._check_end(after, parsed.signals)
        return WalkedPage(parsed.page, position.items + 1, parsed.size_bytes, after)

    def _tell(self, parsed: ParsedPage, facts: PageFacts, *, is_first: bool) -> None:
        """Keep what a person should know of a page."""
        if parsed.format:
            self.detected["format"] = parsed.format
        if is_first or not self._options.pagination.enabled:
            self.detected["pagination"] = paging_seen(self._options, self._url, facts)
        if parsed.signals.total is not None:
            self.detected["total"] = str(parsed.signals.total)
        for notice in parsed.page.notices:
            self._notice(notice)

    def _with_mark(self, after: PagingState, page: Page) -> PagingState:
        if self._marks is None:
            return after
        mark = self._marks.after(SeenWatermark(after.mark, after.mark_rank), page.values, after.pages)
        self.detected["watermark"] = mark.value
        return replace(after, mark=mark.value, mark_rank=mark.rank)

    def _after(self, position: PagingState, facts: PageFacts, size_bytes: int, digest: str) -> PagingState:
        if facts.count and 0 < position.last_count < position.page_items_max:
            self._notice("some pages before the last held fewer items than others; the source may filter its pages")
        total = facts.signals.total
        return replace(
            position,
            pages=position.pages + 1,
            items=facts.items_after,
            bytes_read=position.bytes_read + size_bytes,
            page_items_max=max(position.page_items_max, facts.count),
            last_count=facts.count,
            total=position.total if total is None else total,
            total_is_count=position.total_is_count and total in (None, facts.count),
            digest=digest if facts.count else position.digest,
        )

    def _check_end(self, after: PagingState, signals: PageHints) -> None:
        has_more = signals.more or (signals.total or 0) > after.items
        if self._options.pagination.enabled:
            check_total(after)
        elif has_more and (self._options.mode == "mirror" or self._options.incremental is not None):
            raise FatalError(
                Reason.SOURCE_MALFORMED,
                "the source says that it has more items than this page, which mode mirror would switch off and incremental "
                "never look at again; set options.pagination to read them",
                category=Category.VALIDATION,
            )
        elif has_more:
            self._notice("the source says that it has more items than this page; set options.pagination to read them")

    def _notice(self, text: str) -> None:
        self._notices[text] = None
