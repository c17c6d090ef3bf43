"""sync_schedule_fires: which replica fires, decided by a unique row."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import minutes_before_now, now
from db.schema import sync_schedule_fires

_F = sync_schedule_fires.c


async def has_fired(connection: AsyncConnection, schedule_name: str, fire_at_local: str) -> bool:
    """Whether some replica has taken this fire."""
    found = await connection.execute(
        select(_F.fire_at_local).where(_F.schedule_name == schedule_name, _F.fire_at_local == fire_at_local)
    )
    return found.one_or_none() is not None


async def try_fire(connection: AsyncConnection, schedule_name: str, fire_at_local: str) -> bool:
    """Take a fire; False when another replica has. What it starts belongs in the same transaction."""
    if await has_fired(connection, schedule_name, fire_at_local):
        return False
    try:
        await connection.execute(
            insert(sync_schedule_fires).values(schedule_name=schedule_name, fire_at_local=fire_at_local, fired_at=now())
        )
    except IntegrityError:
        return False
    return True


async def forget_before(connection: AsyncConnection, age_minutes: int, limit: int) -> int:
    """Remove fires that are older, which can no longer be caught up; return how many."""
    keys = (_F.schedule_name, _F.fire_at_local)
    old = select(*keys).where(_F.fired_at < minutes_before_now(age_minutes)).limit(limit)
    found = [tuple(row) for row in await connection.execute(old)]
    if found:
        await connection.execute(delete(sync_schedule_fires).where(tuple_(*keys).in_(found)))
    return len(found)
