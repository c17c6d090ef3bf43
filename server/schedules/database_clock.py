"""The time by which schedules fire: that of the database, which all replicas share, and not that of one machine.

A machine whose clock is ahead would fire early, and for the others the fire would be done. Where the two differ by more than
two seconds the log says so; by more than a minute, one of them is plainly wrong and nobody here knows which, so nothing fires
until they agree. The embedded database has the clock of its machine, and is not asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlalchemy import select

from db.dialect import now
from db.engine import Database
from server.core.clock import Clock

log = structlog.get_logger()

_TOLD_SECONDS: Final = 2.0
_TRUSTED_SECONDS_MAX: Final = 60.0


# The time by which to fire, with time zone; None while nothing may.
FireTime = Callable[[], Awaitable[datetime | None]]


def own_time(clock: Clock) -> FireTime:
    """This machine's own time."""

    async def now_here() -> datetime:
        return clock.now()

    return now_here


class DatabaseClock:
    """Asks a database what time it is.

    Args:
        clock: of this machine.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # What the log has said of the difference.
        self._told = ""

    async def now(self) -> datetime | None:
        """The database's time, with time zone; None while this machine's differs so much that nothing may fire.

        Raises:
            DatabaseError
        """
        if self._database.is_sqlite:
            return self._clock.now()
        async with self._database.read() as connection:
            began = self._clock.now()
            found: datetime = (await connection.execute(select(now()))).scalar_one()
            ended = self._clock.now()
        there = found.replace(tzinfo=UTC)
        # The answer was made at some moment between the two, and the database may tell whole seconds only.
        ahead_seconds = max((began - there).total_seconds() - 1, 0) or min((ended - there).total_seconds(), 0)
        self._tell(ahead_seconds)
        return there if abs(ahead_seconds) <= _TRUSTED_SECONDS_MAX else None

    def _tell(self, ahead_seconds: float) -> None:
        """Log a change from one state to another, once."""
        apart = abs(ahead_seconds)
        state = "stopped" if apart > _TRUSTED_SECONDS_MAX else "told" if apart > _TOLD_SECONDS else ""
        if state == self._told:
            return
        self._told = state
        if not state:
            log.info("clocks_agree_again", action="schedule")
            return
        log.warning(
            "clocks_differ",
            action="schedule",
            ahead_seconds=round(ahead_seconds, 1),
            fires=state != "stopped",
            next_step="set the clocks of this machine and of the database's by NTP",
        )
