"""Keys in memory: what is let in, how often the database is asked, and what happens when it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.errors import TransientDatabaseError
from db.repositories import api_keys
from server.access.api_keys import NewKey, create, rotate
from server.access.key_ring import KeyRing
from server.core.callers import EVERYTHING, Reach, Scope
from tests.support.clock import FakeClock

REFRESH_SECONDS = 5.0


class Watched:
    """A database that counts what it is asked, and can be away."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.reads = 0
        self.is_away = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        self.reads += 1
        if self.is_away:
            raise TransientDatabaseError("the database is away")
        async with self.database.read() as connection:
            yield connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


@pytest.fixture
def watched(database: Database) -> Watched:
    return Watched(database)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ring(watched: Watched, clock: FakeClock) -> KeyRing:
    return KeyRing(watched, clock, keys_max=100, refresh_seconds=REFRESH_SECONDS)  # type: ignore[arg-type]


async def key(database: Database, name: str = "bot", *, reach: Reach = EVERYTHING, seconds: float | None = None) -> str:
    return await create(database, NewKey(name, frozenset({Scope.READ}), reach, seconds), 100)


async def test_a_key_lets_in_its_caller_with_its_reach(database: Database, ring: KeyRing) -> None:
    reach = Reach(sources=("shop/*",), secrets=frozenset({"SOURCE_X"}))
    made = await key(database, reach=reach)
    caller = await ring.caller_of(made)
    assert caller is not None
    assert (caller.name, caller.scopes, caller.reach) == ("bot", frozenset({Scope.READ}), reach)


async def test_a_new_key_lets_in_at_once_and_a_revoked_one_for_the_refresh_at_the_most(
    database: Database, ring: KeyRing, clock: FakeClock
) -> None:
    first = await key(database, "first")
    assert await ring.caller_of(first) is not None
    second = await key(database, "second")
    assert await ring.caller_of(second) is not None
    async with database.write() as connection:
        assert await api_keys.revoke(connection, "first") == 1
    clock.move(REFRESH_SECONDS + 0.1)
    assert await ring.caller_of(first) is None
    assert await ring.caller_of(second) is not None


async def test_good_and_bad_keys_cost_no_query_each(database: Database, watched: Watched, ring: KeyRing) -> None:
    made = await key(database)
    assert await ring.caller_of(made) is not None
    before = watched.reads
    for _call in range(100):
        assert await ring.caller_of(made) is not None
        assert await ring.caller_of("tas_x") is None
    assert watched.reads == before
    # Such as could be keys: asked at once, they share a look, or two where some came while the first was made.
    unknown = [f"tas_{number:012x}_{'0' * 64}" for number in range(100)]
    assert set(await asyncio.gather(*(ring.caller_of(one) for one in unknown))) == {None}
    assert before < watched.reads <= before + 2


async def test_while_the_database_is_away_known_keys_let_in_for_a_while(
    database: Database, watched: Watched, ring: KeyRing, clock: FakeClock
) -> None:
    made = await key(database)
    assert await ring.caller_of(made) is not None
    watched.is_away = True
    clock.move(60)
    assert await ring.caller_of(made) is not None
    clock.move(300)
    with pytest.raises(TransientDatabaseError):
        await ring.caller_of(made)
    watched.is_away = False
    clock.move(REFRESH_SECONDS + 1)
    assert await ring.caller_of(made) is not None


async def test_a_rotated_key_keeps_its_scopes_reach_and_end(database: Database, ring: KeyRing) -> None:
    reach = Reach(sources=("shop/*",))
    old = await key(database, reach=reach, seconds=3600)
    new = await rotate(database, "bot", 60, 100)
    for one in (old, new):
        caller = await ring.caller_of(one)
        assert caller is not None
        assert (caller.scopes, caller.reach) == (frozenset({Scope.READ}), reach)
    async with database.read() as connection:
        oldest, newest = await api_keys.usable_keys(connection, 10)
        now_ms = await api_keys.database_now_ms(connection)
    assert newest.expires_at_ms is not None
    assert oldest.expires_at_ms is not None
    assert 0 < oldest.expires_at_ms - now_ms <= 60_000 < newest.expires_at_ms - now_ms <= 3_600_000


async def test_the_last_use_of_a_key_is_noted(database: Database, ring: KeyRing, clock: FakeClock) -> None:
    used, _unused = await key(database, "used"), await key(database, "unused")
    assert await ring.caller_of(used) is not None
    clock.move(REFRESH_SECONDS + 1)
    assert await ring.caller_of(used) is not None
    async with database.read() as connection:
        noted = {one.name: one.used_at_ms is not None for one in await api_keys.usable_keys(connection, 10)}
    assert noted == {"used": True, "unused": False}
