"""Walks the pages of a source, one after the other, from a position to the page that the source calls its last.

Each page is fetched, parsed, checked against the guards and handed over with the position after it. The walk ends
without an error only where the source said so, or at the number of pages that the request asked for, which leaves a
notice. The next page is under way while a page is parsed and written (ahead.py). After an error the pages handed over before it are whole, and their last position leads to the failed page.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from server.core.errors import Fatal, Retryable, SyncError
from server.sources.api import urls
from server.sources.api.ahead import PageAhead
from server.sources.api.chosen import paging_seen
from server.sources.api.conditional import ConditionalPages
from server.sources.api.fast_json import envelope_of
from server.sources.api.formats import format_of, read_answer
from server.sources.api.guards import LimitGuard, LoopGuard, check_total, digest_of
from server.sources.api.http import Answer, PageMissing, PageRequest
from server.sources.api.incremental import Mark, MarkTaker, first_value
from server.sources.api.json_text import JsonRefused, Page
from server.sources.api.options import ApiOptions
from server.sources.api.paging import PageFacts, Paging, Place, token_of
from server.sources.api.position import Position
from server.sources.api.signals import Signals, read_signals, says_error
from server.sources.base import SourceContext

# Faults that say nothing about what was sent before them.
_PASSING: Final = frozenset(
    {
        "SOURCE_UNAVAILABLE",
        "SOURCE_LIMIT_REACHED",
        "AUTHENTICATION_FAILED",
        "SECRET_UNAVAILABLE",
        "DATABASE_UNAVAILABLE",
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
    after: Position


class PageWalk:
    """The pages of one source."""

    def __init__(
        self, url: str, options: ApiOptions, paging: Paging, pages: ConditionalPages, context: SourceContext
    ) -> None:
        self._url = url
        self._options = options
        self._paging = paging
        self._pages = pages
        self._ahead = PageAhead(pages)
        self._context = context
        self._notices: dict[str, None] = {}
        self._marks = MarkTaker(options.incremental, context.clock.now()) if options.incremental else None
        # Whether the pages so far left it open if there are more.
        self._says_nothing = False
        self._last_bytes = 0
        self.at_end = False
        self.detected: dict[str, str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know, each once."""
        unchanged = self._pages.unchanged_count
        kept = [f"{unchanged} pages had not changed and were not sent again"] if unchanged else []
        return (*self._notices, *(self._marks.notices if self._marks else ()), *kept)

    def start(self) -> Position:
        """The position before the first page."""
        options = self._options.incremental
        since = "" if options is None else first_value(options, self._context.watermark)
        # The value that the first run asks for is the caller's own limit of what there is.
        return Position(self._paging.first(), since=since, is_full=self._context.watermark is None)

    async def pages(self, start: Position) -> AsyncGenerator[WalkedPage, None]:
        """Yield the pages after a position.

        Raises:
            Retryable, Fatal: see http.py, paging.py and guards.py.
        """
        position = start
        loops = LoopGuard(start)
        limits = LimitGuard(self._context.settings, self._context.clock, start)
        try:
            while not position.done:
                if self._is_enough(position.pages):
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
                if not position.done and not self._is_enough(position.pages):
                    self._ahead.begin(self._request(position), f"page {position.pages + 1}")
                    await self._ahead.let_go()
                yield page
            await self._pages.finish(is_whole=start.pages == 0)
        except SyncError as error:
            if error.reason not in _PASSING:
                await self._pages.forget()
            raise
        finally:
            await self._ahead.close()

    def _is_enough(self, pages: int) -> bool:
        pages_max = self._options.pagination.max_pages
        return pages_max is not None and pages >= pages_max

    async def _page(self, position: Position) -> WalkedPage:
        number = position.pages + 1
        request = self._request(position)
        page, signals, size_bytes = Page(), Signals(), 0
        headers: Mapping[str, str] = {}
        answer: Answer | None = None
        try:
            answer = await self._ahead.take(request, f"page {number}")
        except PageMissing:
            is_all = position.total is not None and position.items >= position.total and not position.total_is_count
            if not is_all and not self._paging.ends_when_missing(position.place):
                raise
        else:
            self._begin_early(position, answer)
            await self._ahead.let_go()
            page, headers = await self._parse(answer, request.url, number), answer.headers
            signals, size_bytes = read_signals(page.envelope, headers), len(answer.body)
        url = request.url if answer is None else answer.url
        facts = PageFacts(len(page.values), page.envelope, signals, position.items, url, headers)
        if position.pages == 0 or not self._options.pagination.enabled:
            self.detected["pagination"] = paging_seen(self._options, self._url, facts)
        if signals.total is not None:
            self.detected["total"] = str(signals.total)
        self._says_nothing = signals.more is None and signals.pages is None
        place = self._paging.next(position.place, facts)
        if answer is not None:
            is_last = self._options.pagination.enabled and place is None and facts.count > 0
            await self._pages.good(request, answer, is_last=is_last)
        self.at_end = place is None and (self._options.pagination.enabled or self.detected["pagination"] == "none")
        after = self._after(position, facts, size_bytes, digest_of(page.text))
        if self._marks is not None:
            mark = self._marks.after(Mark(position.mark, position.mark_rank), page.values, number)
            after = replace(after, mark=mark.value, mark_rank=mark.rank)
            self.detected["watermark"] = mark.value
        after = replace(after, place={}, done=True) if place is None else replace(after, place=place)
        if after.done:
            self._check_end(after, signals)
        return WalkedPage(page, position.items + 1, size_bytes, after)

    def _guess(self, position: Position) -> None:
        """Ask for the page after the one at hand before that one is parsed, where it is most likely known."""
        was_full = 0 < position.page_items_max <= position.last_count
        is_last = position.total is not None and position.items + position.last_count >= position.total
        self._begin_guessed(position, self._paging.guess(position.place) if was_full and not is_last else None)

    def _begin_guessed(self, position: Position, place: Place | None) -> None:
        """Ask for the page after the one at hand at a place that is not certain, where there is one."""
        if place is not None and not self._is_enough(position.pages + 1):
            request = self._request(replace(position, place=place))
            self._ahead.begin(request, f"page {position.pages + 2}", is_guess=True)

    def _begin_early(self, position: Position, answer: Answer) -> None:
        """Ask for the next page before this one is read, where it is known or sure enough."""
        if self._is_surely_not_last(position, answer):
            self._guess(position)
            return
        if self._options.pagination.type not in ("cursor", "link", "auto") or answer.status != 200:
            return
        envelope = envelope_of(answer.body)
        signals = read_signals(envelope, answer.headers)
        try:
            place = self._paging.early(
                position.place, PageFacts(0, envelope, signals, position.items, answer.url, answer.headers)
            )
        except SyncError:
            # Whatever is wrong with it is said when the page is read.
            return
        self._begin_guessed(position, place)

    def _is_surely_not_last(self, position: Position, answer: Answer) -> bool:
        """Whether a guess may be sent before the page at hand is read: another page will be asked for in any case.

        So it is where the total says so (a guess is made only then), and where pages say nothing of others, as long as
        they are about as large as the one before: there only an empty page is the last.
        """
        before, self._last_bytes = self._last_bytes, len(answer.body)
        return position.total is not None or (self._says_nothing and 2 * len(answer.body) > before)

    def _request(self, position: Position) -> PageRequest:
        options, place = self._options, position.place
        if "url" in place:
            url, parameters = str(place["url"]), {}
        else:
            url, parameters = self._url, dict(self._paging.parameters(place))
            if options.incremental is not None and position.since:
                parameters[options.incremental.param] = position.since
        body = options.body
        if options.pagination.params_in == "body" and (options.pagination.enabled or parameters):
            body = _with_fields(body or {}, parameters)
        else:
            url = urls.with_parameters(url, {name: str(value) for name, value in parameters.items()})
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode("utf-8")
        return PageRequest(options.method, url, content)

    async def _parse(self, answer: Answer, url: str, number: int) -> Page:
        if answer.status == 204:
            return Page()
        try:
            self.detected["format"] = format_of(answer, self._options)
            page = await read_answer(answer, self._options, self._context.settings)
        except JsonRefused as error:
            if error.kind == "cut_off":
                raise Retryable(
                    "SOURCE_UNAVAILABLE", f"the answer to page {number} of {urls.shown(url)} broke off: {error.message}"
                ) from error
            raise Fatal(
                "SOURCE_MALFORMED",
                f"the answer to page {number} of {urls.shown(url)} cannot be read: {error.message}",
                category="parsing",
            ) from error
        items_max = self._context.settings.http_page_items_max
        if len(page.values) > items_max:
            raise Retryable(
                "SOURCE_LIMIT_REACHED",
                f"page {number} of {urls.shown(url)} has {len(page.values)} items, more than "
                f"TECHAURA_SYNC_HTTP_PAGE_ITEMS_MAX ({items_max}) allows; ask for smaller pages, or raise the limit",
                category="processing",
            )
        if not page.values and says_error(page.envelope):
            raise Fatal(
                "SOURCE_REFUSED",
                f"page {number} of {urls.shown(url)} has no items and says that there was an error",
            )
        for notice in page.notices:
            self._notice(notice)
        return page

    def _after(self, position: Position, facts: PageFacts, size_bytes: int, digest: str) -> Position:
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

    def _check_end(self, after: Position, signals: Signals) -> None:
        has_more = signals.more or (signals.total or 0) > after.items
        if self._options.pagination.enabled:
            check_total(after)
        elif has_more and (self._options.mode == "mirror" or self._options.incremental is not None):
            raise Fatal(
                "SOURCE_MALFORMED",
                "the source says that it has more items than this page, which mode mirror would switch off and incremental "
                "never look at again; set options.pagination to read them",
                category="validation",
            )
        elif has_more:
            self._notice("the source says that it has more items than this page; set options.pagination to read them")

    def _notice(self, text: str) -> None:
        self._notices[text] = None


def _with_fields(body: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a JSON object with fields set at dot paths."""
    copied: dict[str, Any] = dict(body)
    for path, value in fields.items():
        name, _, rest = path.partition(".")
        inner = copied.get(name)
        copied[name] = _with_fields(inner if isinstance(inner, Mapping) else {}, {rest: value}) if rest else value
    return copied
