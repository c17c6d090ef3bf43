"""A run's status changes along the arrows of `db.records.TRANSITIONS` only, whatever is tried, and along each of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.records import TRANSITIONS, Lease, Ledger, RunFailure, RunStatus
from db.repositories import leases, runs
from db.schema import sync_runs

FAILURE: Final = RunFailure("SOURCE_UNAVAILABLE", "network", "503", retryable=True)
Attempt = Callable[[AsyncConnection, Lease], Awaitable[object]]


async def _claim(connection: AsyncConnection, _lease: Lease) -> object:
    return await leases.claim_next(
        connection, owner="next", source_types=frozenset({"csv", "api"}), ttl_ms=60_000, legacy_grace_minutes=15
    )


async def _retry(connection: AsyncConnection, _lease: Lease) -> object:
    return await runs.requeue_failed(
        connection, source_types=("csv", "api"), retry_count_max=3, age_days_max=7, limit=10
    )


ATTEMPTS: Final[tuple[Attempt, ...]] = (
    _claim,
    _retry,
    lambda connection, lease: runs.request_cancel(connection, lease.run_id),
    lambda connection, lease: leases.release(connection, lease, Ledger(), 0),
    lambda connection, lease: leases.complete(connection, lease, Ledger(), 0),
    lambda connection, lease: leases.fail(connection, lease, Ledger(), 0, FAILURE),
    lambda connection, lease: leases.cancel(connection, lease, Ledger(), 0),
)


async def _tried(database: Database, status: str, attempt: Attempt) -> tuple[str, int]:
    """Status and epoch of a run of this status, with a lease that is over, after an attempt."""
    async with database.write() as connection:
        run_id = await runs.insert_run(connection, source_type="csv", source_identifier=status, options={})
        retryable = True if status == "failed" else None
        values = {"status": status, "lease_owner": "w", "lease_epoch": 1, "lease_expires_at_ms": 1}
        of_run = sync_runs.c.id == run_id
        await connection.execute(update(sync_runs).where(of_run).values(error_retryable=retryable, **values))
        await attempt(connection, Lease(run_id, "w", 1))
        row = (await connection.execute(select(sync_runs).where(of_run))).one()
        await connection.execute(sync_runs.delete().where(of_run))
        return row.status, row.lease_epoch


async def test_every_arrow_is_gone_along_and_no_other(database: Database) -> None:
    gone: set[tuple[str, str]] = set()
    for status in RunStatus:
        for attempt in ATTEMPTS:
            after, epoch = await _tried(database, status, attempt)
            if (after, epoch) != (status, 1):
                gone.add((status, after))
    assert gone == set(TRANSITIONS)


def test_the_arrows_are_drawn_in_the_architecture() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    drawn = {
        (before, after): why for before, after, why in re.findall(r"^    (\w+) +-> (\w+) +(\S.*)$", text, re.MULTILINE)
    }
    assert drawn == dict(TRANSITIONS)


def test_the_arrows_are_those_of_the_diagram() -> None:
    text = (Path(__file__).parents[2] / "docs/diagrams.md").read_text()
    drawn = {
        (before, after): why for before, after, why in re.findall(r"^    (\w+) --> (\w+): (.+)$", text, re.MULTILINE)
    }
    # A semicolon would end the statement of the diagram.
    assert drawn == {arrow: why.replace(";", ",") for arrow, why in TRANSITIONS.items()}
