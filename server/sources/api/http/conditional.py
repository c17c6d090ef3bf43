"""Asks for pages only if they have changed (RFC 9110, 13), and reads a page that has not from what was kept of it.

A page that the source calls unchanged (304) goes the way of every page, from its kept body on: its rows are compared
with the table, mirrored and refreshed like any others, and nothing rests on what an earlier run has written. What is
saved is the source's work, its rate limit and the network; rows that are as they should be cost no write in any case.

A page is kept once it was read without a fault, the last one of a paged source not at all, and only where its validators can be trusted: with an ETag, or with a
Last-Modified at least a minute before the response (RFC 9110, 8.8.2.2: one second may see two changes), which a mirror
does not trust at all. Pages are forgotten when a whole walk does not come by them, when a run finds fault with what its
source sends, and after some days (TECHAURA_SYNC_HTTP_KEPT_PAGE_DAYS_MAX), so that a source with wrong validators is
read in full again and again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from server.sources.api.http.backoff import Backoff
from server.sources.api.http.client import Answer, ApiClient, PageRequest
from server.sources.api.http.paging_headers import is_paging_header
from server.sources.page_cache import KeptPage, PageCache, Validators

_VALIDATOR_CHARS_MAX: Final = 500
# RFC 9110, 8.8.3. What is no such tag, `*` above all, would be a condition of another kind.
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]+"')
_LAST_MODIFIED_AGE_MIN: Final = timedelta(seconds=60)
# Kept together in one transaction: few enough to be held in memory, many enough not to pay for one per page.
_TOGETHER_PAGES_MAX: Final = 50
_TOGETHER_BYTES_MAX: Final = 4 * 1024 * 1024


class ConditionalPages:
    """The pages of one walk.

    Args:
        client: fetches them.
        kept: what earlier walks have kept, and where this one keeps.
        sent: the secrets that requests carry: a page is kept for those only.
        cursor_header: a header that names the next page, beside those that are always kept; empty for none.
        tags_only: whether Last-Modified alone is not trusted: a row that was deleted often leaves it as it was.
    """

    def __init__(
        self,
        client: ApiClient,
        kept: PageCache,
        sent: Mapping[str, str],
        cursor_header: str = "",
        *,
        tags_only: bool = False,
    ) -> None:
        self._client = client
        self._kept = kept
        self._sent = dict(sent)
        self._tags_only = tags_only
        self._cursor_header = cursor_header.lower()
        self._known: Mapping[str, Validators] | None = None
        self._unchanged: set[str] = set()
        self._met: set[str] = set()
        self._new: dict[str, KeptPage] = {}
        self._new_bytes = 0

    @property
    def unchanged_count(self) -> int:
        """Pages so far that the source did not send again."""
        return len(self._unchanged)

    def spoken(self) -> Collection[str]:
        """The secrets that requests carry, in every form in which a source may say them back."""
        return self._client.spoken()

    def backoff(self) -> Backoff:
        """The patience for one page."""
        return self._client.backoff()

    def at_once(self, wanted: int) -> int:
        """How many pages may be asked for at once, of as many as are wanted."""
        return self._client.at_once(wanted)

    async def fetch(self, request: PageRequest, label: str, *, is_alone: bool = True) -> Answer:
        """A page, sent or kept.

        Args: see ApiClient.fetch.

        Raises:
            RetryableError, FatalError: see ApiClient.fetch.
            DatabaseError: what is kept cannot be read.
        """
        if request.method != "GET":
            return await self._client.fetch(request, label, is_alone=is_alone)
        if self._known is None:
            self._known = await self._kept.known()
        key = self._key(request)
        validators = self._known.get(key)
        if validators is not None:
            conditional = replace(request, conditions=_conditions(validators))
            answer = await self._client.fetch(conditional, label, is_alone=is_alone)
            page = await self._kept.get(key) if answer.status == 304 else None
            if page is not None:
                self._unchanged.add(key)
                # The type of the content is that of the kept body: many servers put another one on an empty answer.
                headers = {**page.headers, **self._paging_headers(answer)}
                return Answer(200, headers, page.body, answer.url, is_kept=True)
            if answer.status != 304:
                return answer
        return await self._client.fetch(request, label, is_alone=is_alone)

    async def remember(self, request: PageRequest, answer: Answer, *, is_last: bool) -> None:
        """Say that a page was read without a fault; keep it, if it may be.

        Args:
            is_last: whether the source called it its last one, and it has items. Such a page is asked for in full each
                time: where a header names the next page, the validators need not change when there is one.

        Raises:
            DatabaseError
        """
        key = self._key(request)
        self._met.add(key)
        if request.method != "GET" or key in self._unchanged or is_last:
            return
        validators = _validators(answer)
        if validators is None or (self._tags_only and not validators.etag):
            return
        headers = {"content-type": answer.headers.get("content-type", ""), **self._paging_headers(answer)}
        self._new[key] = KeptPage(validators, headers, answer.body)
        self._new_bytes += len(answer.body)
        if len(self._new) >= _TOGETHER_PAGES_MAX or self._new_bytes >= _TOGETHER_BYTES_MAX:
            await self._flush()

    async def finish(self, *, is_whole: bool) -> None:
        """The walk has ended well.

        Args:
            is_whole: it went from the first page to the source's last, so that what it did not come by is no more.

        Raises:
            DatabaseError
        """
        await self._flush()
        gone = set(self._known or ()) - self._met if is_whole else set()
        if gone:
            await self._kept.delete(gone)

    async def forget(self) -> None:
        """What the source sends is wrong: the next walk asks for everything.

        Raises:
            DatabaseError
        """
        self._new.clear()
        await self._kept.delete()

    async def _flush(self) -> None:
        pages, self._new, self._new_bytes = self._new, {}, 0
        if pages:
            await self._kept.put(pages)

    def _paging_headers(self, answer: Answer) -> dict[str, str]:
        """What paging reads; a 304 that repeats one of these tells its present value."""
        return {
            name: value
            for name, value in answer.headers.items()
            if name == self._cursor_header or is_paging_header(name)
        }

    def _key(self, request: PageRequest) -> str:
        return self._kept.page_key_of({**self._sent, "url": request.url})


def _conditions(validators: Validators) -> dict[str, str]:
    found = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {name: value for name, value in found.items() if value}


def _validators(answer: Answer) -> Validators | None:
    """What the page may be asked for by; None where it must not be kept."""
    headers = answer.headers
    directives = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    if answer.status != 200 or "no-store" in directives or "*" in headers.get("vary", ""):
        return None
    etag, last_modified = headers.get("etag", ""), headers.get("last-modified", "")
    if max(len(etag), len(last_modified)) > _VALIDATOR_CHARS_MAX or (etag and not _ENTITY_TAG.fullmatch(etag)):
        return None
    if not etag and not _is_settled(last_modified, headers.get("date", "")):
        return None
    return Validators(etag, last_modified)


def _is_settled(last_modified: str, date: str) -> bool:
    """Whether the last change lies so far back that another one would have got another time."""
    try:
        return parsedate_to_datetime(date) - parsedate_to_datetime(last_modified) >= _LAST_MODIFIED_AGE_MIN
    except (ValueError, TypeError):
        return False
