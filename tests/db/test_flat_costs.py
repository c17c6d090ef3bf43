"""What is asked again and again reads as many rows of a long history as of a short one; the server counts them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.loaders.mirror import record_active_before
from db.migrate import migrate
from db.records import RunStatus
from db.repositories import leases, run_counts, runs, sources
from db.repositories.errors import list_errors
from server.core.clock import SystemClock
from server.schedules.counting import RUNS_AT_ONCE, RunCounting
from tests.db.test_upsert import CONTENT
from tests.support.database_server import DatabaseServer, opened

# All of one source. Two of a history are live.
SHORT_RUNS, LONG_RUNS = 2**9, 2**12
READS_MORE_MAX = 20
RUN = (
    "INSERT INTO sync_runs (source_type, source_identifier, status, source_key, lease_epoch, completed_at, source_fingerprint) "
    "VALUES ('csv', 'a.csv', 'completed', 'k', 1, '2026-01-01 00:00:00', 'f')"
)
TWICE = (
    "INSERT INTO sync_runs (source_type, source_identifier, status, source_key, lease_epoch, completed_at, source_fingerprint) "
    "SELECT source_type, source_identifier, IF(id % 3, 'completed', 'failed'), source_key, lease_epoch, "
    "completed_at + INTERVAL id SECOND, source_fingerprint FROM sync_runs"
)
MIRRORED = replace(CONTENT, availability_column="is_available")
Call = Callable[[AsyncConnection], Awaitable[object]]


async def _last_reading(connection: AsyncConnection) -> object:
    run = await runs.get_run(connection, 1)
    assert run is not None
    return await runs.last_reading(connection, run, minutes=10_000_000)


CALLS: dict[str, Call] = {
    "stats": run_counts.count_by_status,
    "uncounted": lambda connection: run_counts.uncounted_ids(connection, RUNS_AT_ONCE),
    "next block": lambda connection: run_counts.next_block(connection, 0),
    "page": lambda connection: runs.list_runs(connection, before_id=400, limit=50),
    "page, status": lambda connection: runs.list_runs(connection, before_id=400, limit=50, status=RunStatus.COMPLETED),
    "page, type": lambda connection: runs.list_runs(connection, before_id=400, limit=50, source_type="csv"),
    "status": lambda connection: runs.get_run(connection, 1),
    "errors": lambda connection: list_errors(connection, 1, limit=10),
    "claim": lambda connection: leases.claim_next(
        connection, owner="o", ttl_ms=1, legacy_grace_minutes=5, source_types=frozenset({"csv", "api"})
    ),
    "lost owners": lambda connection: leases.lost_owners(connection, 10),
    "orphans": leases.has_orphans,
    "unkeyed": lambda connection: sources.unkeyed_runs(connection, ("csv",), 10),
    "last reading": _last_reading,
    "spelling": lambda connection: sources.row_identifier(connection, 1),
    "mirror": lambda connection: record_active_before(connection, MIRRORED, 1),
}


async def reads(database: Database, call: Call) -> int:
    """Rows and index entries that the server looks at for a call."""

    async def count(connection: AsyncConnection) -> int:
        return sum(int(row[1]) for row in await connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'")))

    async with database.read() as connection:
        # To show the status is a read too.
        first = await count(connection)
        before = await count(connection)
        await call(connection)
        return await count(connection) - before - (before - first)


async def history(server: DatabaseServer, run_count: int) -> str:
    """The URL of a database with so many runs, counted."""
    name = server.new_database()
    async with opened(server.url(name)) as database:
        await migrate(database)
        server.execute(
            "INSERT INTO sync_sources (source_key, row_identifier) VALUES ('k', 'a.csv')", RUN, database=name
        )
        while server.execute("SELECT COUNT(*) FROM sync_runs", database=name)[0][0] < run_count:
            server.execute(TWICE, database=name)
        while await RunCounting(database, SystemClock()).count():
            pass
        server.execute(
            RUN.replace("completed'", "pending'").replace("'2026-01-01 00:00:00'", "NULL").replace("'k'", "'p'"),
            RUN.replace("completed'", "in_progress'").replace("'2026-01-01 00:00:00'", "NULL").replace("'k'", "'i'"),
            "ANALYZE TABLE sync_runs, sync_errors, sync_batches, sync_run_counts",
            database=name,
        )
    return server.url(name)


@pytest.fixture(scope="module")
def histories(database_server: DatabaseServer) -> dict[int, str]:
    """URLs by number of runs; made by the first test that asks."""
    return {}


@pytest.mark.xdist_group("histories")
@pytest.mark.parametrize("what", CALLS)
async def test_a_call_reads_as_much_of_a_long_history_as_of_a_short_one(
    database_server: DatabaseServer, histories: dict[int, str], what: str
) -> None:
    found = {}
    for run_count in (SHORT_RUNS, LONG_RUNS):
        if run_count not in histories:
            histories[run_count] = await history(database_server, run_count)
        async with opened(histories[run_count]) as database:
            found[run_count] = await reads(database, CALLS[what])
    assert found[LONG_RUNS] <= found[SHORT_RUNS] + READS_MORE_MAX, found


@pytest.mark.xdist_group("histories")
async def test_a_call_that_reads_every_run_would_be_noticed(
    database_server: DatabaseServer, histories: dict[int, str]
) -> None:
    if LONG_RUNS not in histories:
        histories[LONG_RUNS] = await history(database_server, LONG_RUNS)
    async with opened(histories[LONG_RUNS]) as database:
        grouped = text("SELECT status, COUNT(*) FROM sync_runs GROUP BY status")
        assert await reads(database, lambda connection: connection.execute(grouped)) >= LONG_RUNS
