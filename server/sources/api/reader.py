"""Reads a REST API as batches of text columns: `open_api`.

Pages are fetched by a task of their own while the batch before is written: at most one batch waits, one is being made.
A batch ends at a page's end, once it has enough rows or bytes or is old enough; its position is the page after it, so a
resumed run begins with the first page that was not committed. When a page fails, the pages before it are handed over
first, then the error. Closing ends the task and the connections; nothing is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final
from urllib.parse import urlsplit

from server.core.errors import FatalError, SyncError
from server.core.listening import is_local
from server.core.reasons import Reason
from server.sources.api import urls
from server.sources.api.batch_builder import PageGatherer
from server.sources.api.http.address_guard import AddressGuard
from server.sources.api.http.client import ApiClient
from server.sources.api.http.conditional import ConditionalPages
from server.sources.api.http.credentials import Credentials, credentials
from server.sources.api.item_keys import KeysOfItems
from server.sources.api.item_mapper import ItemMapper
from server.sources.api.options import ApiOptions, OAuth2Auth
from server.sources.api.paging.choose import choose_paging
from server.sources.api.paging.page_iterator import PageIterator
from server.sources.api.paging.position import PagingState
from server.sources.contract import SourceBatch, SourceContext, SourceInfo
from server.sources.page_cache import NoPages
from server.sources.redaction import HIDDEN, without_secrets
from server.sources.source_type import Reveal
from server.targets.registry import find_target

_BATCH_BYTES: Final = 8 * 1024 * 1024
_BATCH_SECONDS: Final = 5.0
_BATCHES_WAITING_MAX: Final = 1


async def check_api(identifier: str, options: ApiOptions, context: SourceContext) -> None:
    """Check a request without the network, before it is stored.

    Raises:
        InvalidRequestError: INVALID_REQUEST or SOURCE_FORBIDDEN, with the reason.
    """
    urls.check_url(identifier)
    guard = AddressGuard.from_settings(context.settings)
    guard.check_url(identifier)
    if isinstance(options.auth, OAuth2Auth):
        guard.check_url(options.auth.token_url, field="options.auth.tokenUrl")


async def open_api(identifier: str, options: ApiOptions, context: SourceContext, reveal: Reveal) -> ApiReader:
    """Open a source for one run. Asks nothing of the network yet.

    Args:
        identifier: the URL.
        reveal: opens a secret that is sent to a URL; called once for each of them.

    Raises:
        InvalidRequestError: the URL is not acceptable.
        FatalError: SECRET_UNAVAILABLE, a secret cannot be opened.
    """
    await check_api(identifier, options, context)
    opened = credentials(identifier, options, reveal)
    for secret in opened.spoken:
        context.secret_seen(secret)
    # From here on with secrets in clear, as it goes out.
    options = options.model_copy(update={"body": opened.body})
    client = ApiClient(identifier, opened, context, requests_per_second=options.requests_per_second or 0.0)
    kept = context.kept_pages if options.conditional else NoPages()
    pages = ConditionalPages(
        client, kept, opened.sent, options.pagination.cursor_header or "", tags_only=options.mode == "mirror"
    )
    target = find_target(options.target_table)
    mapper = ItemMapper(target, options.field_mapping, options.constants, options.numbers.format.decimal)
    paging = choose_paging(options, identifier, opened.secrets)
    keys_of = KeysOfItems(target, mapper).of
    walk = PageIterator(identifier, options, paging, pages, context, keys_of)
    return ApiReader(identifier, walk, mapper, client, context, opened)


class ApiReader:
    """An opened API (server.sources.contract.SourceReader)."""

    def __init__(
        self,
        identifier: str,
        walk: PageIterator,
        mapper: ItemMapper,
        client: ApiClient,
        context: SourceContext,
        opened: Credentials,
    ) -> None:
        self._identifier = identifier
        self._walk = walk
        self._mapper = mapper
        self._client = client
        self._context = context
        self._opened = opened
        self._masked = 0
        self._tasks: set[asyncio.Task[None]] = set()
        # Of a run that goes on nobody knows here what its first items had.
        self._from_start = False

    @property
    def info(self) -> SourceInfo:
        """The columns; an API has no fingerprint before it is read."""
        return SourceInfo(columns=self._mapper.columns, fingerprint="")

    async def batches(self, after: Mapping[str, Any] | None, first_batch_no: int) -> AsyncGenerator[SourceBatch, None]:
        """Yield the batches after a position.

        Raises:
            RetryableError, FatalError: a page failed; the pages before it were yielded.
        """
        self._from_start = after is None
        start = self._walk.start() if after is None else _position(after)
        queue: asyncio.Queue[SourceBatch | Exception | None] = asyncio.Queue(_BATCHES_WAITING_MAX)
        # No TaskGroup, which must not span a yield: a consumer that stops early may close this generator in another
        # task. The reader owns the task and ends it; its faults come through the queue.
        task = asyncio.create_task(self._produce(start, first_batch_no, queue))
        self._tasks.add(task)
        try:
            while (made := await queue.get()) is not None:
                if isinstance(made, Exception):
                    raise made
                yield made
        finally:
            await self._end(task)

    async def content_digest(self) -> str:
        """None: an API is known only by fetching it."""
        return ""

    @property
    def at_end(self) -> bool:
        """Whether the source said that the last page that was read is its last."""
        return self._walk.at_end

    def detected(self) -> dict[str, str]:
        """How the last page that was read was made up and paged, as short texts."""
        return self._walk.detected

    def notices(self) -> tuple[str, ...]:
        """What a person should know about the reading so far."""
        notices = (*self._walk.notices, *self._clear_text_notice())
        if self._masked:
            items = "1 item" if self._masked == 1 else f"{self._masked} items"
            notices = (*notices, f"the source said a secret back in {items}; there it was stored as {HIDDEN}")
        shown = (without_secrets(notice, self._never_shown()) for notice in notices)
        return (*shown, *(self._mapper.notices() if self._from_start else ()))

    def doubts(self) -> tuple[str, ...]:
        """Why items that did not come may be in the source all the same."""
        return tuple(without_secrets(doubt, self._never_shown()) for doubt in self._walk.doubts)

    def came_in_parts(self) -> bool:
        """Whether there was more than one page."""
        return self._walk.page_count > 1

    async def close(self) -> None:
        """End the fetching and close the connections. Safe to call twice."""
        for task in tuple(self._tasks):
            await self._end(task)
        await self._client.close()

    async def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self._tasks.discard(task)

    async def _produce(
        self, start: PagingState, batch_no: int, queue: asyncio.Queue[SourceBatch | Exception | None]
    ) -> None:
        """Fill the queue; the last thing put is None (the end) or the error that ended the walk."""
        pages = self._gatherer()
        ending: Exception | None = None
        began_seconds = self._context.clock.monotonic_seconds()
        try:
            async with aclosing(self._walk.pages(start)) as walk:
                async for page in walk:
                    pages.add(page)
                    if self._is_full(pages, began_seconds):
                        await queue.put(self._made(pages, batch_no))
                        pages, batch_no = self._gatherer(), batch_no + 1
                        began_seconds = self._context.clock.monotonic_seconds()
        except SyncError as error:
            ending = error
            # An address in it may hold what the source put there.
            error.message = without_secrets(error.message, self._never_shown())
            error.args = (error.message,)
        except Exception as error:  # noqa: BLE001 - a fault of ours; the consumer must get it, or it would wait forever
            ending = error
        # Pages without items change nothing: a resume asks for the last one again.
        try:
            if pages.items:
                await queue.put(self._made(pages, batch_no))
        except Exception as error:  # noqa: BLE001 - as above; what ended the walk comes first
            ending = ending or error
        await queue.put(ending)

    def _clear_text_notice(self) -> tuple[str, ...]:
        """Whether what proves who asks went over the network for all to read. On this machine nobody reads along."""
        grant = self._opened.grant
        urls = [self._identifier, *([grant.token_url] if grant else [])]
        hosts = sorted({urlsplit(url).hostname or "" for url in urls if urlsplit(url).scheme == "http"})
        open_hosts = [host for host in hosts if not is_local(host)]
        if not open_hosts or not (self._opened.never_stored or grant):
            return ()
        return (f"the credentials went to {' and '.join(open_hosts)} over http, for all on the way to read; use https",)

    def _never_shown(self) -> frozenset[str]:
        return self._opened.never_stored | self._client.granted

    def _gatherer(self) -> PageGatherer:
        return PageGatherer(self._mapper, self._never_shown)

    def _made(self, pages: PageGatherer, batch_no: int) -> SourceBatch:
        self._masked += pages.masked
        return pages.batch(batch_no)

    def _is_full(self, pages: PageGatherer, began_seconds: float) -> bool:
        return pages.items > 0 and (
            pages.items >= self._context.settings.http_batch_rows
            or pages.size_bytes >= _BATCH_BYTES
            or self._context.clock.monotonic_seconds() - began_seconds >= _BATCH_SECONDS
        )


def _position(document: Mapping[str, Any]) -> PagingState:
    try:
        return PagingState.from_json(document)
    except (KeyError, ValueError, TypeError) as error:
        raise FatalError(
            Reason.INTERNAL, "the checkpoint of this run cannot be read; trigger the sync again"
        ) from error
