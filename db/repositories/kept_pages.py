"""sync_kept_pages: pages of APIs as they were sent, by source, options and page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select, tuple_
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import minutes_before_now, now
from db.schema import sync_kept_pages, sync_runs

_P = sync_kept_pages.c


@dataclass(frozen=True, slots=True)
class KeptRow:
    """One row.

    Args:
        content: the page, compressed and sealed.
    """

    page_key: str
    etag: str
    last_modified: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """How many pages and bytes are kept."""

    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PageScope:
    """Whose pages: those of one source with one set of options."""

    source_key: str
    options_digest: str

    def where(self) -> ColumnElement[bool]:
        """Its rows."""
        return and_(_P.source_key == self.source_key, _P.options_digest == self.options_digest)


async def scope_of(connection: AsyncConnection, run_id: int) -> PageScope:
    """The scope of a run."""
    keys = select(sync_runs.c.source_key, sync_runs.c.options_digest).where(sync_runs.c.id == run_id)
    row = (await connection.execute(keys)).one()
    return PageScope(row.source_key or "", row.options_digest or "")


async def known(
    connection: AsyncConnection, scope: PageScope, *, age_minutes: int, limit: int
) -> Sequence[tuple[str, str, str]]:
    """Key, ETag and Last-Modified of each page that is younger than `age_minutes`."""
    rows = await connection.execute(
        select(_P.page_key, _P.etag, _P.last_modified)
        .where(scope.where(), _P.kept_at > minutes_before_now(age_minutes))
        .limit(limit)
    )
    return [(row.page_key, row.etag, row.last_modified) for row in rows]


async def held(connection: AsyncConnection, source_key: str) -> Held:
    """What is kept of a source, with whichever options."""
    total = select(func.count(), func.coalesce(func.sum(_P.content_bytes), 0)).where(_P.source_key == source_key)
    count, size_bytes = (await connection.execute(total)).one()
    return Held(int(count), int(size_bytes))


async def get(connection: AsyncConnection, scope: PageScope, page_key: str) -> KeptRow | None:
    """One page, or None."""
    row = (
        await connection.execute(select(sync_kept_pages).where(scope.where(), _P.page_key == page_key))
    ).one_or_none()
    return None if row is None else KeptRow(row.page_key, row.etag, row.last_modified, row.content)


async def put(connection: AsyncConnection, scope: PageScope, rows: Sequence[KeptRow]) -> None:
    """Keep pages in place of what stands under their keys."""
    values = [
        {
            "source_key": scope.source_key,
            "options_digest": scope.options_digest,
            "page_key": row.page_key,
            "etag": row.etag,
            "last_modified": row.last_modified,
            "content": row.content,
            "content_bytes": len(row.content),
            "kept_at": now(),
        }
        for row in rows
    ]
    names = ("etag", "last_modified", "content", "content_bytes", "kept_at")
    insert: Any
    if connection.dialect.name == "sqlite":
        insert = sqlite.insert(sync_kept_pages).values(values)
        keys = ["source_key", "options_digest", "page_key"]
        insert = insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in names})
    else:
        insert = mysql.insert(sync_kept_pages).values(values)
        insert = insert.on_duplicate_key_update({name: insert.inserted[name] for name in names})
    await connection.execute(insert)


async def delete_pages(connection: AsyncConnection, scope: PageScope, page_keys: Collection[str] | None) -> None:
    """Forget some pages of a scope, or all of them."""
    which = scope.where() if page_keys is None else and_(scope.where(), _P.page_key.in_(page_keys))
    await connection.execute(delete(sync_kept_pages).where(which))


async def forget_others(connection: AsyncConnection, scope: PageScope) -> None:
    """Forget the pages of a source with other options."""
    others = and_(_P.source_key == scope.source_key, _P.options_digest != scope.options_digest)
    await connection.execute(delete(sync_kept_pages).where(others))


async def forget_before(connection: AsyncConnection, *, age_minutes: int, limit: int) -> int:
    """Forget pages that are older, of whichever source; return how many."""
    keys = (_P.source_key, _P.options_digest, _P.page_key)
    old = select(*keys).where(_P.kept_at < minutes_before_now(age_minutes)).limit(limit)
    found = [tuple(row) for row in await connection.execute(old)]
    if found:
        await connection.execute(delete(sync_kept_pages).where(tuple_(*keys).in_(found)))
    return len(found)
