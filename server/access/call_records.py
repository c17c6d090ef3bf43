"""What a call leaves behind in the transaction of its change: its audit entry, and the use of its idempotency key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.repositories import audit, idempotency_keys
from db.repositories.audit import AuditEntry
from db.repositories.idempotency_keys import EarlierCall
from server.core.callers import Call
from server.core.errors import InvalidRequestError, RequestIdReusedError


class _RepeatedCallError(Exception):
    """Another call with the same idempotency key was faster; the change is undone."""


class CallRecords:
    """Makes each change happen once for each idempotency key, and leave its entry.

    Args:
        key_days_max: an idempotency key is remembered for so long.
    """

    def __init__(self, database: Database, *, key_days_max: int) -> None:
        self._database = database
        self._key_minutes_max = key_days_max * 24 * 60

    async def once(self, call: Call | None, change: Callable[[], Awaitable[int]]) -> int:
        """Make a change, unless a call with the same key has made it; return the id that the one or the other gave.

        Args:
            call: None for one of the service's own.
            change: its transaction ends with `record`.

        Raises:
            RequestIdReusedError: the key belongs to a call with other content.
            DatabaseError, and whatever `change` raises.
        """
        if call is None or not call.idempotency_key:
            return await change()
        earlier = await self._earlier(call)
        if earlier is not None:
            return earlier
        try:
            return await change()
        except _RepeatedCallError:
            earlier = await self._earlier(call)
            # None: the other one was undone after all.
            return await change() if earlier is None else earlier
        except InvalidRequestError:
            # Another call with the key may have done it meanwhile, and left nothing to do.
            earlier = await self._earlier(call)
            if earlier is None:
                raise
            return earlier

    async def record(
        self,
        connection: AsyncConnection,
        call: Call | None,
        *,
        run_id: int | None = None,
        schedule_id: int | None = None,
    ) -> None:
        """Store what a call changed, as the last step of the transaction of the change."""
        if call is None:
            return
        if call.idempotency_key:
            use = EarlierCall(call.fingerprint, run_id or schedule_id or 0)
            is_first = await idempotency_keys.try_use(
                connection, call.caller.name, call.idempotency_key, use, self._key_minutes_max
            )
            if not is_first:
                raise _RepeatedCallError
        entry = AuditEntry(
            caller=call.caller.name,
            method=call.method,
            peer=call.peer,
            request_id=call.request_id,
            outcome="done",
            run_id=run_id,
            schedule_id=schedule_id,
        )
        await audit.insert_entry(connection, entry)

    async def _earlier(self, call: Call) -> int | None:
        async with self._database.read() as connection:
            found = await idempotency_keys.find(
                connection, call.caller.name, call.idempotency_key, self._key_minutes_max
            )
        if found is None:
            return None
        if found.fingerprint != call.fingerprint:
            raise RequestIdReusedError
        return found.result_id
