"""sync_runs: storing, reading, counting and ending runs. Who may write for a run is decided in leases.py.

Every change of a run raises its `revision`, so that a watcher sees it as a later sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import and_, func, insert, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import matches, minutes_before_now, now, now_ms
from db.records import LIVE_STATUSES, Run, RunStatus
from db.repositories.run_rows import read_runs
from db.repositories.sources import source_key_of
from db.repositories.transitions import move_to
from db.schema import sync_errors, sync_runs

_R = sync_runs.c
_SPREAD_PRIME: Final = 104_729


async def insert_run(
    connection: AsyncConnection,
    *,
    source_type: str,
    source_identifier: str,
    options: Mapping[str, Any],
    source_key: str = "",
    options_digest: str = "",
    schedule_id: int | None = None,
) -> int:
    """Store a pending run; return its id.

    Args:
        source_key: empty takes the identifier as it is spelled.
    """
    result = await connection.execute(
        insert(sync_runs).values(
            source_type=source_type,
            source_identifier=source_identifier,
            status=RunStatus.PENDING,
            sync_metadata=dict(options),
            source_key=source_key or source_key_of(source_type, source_identifier),
            options_digest=options_digest,
            sync_schedule_id=schedule_id,
            items_processed=0,
            items_failed=0,
            items_skipped=0,
            created_at=now(),
            updated_at=now(),
        )
    )
    key = result.inserted_primary_key
    if key is None:
        raise RuntimeError("the database gave no id for a new run")
    return int(key[0])


async def get_run(connection: AsyncConnection, run_id: int, *, with_options: bool = False) -> Run | None:
    """The run with its live counts and its tally, or None."""
    chosen = select(_R.id, _R.restart_no).where(_R.id == run_id)
    return next(iter(await read_runs(connection, chosen, with_tally=True, with_options=with_options)), None)


async def retry_count(connection: AsyncConnection, run_id: int) -> int:
    """How often the run was retried at night."""
    return int((await connection.execute(select(_R.retry_count).where(_R.id == run_id))).scalar_one() or 0)


async def waited_ms(connection: AsyncConnection, run_id: int) -> int:
    """How long the run was given back to wait for its source, since it began or was last retried."""
    return int((await connection.execute(select(_R.waited_ms).where(_R.id == run_id))).scalar_one() or 0)


async def source_type_and_doubt(connection: AsyncConnection, run_id: int) -> tuple[str, bool]:
    """The type of the run's source, and whether its reader doubts the encoding in which it was read."""
    found = (await connection.execute(select(_R.source_type, _R.detected).where(_R.id == run_id))).one()
    return str(found.source_type), bool((found.detected or {}).get("encodingDoubted"))


async def list_runs(
    connection: AsyncConnection,
    *,
    before_id: int | None,
    limit: int,
    status: RunStatus | None = None,
    source_type: str = "",
) -> list[Run]:
    """At most `limit` runs, newest first, with ids below `before_id`."""
    query = select(_R.id, _R.restart_no).limit(limit)
    # Ordered by the whole index that is read, though all that is read has the same status and type: see `matches`.
    ordered = [column for column, wanted in ((_R.source_type, source_type), (_R.status, status)) if wanted]
    query = query.order_by(*(column.desc() for column in (*ordered, _R.id)))
    if before_id is not None:
        query = query.where(_R.id < before_id)
    for column, wanted in ((_R.status, status), (_R.source_type, source_type)):
        if wanted:
            query = query.where(matches(connection, column, wanted))
    return await read_runs(connection, query)


async def count_among(connection: AsyncConnection, run_ids: Sequence[int]) -> dict[str, int]:
    """Runs by status, among those ids."""
    rows = await connection.execute(select(_R.status, func.count()).where(_R.id.in_(run_ids)).group_by(_R.status))
    return {str(status): int(count) for status, count in rows}


async def pending_ids(connection: AsyncConnection, limit: int) -> list[int]:
    """Ids of pending runs that nobody has paused, oldest first."""
    rows = await connection.execute(
        select(_R.id).where(_R.status == RunStatus.PENDING, _R.paused.is_(False)).order_by(_R.id).limit(limit)
    )
    return [int(run_id) for (run_id,) in rows]


async def replace_options(connection: AsyncConnection, run_id: int, options: Mapping[str, Any]) -> None:
    """Store options again, with their secrets sealed."""
    await connection.execute(update(sync_runs).where(_R.id == run_id).values(sync_metadata=dict(options)))


async def record_source(
    connection: AsyncConnection, run_id: int, *, fingerprint: str, bytes_total: int, detected: Mapping[str, Any]
) -> None:
    """Store what the opened source is."""
    await connection.execute(
        update(sync_runs)
        .where(_R.id == run_id)
        .values(
            source_fingerprint=fingerprint,
            bytes_total=bytes_total,
            detected=dict(detected),
            revision=_R.revision + 1,
        )
    )


async def record_deactivated(connection: AsyncConnection, run_id: int, count: int) -> None:
    """Add to the rows that the run, a mirror, switched off."""
    await connection.execute(
        update(sync_runs)
        .where(_R.id == run_id)
        .values(rows_deactivated=_R.rows_deactivated + count, revision=_R.revision + 1)
    )


async def last_reading(connection: AsyncConnection, run: Run, *, minutes: int) -> Run | None:
    """The run that last read the source of `run` through, if it did so with the same options and nothing was left open.

    Args:
        minutes: how long ago that run may have ended.
    """
    own = sync_runs.alias("own")
    of_source = _R.source_key == select(own.c.source_key).where(own.c.id == run.id).scalar_subquery()
    # A run that nobody ever claimed has written nothing; of the others the last one counts, however it ended.
    others = select(_R.id, _R.same_as_run_id).where(of_source, _R.id != run.id, _R.lease_epoch > 0)
    # Each is the end of an index; those that have not ended are few.
    last_of = [
        others.add_columns(moment.label("moment"))
        .where(state)
        .order_by(moment.desc(), _R.id.desc())
        .limit(1)
        .subquery()
        for moment, state in (
            (_R.completed_at, _R.completed_at.is_not(None)),
            (_R.updated_at, _R.completed_at.is_(None)),
        )
    ]
    both = union_all(*(select(found) for found in last_of)).subquery()
    last = (
        await connection.execute(select(both).order_by(both.c.moment.desc(), both.c.id.desc()).limit(1))
    ).one_or_none()
    if last is None:
        return None
    read_through = select(_R.id, _R.restart_no).where(
        _R.id == (last.same_as_run_id or last.id),
        of_source,
        _R.status == RunStatus.COMPLETED,
        _R.completed_at > minutes_before_now(minutes),
        _R.rows_rejected == 0,
    )
    found = next(iter(await read_runs(connection, read_through, with_tally=True, with_options=True)), None)
    return None if found is None or found.options != run.options or found.conflicts else found


async def last_header(connection: AsyncConnection, run_id: int) -> tuple[int, Sequence[str]] | None:
    """The header that the last completed run of the same source found, with its id; None without one.

    A run whose reading is forgotten (`forget_reading`) does not count.
    """
    own = sync_runs.alias("own")
    of_source = _R.source_key == select(own.c.source_key).where(own.c.id == run_id).scalar_subquery()
    completed = (
        select(_R.id, _R.detected)
        .where(of_source, _R.id != run_id, _R.completed_at.is_not(None), _R.status == RunStatus.COMPLETED)
        .where(_R.source_fingerprint.is_not(None))
        .order_by(_R.completed_at.desc(), _R.id.desc())
        .limit(1)
    )
    found = (await connection.execute(completed)).one_or_none()
    header = (found.detected or {}).get("header") if found is not None else None
    return None if found is None or not isinstance(header, list) else (found.id, header)


async def forget_reading(connection: AsyncConnection, run_id: int) -> None:
    """Mark this run so that no later run counts its source as unchanged: something was not loaded."""
    await connection.execute(
        update(sync_runs)
        .where(_R.id == run_id)
        .values(source_fingerprint=None, source_digest=None, revision=_R.revision + 1)
    )


async def record_digest(connection: AsyncConnection, run_id: int, digest: str) -> None:
    """Store the digest of the whole source, once it has been read through."""
    await connection.execute(update(sync_runs).where(_R.id == run_id).values(source_digest=digest))


async def record_same_as(connection: AsyncConnection, run_id: int, same_as_run_id: int, notice: str) -> None:
    """Record that a run repeats the result of another one."""
    await connection.execute(update(sync_runs).where(_R.id == run_id).values(same_as_run_id=same_as_run_id))
    await add_notices(connection, run_id, (notice,))


async def start_over(connection: AsyncConnection, run_id: int, notice: str) -> None:
    """Start again from the first record: batches of the earlier reading no longer count."""
    notices = await _notices(connection, run_id)
    await connection.execute(
        update(sync_runs)
        .where(_R.id == run_id)
        .values(
            restart_no=_R.restart_no + 1,
            source_fingerprint=None,
            same_as_run_id=None,
            notices=[*notices, notice],
            revision=_R.revision + 1,
        )
    )


async def add_notices(connection: AsyncConnection, run_id: int, added: Sequence[str]) -> None:
    """Append notices that the run does not carry yet."""
    present = await _notices(connection, run_id)
    new = [notice for notice in added if notice not in present]
    if new:
        await connection.execute(
            update(sync_runs).where(_R.id == run_id).values(notices=[*present, *new], revision=_R.revision + 1)
        )


async def request_cancel(connection: AsyncConnection, run_id: int) -> str | None:
    """Cancel a pending run at once, ask the owner of a running one to stop; return the status before, or None."""
    status = (await connection.execute(select(_R.status).where(_R.id == run_id).with_for_update())).scalar_one_or_none()
    if status == RunStatus.PENDING:
        await connection.execute(
            move_to(RunStatus.CANCELLED).where(_R.id == run_id).values(paused=False, completed_at=now())
        )
    elif status == RunStatus.IN_PROGRESS:
        await connection.execute(
            update(sync_runs).where(_R.id == run_id).values(cancel_requested=True, revision=_R.revision + 1)
        )
    return None if status is None else str(status)


async def set_paused(connection: AsyncConnection, run_id: int, paused: bool) -> tuple[str, bool] | None:
    """Pause or continue a run that has not ended; return its status and whether it was paused before, or None.

    A pending run is paused at once; the owner of a running one gives it back. A run that is continued is due at once.
    """
    row = (
        await connection.execute(select(_R.status, _R.paused).where(_R.id == run_id).with_for_update())
    ).one_or_none()
    if row is None:
        return None
    if row.status in LIVE_STATUSES and bool(row.paused) != paused:
        await connection.execute(
            update(sync_runs)
            .where(_R.id == run_id)
            .values(paused=paused, not_before_ms=None, revision=_R.revision + 1, updated_at=_R.updated_at)
        )
    return str(row.status), bool(row.paused)


async def make_due(connection: AsyncConnection, run_id: int | None = None) -> None:
    """Make pending runs due now: one, or all."""
    waiting = update(sync_runs).where(_R.status == RunStatus.PENDING, _R.not_before_ms.is_not(None))
    await connection.execute((waiting if run_id is None else waiting.where(_R.id == run_id)).values(not_before_ms=None))


async def requeue_failed(
    connection: AsyncConnection,
    *,
    source_types: Collection[str],
    retry_count_max: int,
    age_days_max: int,
    limit: int,
    spread_ms: int = 0,
) -> list[int]:
    """Make failed runs of these types with retryable errors pending again, oldest first; return their ids.

    A row of the old service has no verdict of ours: it is retryable when one of its errors is. A run whose source
    completed in a later run is left alone.

    Args:
        spread_ms: each run is due at a moment of its own, decided by its id, within this time.
    """
    later = sync_runs.alias("later")
    superseded = (
        select(later.c.id)
        .where(
            later.c.id > _R.id,
            later.c.status == RunStatus.COMPLETED,
            or_(
                later.c.source_key == _R.source_key,
                and_(later.c.source_type == _R.source_type, later.c.source_identifier == _R.source_identifier),
            ),
        )
        .exists()
    )
    has_retryable_error = (
        select(sync_errors.c.id)
        .where(sync_errors.c.sync_run_id == _R.id, sync_errors.c.is_retryable.is_(True))
        .exists()
    )
    rows = await connection.execute(
        select(_R.id)
        .where(
            _R.status == RunStatus.FAILED,
            _R.source_type.in_(source_types),
            _R.retry_count < retry_count_max,
            _R.updated_at > minutes_before_now(age_days_max * 24 * 60),
            or_(_R.error_retryable.is_(True), and_(_R.error_retryable.is_(None), has_retryable_error)),
            ~superseded,
        )
        .order_by(_R.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = [int(run_id) for (run_id,) in rows]
    if ids:
        await connection.execute(
            move_to(RunStatus.PENDING)
            .where(_R.id.in_(ids), _R.status == RunStatus.FAILED)
            .values(
                retry_count=_R.retry_count + 1,
                completed_at=None,
                error_message=None,
                error_reason=None,
                error_category=None,
                error_retryable=None,
                error_next_step=None,
                takeover_count=0,
                waited_ms=0,
                # A multiple of a prime spreads neighbouring ids over the whole time.
                not_before_ms=now_ms() + (_R.id * _SPREAD_PRIME) % spread_ms if spread_ms else None,
            )
        )
    return ids


async def _notices(connection: AsyncConnection, run_id: int) -> list[str]:
    found = (await connection.execute(select(_R.notices).where(_R.id == run_id))).scalar_one_or_none()
    return [str(notice) for notice in found or ()]
