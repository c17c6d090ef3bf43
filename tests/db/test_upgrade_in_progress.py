"""A run that a replica of the release before executes while another one migrates: it goes on, and ends right."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.migrate import migrate
from db.records import Ledger
from db.repositories.run_counts import count_by_status
from db.repositories.runs import get_run
from server.core.clock import SystemClock
from server.schedules.counting import RunCounting
from tests.support.database_server import opened
from tests.support.schema_shape import make_previous

# As revision 0007's own code sends them, with the values of this story.
TRIGGERED = (
    "INSERT INTO sync_sources (source_key, locked_count, locked_at) VALUES ('k', 1, CURRENT_TIMESTAMP)",
    (
        "INSERT INTO sync_runs (source_type, source_identifier, status, items_processed, items_failed, items_skipped, "
        "sync_metadata, created_at, updated_at, source_key, options_digest) VALUES ('csv', 'a.csv', 'pending', 0, 0, 0, '{}', "
        "CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 'k', 'd')"
    ),
    (
        "UPDATE sync_runs SET status='in_progress', started_at=CURRENT_TIMESTAMP, updated_at=CURRENT_TIMESTAMP, "
        "revision=(sync_runs.revision + 1), lease_owner='old', lease_epoch=1, lease_expires_at_ms=32503680000000, "
        "not_before_ms=NULL WHERE sync_runs.status IN ('in_progress', 'pending') AND sync_runs.id = 1"
    ),
)
BATCH = (
    "INSERT INTO sync_batches (sync_run_id, restart_no, batch_no, lease_epoch, rows_read, rows_inserted, rows_updated, "
    "rows_unchanged, rows_rejected, rows_skipped, rows_conflicting, bytes_done, position) "
    "VALUES (1, 0, {batch_no}, 1, 10, 9, 0, 0, 1, 0, 0, 100, '{{}}')"
)
REJECTED = (
    "INSERT INTO sync_errors (sync_run_id, error_type, error_code, error_message, is_retryable, restart_no, batch_no, line_no) "
    "VALUES (1, 'validation', 'BAD', 'a value', false, 0, 1, 7)"
)
HELD = "sync_runs.id = 1 AND sync_runs.lease_owner = 'old' AND sync_runs.lease_epoch = 1 AND sync_runs.status = 'in_progress'"
COMPLETED = (
    "UPDATE sync_runs SET status='completed', completed_at=CURRENT_TIMESTAMP, items_processed=18, items_failed=2, "
    "items_skipped=0, updated_at=CURRENT_TIMESTAMP, revision=(sync_runs.revision + 1), lease_owner=NULL, "
    "lease_expires_at_ms=NULL, rows_read=20, rows_inserted=18, rows_updated=0, rows_unchanged=0, rows_rejected=2, "
    f"rows_skipped=0, bytes_done=200, paused=false WHERE sync_runs.status IN ('in_progress') AND {HELD}"
)


async def execute(connection: AsyncConnection, *statements: str) -> int:
    """Answer how many rows the last one changed."""
    count = 0
    for statement in statements:
        count = (await connection.execute(text(statement))).rowcount
    return count


async def test_a_run_in_progress_goes_on_over_an_upgrade_and_ends_right(database_url: str) -> None:
    async with opened(database_url) as database:
        async with database.write() as connection:
            await make_previous(connection)
        async with database.write() as connection:
            await execute(connection, *TRIGGERED, BATCH.format(batch_no=0))

        assert await migrate(database)

        async with database.read() as connection:
            assert (await count_by_status(connection))["in_progress"] == 1
        async with database.write() as connection:
            assert await execute(connection, BATCH.format(batch_no=1), REJECTED) == 1
        async with database.write() as connection:
            assert await execute(connection, COMPLETED) == 1
        for _before_and_after_it_is_counted in range(2):
            async with database.read() as connection:
                run = await get_run(connection, 1)
                counts = await count_by_status(connection)
            assert run is not None
            assert (run.status, run.batch_count) == ("completed", 2)
            assert run.ledger == Ledger(read=20, inserted=18, rejected=2)
            assert {status: count for status, count in counts.items() if count} == {"completed": 1}
            await RunCounting(database, SystemClock()).step()
