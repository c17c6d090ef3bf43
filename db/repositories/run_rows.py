"""Rows of sync_runs as runs: a page of them, with the counts of their batches, is one statement."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import as_text
from db.records import TERMINAL_STATUSES, Ledger, Run, RunFailure, RunStatus
from db.repositories.batches import last_position_of, tally_in, totals_in, totals_of
from db.schema import sync_runs

_R = sync_runs.c
# What a run is made of. The other columns are for statements only: of a page of 1,000 runs they would be a third of the
# bytes, and the server waits for whoever reads them.
_COLUMNS: Final = tuple(
    column
    for column in _R
    if column.name
    not in {
        "active_before",
        "counted_as",
        "lease_expires_at_ms",
        "lease_owner",
        "not_before_ms",
        "options_digest",
        "source_key",
        "sync_metadata",
        "takeover_batches",
        "updated_at",
    }
)


async def read_runs(
    connection: AsyncConnection, chosen: Select[Any], *, with_tally: bool = False, with_options: bool = False
) -> list[Run]:
    """Runs with their live counts, newest first, by one statement however many they are.

    Args:
        chosen: selects id and restart_no of the runs.
        with_options: with their options, which only who executes one needs, and which may be long; without, they are None.
        with_tally: with what was wrong with their rows, counted up to the same batch; a page does without.
    """
    page = chosen.subquery()
    totals = totals_of(page)
    joined = sync_runs.join(totals, totals.c.total_run_id == _R.id)
    positions = [last_position_of(sync_runs).label("last_position")] if with_tally else []
    options = [_R.sync_metadata] if with_options else []
    query: Select[Any] = select(*_COLUMNS, totals, *positions, *options).select_from(joined).order_by(_R.id.desc())
    return [_run(row) for row in await connection.execute(query)]


def _run(row: Row[Any]) -> Run:
    """A run whose counts are live: of an ended run those stored at its end, of another the sum of its batches."""
    stored = Ledger(
        row.rows_read, row.rows_inserted, row.rows_updated, row.rows_unchanged, row.rows_rejected, row.rows_skipped
    )
    legacy = row.lease_epoch == 0 and stored.read == 0
    totals = totals_in(row)
    ledger, bytes_done = totals.ledger, totals.bytes_done
    if row.status in TERMINAL_STATUSES:
        ledger, bytes_done = stored, row.bytes_done
    if legacy:
        # A row of the old service has these three counts only.
        ledger = Ledger(
            read=(row.items_processed or 0) + (row.items_failed or 0) + (row.items_skipped or 0),
            updated=row.items_processed or 0,
            rejected=row.items_failed or 0,
            skipped=row.items_skipped or 0,
        )
    failure = None
    if row.status == RunStatus.FAILED:
        failure = RunFailure(
            reason=row.error_reason or "",
            category=row.error_category or "system",
            message=row.error_message or "",
            retryable=bool(row.error_retryable),
            next_step=row.error_next_step or "",
        )
    return Run(
        id=row.id,
        # SQLite stores any type that another program wrote.
        source_type=as_text(row.source_type),
        source_identifier=as_text(row.source_identifier),
        status=as_text(row.status),
        options=getattr(row, "sync_metadata", None),
        ledger=ledger,
        revision=row.revision,
        retry_count=row.retry_count,
        restart_no=row.restart_no,
        cancel_requested=bool(row.cancel_requested),
        source_fingerprint=row.source_fingerprint,
        bytes_done=bytes_done,
        bytes_total=row.bytes_total,
        failure=failure,
        notices=tuple(row.notices or ()),
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        batch_count=totals.batch_count,
        conflicts=totals.conflicts,
        deactivated=row.rows_deactivated,
        same_as_run_id=row.same_as_run_id,
        source_digest=row.source_digest or "",
        detected=row.detected or {},
        paused=bool(row.paused),
        schedule_id=row.sync_schedule_id,
        takeover_count=row.takeover_count,
        tally=tally_in(getattr(row, "last_position", None)),
    )
