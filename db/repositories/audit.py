"""sync_audit: what callers changed, and what they were refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import now_ms
from db.schema import sync_audit

_A = sync_audit.c
_DETAIL_CHARS_MAX: Final = 500
_CALLER_CHARS_MAX: Final = 200
_PEER_CHARS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One call, or a number of equal refusals.

    Args:
        caller: who called; empty where nobody knows.
        method: the RPC.
        peer: from which address.
        request_id: under which the logs have the call; of several refusals, that of the first.
        outcome: whether it changed something or was refused.
        reason, detail: of a refusal: an ErrorReason and what the caller was told.
        run_id, schedule_id: what was changed.
        count: how many calls this stands for.
        id, called_at_ms: set by the database.
    """

    caller: str
    method: str
    peer: str
    request_id: str
    outcome: Literal["done", "refused"]
    reason: str | None = None
    detail: str | None = None
    run_id: int | None = None
    schedule_id: int | None = None
    count: int = 1
    id: int = 0
    called_at_ms: int = 0


async def insert_entry(connection: AsyncConnection, entry: AuditEntry) -> None:
    """Store what happened, at the database's own time."""
    await connection.execute(
        insert(sync_audit).values(
            called_at_ms=now_ms(),
            caller=entry.caller[:_CALLER_CHARS_MAX],
            method=entry.method,
            peer=entry.peer[:_PEER_CHARS_MAX],
            request_id=entry.request_id,
            outcome=entry.outcome,
            reason=entry.reason,
            detail=None if entry.detail is None else entry.detail[:_DETAIL_CHARS_MAX],
            sync_run_id=entry.run_id,
            sync_schedule_id=entry.schedule_id,
            call_count=entry.count,
        )
    )


async def list_entries(
    connection: AsyncConnection, *, limit: int, since_ms: int = 0, before_id: int | None = None, caller: str = ""
) -> list[AuditEntry]:
    """At most `limit` entries, newest first, from a time on; of one caller where one is named."""
    query = select(sync_audit).where(_A.called_at_ms >= since_ms).order_by(_A.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(_A.id < before_id)
    if caller:
        query = query.where(_A.caller == caller)
    return [_entry(row) for row in await connection.execute(query)]


async def forget_before(connection: AsyncConnection, age_ms: int, limit: int) -> int:
    """Remove entries that are older; return how many."""
    old = select(_A.id).where(_A.called_at_ms < now_ms() - age_ms).order_by(_A.called_at_ms).limit(limit)
    ids = [row.id for row in await connection.execute(old)]
    if ids:
        await connection.execute(delete(sync_audit).where(_A.id.in_(ids)))
    return len(ids)


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        caller=row.caller,
        method=row.method,
        peer=row.peer,
        request_id=row.request_id,
        outcome=row.outcome,
        reason=row.reason,
        detail=row.detail,
        run_id=row.sync_run_id,
        schedule_id=row.sync_schedule_id,
        count=row.call_count,
        id=row.id,
        called_at_ms=row.called_at_ms,
    )
