"""Whether the database can serve calls: one small query at a time, reported to a callback.

Each query takes `readiness_timeout_seconds` at most. It reads a table that every call needs, over the pool that
calls use, so it fails when they would. A change is logged once, in each direction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
from sqlalchemy import text

from db.engine import Database
from db.error_numbers import DatabaseReason
from db.errors import DatabaseError, ReplacedDatabaseError, TransientDatabaseError
from server.core.clock import Clock
from server.core.config import Settings
from server.core.waits import Wait
from server.execution.periodic import repeated

log = structlog.get_logger()

_LOOK = text("SELECT 1 FROM sync_runs LIMIT 1")
# Read-only during a failover: nothing can be triggered until it is over.
_IS_READ_ONLY = text("SELECT @@read_only")


class Readiness:
    """Looks at one database.

    Args:
        tell: called after each query with None, or with the fault that keeps calls from being served.
        end: called when the file of an embedded database was replaced, which nothing but a new start mends.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        tell: Callable[[Exception | None], Awaitable[None]],
        end: Callable[[DatabaseError], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._end = end
        self._reason = ""

    async def run(self) -> NoReturn:
        """Query repeatedly, until cancelled."""
        interval_seconds = self._settings.readiness_interval_seconds
        await repeated(self.poll, lambda: self._clock.sleep(interval_seconds), Wait(self._clock, "readiness"))

    async def poll(self) -> None:
        """Query once, and report."""
        fault = await self._fault()
        reason = fault.reason if fault else ""
        if fault is not None and reason != self._reason:
            log.warning("not_ready", action="readiness", reason=reason, error=fault.message)
        elif fault is None and self._reason:
            log.info("ready_again", action="readiness")
        self._reason = reason
        await self._tell(fault)
        if isinstance(fault, ReplacedDatabaseError):
            self._end(fault)

    async def _fault(self) -> DatabaseError | None:
        seconds = self._settings.readiness_timeout_seconds
        try:
            async with asyncio.timeout(seconds), self._database.read() as connection:
                await connection.execute(_LOOK)
                if connection.dialect.name != "sqlite" and (await connection.execute(_IS_READ_ONLY)).scalar_one():
                    return TransientDatabaseError("the database is read-only", 0, DatabaseReason.READ_ONLY)
        except DatabaseError as error:
            return error
        except TimeoutError:
            return TransientDatabaseError(f"the database did not answer within {seconds:g} s")
        return None
