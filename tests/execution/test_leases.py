"""Leases: one owner at a time, takeover after silence, and nothing written by a worker that was taken over."""

from __future__ import annotations

import asyncio

import polars as pl
import pytest
from sqlalchemy import func, insert, select, update

from db.engine import Database
from db.records import Lease, Ledger, LoadSpec
from db.repositories import leases
from db.repositories.runs import get_run, insert_run
from db.schema import content_index, sync_batches, sync_runs
from server.core.errors import LeaseLostError
from server.core.retry import RetryPolicy
from server.writer import BatchWriter, Origin, WriteJob
from tests.db.test_upsert import CONTENT, songs
from tests.support.clock import FakeClock


async def pending(database: Database, name: str = "songs.csv") -> int:
    async with database.write() as connection:
        return await insert_run(connection, source_type="csv", source_identifier=name, options={})


async def claim(database: Database, owner: str, ttl_ms: int = 60_000) -> Lease | None:
    async with database.write() as connection:
        return await leases.claim_next(
            connection, owner=owner, source_types=frozenset({"csv", "api"}), ttl_ms=ttl_ms, legacy_grace_minutes=15
        )


def writer(database: Database, lease: Lease, spec: LoadSpec = CONTENT) -> BatchWriter:
    return BatchWriter(database, lease, 0, spec, RetryPolicy(3, 10), FakeClock())


def job(batch_no: int, rows: pl.DataFrame) -> WriteJob:
    return WriteJob(batch_no, rows, (), Ledger(read=rows.height), {"n": batch_no}, 0, Origin)


async def count(database: Database, table) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def test_a_run_is_claimed_by_one_of_many_workers(database: Database) -> None:
    for number in range(5):
        await pending(database, f"{number}.csv")
    claims = await asyncio.gather(*(claim(database, f"w{n}") for n in range(8)))
    taken = [lease.run_id for lease in claims if lease is not None]
    assert len(taken) == len(set(taken))
    while (lease := await claim(database, "late")) is not None:
        taken.append(lease.run_id)
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 5


async def test_a_silent_owner_is_taken_over_and_can_do_nothing_more(database: Database) -> None:
    await pending(database)
    first = await claim(database, "first", ttl_ms=-1)
    second = await claim(database, "second")
    assert first is not None
    assert second is not None
    assert (second.run_id, second.epoch) == (first.run_id, first.epoch + 1)
    assert (first.is_takeover, second.is_takeover, second.source_type) == (False, True, "csv")
    with pytest.raises(LeaseLostError):
        await writer(database, first).write(job(1, songs({})))
    async with database.write() as connection:
        assert await leases.renew(connection, first, ttl_ms=1000, ledger=Ledger(), bytes_done=0) is None
        assert await leases.complete(connection, first, Ledger(), 0) is False
        assert await leases.release(connection, first, Ledger(), 0) is False
    assert (await count(database, content_index), await count(database, sync_batches)) == (0, 0)
    await writer(database, second).write(job(1, songs({})))
    assert await count(database, content_index) == 1


async def test_a_batch_that_is_written_twice_counts_once(database: Database) -> None:
    await pending(database)
    lease = await claim(database, "w")
    assert lease is not None
    first = await writer(database, lease).write(job(1, songs({}, {"external_id": "2"})))
    again = await writer(database, lease).write(job(1, songs({}, {"external_id": "2"})))
    assert first == again
    assert again.ledger == Ledger(read=2, inserted=2)
    assert await count(database, sync_batches) == 1


async def test_a_held_lease_is_not_claimed_and_a_released_run_is(database: Database) -> None:
    run_id = await pending(database)
    lease = await claim(database, "w")
    assert lease is not None
    assert await claim(database, "x") is None
    async with database.write() as connection:
        assert await leases.release(connection, lease, Ledger(), 0)
    again = await claim(database, "x")
    assert again is not None
    assert (again.run_id, again.epoch) == (run_id, 2)


async def test_a_row_that_the_old_service_left_in_progress_is_taken_over_after_the_grace_time(
    database: Database,
) -> None:
    async with database.write() as connection:
        await connection.execute(
            insert(sync_runs).values(source_type="csv", source_identifier="a", status="in_progress", source_key="k")
        )
    assert await claim(database, "w") is None
    async with database.write() as connection:
        from db.dialect import minutes_before_now

        await connection.execute(update(sync_runs).values(updated_at=minutes_before_now(16)))
    assert await claim(database, "w") is not None


async def test_the_sequence_grows_with_status_and_batches(database: Database) -> None:
    run_id = await pending(database)
    seen = []

    async def look() -> None:
        async with database.read() as connection:
            run = await get_run(connection, run_id)
            assert run is not None
            seen.append((run.sequence, run.status, run.ledger.read))

    await look()
    lease = await claim(database, "w")
    assert lease is not None
    await look()
    await writer(database, lease).write(job(1, songs({})))
    await look()
    async with database.write() as connection:
        assert await leases.complete(connection, lease, Ledger(read=1, inserted=1), 0)
    await look()
    assert [entry[1:] for entry in seen] == [
        ("pending", 0), ("in_progress", 0), ("in_progress", 1), ("completed", 1),
    ]  # fmt: skip
    assert [entry[0] for entry in seen] == sorted({entry[0] for entry in seen})
