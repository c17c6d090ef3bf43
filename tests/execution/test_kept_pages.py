"""Kept pages: whole again when they come back, within their bounds, and apart for each source and its options."""

from __future__ import annotations

import os

from cryptography.fernet import Fernet
from sqlalchemy import select

from db.engine import Database
from db.repositories.runs import insert_run
from db.schema import sync_kept_pages
from server.core.config import Settings
from server.core.secret_box import SecretBox
from server.execution.page_cache import StoredPages
from server.sources.page_cache import KeptPage, Validators
from tests.support.service import TEST_KEY


def page(number: int, body: bytes) -> KeptPage:
    return KeptPage(Validators(f'"{number}"', ""), {"link": "<x>; rel=next"}, body)


async def pages_of(database: Database, options_digest: str = "o", **settings: int) -> StoredPages:
    async with database.write() as connection:
        run_id = await insert_run(
            connection, source_type="api", source_identifier="u", options={}, options_digest=options_digest
        )
    return StoredPages(database, Settings(**settings), run_id, SecretBox(TEST_KEY))  # type: ignore[arg-type]


async def test_a_page_comes_back_as_it_was_also_in_place_of_an_older_one(database: Database) -> None:
    pages = await pages_of(database)
    for version in (1, 2):
        content = {key: page(version, f"{version} {key}".encode() * 1000) for key in ("a", "b")}
        await pages.put(content)
        assert {key: await pages.get(key) for key in ("a", "b")} == content
    assert await (await pages_of(database)).known() == {"a": Validators('"2"', ""), "b": Validators('"2"', "")}
    assert await (await pages_of(database, "other options")).known() == {}
    await pages.delete({"a"})
    assert (await pages.get("a"), list(await pages.known())) == (None, ["b"])
    await pages.delete()
    assert await pages.known() == {}


async def test_pages_beyond_the_bounds_are_not_kept(database: Database) -> None:
    few = await pages_of(database, http_kept_pages_max=3)
    await few.put({"1": page(1, b"x"), "2": page(1, b"x")})
    await few.put({"3": page(1, b"x"), "4": page(1, b"x")})
    assert sorted(await few.known()) == ["1", "2"]
    small = await pages_of(database, "small", http_kept_bytes_max=3000)
    await small.put({"1": page(1, os.urandom(2000))})
    await small.put({"2": page(1, os.urandom(2000))})
    assert list(await small.known()) == ["1"]
    none = await pages_of(database, "none", http_kept_bytes_max=0)
    await none.put({"1": page(1, b"x")})
    assert await none.known() == {}


async def test_many_large_pages_take_several_statements_and_a_huge_one_is_left_out(database: Database) -> None:
    pages = await pages_of(database)
    content = {str(n): page(n, os.urandom(600_000)) for n in range(5)} | {"huge": page(9, os.urandom(5_000_000))}
    await pages.put(content)
    assert sorted(await pages.known()) == [str(n) for n in range(5)]
    assert await pages.get("4") == content["4"]


async def test_a_page_is_kept_for_whoever_it_was_sent_to(database: Database) -> None:
    pages = await pages_of(database)
    keys = {pages.page_key_of(asked) for asked in ({"url": "u", "key": "a"}, {"url": "u", "key": "b"}, {"url": "u"})}
    assert len(keys) == 3
    assert all(len(key) == 64 for key in keys)
    assert (await pages_of(database)).page_key_of({"url": "u"}) in keys


async def test_what_other_options_have_left_makes_room_for_these(database: Database) -> None:
    for token in ("a", "b", "c"):
        pages = await pages_of(database, token, http_kept_pages_max=3)
        await pages.put({"1": page(1, b"x"), "2": page(1, b"x")})
        assert sorted(await pages.known()) == ["1", "2"]
    assert await (await pages_of(database, "a")).known() == {}


async def test_nothing_of_a_page_stands_in_clear(database: Database) -> None:
    pages = await pages_of(database)
    await pages.put({"1": KeptPage(Validators('"1"', ""), {"link": "<u?key=CANARY>; rel=next"}, b"CANARY " * 99)})
    async with database.read() as connection:
        (row,) = (await connection.execute(select(sync_kept_pages))).all()
    assert b"CANARY" not in row.content
    other = StoredPages(database, Settings(), 1, SecretBox(Fernet.generate_key().decode()))
    assert await other.get("1") is None
