"""Refused calls in the audit: equal ones are counted in memory and written a few seconds apart, so that a flood costs no writes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final

from db.engine import Database
from db.errors import DatabaseError
from db.repositories import audit
from db.repositories.audit import AuditEntry
from server.core.callers import Call
from server.core.clock import Clock

# Different ones between two writings; further ones are counted by their method and reason alone.
_KINDS_MAX: Final = 200
_WRITE_SECONDS: Final = 5.0
# So many in one transaction, which others of an embedded database wait for.
_AT_ONCE: Final = 50


class Refusals:
    """Counts refused calls, and writes them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._counted: dict[tuple[str, ...], AuditEntry] = {}

    def add(self, call: Call, reason: str, detail: str) -> None:
        """Count a refused call.

        Args:
            detail: what its caller was told.
        """
        key: tuple[str, ...] = (call.caller.name, call.method, call.peer, reason, detail)
        entry = AuditEntry(call.caller.name, call.method, call.peer, call.request_id, "refused", reason, detail)
        if key not in self._counted and len(self._counted) >= _KINDS_MAX:
            key = (call.method, reason)  # Both of closed sets, and so is what is kept.
            entry = replace(entry, caller="", peer="", detail="others, too many to be told apart")
        counted = self._counted.get(key)
        self._counted[key] = entry if counted is None else replace(counted, count=counted.count + 1)

    async def write(self) -> None:
        """Store what was counted.

        Raises:
            DatabaseError: it is counted on.
        """
        counted = list(self._counted.items())
        for first in range(0, len(counted), _AT_ONCE):
            entries = counted[first : first + _AT_ONCE]
            async with self._database.write() as connection:
                for _key, entry in entries:
                    await audit.insert_entry(connection, entry)
            for key, entry in entries:
                left = self._counted[key].count - entry.count
                if left:
                    self._counted[key] = replace(self._counted[key], count=left)
                else:
                    del self._counted[key]

    async def write_last(self) -> None:
        """Store what was counted, at the end; where the database is away, that is lost."""
        with suppress(DatabaseError):
            await self.write()

    async def pause(self) -> None:
        """Wait until it is time to write."""
        await self._clock.sleep(_WRITE_SECONDS)
