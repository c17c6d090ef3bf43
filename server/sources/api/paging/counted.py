"""Pagination as chosen objects: what to ask for next, and whether the source said that this was the last page.

A paging object is pure: it turns a place (small, JSON-able, kept in the checkpoint) into a request, and a fetched page
into a decision. The rules, each with its reason:

- A page without items is the last one, unless the page says that there are more.
- A short page ends nothing by itself: the source may give fewer items than asked for. Only a page that says so, or the
  total that it states, makes it the last; else the next page is asked for, and is empty.
- Offsets advance by the items that came, not by those asked for, so a source that gives fewer loses none.
- With cursors and links, the last page is the one without a next. A first page that is full and has neither a next nor
  a place for it says nothing, and is an error rather than the end.
- An error status is an end only behind a total that was reached, or behind a page that was not full (end_of_walk.py).

What never ends a run as completed: a page that contradicts itself or the total (`contradiction`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from server.core.errors import FatalError, RetryableError
from server.core.reasons import Category, Reason
from server.sources.api.paging.hints import PageHints

PAGE_ITEMS: Final = 100

FIRST_PAGE_HINT: Final = "If the source counts its pages from 0, set options.pagination.firstPage to 0"

PageToken = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What paging looks at in a fetched page.

    Args:
        count: items on it.
        envelope: the parsed body around the items.
        signals: what it says about the pages after it.
        items_before: items of all pages before it.
        total_is_count: whether each total so far, this page's included, may be just the number of items on its page.
        url: where it came from.
        headers: of the response, names in lower case.
    """

    count: int
    envelope: Any
    signals: PageHints
    items_before: int = 0
    total_is_count: bool = True
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def items_after(self) -> int:
        """Items up to and with this page."""
        return self.items_before + self.count


class Paging(Protocol):
    """One way of paging."""

    def first(self) -> PageToken:
        """Where the first page is. A place with `url` is asked for at that URL as it stands."""
        ...

    def parameters(self, place: PageToken) -> Mapping[str, int | str]:
        """Parameters that ask for the page at a place."""
        ...

    def next(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Where the next page is; None when the source said that this was the last.

        Raises:
            FatalError: the page does not say where the next one is.
            RetryableError: it contradicts itself (see `contradiction`).
        """
        ...

    def predicted_next(self, place: PageToken, page_items: int) -> PageToken | None:
        """Where the next page is, should this one hold as many items and not be the last; None where only the page can say."""
        ...

    def early(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Where the next page is, by a look at the page's envelope and headers alone; None where only reading it can say.

        The count of the page is not known yet.
        """
        ...

    def names_next(self, place: PageToken, page: PageFacts) -> bool:
        """Whether a page names the one behind it, in a place where this paging looks."""
        ...

    def asked_items(self, place: PageToken) -> int | None:
        """Items asked for on a page, 0 when the source chooses; None where it names the pages, so that each one is there."""
        ...


def contradiction(message: str) -> RetryableError:
    """The pages don't fit together, most likely because the source changed between them; a new attempt may go well."""
    return RetryableError(
        Reason.SOURCE_CHANGED,
        message,
        category=Category.PROCESSING,
        next_step="wait for the retry; if it fails again, sync while the source is not being changed, or have its pages mended",
    )


def size_of(limit_param: str, page_items: int) -> dict[str, int | str]:
    """The parameter for the items on a page; none where it has no name."""
    return {limit_param: page_items} if limit_param else {}


def token_of(place: PageToken) -> str | None:
    """What names a page when the source chose the name: it must never come back. None when we count."""
    token = place.get("cursor", place.get("url"))
    return None if token is None else str(token)


@dataclass(frozen=True, slots=True)
class OnePage:
    """No paging: one request."""

    def first(self) -> PageToken:
        """Give the only place."""
        return {}

    def parameters(self, place: PageToken) -> Mapping[str, int | str]:
        """Add none."""
        return {}

    def next(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """There is none, whatever the page says: the caller asked for one page."""
        return None

    def predicted_next(self, place: PageToken, page_items: int) -> PageToken | None:
        """Make none: there is no next page."""
        return None

    def early(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Make none: the next page is not named."""
        return None

    def names_next(self, place: PageToken, page: PageFacts) -> bool:
        """Say no: pages are not named."""
        return False

    def asked_items(self, place: PageToken) -> int | None:
        """None: there is one page."""
        return None


@dataclass(frozen=True, slots=True)
class NumberPaging:
    """Pages by number.

    Args:
        first_page: the number of the first one; most sources count from 1, some from 0.
    """

    page_param: str
    limit_param: str
    page_items: int
    first_page: int = 1

    def first(self) -> PageToken:
        """Begin with the first page."""
        return {"page": self.first_page}

    def parameters(self, place: PageToken) -> Mapping[str, int | str]:
        """Send the number and the size."""
        return {self.page_param: int(place["page"]), **size_of(self.limit_param, self.page_items)}

    def next(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Count on, until the source says that there is none.

        Raises:
            FatalError: INVALID_OPTION, the first page is not the first.
            RetryableError: SOURCE_CHANGED, a page that should be there is empty.
        """
        number = int(place["page"])
        if number == self.first_page and page.signals.is_first is False:
            raise FatalError(
                Reason.INVALID_OPTION,
                f"the source says that page {number} is not its first one, so there are items before it: set "
                "options.pagination.firstPage to 0",
                category=Category.VALIDATION,
            )
        pages, nth = page.signals.pages, number - self.first_page + 1
        if page.count == 0 and pages is not None and 1 < nth <= pages:
            hint = f". {FIRST_PAGE_HINT}" if self.first_page == 1 and nth == pages else ""
            raise contradiction(f"the source says that it has {pages} pages, and page {number} has no items{hint}")
        if not goes_on(page, self.page_items, nth):
            return None
        return {"page": number + 1}

    def predicted_next(self, place: PageToken, page_items: int) -> PageToken | None:
        """Count on."""
        return {"page": int(place["page"]) + 1}

    def early(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Make none: the next page is not named."""
        return None

    def names_next(self, place: PageToken, page: PageFacts) -> bool:
        """Say no: pages are not named."""
        return False

    def asked_items(self, place: PageToken) -> int | None:
        """The size that is sent."""
        return self.page_items


@dataclass(frozen=True, slots=True)
class OffsetPaging:
    """Pages by the number of items before them.

    Args:
        first_offset: of the first item; some sources count from 1.
    """

    offset_param: str
    limit_param: str
    page_items: int
    first_offset: int = 0

    def first(self) -> PageToken:
        """Begin with the first item."""
        return {"offset": self.first_offset}

    def parameters(self, place: PageToken) -> Mapping[str, int | str]:
        """Send the offset and the size."""
        return {self.offset_param: int(place["offset"]), **size_of(self.limit_param, self.page_items)}

    def next(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Go past the items that came, until the source says that there are no more."""
        if not goes_on(page, self.page_items, None):
            return None
        return {"offset": int(place["offset"]) + page.count}

    def predicted_next(self, place: PageToken, page_items: int) -> PageToken | None:
        """Go past as many items."""
        return {"offset": int(place["offset"]) + page_items}

    def early(self, place: PageToken, page: PageFacts) -> PageToken | None:
        """Make none: the next page is not named."""
        return None

    def names_next(self, place: PageToken, page: PageFacts) -> bool:
        """Say no: pages are not named."""
        return False

    def asked_items(self, place: PageToken) -> int | None:
        """The size that is sent."""
        return self.page_items


def goes_on(page: PageFacts, page_items: int, number: int | None) -> bool:
    """Whether another page must be asked for, where pages are counted by us.

    Args:
        page_items: items asked for; 0 when the source chooses.
        number: the page's number from 1, where there is one.

    Raises:
        RetryableError: the page contradicts itself.
    """
    signals = page.signals
    more = signals.more
    if more is None and number is not None and signals.pages is not None:
        more = number < signals.pages
    if page.count == 0:
        if more:
            raise contradiction("a page without items says that there are more; the source may have changed meanwhile")
        return False
    if more is not None:
        return more
    # Some sources call a page's count a total: one that is reached by a full page, and may be that, is confirmed by the next.
    is_reached = signals.total is not None and page.items_after >= signals.total
    return not (is_reached and (page.count < page_items or not page.total_is_count))
