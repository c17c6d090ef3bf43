"""Leases: claims, renewals and endings of runs, each fenced by the epoch.

The protocol is in server/execution/leases.py. Here every statement that ends, renews or writes for a run names
owner and epoch in its WHERE clause: a worker whose lease was taken over changes no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, CursorResult, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import minutes_before_now, now, now_ms
from db.records import Lease, Ledger, RunFailure, RunStatus
from db.repositories.batches import read_totals
from db.repositories.sources import lock_source
from db.repositories.transitions import move_to
from db.schema import sync_runs

_R = sync_runs.c
_CANDIDATES_MAX: Final = 16


def _held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        _R.id == lease.run_id,
        _R.lease_owner == lease.owner,
        _R.lease_epoch == lease.epoch,
        _R.status == RunStatus.IN_PROGRESS,
    )


async def claim_next(
    connection: AsyncConnection, *, owner: str, source_types: frozenset[str], ttl_ms: int, legacy_grace_minutes: int
) -> Lease | None:
    """Take the oldest run that is due and pending, or whose owner has been silent past its lease; None without one.

    A row of the old service that is in_progress has no lease: it counts as silent after the grace time. A run waits
    while another of its source is in progress, and while an older one of its source is pending, paused or not. That
    is looked at again under the lock of the source, so two claimants cannot take two runs of one source.

    Args:
        source_types: those that the claimant takes; other runs are left to another one, or for later.
    """
    passed: list[int] = []
    while len(passed) < _CANDIDATES_MAX:
        row = (
            await connection.execute(
                select(
                    _R.id,
                    _R.lease_epoch,
                    _R.source_key,
                    _R.source_type,
                    _R.status,
                    _R.takeover_count,
                    _R.takeover_batches,
                )
                .where(_claimable(source_types, legacy_grace_minutes), _R.id.not_in(passed))
                .order_by(_R.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
        ).one_or_none()
        if row is None:
            return None
        await lock_source(connection, row.source_key)
        still = select(_R.id).where(_R.id == row.id, _claimable(source_types, legacy_grace_minutes))
        if (await connection.execute(still)).one_or_none() is not None:
            takeovers = await _takeovers(connection, row) if row.status == RunStatus.IN_PROGRESS else {}
            return await _take(connection, row, owner, ttl_ms, takeovers)
        passed.append(row.id)
    return None


@cache
def _claimable(source_types: frozenset[str], legacy_grace_minutes: int) -> ColumnElement[bool]:
    # Compiled once: an idle replica runs it each second, and building it takes longer than running it.
    other = sync_runs.alias("other")
    others = select(other.c.id).where(other.c.source_key == _R.source_key, other.c.id != _R.id)
    in_progress = other.c.status == RunStatus.IN_PROGRESS
    older_pending = and_(other.c.status == RunStatus.PENDING, other.c.id < _R.id)
    # Of two that are in progress (the old service did that) the older one goes first, and a live lease before all.
    ahead = and_(in_progress, or_(other.c.id < _R.id, other.c.lease_expires_at_ms >= now_ms()))
    due = and_(
        _R.status == RunStatus.PENDING,
        _R.paused.is_(False),
        or_(_R.not_before_ms.is_(None), _R.not_before_ms <= now_ms()),
        ~others.where(or_(in_progress, older_pending)).exists(),
    )
    silent = or_(
        _R.lease_expires_at_ms < now_ms(),
        and_(
            _R.lease_expires_at_ms.is_(None),
            func.coalesce(_R.updated_at, _R.created_at) < minutes_before_now(legacy_grace_minutes),
        ),
    )
    return and_(
        _R.source_key.is_not(None),
        _R.source_type.in_(sorted(source_types)),
        or_(due, and_(_R.status == RunStatus.IN_PROGRESS, silent, ~others.where(ahead).exists())),
    )


async def _takeovers(connection: AsyncConnection, row: Any) -> dict[str, int]:
    """How many owners of a run were lost in a row since its last progress (a committed batch), this one included."""
    batches = (await read_totals(connection, row.id)).batch_count
    lost = row.takeover_count + 1 if batches == row.takeover_batches else 1
    return {"takeover_count": lost, "takeover_batches": batches}


async def _take(
    connection: AsyncConnection, row: Any, owner: str, ttl_ms: int, takeovers: Mapping[str, int]
) -> Lease | None:
    # SKIP LOCKED is per node of a cluster: the epoch in the WHERE clause is what decides between two.
    result = await connection.execute(
        move_to(RunStatus.IN_PROGRESS)
        .where(_R.id == row.id, _R.lease_epoch == row.lease_epoch)
        .values(
            lease_owner=owner,
            lease_epoch=row.lease_epoch + 1,
            lease_expires_at_ms=now_ms() + ttl_ms,
            not_before_ms=None,
            started_at=func.coalesce(_R.started_at, now()),
            **takeovers,
        )
    )
    if not _changed(result):
        return None
    return Lease(row.id, owner, row.lease_epoch + 1, str(row.source_type), is_takeover=bool(takeovers))


async def stop_requests(connection: AsyncConnection, run_ids: Sequence[int]) -> dict[int, tuple[bool, bool]]:
    """The stop requests of running runs: by id, whether to cancel and whether to pause."""
    rows = await connection.execute(select(_R.id, _R.cancel_requested, _R.paused).where(_R.id.in_(run_ids)))
    return {int(row.id): (bool(row.cancel_requested), bool(row.paused)) for row in rows}


async def lock_run_exclusive(connection: AsyncConnection, lease: Lease) -> bool | None:
    """Lock the run alone, so that a batch of it that still commits is counted in its end.

    Returns:
        Whether a caller asked to cancel it, which nobody can do any more from here on; None without the lease.
    """
    row = (await connection.execute(select(_R.cancel_requested).where(_held(lease)).with_for_update())).one_or_none()
    return None if row is None else bool(row.cancel_requested)


def _orphaned() -> ColumnElement[bool]:
    return and_(
        _R.status == RunStatus.IN_PROGRESS,
        or_(_R.cancel_requested.is_(True), _R.paused.is_(True)),
        or_(_R.lease_expires_at_ms.is_(None), _R.lease_expires_at_ms < now_ms()),
    )


async def has_orphans(connection: AsyncConnection) -> bool:
    """Whether there is anything for `settle_orphans`; asked each second, it locks nothing."""
    return (await connection.execute(select(_R.id).where(_orphaned()).limit(1))).one_or_none() is not None


async def lost_owners(connection: AsyncConnection, limit: int) -> list[str]:
    """Owners that were silent past the lease of a run that they have."""
    rows = await connection.execute(
        select(_R.lease_owner)
        .where(_R.status == RunStatus.IN_PROGRESS, _R.lease_owner.is_not(None), _R.lease_expires_at_ms < now_ms())
        .distinct()
        .limit(limit)
    )
    return [str(owner) for (owner,) in rows]


async def settle_orphans(connection: AsyncConnection, limit: int) -> list[int]:
    """Apply the stop requests of runs that are in progress without an owner; return their ids.

    Such a run has a lease that is over, or none (the old service's). One that is to be cancelled is, one that is to be
    paused is pending. An owner that was only slow finds its run taken from it, as after a takeover.
    """
    rows = (
        await connection.execute(
            select(_R.id, _R.cancel_requested)
            .where(_orphaned())
            .order_by(_R.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ).all()
    for row in rows:
        totals = await read_totals(connection, row.id)
        ended = {"paused": False, "completed_at": now()} if row.cancel_requested else {}
        # A row of the old service keeps the counts that it has.
        counts = _counts(totals.ledger, totals.bytes_done) if totals.batch_count else {}
        await connection.execute(
            move_to(RunStatus.CANCELLED if row.cancel_requested else RunStatus.PENDING)
            .where(_R.id == row.id, _R.status == RunStatus.IN_PROGRESS)
            .values(lease_owner=None, lease_expires_at_ms=None, **ended, **counts)
        )
    return [int(row.id) for row in rows]


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


async def lock_run_shared(connection: AsyncConnection, lease: Lease) -> bool:
    """Lock the run against a takeover until this transaction ends; False when the lease is lost already.

    Taken last in a batch, and shared, so that two loaders of one run don't queue on each other.
    """
    row = (await connection.execute(select(_R.id).where(_held(lease)).with_for_update(read=True))).one_or_none()
    return row is not None


async def complete(connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int) -> bool:
    """End the run as completed; False when the lease is lost."""
    return await _end(connection, lease, RunStatus.COMPLETED, ledger, bytes_done, None)


async def fail(connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int, failure: RunFailure) -> bool:
    """End the run as failed; False when the lease is lost."""
    return await _end(connection, lease, RunStatus.FAILED, ledger, bytes_done, failure)


async def cancel(connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int) -> bool:
    """End the run as cancelled; False when the lease is lost."""
    return await _end(connection, lease, RunStatus.CANCELLED, ledger, bytes_done, None)


async def release(
    connection: AsyncConnection, lease: Lease, ledger: Ledger, bytes_done: int, *, delay_ms: int = 0
) -> bool:
    """Give the run back, pending, with its checkpoint. Not an attempt.

    Args:
        delay_ms: nobody claims it before that.
    """
    result = await connection.execute(
        move_to(RunStatus.PENDING)
        .where(_held(lease))
        .values(
            lease_owner=None,
            lease_expires_at_ms=None,
            not_before_ms=now_ms() + delay_ms if delay_ms else None,
            waited_ms=_R.waited_ms + delay_ms,
            **_counts(ledger, bytes_done),
        )
    )
    return _changed(result)


async def _end(
    connection: AsyncConnection,
    lease: Lease,
    status: RunStatus,
    ledger: Ledger,
    bytes_done: int,
    failure: RunFailure | None,
) -> bool:
    result = await connection.execute(
        move_to(status)
        .where(_held(lease))
        .values(
            completed_at=now(),
            lease_owner=None,
            lease_expires_at_ms=None,
            error_message=failure.message if failure else None,
            error_reason=failure.reason if failure else None,
            error_category=failure.category if failure else None,
            error_retryable=failure.retryable if failure else None,
            error_next_step=failure.next_step[:500] if failure else None,
            paused=False,
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
