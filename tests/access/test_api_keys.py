"""Making and exchanging keys: all of it or nothing, and none that nobody can use."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath

import pytest

from db.engine import Database
from db.repositories import api_keys
from db.repositories.audit import list_entries
from server.access.api_keys import NewKey, create, revoke, rotate
from server.access.key_ring import KeyRing
from server.core.callers import EVERYTHING, Reach, Scope
from server.core.errors import InvalidRequestError
from tests.support.clock import FakeClock

MAX = 3


def new(name: str, *scopes: Scope, reach: Reach = EVERYTHING) -> NewKey:
    return NewKey(name, frozenset(scopes or (Scope.READ,)), reach, None)


async def let_in(database: Database, key: str) -> bool:
    ring = KeyRing(database, FakeClock(), keys_max=MAX, refresh_seconds=5)
    return await ring.caller_of(key) is not None


async def test_at_the_limit_a_key_can_still_be_exchanged(database: Database) -> None:
    old = [await create(database, new(f"n{number}"), MAX) for number in range(MAX)]
    with pytest.raises(InvalidRequestError, match="TECHAURA_SYNC_API_KEYS_MAX"):
        await create(database, new("one-more"), MAX)
    exchanged = [await rotate(database, f"n{number}", 3600, MAX) for number in range(MAX)]
    for key in (*old, *exchanged):
        assert await let_in(database, key)
    # Nobody could use it: nothing of a rotation that is refused is done.
    async with database.read() as connection:
        before = await api_keys.usable_keys(connection, 100)
    with pytest.raises(InvalidRequestError, match="revoke some"):
        await rotate(database, "n0", 60, MAX)
    async with database.read() as connection:
        assert await api_keys.usable_keys(connection, 100) == before


async def test_a_name_in_use_is_not_taken_by_another_key(database: Database) -> None:
    await create(database, new("bot", Scope.ADMIN), MAX)
    with pytest.raises(InvalidRequestError, match="is in use"):
        await create(database, new("bot"), MAX)
    assert await revoke(database, "bot") == 1
    assert await let_in(database, await create(database, new("bot"), MAX))


async def test_rotations_at_once_leave_one_key_that_lasts(database: Database) -> None:
    await create(database, new("bot", Scope.OPERATE), 10)
    made = await asyncio.gather(*(rotate(database, "bot", 3600, 10) for _ in range(4)))
    async with database.read() as connection:
        usable = await api_keys.usable_keys(connection, 100)
    assert len(usable) == 5
    assert [key.expires_at_ms is None for key in usable] == [False] * 4 + [True]
    assert {key.scopes for key in usable} == {"operate"}
    for key in made:
        assert await let_in(database, key)


async def test_what_is_done_with_keys_is_in_the_audit(database: Database) -> None:
    await create(database, new("bot"), MAX)
    await rotate(database, "bot", 3600, MAX)
    await revoke(database, "bot")
    async with database.read() as connection:
        found = [(entry.method, entry.detail) for entry in await list_entries(connection, limit=10)]
    assert found == [("RevokeApiKey", "bot"), ("RotateApiKey", "bot"), ("CreateApiKey", "bot")]


async def test_a_root_behind_a_link_is_refused_with_where_it_leads(database: Database, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    for root in (link, link / "deep"):
        with pytest.raises(InvalidRequestError, match="real"):
            await create(database, new("bot", reach=Reach(roots=(PurePosixPath(root),))), MAX)
    await create(database, new("bot", reach=Reach(roots=(PurePosixPath(real.resolve()),))), MAX)
