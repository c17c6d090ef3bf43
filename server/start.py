"""The wait for a database that is not there yet, as at the start of everything together with it.

What mends itself is waited for, bounded, and said once: no connection, too many of them, a server that is starting. What
does not is refused at once: a wrong password, an unknown database, TLS that is not to be had.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import text

from db.engine import Database
from db.errors import RefusedDatabaseError, TransientDatabaseError
from db.migrate import migrate
from server.core.clock import Clock

log = structlog.get_logger()

_TRY_INTERVAL_SECONDS: Final = 1.0


async def migrated(database: Database, clock: Clock, wait_seconds_max: float) -> bool:
    """Wait for the database, bring it to the newest revision; answer whether anything had to be done.

    Args:
        wait_seconds_max: no try begins after this; 0 tries once.

    Raises:
        RefusedDatabaseError: waiting does not help, or did not.
    """
    ends = clock.monotonic_seconds() + wait_seconds_max
    while True:
        await _answering(database, clock, ends, wait_seconds_max)
        try:
            return await migrate(database)
        except TransientDatabaseError as error:
            # It went away again in the middle. What was done so far is found done.
            if clock.monotonic_seconds() >= ends:
                place = database.file or " or ".join(str(address) for address in database.url.addresses)
                raise RefusedDatabaseError(f"the database at {place} cannot be used: {error.message}") from error
            await clock.sleep(_TRY_INTERVAL_SECONDS)


async def _answering(database: Database, clock: Clock, ends: float, wait_seconds_max: float) -> None:
    began = clock.monotonic_seconds()
    is_said = False
    while (fault := await _fault(database)) is not None:
        left = ends - clock.monotonic_seconds()
        if left <= 0:
            tried = f"; tried for {wait_seconds_max:g} s" if wait_seconds_max else ""
            raise RefusedDatabaseError(f"{fault.message}{tried}", fault.code, fault.reason) from fault
        if not is_said:
            log.warning("waiting_for_database", action="start", reason=fault.message, wait_seconds_max=round(left, 1))
            is_said = True
        await clock.sleep(min(_TRY_INTERVAL_SECONDS, left))
    if is_said:
        waited = round(clock.monotonic_seconds() - began, 1)
        log.info("database_there", action="start", waited_seconds=waited)


async def _fault(database: Database) -> TransientDatabaseError | None:
    """What may mend itself; None where the database answers."""
    try:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
    except TransientDatabaseError as error:
        return error
    return None
