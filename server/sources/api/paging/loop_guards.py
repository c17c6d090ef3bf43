"""What stops a reading that would never end, or would end wrongly: loops, contradictory totals, the service's limits.

The guards remember within one attempt, in memory that is bounded by the page limit (16 bytes a page). A resumed
attempt begins with the last page of the one before, so a loop is found at the latest one turn after a resume.
"""

from __future__ import annotations

import hashlib
from typing import Final

from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import FatalError, RetryableError
from server.core.reasons import Category, Reason
from server.sources.api.paging.counted import contradiction
from server.sources.api.paging.position import PagingState

_DIGEST_BYTES: Final = 16


def digest_of(text: str) -> str:
    """A short digest of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


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

    def check_page(self, digest: str, page_no: int) -> None:
        """Remember the content of a page that has items.

        Raises:
            FatalError: PAGINATION_LOOP, another page had exactly the same items.
        """
        key = bytes.fromhex(digest)
        if key in self._pages:
            raise FatalError(
                Reason.PAGINATION_LOOP,
                f"page {page_no} has the same items as page {self._pages[key]}: the source does not know the page "
                "parameters. Set options.pagination to what it has, or enabled to false if it has no pages",
            )
        self._pages[key] = page_no


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


def check_total(position: PagingState) -> None:
    """Compare the total that the source stated with what came, once its last page is read.

    A total that was always just the size of its own page is a page's count, whatever it is called.

    Raises:
        RetryableError: SOURCE_CHANGED, they differ.
    """
    if position.total is None or position.total == position.items or (position.total_is_count and position.pages > 1):
        return
    raise contradiction(
        f"the source said that it has {position.total} items, and {position.items} came; it changed meanwhile, or its "
        "pages are incomplete"
    )
