"""sync_watermarks: the watermark of each incremental source, as its completed runs have seen it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import minutes_before_now, now
from db.savepoints import Savepoint
from db.schema import sync_watermarks

_W = sync_watermarks.c


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a source has been seen.

    Args:
        key: names the source and what is read of it, at most 32 characters.
        value: the highest value seen, as the source wrote it.
        rank: a text whose order is that of the values.
        is_full: whether the run that saw it read everything.
    """

    key: str
    value: str
    rank: str
    is_full: bool


async def get_value(connection: AsyncConnection, key: str, full_after_days: int) -> str | None:
    """The value to continue from; None when there is none, or when no run has read everything for so many days."""
    found = await connection.execute(
        select(_W.value).where(_W.source_key == key, _W.full_at > minutes_before_now(full_after_days * 24 * 60))
    )
    value = found.scalar_one_or_none()
    return None if value is None else str(value)


async def advance(connection: AsyncConnection, run_id: int, mark: Watermark) -> None:
    """Keep what a completed run has seen, in the transaction that ends it.

    The mark of a full run replaces the one before, lower or not: it is what the source holds. Any other only raises it.
    """
    attempt = Savepoint(connection, "sync_watermark")
    await attempt.begin()
    try:
        await connection.execute(
            insert(sync_watermarks).values(
                source_key=mark.key,
                value=mark.value,
                value_rank=mark.rank,
                sync_run_id=run_id,
                full_at=now() if mark.is_full else None,
                updated_at=now(),
            )
        )
        await attempt.release()
        return
    except IntegrityError:
        await attempt.undo()
    higher = _W.value_rank < mark.rank
    changed = {
        "value": mark.value if mark.is_full else case((higher, mark.value), else_=_W.value),
        "sync_run_id": run_id,
        "updated_at": now(),
        # Last: MySQL sets columns in this order, and those before must see the old rank.
        "value_rank": mark.rank if mark.is_full else case((higher, mark.rank), else_=_W.value_rank),
    }
    if mark.is_full:
        changed["full_at"] = now()
    await connection.execute(update(sync_watermarks).where(_W.source_key == mark.key).ordered_values(*changed.items()))
