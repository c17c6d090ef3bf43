"""Who may write for a run: claims, renewals and endings, each fenced by the epoch.

The protocol stands in server/orchestration/leases.py. Here every statement that ends, renews or writes for a run names
owner and epoch in its WHERE clause: a worker whose lease was taken over changes no row.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, CursorResult, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.records import CANCELLED, COMPLETED, FAILED, IN_PROGRESS, PENDING, Lease, Ledger, RunFailure
from db.repositories.dialect import minutes_before_now, now, now_ms
from db.schema import sync_runs

_R = sync_runs.c


def _held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        _R.id == lease.run_id,
        _R.lease_owner == lease.owner,
        _R.lease_epoch == lease.epoch,
        _R.status == IN_PROGRESS,
    )


async def claim_next(
    connection: AsyncConnection, *, owner: str, ttl_ms: int, legacy_grace_minutes: int
) -> Lease | None:
    """Take the oldest run that is pending, or whose owner has been silent past its lease; None when there is none.

    A row of the old service that is in_progress has no lease: it counts as silent after the grace time.
    """
    expired = and_(_R.status == IN_PROGRESS, _R.lease_expires_at_ms < now_ms())
    legacy = and_(
        _R.status == IN_PROGRESS,
        _R.lease_expires_at_ms.is_(None),
        func.coalesce(_R.updated_at, _R.created_at) < minutes_before_now(legacy_grace_minutes),
    )
    row = (
        await connection.execute(
            select(_R.id, _R.lease_epoch)
            .where(or_(_R.status == PENDING, expired, legacy))
            .order_by(_R.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
    ).one_or_none()
    if row is None:
        return None
    # SKIP LOCKED is per node of a cluster: the epoch in the WHERE clause is what decides between two.
    result = await connection.execute(
        update(sync_runs)
        .where(_R.id == row.id, _R.lease_epoch == row.lease_epoch)
        .values(
            status=IN_PROGRESS,
            lease_owner=owner,
            lease_epoch=row.lease_epoch + 1,
            lease_expires_at_ms=now_ms() + ttl_ms,
            started_at=func.coalesce(_R.started_at, now()),
            revision=_R.revision + 1,
            updated_at=now(),
        )
    )
    return Lease(row.id, owner, row.lease_epoch + 1) if _changed(result) else None


async def renew(
    connection: AsyncConnection, lease: Lease, *, ttl_ms: int, ledger: Ledger, bytes_done: int
) -> bool | None:
    """Renew the lease and publish the counts for old callers; None when the lease is lost, else «cancel requested»."""
    row = (await connection.execute(select(_R.cancel_requested).where(_held(lease)).with_for_update())).one_or_none()
    if row is None:
        return None
    await connection.execute(
        update(sync_runs)
        .where(_held(lease))
        .values(lease_expires_at_ms=now_ms() + ttl_ms, **_counts(ledger, bytes_done), updated_at=now())
    )
    return bool(row.cancel_requested)


async def hold_for_batch(connection: AsyncConnection, lease: Lease) -> bool:
    """Lock the run against a takeover until this transaction ends; False when the lease is lost already.

    Taken last in a batch, and shared, so that two loaders of one run don't queue on each other.
    """
    row = (await connection.execute(select(_R.id).where(_held(lease)).with_for_update(read=True))).one_or_none()
    return row is not None


async def lock(connection: AsyncConnection, lease: Lease) -> None:
    """Wait for every batch of the run that is being committed, and hold back further ones until this transaction ends."""
    await connection.execute(select(_R.id).where(_R.id == lease.run_id).with_for_update())


async def complete(connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int) -> bool:
    """End the run as completed; False when the lease is lost."""
    return await _end(connection, lease, COMPLETED, ledger, bytes_done, None)


async def fail(connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int, failure: RunFailure) -> bool:
    """End the run as failed; False when the lease is lost."""
    return await _end(connection, lease, FAILED, ledger, bytes_done, failure)


async def cancel(connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int) -> bool:
    """End the run as cancelled; False when the lease is lost."""
    return await _end(connection, lease, CANCELLED, ledger, bytes_done, None)


async def release(connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int) -> bool:
    """Give the run back, pending, with its checkpoint: the worker stops. Not an attempt."""
    result = await connection.execute(
        update(sync_runs)
        .where(_held(lease))
        .values(
            status=PENDING,
            lease_owner=None,
            lease_expires_at_ms=None,
            revision=_R.revision + 1,
            updated_at=now(),
            **_counts(ledger, bytes_done),
        )
    )
    return _changed(result)


async def _end(
    connection: AsyncConnection,
    lease: Lease,
    status: str,
    ledger: Ledger,
    bytes_done: int,
    failure: RunFailure | None,
) -> bool:
    result = await connection.execute(
        update(sync_runs)
        .where(_held(lease))
        .values(
            status=status,
            completed_at=now(),
            updated_at=now(),
            lease_owner=None,
            lease_expires_at_ms=None,
            error_message=failure.message if failure else None,
            error_reason=failure.reason if failure else None,
            error_category=failure.category if failure else None,
            error_retryable=failure.retryable if failure else None,
            revision=_R.revision + 1,
            **_counts(ledger, bytes_done),
        )
    )
    return _changed(result)


def _counts(ledger: Ledger, bytes_done: int) -> dict[str, int]:
    int_max = 2**31 - 1  # the contract's three columns are int
    return {
        "rows_read": ledger.read,
        "rows_inserted": ledger.inserted,
        "rows_updated": ledger.updated,
        "rows_unchanged": ledger.unchanged,
        "rows_rejected": ledger.rejected,
        "rows_skipped": ledger.skipped,
        "items_processed": min(ledger.written, int_max),
        "items_failed": min(ledger.rejected, int_max),
        "items_skipped": min(ledger.skipped, int_max),
        "bytes_done": bytes_done,
    }


def _changed(result: CursorResult[object]) -> bool:
    return result.rowcount == 1
