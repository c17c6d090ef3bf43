"""One source has one live run: whoever triggers it, however it is spelled, on whichever replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from db.dialect import minutes_before_now, now_ms
from db.engine import Database
from db.migrate import migrate
from db.records import Lease, Ledger
from db.repositories import leases
from db.repositories.runs import set_paused
from db.schema import sync_runs
from server.access.call_records import CallRecords
from server.core.clock import SystemClock
from server.core.config import Settings
from server.core.secret_box import SecretBox
from server.execution.leases import claim
from server.execution.source_keys import SourceKeys
from server.runs.triggers import Triggers
from tests.support.database_server import DatabaseServer
from tests.support.service import TEST_KEY

NAMES = ("a.csv", "./a.csv", "sub/.././a.csv")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (tmp_path / "data" / name).write_text("title\nx\n")
    (tmp_path / "data" / "link.csv").symlink_to("a.csv")
    return Settings(data_roots=str(tmp_path / "data"))


class Replica:
    """What one replica does with triggers and claims, on a connection pool of its own."""

    def __init__(self, database: Database, settings: Settings) -> None:
        box = SecretBox(TEST_KEY)
        self.database, self.settings = database, settings
        self.keys = SourceKeys(settings, box)
        self.triggers = Triggers(
            database, settings, SystemClock(), box, self.keys, CallRecords(database, key_days_max=7)
        )

    async def trigger(self, name: str, **options: object) -> int:
        return await self.triggers.store(await self.triggers.checked("csv", name, options))

    async def claim(self, owner: str = "w") -> Lease | None:
        return await claim(self.database, self.settings, owner, self.keys)


@asynccontextmanager
async def replicas(database: Database, settings: Settings, count: int) -> AsyncIterator[list[Replica]]:
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            own = Database(database.url.text)
            stack.push_async_callback(own.close)
            made.append(Replica(own, settings))
        yield made


async def end(replica: Replica, lease: Lease) -> None:
    async with replica.database.write() as connection:
        assert await leases.complete(connection, lease, Ledger(), 0)


async def test_triggers_that_come_at_once_on_three_replicas_end_in_one_run(
    database: Database, settings: Settings
) -> None:
    async with replicas(database, settings, 3) as three:
        ids = await asyncio.gather(*(three[n % 3].trigger("a.csv") for n in range(18)))
    assert len(set(ids)) == 1


async def test_every_spelling_of_a_file_is_one_source(database: Database, settings: Settings) -> None:
    replica = Replica(database, settings)
    absolute = str(settings.data_root_paths[0] / "a.csv")
    ids = {await replica.trigger(name) for name in ("a.csv", "./a.csv", "link.csv", absolute)}
    assert len(ids) == 1
    assert await replica.trigger("b.csv") not in ids
    assert replica.keys.source_key("csv", "sub/../a.csv") == replica.keys.source_key("csv", absolute)


async def test_every_spelling_of_a_url_is_one_source(settings: Settings) -> None:
    keys = SourceKeys(settings, SecretBox(TEST_KEY))
    spellings = ("https://api.example.com/x?a=1", "HTTPS://API.example.com:443/x?a=1")
    assert len({keys.source_key("api", url) for url in spellings}) == 1
    assert keys.source_key("api", "https://api.example.com/x?a=2") != keys.source_key("api", spellings[0])


async def test_equal_options_attach_and_others_wait_until_the_earlier_run_has_ended(
    database: Database, settings: Settings
) -> None:
    replica = Replica(database, settings)
    first = await replica.trigger("a.csv", contentType="music", encoding=None)
    lease = await replica.claim()
    assert lease is not None
    assert lease.run_id == first
    assert await replica.trigger("a.csv", contentType="music") == first
    second = await replica.trigger("./a.csv", contentType="video")
    third = await replica.trigger("a.csv", contentType="game")
    other = await replica.trigger("b.csv")
    assert len({first, second, third, other}) == 4
    claimed = await replica.claim()
    assert claimed is not None
    assert claimed.run_id == other
    assert await replica.claim() is None
    await end(replica, lease)
    following = await replica.claim()
    assert following is not None
    assert following.run_id == second
    assert await replica.claim() is None


async def test_of_many_claimants_only_one_gets_a_run_of_the_source(database: Database, settings: Settings) -> None:
    async with replicas(database, settings, 3) as three:
        for number in range(6):
            await three[0].trigger("a.csv", delimiter=",;|:~^"[number])
        claims = await asyncio.gather(*(three[n % 3].claim(f"w{n}") for n in range(12)))
    assert len([lease for lease in claims if lease is not None]) == 1
    async with database.read() as connection:
        statuses = (await connection.execute(select(sync_runs.c.status))).scalars().all()
    assert sorted(statuses) == ["in_progress", *["pending"] * 5]


async def test_a_failed_run_that_is_retried_waits_for_the_run_in_progress(
    database: Database, settings: Settings
) -> None:
    replica = Replica(database, settings)
    failed = await replica.trigger("a.csv")
    async with database.write() as connection:
        await connection.execute(update(sync_runs).values(status="failed"))
    later = await replica.trigger("a.csv")
    lease = await replica.claim()
    assert lease is not None
    assert lease.run_id == later
    async with database.write() as connection:
        await connection.execute(update(sync_runs).where(sync_runs.c.id == failed).values(status="pending"))
    assert await replica.claim() is None
    # The run in progress is not held up by the older one either, when its worker dies.
    async with database.write() as connection:
        await connection.execute(update(sync_runs).where(sync_runs.c.id == later).values(lease_expires_at_ms=1))
    again = await replica.claim()
    assert again is not None
    assert (again.run_id, again.epoch) == (later, 2)


async def test_rows_that_the_bot_wrote_are_obeyed(database: Database, settings: Settings) -> None:
    replica = Replica(database, settings)
    async with database.write() as connection:
        for name in ("./a.csv", "a.csv", "gone.csv"):
            await connection.execute(
                insert(sync_runs).values(source_type="csv", source_identifier=name, status="pending")
            )
    assert await replica.trigger("a.csv") == 1
    claimed = [await replica.claim(), await replica.claim(), await replica.claim()]
    assert [lease.run_id if lease else None for lease in claimed] == [1, 3, None]
    assert claimed[0] is not None
    await end(replica, claimed[0])
    second = await replica.claim()
    assert second is not None
    assert second.run_id == 2


async def test_a_paused_run_is_live_and_is_not_claimed(database: Database, settings: Settings) -> None:
    replica = Replica(database, settings)
    run_id = await replica.trigger("a.csv")
    async with database.write() as connection:
        assert await set_paused(connection, run_id, True) == ("pending", False)
    assert await replica.claim() is None
    assert await replica.trigger("a.csv") == run_id
    async with database.write() as connection:
        assert await set_paused(connection, run_id, False) == ("pending", True)
    assert await replica.claim() is not None


async def test_a_run_that_is_about_to_be_cancelled_takes_no_more_callers(
    database: Database, settings: Settings
) -> None:
    replica = Replica(database, settings)
    first = await replica.trigger("a.csv")
    assert await replica.claim() is not None
    async with database.write() as connection:
        await connection.execute(update(sync_runs).values(cancel_requested=True))
    assert await replica.trigger("a.csv") > first


@pytest.mark.parametrize("name", NAMES)
async def test_a_source_that_is_not_there_yet_has_the_key_that_it_will_have(name: str, settings: Settings) -> None:
    keys = SourceKeys(settings, SecretBox(TEST_KEY))
    there = keys.source_key("csv", name)
    (settings.data_root_paths[0] / "a.csv").unlink()
    assert keys.source_key("csv", name) == there


async def test_a_trigger_does_not_wait_for_the_moment_of_a_nightly_retry(
    database: Database, settings: Settings
) -> None:
    replica = Replica(database, settings)
    run_id = await replica.trigger("a.csv")
    async with database.write() as connection:
        await connection.execute(update(sync_runs).values(not_before_ms=now_ms() + 300_000))
    assert await replica.claim() is None
    assert await replica.trigger("a.csv") == run_id
    assert await replica.claim() is not None


async def test_a_row_that_the_old_service_left_in_progress_is_taken_over_after_its_grace_time(
    database_server: DatabaseServer, settings: Settings
) -> None:
    """In a table whose updated_at changes itself with every update, as the bot's may."""
    database = Database(database_server.url(database_server.new_database()))
    await migrate(database)
    replica = Replica(database, settings)
    async with database.write() as connection:
        await connection.execute(
            text(
                "ALTER TABLE sync_runs MODIFY updated_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP "
                "ON UPDATE CURRENT_TIMESTAMP"
            )
        )
        for name, minutes in (("a.csv", 16), ("b.csv", 14)):
            await connection.execute(
                insert(sync_runs).values(
                    source_type="csv", source_identifier=name, status="in_progress",
                    updated_at=minutes_before_now(minutes),
                )
            )  # fmt: skip
    leases_taken = [await replica.claim(), await replica.claim()]
    assert [lease.run_id if lease else None for lease in leases_taken] == [1, None]
    await database.close()
