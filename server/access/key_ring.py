"""The usable API keys, kept in memory: a call costs no query, whether its key is good or not.

The ring is read again every few seconds, which bounds how long a revoked or expired key still lets in, and when a key does not fit,
at most once a second: a key that was just made works at once. Whoever waits for that, waits as long for a wrong key as for
an unknown one.
"""

from __future__ import annotations

import asyncio
import hmac
import math
from typing import Final

from db.engine import Database
from db.errors import DatabaseError
from db.repositories import api_keys
from server.access.api_keys import digest_of, id_of, ring_size, scopes_of
from server.core.callers import Caller, Reach
from server.core.clock import Clock

_LOOK_SECONDS_MIN: Final = 1.0
# While the database is away the keys that are known go on to let in, for so long.
_STALE_SECONDS_MAX: Final = 300.0
_USE_NOTED_SECONDS: Final = 3600.0
_NOBODYS_DIGEST: Final = "0" * 64


class KeyRing:
    """Knows callers by their keys.

    Args:
        keys_max: no more are read.
        refresh_seconds: how old what is known may be.
    """

    def __init__(self, database: Database, clock: Clock, *, keys_max: int, refresh_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._keys_max = keys_max
        self._refresh_seconds = refresh_seconds
        self._keys: dict[str, tuple[str, Caller]] = {}
        self._read_at = self._looked_at = -math.inf
        self._fault: DatabaseError | None = None
        self._looking = asyncio.Lock()
        # key id -> when its use was last noted in the database; None: not yet.
        self._uses: dict[str, float | None] = {}

    async def caller_of(self, key: str) -> Caller | None:
        """Who has this key; None where nobody has, or may use it any more.

        Raises:
            DatabaseError: the keys cannot be read, and have not been for long.
        """
        asked_at = self._clock.monotonic_seconds()
        await self._refresh(asked_at - self._refresh_seconds)
        found = self._match(key)
        if found is None and id_of(key) is not None:
            await self._refresh(asked_at)
            found = self._match(key)
        return found

    def _match(self, key: str) -> Caller | None:
        key_id = id_of(key)
        digest, caller = self._keys.get(key_id or "", (_NOBODYS_DIGEST, None))
        if not hmac.compare_digest(digest, digest_of(key)) or key_id is None:
            return None
        self._uses.setdefault(key_id, None)
        return caller

    async def _refresh(self, since: float) -> None:
        """Look for changed keys, unless that was done since a time on the clock; never twice within a second.

        Raises:
            DatabaseError
        """
        if self._looked_at <= since:
            async with self._looking:
                if self._looked_at <= since:
                    await self._look()
        if self._fault is not None and self._looked_at - self._read_at > _STALE_SECONDS_MAX:
            raise self._fault.with_traceback(None)

    async def _look(self) -> None:
        wait = self._looked_at + _LOOK_SECONDS_MIN - self._clock.monotonic_seconds()
        if wait > 0:
            await self._clock.sleep(wait)
        began_at = self._clock.monotonic_seconds()
        self._fault = None
        try:
            await self._read()
            self._read_at = began_at
            await self._note_uses(began_at)
        except DatabaseError as fault:
            # Callers that wait behind this one are told the same; asking again for each would take as many time-outs.
            self._fault = fault
        self._looked_at = began_at

    async def _read(self) -> None:
        async with self._database.read() as connection:
            stored = await api_keys.usable_keys(connection, ring_size(self._keys_max))
        self._keys = {
            key.key_id: (key.digest, Caller(key.name, scopes_of(key.scopes), Reach.from_json(key.reach)))
            for key in stored
        }

    async def _note_uses(self, now: float) -> None:
        due = [
            key_id
            for key_id, noted_at in self._uses.items()
            if key_id in self._keys and (noted_at is None or now - noted_at > _USE_NOTED_SECONDS)
        ]
        self._uses = {key_id: noted_at for key_id, noted_at in self._uses.items() if key_id in self._keys}
        if due:
            async with self._database.write() as connection:
                await api_keys.note_use(connection, due)
            self._uses.update(dict.fromkeys(due, now))
