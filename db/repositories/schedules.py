"""sync_schedules: recurring syncs. Which replica fires is decided by sync_schedule_fires."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import now
from db.records import FireOutcome, OverlapPolicy, Schedule
from db.schema import sync_schedules

_S = sync_schedules.c


async def insert_schedule(connection: AsyncConnection, schedule: Schedule) -> int:
    """Store a schedule; return its id (the given one does not count)."""
    result = await connection.execute(insert(sync_schedules).values(_values(schedule) | {"revision": 1}))
    key = result.inserted_primary_key
    if key is None:
        raise RuntimeError("the database gave no id for a new schedule")
    return int(key[0])


async def replace_schedule(connection: AsyncConnection, schedule: Schedule) -> bool:
    """Store a changed schedule over the revision that it was made from; False when that is no longer the present one."""
    result = await connection.execute(
        update(sync_schedules)
        .where(_S.id == schedule.id, _S.revision == schedule.revision)
        .values(_values(schedule) | {"revision": schedule.revision + 1, "updated_at": now()})
    )
    return result.rowcount == 1


async def delete_schedule(connection: AsyncConnection, schedule_id: int) -> bool:
    """Remove a schedule; its runs stay. False when there is none."""
    result = await connection.execute(delete(sync_schedules).where(_S.id == schedule_id))
    return result.rowcount == 1


async def get_schedule(connection: AsyncConnection, schedule_id: int) -> Schedule | None:
    """The schedule, or None."""
    row = (await connection.execute(select(sync_schedules).where(_S.id == schedule_id))).one_or_none()
    return None if row is None else _schedule(row)


async def list_schedules(connection: AsyncConnection, *, before_id: int | None, limit: int) -> list[Schedule]:
    """At most `limit` schedules, newest first, with ids below `before_id`."""
    query = select(sync_schedules).order_by(_S.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(_S.id < before_id)
    return [_schedule(row) for row in await connection.execute(query)]


async def enabled_schedules(connection: AsyncConnection, limit: int) -> list[Schedule]:
    """The schedules that are switched on, oldest first."""
    query = select(sync_schedules).where(_S.enabled.is_(True)).order_by(_S.id).limit(limit)
    return [_schedule(row) for row in await connection.execute(query)]


async def count_schedules(connection: AsyncConnection) -> int:
    """How many there are."""
    return int((await connection.execute(select(func.count()).select_from(sync_schedules))).scalar_one())


async def hold_for_fire(connection: AsyncConnection, schedule: Schedule) -> bool:
    """Hold a schedule against changes until the fire is committed; False when it was changed or removed meanwhile."""
    found = await connection.execute(
        select(_S.id)
        .where(_S.id == schedule.id, _S.revision == schedule.revision, _S.enabled.is_(True))
        .with_for_update()
    )
    return found.one_or_none() is not None


async def record_fire(
    connection: AsyncConnection, schedule_id: int, fire_at_local: str, outcome: FireOutcome, run_id: int | None
) -> None:
    """Store what the last fire did."""
    await connection.execute(
        update(sync_schedules)
        .where(_S.id == schedule_id)
        .values(last_fire_at_local=fire_at_local, last_outcome=outcome, last_sync_run_id=run_id)
    )


def _values(schedule: Schedule) -> dict[str, Any]:
    return {
        "source_type": schedule.source_type,
        "source_identifier": schedule.source_identifier,
        "options": dict(schedule.options),
        "options_digest": schedule.options_digest,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "overlap_policy": schedule.overlap_policy,
        "catch_up_seconds": schedule.catch_up_seconds,
        "enabled": schedule.enabled,
        "starts_at_ms": schedule.starts_at_ms,
    }


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        id=row.id,
        source_type=row.source_type,
        source_identifier=row.source_identifier,
        options=row.options,
        options_digest=row.options_digest,
        cron=row.cron,
        time_zone=row.time_zone,
        overlap_policy=OverlapPolicy(row.overlap_policy),
        catch_up_seconds=row.catch_up_seconds,
        enabled=bool(row.enabled),
        starts_at_ms=row.starts_at_ms,
        revision=row.revision,
        last_fire_at_local=row.last_fire_at_local,
        last_outcome=FireOutcome(row.last_outcome) if row.last_outcome else None,
        last_run_id=row.last_sync_run_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
