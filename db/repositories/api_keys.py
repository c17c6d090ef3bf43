"""sync_api_keys: who may call. The keys themselves are stored nowhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, insert, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import now_ms
from db.schema import sync_api_keys

_K = sync_api_keys.c


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key.

    Args:
        key_id: the part of the key by which it is found; no secret.
        name: of its caller; several keys may have the same one, while one takes the place of another.
        digest: SHA-256 of the key, in hex.
        scopes: names of scopes, separated by blanks.
        reach: what the key is narrowed to; None for everything.
        expires_at_ms, revoked_at_ms, used_at_ms: in the database's clock; None for never.
    """

    key_id: str
    name: str
    digest: str
    scopes: str
    reach: Mapping[str, Any] | None = None
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None
    used_at_ms: int | None = None


async def insert_key(connection: AsyncConnection, key: ApiKey, *, lifetime_ms: int | None) -> None:
    """Store a key.

    Args:
        lifetime_ms: it expires so long from now; None for never.
    """
    values: dict[str, Any] = {
        "key_id": key.key_id,
        "name": key.name,
        "digest": key.digest,
        "scopes": key.scopes,
        "reach": key.reach,
        "expires_at_ms": None if lifetime_ms is None else now_ms() + lifetime_ms,
    }
    await connection.execute(insert(sync_api_keys).values(values))


async def ended_keys(connection: AsyncConnection, limit: int) -> list[ApiKey]:
    """Keys that let in nobody any more, newest first."""
    query = select(sync_api_keys).where(not_(and_(*_is_usable()))).order_by(_K.id.desc()).limit(limit)
    return [_key(row) for row in await connection.execute(query)]


async def usable_keys(connection: AsyncConnection, limit: int) -> list[ApiKey]:
    """The keys that let in now, oldest first."""
    query = select(sync_api_keys).where(*_is_usable()).order_by(_K.id).limit(limit)
    return [_key(row) for row in await connection.execute(query)]


async def database_now_ms(connection: AsyncConnection) -> int:
    """The time by which keys expire."""
    return int((await connection.execute(select(now_ms()))).scalar_one())


async def revoke(connection: AsyncConnection, name_or_id: str) -> int:
    """Let nobody in any more by the keys of this name, or by the one of this id; return how many that were."""
    result = await connection.execute(
        update(sync_api_keys).where(_named(name_or_id), *_is_usable()).values(revoked_at_ms=now_ms())
    )
    return result.rowcount


async def lock_name(connection: AsyncConnection, name: str) -> None:
    """Hold the keys of a name until the transaction ends: who rotates them as well waits."""
    await connection.execute(select(_K.id).where(_K.name == name).with_for_update())


async def expire(connection: AsyncConnection, name: str, lifetime_ms: int) -> None:
    """Let the usable keys of this name expire so long from now, if they would not earlier."""
    at = now_ms() + lifetime_ms
    later = or_(_K.expires_at_ms.is_(None), _K.expires_at_ms > at)
    await connection.execute(
        update(sync_api_keys).where(_K.name == name, *_is_usable(), later).values(expires_at_ms=at)
    )


async def note_use(connection: AsyncConnection, key_ids: Collection[str]) -> None:
    """Keep when these keys were last used."""
    await connection.execute(update(sync_api_keys).where(_K.key_id.in_(key_ids)).values(used_at_ms=now_ms()))


def _is_usable() -> tuple[ColumnElement[bool], ...]:
    return _K.revoked_at_ms.is_(None), or_(_K.expires_at_ms.is_(None), _K.expires_at_ms > now_ms())


def _named(name_or_id: str) -> ColumnElement[bool]:
    return or_(_K.name == name_or_id, _K.key_id == name_or_id)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        name=row.name,
        digest=row.digest,
        scopes=row.scopes,
        reach=row.reach,
        expires_at_ms=row.expires_at_ms,
        revoked_at_ms=row.revoked_at_ms,
        used_at_ms=row.used_at_ms,
    )
