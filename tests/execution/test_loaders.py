"""Batches that are written at once: they commit in order, and none waits for ever for a row that a later one holds."""

from __future__ import annotations

import asyncio

import polars as pl
import pytest
from sqlalchemy import select

from db.engine import Database
from db.migrate import migrate
from db.records import Batch, Lease, Ledger
from db.schema import content_index, sync_batches
from server.core.retry import RetryPolicy
from server.execution.stop_signal import RunSignals, RunStoppedError
from server.execution.transfer import BatchPipeline
from server.writer import BatchWriter, Origin, WriteJob
from tests.db.test_migrate import CONTRACT_TABLES, execute
from tests.db.test_upsert import CONTENT, songs
from tests.execution.test_leases import claim, pending
from tests.support.clock import FakeClock
from tests.support.database_server import DatabaseServer


def job(batch_no: int, *ids: str) -> WriteJob:
    rows = songs(*({"external_id": id_, "title": f"title of {id_}"} for id_ in ids))
    return WriteJob(batch_no, rows, (), Ledger(read=rows.height), {"n": batch_no}, 0, Origin)


async def writer_for(database: Database) -> tuple[BatchWriter, Lease]:
    await pending(database)
    lease = await claim(database, "w")
    assert lease is not None
    return BatchWriter(database, lease, 0, CONTENT, RetryPolicy(5, 600), FakeClock()), lease


async def committed(database: Database) -> list[int]:
    async with database.read() as connection:
        found = await connection.execute(select(sync_batches.c.batch_no).order_by(sync_batches.c.id))
        return [batch_no for (batch_no,) in found]


async def titles(database: Database) -> list[str]:
    async with database.read() as connection:
        found = await connection.execute(select(content_index.c.title).order_by(content_index.c.title))
        return [title for (title,) in found]


async def test_a_later_batch_commits_after_an_earlier_one(database_server: DatabaseServer) -> None:
    database = Database(database_server.url(database_server.new_database()))
    try:
        await migrate(database)
        writer, _ = await writer_for(database)
        late = [asyncio.create_task(writer.write(job(n, f"key-{n}"))) for n in (3, 2)]
        done, _waiting = await asyncio.wait(late, timeout=0.3)
        assert done == set()
        await writer.write(job(1, "key-1"))
        await asyncio.gather(*late)
        assert await committed(database) == [1, 2, 3]
    finally:
        await database.close()


async def test_two_batches_whose_keys_are_one_to_the_collation_do_not_wait_for_each_other(
    database_server: DatabaseServer,
) -> None:
    name = database_server.new_database("utf8mb4_general_ci")
    execute(database_server, name, *CONTRACT_TABLES.values())
    database = Database(database_server.url(name), lock_wait_seconds=1)
    try:
        await migrate(database)
        writer, _ = await writer_for(database)
        # The second is written first and holds the key for which the first one then waits.
        second = asyncio.create_task(writer.write(job(2, "a", "b")))
        for _look in range(10_000):
            if await uncommitted(database_server, name) == 2:
                break
        else:
            pytest.fail("the second batch was not written")
        first = await writer.write(job(1, "A", "c"))
        assert first.ledger.inserted == 2
        ledger = (await second).ledger
        assert (ledger.inserted, ledger.rejected) == (1, 1)
        assert await titles(database) == ["title of A", "title of b", "title of c"]
    finally:
        await database.close()


async def test_a_batch_that_is_refused_for_a_row_of_an_earlier_one_loses_that_row_alone(
    database_server: DatabaseServer,
) -> None:
    name = database_server.new_database()
    database = Database(database_server.url(name), lock_wait_seconds=1)
    try:
        await migrate(database)
        execute(database_server, name, "ALTER TABLE content_index ADD CONSTRAINT uq_title UNIQUE (title)")
        writer, _ = await writer_for(database)
        second = asyncio.create_task(writer.write(titled(2, x="same", y="other")))
        for _look in range(10_000):
            if await uncommitted(database_server, name) == 2:
                break
        else:
            pytest.fail("the second batch was not written")
        first = await writer.write(titled(1, z="same"))
        ledger = (await second).ledger
        assert (first.ledger.inserted, ledger.inserted, ledger.rejected) == (1, 1, 1)
        assert await committed(database) == [1, 2]
        assert await titles(database) == ["other", "same"]
    finally:
        await database.close()


def titled(batch_no: int, **titles: str) -> WriteJob:
    rows = songs(*({"external_id": id_, "title": title} for id_, title in titles.items()))
    return WriteJob(batch_no, rows, (), Ledger(read=rows.height), {"n": batch_no}, 0, Origin)


async def test_batches_with_refused_rows_are_written_at_once_and_add_up(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    database = Database(database_server.url(name))
    try:
        await migrate(database)
        execute(database_server, name, "ALTER TABLE content_index ADD CONSTRAINT not_x CHECK (title <> 'X')")
        writer, lease = await writer_for(database)

        def numbered(changed: str) -> list[WriteJob]:
            jobs = []
            for batch_no in range(1, 7):
                ids = [f"{batch_no}-{n}" for n in range(300)]
                rows = {id_: "X" if n % 100 == batch_no else f"{changed}{id_}" for n, id_ in enumerate(ids)}
                jobs.append(titled(batch_no, **rows))
            return jobs

        done = await asyncio.gather(*(writer.write(job) for job in numbered("t")))
        assert [(b.ledger.inserted, b.ledger.rejected, b.ledger.balanced) for b in done] == [(297, 3, True)] * 6
        again = BatchWriter(database, lease, 1, CONTENT, RetryPolicy(5, 600), FakeClock())
        done = await asyncio.gather(*(again.write(job) for job in numbered("u")))
        assert [(b.ledger.updated, b.ledger.rejected, b.ledger.balanced) for b in done] == [(297, 3, True)] * 6
        assert len(await titles(database)) == 6 * 297
    finally:
        await database.close()


async def uncommitted(database_server: DatabaseServer, name: str) -> int:
    """Rows that stand in the table, committed or not."""

    def look() -> int:
        with database_server.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
            cursor.execute("SELECT COUNT(*) FROM content_index")
            row = cursor.fetchone()
            return int(row[0]) if row else 0

    return await asyncio.to_thread(look)


async def test_a_batch_with_a_known_row_in_it_is_written_all_the_same(database: Database) -> None:
    writer, _ = await writer_for(database)
    first = await writer.write(job(1, "1", "2"))
    second = await writer.write(job(2, "2", "3"))
    third = await writer.write(job(3, "4"))
    assert [(batch.ledger.inserted, batch.ledger.unchanged) for batch in (first, second, third)] == [
        (2, 0), (1, 1), (1, 0),
    ]  # fmt: skip
    assert await titles(database) == [f"title of {n}" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(("reason", "kept"), [("release", 1), ("cancel", 0)])
async def test_a_stop_lets_a_batch_finish_and_a_cancel_cuts_it(
    database_server: DatabaseServer, reason: str, kept: int
) -> None:
    database = Database(database_server.url(database_server.new_database()))
    try:
        await migrate(database)
        writer, _ = await writer_for(database)
        signals = RunSignals()
        written: list[Batch] = []

        async def transfer() -> None:
            async with BatchPipeline(writer, 2, signals, written.append) as hand:
                await hand.put(job(1, *(str(n) for n in range(5000))))
                signals.stop(reason)  # type: ignore[arg-type]
                await hand.finish()

        with pytest.raises(RunStoppedError):
            await transfer()
        assert len(await committed(database)) == kept
        assert len(await titles(database)) == kept * 5000
    finally:
        await database.close()


async def test_rows_of_a_batch_keep_every_character_on_the_direct_way(database: Database) -> None:
    title = "007 \\N \\ \\\\' \t \n ' '' \" % %s :x ; -- /* 🎵 ñ é \u0000 \u2028 \\"
    rows = songs({"external_id": "1", "title": title}, {"external_id": "2", "title": "x", "artist": None})
    writer, _ = await writer_for(database)
    batch = await writer.write(WriteJob(1, rows, (), Ledger(read=2), {}, 0, Origin))
    assert batch.ledger.inserted == 2
    async with database.read() as connection:
        columns = (content_index.c.title, content_index.c.artist, content_index.c.row_hash)
        found = (await connection.execute(select(*columns).order_by(content_index.c.external_id))).all()
    expected = rows["row_hash"].cast(pl.Int64).to_list()
    assert [tuple(row) for row in found] == [(title, None, expected[0]), ("x", None, expected[1])]
