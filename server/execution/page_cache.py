"""The kept pages of one run (sources.kept_pages.KeptPages) in the database: compressed, sealed, and within bounds.

Kept pages can be lost at any time without harm: the page is then requested in full. So a page is left out when
there is no room, and nothing is kept together with anything else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import zstandard

from db.engine import Database
from db.repositories import kept_pages
from db.repositories.kept_pages import Held, KeptRow, PageScope
from server.core.config import Settings
from server.core.secret_box import SecretBox
from server.sources.page_cache import KeptPage, Validators

# Far below max_allowed_packet (16 MB at least); a page that is larger than a statement may be is not kept.
_STATEMENT_BYTES_MAX: Final = 4 * 1024 * 1024
_STATEMENT_BYTES: Final = 1024 * 1024
_KEYS_AT_ONCE: Final = 500
_LEVEL: Final = 3


class StoredPages:
    """The kept pages of the source and the options of a run.

    Args:
        box: seals the pages, since a source may say a secret back in them; its key also makes the digests.
    """

    def __init__(self, database: Database, settings: Settings, run_id: int, box: SecretBox) -> None:
        self._database = database
        self._settings = settings
        self._run_id = run_id
        self._box = box
        self._found: PageScope | None = None

    def page_key_of(self, asked: Mapping[str, str]) -> str:
        """A keyed digest."""
        return self._box.digest(asked)

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

    async def get(self, key: str) -> KeptPage | None:
        """A page, or None when it is no longer kept.

        Raises:
            DatabaseError
        """
        scope = await self._scope()
        async with self._database.read() as connection:
            row = await kept_pages.get(connection, scope, key)
        packed = self._box.open_bytes(row.content) if row is not None else None
        if row is None or packed is None:
            return None
        headers, _, body = zstandard.ZstdDecompressor().decompress(packed).partition(b"\n")
        return KeptPage(Validators(row.etag, row.last_modified), json.loads(headers), body)

    async def put(self, pages: Mapping[str, KeptPage]) -> None:
        """Keep pages, as far as there is room.

        Raises:
            DatabaseError
        """
        scope = await self._scope()
        rows = await asyncio.to_thread(self._rows, pages)
        for group in _groups(rows):
            async with self._database.write() as connection:
                if not self._has_room(await kept_pages.held(connection, scope.source_key), group):
                    # Pages kept under other options, for example under an old token.
                    await kept_pages.forget_others(connection, scope)
                    if not self._has_room(await kept_pages.held(connection, scope.source_key), group):
                        return
                await kept_pages.put(connection, scope, group)

    async def delete(self, keys: Collection[str] | None = None) -> None:
        """Forget some pages, or all of the scope.

        Raises:
            DatabaseError
        """
        scope = await self._scope()
        ordered = [] if keys is None else sorted(keys)
        parts = [ordered[first : first + _KEYS_AT_ONCE] for first in range(0, len(ordered), _KEYS_AT_ONCE)]
        for part in [None] if keys is None else parts:
            async with self._database.write() as connection:
                await kept_pages.delete_pages(connection, scope, part)

    def _has_room(self, held: Held, group: list[KeptRow]) -> bool:
        size_bytes = held.size_bytes + sum(len(row.content) for row in group)
        settings = self._settings
        return size_bytes <= settings.http_kept_bytes_max and held.count + len(group) <= settings.http_kept_pages_max

    def _rows(self, pages: Mapping[str, KeptPage]) -> list[KeptRow]:
        compressor = zstandard.ZstdCompressor(level=_LEVEL)
        rows = []
        for key, page in pages.items():
            packed = compressor.compress(json.dumps(page.headers).encode("ascii") + b"\n" + page.body)
            validators = page.validators
            rows.append(KeptRow(key, validators.etag, validators.last_modified, self._box.seal_bytes(packed)))
        return rows

    async def _scope(self) -> PageScope:
        if self._found is None:
            async with self._database.read() as connection:
                self._found = await kept_pages.scope_of(connection, self._run_id)
        return self._found


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
