"""What waits, and how long ago each source last succeeded: one statement each, in a time that does not grow with the history.

Asked for again and again by who watches the service. All ages are by the database's own clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import as_integer, now, now_ms
from db.records import RunStatus
from db.schema import sync_runs, sync_sources

_R = sync_runs.c


@dataclass(frozen=True, slots=True)
class Backlog:
    """Live runs that nobody executes.

    Args:
        due: pending, and free to be claimed; an older run of the same source may be before them.
        delayed: pending until a moment: they are retried, or their source wants to be asked later.
        paused: pending until a caller continues them.
        unowned: in progress, with a lease that is over or none.
        oldest_seconds: how long the run that is due for longest has been due; 0 without one.
    """

    due: int
    delayed: int
    paused: int
    unowned: int
    oldest_seconds: float


async def read_backlog(connection: AsyncConnection) -> Backlog:
    """What waits now."""
    pending = and_(_R.status == RunStatus.PENDING, _R.paused.is_(False))
    delayed = and_(pending, _R.not_before_ms > now_ms())
    at_once = and_(pending, _R.not_before_ms.is_(None))
    after_delay = and_(pending, _R.not_before_ms <= now_ms())
    is_silent = or_(_R.lease_expires_at_ms.is_(None), _R.lease_expires_at_ms < now_ms())
    counted = {
        "due": or_(at_once, after_delay),
        "delayed": delayed,
        "paused": and_(_R.status == RunStatus.PENDING, _R.paused.is_(True)),
        "unowned": and_(_R.status == RunStatus.IN_PROGRESS, is_silent),
    }
    row = (
        await connection.execute(
            select(
                *(as_integer(func.sum(case((found, 1), else_=0))).label(name) for name, found in counted.items()),
                # Whatever makes a run pending sets its updated_at.
                func.min(case((at_once, func.coalesce(_R.updated_at, _R.created_at)))).label("since"),
                func.min(case((after_delay, _R.not_before_ms))).label("since_ms"),
                now().label("now"),
                now_ms().label("now_ms"),
            ).where(_R.status.in_((RunStatus.PENDING, RunStatus.IN_PROGRESS)))
        )
    ).one()
    ages = [_seconds(row.since, row.now)] if row.since is not None else []
    ages += [(int(row.now_ms) - int(row.since_ms)) / 1000] if row.since_ms is not None else []
    counts = {name: int(getattr(row, name)) for name in counted}
    return Backlog(**counts, oldest_seconds=max(0.0, *ages) if ages else 0.0)


async def success_ages(connection: AsyncConnection, source_keys: Sequence[str]) -> dict[str, float]:
    """By source, how many seconds ago it last completed a run; a source that never has is left out."""
    last = (
        select(_R.completed_at)
        .where(
            _R.source_key == sync_sources.c.source_key,
            _R.completed_at.is_not(None),
            # As an expression: the index on the status as such would be chosen, and all runs of the source be read.
            _R.status.concat("") == RunStatus.COMPLETED,
        )
        # The end of an index, behind whatever has failed since.
        .order_by(_R.completed_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = await connection.execute(
        select(sync_sources.c.source_key, last.label("completed_at"), now().label("now")).where(
            sync_sources.c.source_key.in_(source_keys)
        )
    )
    return {
        str(row.source_key): max(0.0, _seconds(row.completed_at, row.now))
        for row in rows
        if row.completed_at is not None
    }


def _seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()
