"""What stops a reading that would never end, or would end wrongly: loops, contradictory totals, the service's limits.

The guards remember within one attempt, in memory that is bounded by the page limit (16 bytes a page). A resumed
attempt begins with the last page of the one before, so a loop is found at the latest one turn after a resume. A page is
known by the keys of its items, whatever their other bytes.
"""

from __future__ import annotations

import hashlib
from typing import Final

from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import FatalError, RetryableError
from server.core.reasons import Category, Reason
from server.sources.api.paging.counted import PageToken, token_of
from server.sources.api.paging.position import PagingState

_DIGEST_BYTES: Final = 16
# Pages in a row whose items were all on earlier ones: a list that moves gives one or two, a source without an end all.
_STALE_PAGES_MAX: Final = 3


def digest_of(text: str) -> str:
    """A short digest of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


class PageRepeatedError(FatalError):
    """A page has the items of an earlier one.

    Args:
        page_no, first_no: the page, and the one that it repeats.
    """

    def __init__(self, page_no: int, first_no: int, message: str) -> None:
        super().__init__(Reason.PAGINATION_LOOP, message)
        self.page_no = page_no
        self.first_no = first_no


class LoopGuard:
    """Notices cursors and pages that come back, after any number of pages."""

    def __init__(self, start: PagingState) -> None:
        self._tokens: set[bytes] = set()
        self._pages: dict[bytes, int] = {}
        if start.digest:
            self._pages[bytes.fromhex(start.digest)] = start.pages

    def check_token(self, token: str | None, page_no: int) -> None:
        """Remember the name of a page that is about to be fetched.

        Raises:
            FatalError: PAGINATION_LOOP, it was fetched before.
        """
        if token is None:
            return
        digest = bytes.fromhex(digest_of(token))
        if digest in self._tokens:
            raise FatalError(
                Reason.PAGINATION_LOOP, f"the next page after page {page_no - 1} is one that was read before"
            )
        self._tokens.add(digest)

    def check_page(self, after: PagingState, place: PageToken) -> None:
        """Remember the content of a page that has items.

        Args:
            after: the position after it.
            place: where it was.

        Raises:
            PageRepeatedError: PAGINATION_LOOP, another page had the same items.
            FatalError: PAGINATION_LOOP, pages in a row had no new item.
        """
        key, page_no = bytes.fromhex(after.digest), after.pages
        first_no = self._pages.setdefault(key, page_no)
        if first_no != page_no:
            raise PageRepeatedError(page_no, first_no, _repeats(page_no, first_no, place))
        if after.evidence.stale_in_row > _STALE_PAGES_MAX:
            raise FatalError(
                Reason.PAGINATION_LOOP,
                f"page {page_no} and the {_STALE_PAGES_MAX} before it have no item that earlier pages had not: the source "
                "answers without an end",
            )


def _repeats(page_no: int, first_no: int, place: PageToken) -> str:
    text = f"page {page_no} has the same items as page {first_no}: "
    if token_of(place) is not None:
        behind = "cursor" if "cursor" in place else "address"
        return (
            f"{text}the source began again behind the {behind} that page {page_no - 1} gave. If that {behind} means the end, "
            "say so with options.pagination.stopPath and stopValue"
        )
    if (page_no, first_no) == (2, 1):
        return (
            f"{text}the source does not know the page parameters. Set options.pagination to what it has (options.preset "
            "does for APIs that it knows), or enabled to false if it has no pages"
        )
    return f"{text}the source begins again, or its pages are not what they should be"


class LimitGuard:
    """Holds one attempt within the service's own limits; a limit ends it as failed, and a retry continues from there."""

    def __init__(self, settings: Settings, clock: Clock, start: PagingState) -> None:
        self._settings = settings
        self._clock = clock
        self._start = start
        self._began_seconds = clock.monotonic_seconds()

    def check(self, position: PagingState) -> None:
        """Check before a page is fetched.

        Raises:
            RetryableError: SOURCE_LIMIT_REACHED (processing); the text names the setting.
        """
        settings = self._settings
        elapsed_seconds = self._clock.monotonic_seconds() - self._began_seconds
        for name, value, limit in (
            ("PAGES", position.pages - self._start.pages, settings.http_pages_max),
            ("ITEMS", position.items - self._start.items, settings.http_items_max),
            ("BYTES", position.bytes_read - self._start.bytes_read, settings.http_bytes_max),
            ("RUN_SECONDS", elapsed_seconds, settings.http_run_seconds_max),
        ):
            if value >= limit:
                raise RetryableError(
                    Reason.SOURCE_LIMIT_REACHED,
                    f"after page {position.pages} the limit TECHAURA_SYNC_HTTP_{name}_MAX ({limit:g}) was reached "
                    "before the source's last page; a retry goes on from there",
                    category=Category.PROCESSING,
                )
