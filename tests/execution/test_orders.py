"""An accepted cancel or pause happens, whatever else stops the run, and also where the run has no owner any more."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from db.dialect import now_ms
from db.engine import Database
from db.records import Batch, Lease, Ledger
from db.repositories import leases, runs
from db.repositories.batches import insert_batch
from db.schema import sync_runs
from server.core.config import Settings
from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.execution.leases import apply_stop_requests
from server.execution.outcome import store_ending
from server.execution.stop_signal import RunStoppedError
from server.sources.throttle.circuit import HostPausedError
from tests.execution.test_leases import claim, pending
from tests.support.clock import FakeClock

FAULT = FatalError(Reason.SOURCE_MALFORMED, "x", category=Category.PARSING)
NOT_ASKED = HostPausedError(Reason.SOURCE_UNAVAILABLE, "h was not asked", retry_after_seconds=60.0)


async def claimed(database: Database, ttl_ms: int = 60_000) -> Lease:
    await pending(database)
    lease = await claim(database, "w", ttl_ms)
    assert lease is not None
    return lease


async def end(database: Database, lease: Lease, error: Exception | None) -> str:
    return (await store_ending(database, Settings(), FakeClock(), lease, error)).ending


async def status_of(database: Database, run_id: int) -> tuple[str, bool]:
    async with database.read() as connection:
        run = await runs.get_run(connection, run_id)
    assert run is not None
    return run.status, run.paused


@pytest.mark.parametrize(
    ("error", "stored"),
    [
        (RunStoppedError("pause"), "cancelled"),
        (RunStoppedError("release"), "cancelled"),
        (FAULT, "cancelled"),
        (NOT_ASKED, "cancelled"),
        (RunStoppedError("lease_lost"), "lost"),
        (None, "completed"),
    ],
    ids=["pause", "release", "fault", "not asked", "lost", "end of the source"],
)
async def test_a_cancel_that_comes_while_a_run_stops_for_another_reason_is_not_lost(
    database: Database, error: Exception | None, stored: str
) -> None:
    lease = await claimed(database)
    async with database.write() as connection:
        await runs.set_paused(connection, lease.run_id, paused=True)
        await runs.request_cancel(connection, lease.run_id)
    assert await end(database, lease, error) == stored
    assert (await status_of(database, lease.run_id))[0] == ("in_progress" if stored == "lost" else stored)


async def test_a_run_whose_owner_is_gone_is_cancelled_or_paused_by_whoever_looks(database: Database) -> None:
    gone, held = await claimed(database, ttl_ms=-1), None
    async with database.write() as connection:
        await runs.request_cancel(connection, gone.run_id)
    assert await apply_stop_requests(database) == [gone.run_id]
    assert await status_of(database, gone.run_id) == ("cancelled", False)
    held = await claimed(database)
    async with database.write() as connection:
        await runs.set_paused(connection, held.run_id, paused=True)
    # Its owner will see to it.
    assert await apply_stop_requests(database) == []
    expired = update(sync_runs).where(sync_runs.c.id == held.run_id)
    async with database.write() as connection:
        await connection.execute(expired.values(lease_expires_at_ms=now_ms() - 1))
    assert await apply_stop_requests(database) == [held.run_id]
    assert await status_of(database, held.run_id) == ("pending", True)
    async with database.write() as connection:
        assert not await leases.lock_run_shared(connection, held)
    assert await end(database, held, None) == "lost"


async def test_a_row_of_the_old_service_is_cancelled_at_once_and_keeps_its_counts(database: Database) -> None:
    async with database.write() as connection:
        values = {"source_type": "csv", "source_identifier": "a.csv", "status": "in_progress", "items_processed": 7}
        result = await connection.execute(insert(sync_runs).values(values))
        assert result.inserted_primary_key is not None
        run_id = int(result.inserted_primary_key[0])
        await runs.request_cancel(connection, run_id)
    assert await apply_stop_requests(database) == [run_id]
    async with database.read() as connection:
        run = await runs.get_run(connection, run_id)
    assert run is not None
    assert (run.status, run.ledger.updated) == ("cancelled", 7)


async def test_a_run_whose_host_is_not_asked_waits_without_an_attempt(database: Database) -> None:
    lease = await claimed(database)
    assert await end(database, lease, NOT_ASKED) == "postponed"
    assert await claim(database, "w") is None
    async with database.write() as connection:
        run = await runs.get_run(connection, lease.run_id)
        await runs.make_due(connection)
    assert run is not None
    assert (run.status, run.retry_count, run.failure) == ("pending", 0, None)
    assert run.notices == ("waited: h was not asked",)
    assert await claim(database, "w") is not None


async def test_owners_that_are_lost_in_a_row_are_counted_until_the_run_gets_on(database: Database) -> None:
    await pending(database)
    lease = await claim(database, "w", -1)
    for lost in (1, 2):
        lease = await claim(database, "w", -1)
        assert lease is not None
        async with database.write() as connection:
            run = await runs.get_run(connection, lease.run_id)
        assert run is not None
        assert run.takeover_count == lost
    assert lease is not None
    async with database.write() as connection:
        await insert_batch(connection, lease, 0, Batch(1, Ledger(), {}, 0))
    lease = await claim(database, "w", -1)
    assert lease is not None
    async with database.read() as connection:
        run = await runs.get_run(connection, lease.run_id)
    assert run is not None
    assert run.takeover_count == 1
