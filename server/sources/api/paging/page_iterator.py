"""Walks the pages of a source, one after the other, from a position to the page that the source calls its last.

Each page is read (page_reader.py), checked against the guards and handed over with the position after it. The walk ends
without an error only where the source said so, or where its end is assumed or was asked for, which leaves a notice. What
is wrong with the end is said after the last page was handed over (verdict.py). The next pages are under way while a page
is parsed and written (page_fetcher.py). After an error the pages handed over before it are whole, and their last position
leads to the failed page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final

from server.core.errors import FatalError, SyncError
from server.core.reasons import Category, Reason
from server.sources.api.http.conditional import ConditionalPages
from server.sources.api.item_keys import KeysOf
from server.sources.api.items.json_page import Page
from server.sources.api.options import ApiOptions
from server.sources.api.paging.choose import paging_found, paging_seen
from server.sources.api.paging.counted import PageFacts, PageToken, Paging, token_of
from server.sources.api.paging.key_memory import KeyMemory
from server.sources.api.paging.linked import NoNextPageError
from server.sources.api.paging.loop_guards import LimitGuard, LoopGuard, PageRepeatedError, digest_of
from server.sources.api.paging.page_fetcher import PageFetcher
from server.sources.api.paging.page_parser import PageParser, ParsedPage
from server.sources.api.paging.page_reader import PageReader, ReadPage
from server.sources.api.paging.position import PagingState
from server.sources.api.paging.verdict import check_total, doubts_of, notices_of
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
    """The pages of one source.

    Args:
        paging: how they are asked for.
        pages: fetches them.
        keys_of: the keys of the items of a page.
    """

    def __init__(
        self,
        url: str,
        options: ApiOptions,
        paging: Paging,
        pages: ConditionalPages,
        context: SourceContext,
        keys_of: KeysOf,
    ) -> None:
        self._url = url
        self._options = options
        self._paging = paging
        self._pages = pages
        self._fetcher = PageFetcher(url, options, paging, pages, context)
        parser = PageParser(options, context.settings, pages.spoken)
        self._reader = PageReader(self._fetcher, parser, paging, options, context)
        self._context = context
        self._keys_of = keys_of
        self._notices: dict[str, None] = {}
        self._marks = WatermarkTracker(options.incremental, context.clock.now()) if options.incremental else None
        self._last = PagingState({})
        self.at_end = False
        self.detected: dict[str, str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know, each once."""
        unchanged = self._pages.unchanged_count
        kept = [f"{unchanged} pages had not changed and were not sent again"] if unchanged else []
        found = notices_of(self._last, self._options)
        return (*self._notices, *found, *(self._marks.notices if self._marks else ()), *kept)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why what did not come may be there all the same, each once."""
        return tuple(doubts_of(self._last, self._options))

    @property
    def page_count(self) -> int:
        """Pages up to the last one that was read, before an interruption too."""
        return self._last.pages

    def start(self) -> PagingState:
        """The position before the first page."""
        options = self._options.incremental
        since = "" if options is None else first_value(options, self._context.watermark)
        # The value that the first run asks for is the caller's own limit of what there is.
        return PagingState(self._paging.first(), since=since, is_full=self._context.watermark is None)

    async def pages(self, start: PagingState) -> AsyncGenerator[WalkedPage, None]:
        """Yield the pages after a position.

        Raises:
            RetryableError, FatalError: see http/client.py, counted.py, linked.py, loop_guards.py and verdict.py.
        """
        position = start if start.pages == 0 else replace(start, evidence=start.evidence.resumed())
        self._last = position
        loops = LoopGuard(start)
        limits = LimitGuard(self._context.settings, self._context.clock, start)
        memory = KeyMemory(position.evidence.keys)
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
                page, ending = await self._page(position, memory)
                try:
                    if page.after.evidence.nulls - position.evidence.nulls < len(page.page.values):
                        loops.check_page(page.after, position.place)
                except PageRepeatedError as repeated:
                    position = self._end_of_unpaged(position, repeated)
                    break
                position = self._last = page.after
                if ending is None:
                    await self._fetcher.begin(position)
                yield page
                if ending is not None:
                    raise ending
            self._last = position
            if self._options.pagination.enabled:
                check_total(position, self._options)
            await self._pages.finish(is_whole=start.pages == 0)
        except SyncError as error:
            if error.reason not in _PASSING:
                await self._pages.forget()
            raise
        finally:
            await self._fetcher.close()

    def _end_of_unpaged(self, position: PagingState, repeated: PageRepeatedError) -> PagingState:
        """The position at the end of a source that has no pages, where `auto` found none out.

        Raises:
            PageRepeatedError: it has pages, or may have.
        """
        asked = self._paging.asked_items(position.place)
        is_guess = self._options.pagination.type == "auto" and position.place.get("as") == "page"
        is_all = position.total is not None and position.total == position.items
        if (
            not is_guess
            or (repeated.page_no, repeated.first_no) != (2, 1)
            or (position.last_count == asked and not is_all)
        ):
            raise repeated
        self.detected["pagination"] = "none"
        assumed = "" if is_all else "page 2 was page 1, as of a source that has no pages"
        return replace(position, place={}, done=True, evidence=replace(position.evidence, assumed=assumed))

    async def _page(self, position: PagingState, memory: KeyMemory) -> tuple[WalkedPage, SyncError | None]:
        """The page at a position, and the error that ends the walk behind it."""
        read = await self._reader.read(position)
        parsed = read.parsed
        self._fetcher.parsed(parsed.signals)
        facts = self._reader.facts(position, parsed)
        self._tell(parsed, facts, is_first=position.pages == 0)
        place, ending = await self._next(position, facts)
        if read.answer is not None:
            is_last = self._options.pagination.enabled and place is None and facts.count > 0
            await self._pages.remember(read.request, read.answer, is_last=is_last)
        self.at_end = place is None and (self._options.pagination.enabled or self.detected["pagination"] == "none")
        after = self._with_mark(self._after(position, read, facts, memory), parsed.page)
        is_named = place is not None and self._paging.asked_items(position.place) is None
        if is_named and after.evidence.empty_in_row > self._options.pagination.empty_pages_max:
            place = None
            assumed = f"{after.evidence.empty_in_row} pages in a row had no items, and each named a next one"
            after = replace(after, evidence=replace(after.evidence, assumed=assumed))
        if place is None:
            after = replace(after, place=paging_found(self._paging, position.place, facts), done=True)
        else:
            after = replace(after, place=place)
        if after.done and not self._options.pagination.enabled:
            self._check_only_page(after, parsed)
        return WalkedPage(parsed.page, position.items + 1, parsed.size_bytes, after), ending

    async def _next(self, position: PagingState, facts: PageFacts) -> tuple[PageToken | None, SyncError | None]:
        """Where the next page is; with the error where a first page should name one and does not."""
        try:
            return self._paging.next(position.place, facts), None
        except NoNextPageError as error:
            # Asked for a little less, a source that names its pages where they are looked for has a next one.
            can_ask = bool(self._options.pagination.limit_param) and facts.count > 1
            if can_ask and await self._reader.probe(position, facts.count - 1):
                return None, None
            return position.place, error

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

    def _after(self, position: PagingState, read: ReadPage, facts: PageFacts, memory: KeyMemory) -> PagingState:
        parsed = read.parsed
        total = None if self._options.pagination.total == "ignore" else parsed.signals.total
        found = self._keys_of(parsed.page)
        keys = memory.take(found.keys)
        # A page of one item is known by all of it: a list may hold an item twice.
        digest = found.looks or (keys.digest if keys.count > 1 else digest_of(parsed.page.text))
        # A validator may be of the items alone: what a kept page says of the list is what it said then.
        is_kept = read.answer is not None and read.answer.is_kept
        evidence = position.evidence.with_total(None if is_kept else total).with_page(
            keys, items=facts.count, nulls=found.nulls, no_keys=found.no_keys
        )
        evidence = replace(
            evidence,
            is_sampled=memory.is_sampled,
            is_shorter=evidence.is_shorter or (0 < position.last_count < position.page_items_max and facts.count > 0),
            is_untold=evidence.is_untold or parsed.is_untold,
            assumed=read.assumed or _assumed(parsed, position),
        )
        return replace(
            position,
            pages=position.pages + 1,
            items=facts.items_after,
            bytes_read=position.bytes_read + parsed.size_bytes,
            page_items_max=max(position.page_items_max, facts.count),
            last_count=facts.count,
            total=position.total if total is None else total,
            total_is_count=facts.total_is_count,
            digest=digest if keys.count else position.digest,
            evidence=evidence,
        )

    def _check_only_page(self, after: PagingState, parsed: ParsedPage) -> None:
        """Check a source that is read as one page: whether it says that there is more."""
        signals = parsed.signals
        if not (parsed.is_part or signals.more or (signals.total or 0) > after.items):
            return
        text = "the source says that it has more items than this page"
        if parsed.is_part:
            text = "the source says that this is a part of its items (206), and it has more"
        if self._options.mode == "mirror" or self._options.incremental is not None:
            raise FatalError(
                Reason.SOURCE_MALFORMED,
                f"{text}, which mode mirror would switch off and incremental never look at again; set options.pagination "
                "to read them",
                category=Category.VALIDATION,
            )
        self._notice(f"{text}; set options.pagination to read them")

    def _notice(self, text: str) -> None:
        self._notices[text] = None


def _assumed(parsed: ParsedPage, position: PagingState) -> str:
    """Why the end is assumed where a page lacks the place of its items, and says nothing else of the list either."""
    signals = parsed.signals
    is_silent = signals.more is None and signals.total is None and signals.pages is None
    if parsed.page.unless_known is None or not is_silent or parsed.page.envelope == {}:
        return ""
    return f"page {position.pages + 1} lacks the place where pages before it have their items"
