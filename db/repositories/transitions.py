"""The one statement that changes the status of runs: only along an arrow of `db.records.TRANSITIONS`."""

from __future__ import annotations

from sqlalchemy import Update, update

from db.dialect import now
from db.records import TRANSITIONS, RunStatus
from db.schema import sync_runs


def move_to(status: RunStatus) -> Update:
    """An UPDATE to `status` of the runs that may go there; the caller says which of them, and adds what else changes."""
    before = sorted(source for source, target in TRANSITIONS if target == status)
    return (
        update(sync_runs)
        .where(sync_runs.c.status.in_(before))
        .values(status=status, revision=sync_runs.c.revision + 1, updated_at=now())
    )
