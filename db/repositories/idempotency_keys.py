"""sync_idempotency_keys: which calls have changed something already, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import minutes_before_now, now
from db.schema import sync_idempotency_keys

_I = sync_idempotency_keys.c


@dataclass(frozen=True, slots=True)
class EarlierCall:
    """A call that changed something.

    Args:
        fingerprint: of its content.
        result_id: the run or schedule that it was about, 0 for none.
    """

    fingerprint: str
    result_id: int


async def find(connection: AsyncConnection, caller: str, key: str, age_minutes_max: int) -> EarlierCall | None:
    """The call of this caller that used the key, if it is not older."""
    found = await connection.execute(
        select(_I.fingerprint, _I.result_id).where(
            _I.caller == caller, _I.idempotency_key == key, _I.created_at > minutes_before_now(age_minutes_max)
        )
    )
    row = found.one_or_none()
    return None if row is None else EarlierCall(row.fingerprint, int(row.result_id))


async def try_use(connection: AsyncConnection, caller: str, key: str, call: EarlierCall, age_minutes_max: int) -> bool:
    """Use a key, in the transaction of the change; False when another call has, or is about to.

    A call that is about to is waited for: its row is locked until it commits or is undone.
    """
    mine = (_I.caller == caller, _I.idempotency_key == key)
    expired = _I.created_at <= minutes_before_now(age_minutes_max)
    await connection.execute(delete(sync_idempotency_keys).where(*mine, expired))
    values = {"caller": caller, "idempotency_key": key, "fingerprint": call.fingerprint, "result_id": call.result_id}
    try:
        await connection.execute(insert(sync_idempotency_keys).values(values | {"created_at": now()}))
    except IntegrityError:
        return False
    return True


async def forget_before(connection: AsyncConnection, age_minutes: int, limit: int) -> int:
    """Remove keys that are older; return how many."""
    columns = (_I.caller, _I.idempotency_key)
    old = select(*columns).where(_I.created_at < minutes_before_now(age_minutes)).limit(limit)
    found = [tuple(row) for row in await connection.execute(old)]
    if found:
        await connection.execute(delete(sync_idempotency_keys).where(tuple_(*columns).in_(found)))
    return len(found)
