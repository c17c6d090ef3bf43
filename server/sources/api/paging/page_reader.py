"""Reads the page at a position: fetches and parses it, again where that is a passing fault, and knows an end by its status.

Text that is cut off, and an error told in place of items, are faults of the same kind as a broken connection: the page is
asked for again, with the same patience.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from server.core.errors import FatalError, RetryableError
from server.sources.api.http.client import Answer, PageRequest
from server.sources.api.http.refusals import PageMissingError
from server.sources.api.items.json_page import Page
from server.sources.api.options import ApiOptions
from server.sources.api.paging.counted import PageFacts, Paging
from server.sources.api.paging.page_fetcher import PageFetcher
from server.sources.api.paging.page_parser import PageParser, ParsedPage, PassingFaultError, label_of
from server.sources.api.paging.position import PagingState
from server.sources.contract import SourceContext

_MISSING_TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page that was read.

    Args:
        request: that asked for it.
        answer: None where there is no page, and that is the end.
        parsed: the page; empty without an answer.
        assumed: why the end is assumed here; empty where it is none, or was told.
    """

    request: PageRequest
    answer: Answer | None
    parsed: ParsedPage
    assumed: str = ""


class PageReader:
    """The pages of one source, one at a time."""

    def __init__(
        self, fetcher: PageFetcher, parser: PageParser, paging: Paging, options: ApiOptions, context: SourceContext
    ) -> None:
        self._is_exact = options.pagination.total in (None, "exact")
        self._fetcher = fetcher
        self._parser = parser
        self._paging = paging
        self._context = context

    async def read(self, position: PagingState) -> ReadPage:
        """The page at a position.

        Raises:
            RetryableError, FatalError: see ConditionalPages.fetch and PageParser.parse.
        """
        backoff = self._fetcher.backoff()
        missing = 0
        while True:
            try:
                request, answer = await self._fetcher.fetch(position)
                parsed = await self._parser.parse(answer, label_of(position.pages + 1, request.url))
            except PageMissingError as fault:
                missing += 1
                assumed = self._assumed_end(position, fault)
                if assumed is not None:
                    request = self._fetcher.request_at(position)
                    return ReadPage(request, None, ParsedPage(request.url), assumed)
                if fault.status != 404 or position.pages == 0 or missing >= _MISSING_TRIES:
                    raise _behind_full(fault, position) from fault
            except PassingFaultError as fault:
                if not self._fetcher.came_together:
                    await backoff.wait_or_raise(fault)
            except FatalError:
                if not self._fetcher.came_together:
                    raise
            else:
                if parsed.page.values or not self._fetcher.came_together:
                    return ReadPage(request, answer, self._with_items(position, parsed))
            if self._fetcher.came_together:
                # A refusal can look like any answer: what comes to a page that is asked for by itself counts.
                await self._fetcher.ask_in_turn()
            self._context.moved()

    async def probe(self, position: PagingState, items: int) -> bool:
        """Whether the page at a position names a next one when it is asked for with so many items."""
        try:
            request, answer = await self._fetcher.fetch_smaller(position, items)
            parsed = await self._parser.parse(answer, label_of(position.pages + 1, request.url))
        except (RetryableError, FatalError):
            # It was asked for beside the walk; what is said is what the walk itself has found.
            return False
        return self._paging.names_next(position.place, self.facts(position, parsed))

    def facts(self, position: PagingState, parsed: ParsedPage) -> PageFacts:
        """What paging looks at in a page at a position."""
        count, total = len(parsed.page.values), parsed.signals.total
        # Pages that tell their own size have done so from the first one with items on.
        is_told = position.total is not None or not position.items
        is_count = position.total_is_count and (total is None or (total == count and is_told))
        most = position.evidence.most_total
        signals = parsed.signals
        if not self._is_exact:
            # An estimate is told, and ends nothing.
            signals = replace(signals, total=None, pages=None)
        elif total is not None and most is not None and most > total:
            # A total that fell ends nothing before as many items came as were told of: it may be that of another list.
            signals = replace(signals, total=most)
        return PageFacts(count, parsed.page.envelope, signals, position.items, is_count, parsed.url, parsed.headers)

    def _with_items(self, position: PagingState, parsed: ParsedPage) -> ParsedPage:
        """A page that has nothing where its items should be is one where an earlier page had them, or it names a next."""
        refusal = parsed.page.unless_known
        if refusal is None or position.page_items_max:
            return parsed
        if parsed.signals.more or self._paging.names_next(position.place, self.facts(position, parsed)):
            return replace(parsed, page=Page(envelope=parsed.page.envelope))
        raise self._parser.malformed(refusal, label_of(position.pages + 1, parsed.url))

    def _assumed_end(self, position: PagingState, fault: PageMissingError) -> str | None:
        """Why a status that refuses a page is taken for the end; empty where that is known, None where it is none."""
        if position.pages == 0:
            return None
        if position.is_all and self._is_exact:
            return ""
        asked = self._paging.asked_items(position.place)
        if asked is None or fault.status not in (404, 416):
            return None
        if position.last_count < position.page_items_max:
            return ""
        if position.pages == 1 and position.last_count < asked:
            # A source that never gives as many as it is asked for looks the same.
            return f"page 2 was answered {fault.status}, behind a page with fewer items than were asked for"
        return None


def _behind_full(fault: PageMissingError, position: PagingState) -> PageMissingError:
    if position.pages == 0:
        return fault
    return PageMissingError(fault.status, f"{fault.message}. The pages before it were full, so there should be one")
