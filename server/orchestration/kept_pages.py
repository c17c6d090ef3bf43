"""The kept pages of one run (sources.kept_pages.KeptPages) in the database: compressed, and within bounds.

Whatever is kept can be lost at any time without harm: the page is then asked for in full. So a page is left out where
there is no room, and nothing is kept together with anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

import zstandard

from db.engine import Database
from db.repositories import kept_pages
from db.repositories.kept_pages import KeptRow, PageScope
from server.core.config import Settings
from server.sources.kept_pages import KeptPage, Validators

# Far below max_allowed_packet (16 MB at the least); a page that is larger than a statement may be is not kept.
_STATEMENT_BYTES_MAX: Final = 4 * 1024 * 1024
_STATEMENT_BYTES: Final = 1024 * 1024
_KEYS_AT_ONCE: Final = 500
_LEVEL: Final = 3


class StoredPages:
    """The kept pages of the source and the options of a run.

    Args:
        digest: a keyed digest of a document.
    """

    def __init__(
        self, database: Database, settings: Settings, run_id: int, digest: Callable[[Mapping[str, str]], str]
    ) -> None:
        self._database = database
        self._settings = settings
        self._run_id = run_id
        self._digest = digest
        self._found: PageScope | None = None

    def key_of(self, asked: Mapping[str, str]) -> str:
        """A keyed digest."""
        return self._digest(asked)

    async def known(self) -> Mapping[str, Validators]:
        """Every kept page that is not too old.

        Raises:
            DatabaseError
        """
        scope, settings = await self._scope(), self._settings
        async with self._database.read() as connection:
            rows = await kept_pages.known(
                connection,
                scope,
                age_minutes=settings.http_kept_page_days_max * 24 * 60,
                limit=settings.http_kept_pages_max,
            )
        return {key: Validators(etag, last_modified) for key, etag, last_modified in rows}

    async def recall(self, key: str) -> KeptPage | None:
        """A page, or None when it is no longer kept.

        Raises:
            DatabaseError
        """
        scope = await self._scope()
        async with self._database.read() as connection:
            row = await kept_pages.recall(connection, scope, key)
        if row is None:
            return None
        body = zstandard.ZstdDecompressor().decompress(row.content)
        return KeptPage(Validators(row.etag, row.last_modified), row.headers, body)

    async def keep(self, pages: Mapping[str, KeptPage]) -> None:
        """Keep pages, as far as there is room.

        Raises:
            DatabaseError
        """
        scope, settings = await self._scope(), self._settings
        rows = await asyncio.to_thread(_rows, pages)
        for group in _groups(rows):
            async with self._database.write() as connection:
                held = await kept_pages.held(connection, scope)
                size_bytes = held.size_bytes + sum(len(row.content) for row in group)
                if size_bytes > settings.http_kept_bytes_max or held.count + len(group) > settings.http_kept_pages_max:
                    return
                await kept_pages.keep(connection, scope, group)

    async def forget(self, keys: Collection[str] | None = None) -> None:
        """Forget some pages, or all of the scope.

        Raises:
            DatabaseError
        """
        scope = await self._scope()
        ordered = [] if keys is None else sorted(keys)
        parts = [ordered[first : first + _KEYS_AT_ONCE] for first in range(0, len(ordered), _KEYS_AT_ONCE)]
        for part in [None] if keys is None else parts:
            async with self._database.write() as connection:
                await kept_pages.forget(connection, scope, part)

    async def _scope(self) -> PageScope:
        if self._found is None:
            async with self._database.read() as connection:
                self._found = await kept_pages.scope_of(connection, self._run_id)
        return self._found


def _rows(pages: Mapping[str, KeptPage]) -> list[KeptRow]:
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return [
        KeptRow(
            key,
            page.validators.etag,
            page.validators.last_modified,
            dict(page.headers),
            compressor.compress(page.body),
        )
        for key, page in pages.items()
    ]


def _groups(rows: Sequence[KeptRow]) -> Iterator[list[KeptRow]]:
    """Rows for one statement each."""
    group: list[KeptRow] = []
    size_bytes = 0
    for row in rows:
        if len(row.content) > _STATEMENT_BYTES_MAX:
            continue
        if group and size_bytes + len(row.content) > _STATEMENT_BYTES:
            yield group
            group, size_bytes = [], 0
        group.append(row)
        size_bytes += len(row.content)
    if group:
        yield group
