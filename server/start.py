"""The start on a database: waits for it, looks at it, brings it to the newest revision.

Faults that may pass are waited for, up to a limit, and logged once: no connection, too many of them, a server that is
starting, a table that someone has open. The others end the start at once, with the remedy: a wrong password, TLS that
is not to be had, a missing privilege, a table that the service cannot write to safely.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import text

from db.engine import Database
from db.errors import RefusedDatabaseError, TransientDatabaseError
from db.inspection.findings import Finding
from db.inspection.look import look_at, refuse
from db.lock_holders import with_lock_holder
from db.migrate import migrate
from server.core.clock import Clock
from server.core.config import Settings
from server.core.waits import Wait

log = structlog.get_logger()

_TRY_INTERVAL_SECONDS: Final = 1.0
# Sessions that waited behind one of our statements get this long before the next one.
_GIVE_WAY_SECONDS: Final = 2.0


async def migrated(database: Database, clock: Clock, settings: Settings) -> bool:
    """Wait for the database, look at it, bring it to the newest revision; return whether anything had to be done.

    Raises:
        RefusedDatabaseError: the database cannot be used; or waiting does not help, or did not.
    """
    wait_seconds_max = settings.database_start_wait_seconds
    ends = clock.monotonic_seconds() + wait_seconds_max
    while True:
        await _answering(database, clock, ends, wait_seconds_max)
        try:
            findings = await look_at(database)
            refuse(findings)
            is_done = await _migrate(database, clock, settings)
            if is_done:
                findings = await look_at(database)
                refuse(findings)
            _say(findings)
            return is_done
        except TransientDatabaseError as error:
            # The connection was lost during the migration. Steps that are done are found done by the next try.
            if clock.monotonic_seconds() >= ends:
                place = database.file or " or ".join(str(address) for address in database.url.addresses)
                raise RefusedDatabaseError(
                    f"the database at {place} cannot be used: {error.message}", error.code, error.reason
                ) from error
            await clock.sleep(_TRY_INTERVAL_SECONDS)


async def _migrate(database: Database, clock: Clock, settings: Settings) -> bool:
    wait = Wait(clock, "migrate")
    ends = clock.monotonic_seconds() + settings.migrate_wait_seconds

    async def tries_again(error: TransientDatabaseError, _faults: int) -> bool:
        wait.failed(await with_lock_holder(database, error) if wait.is_first_try else error)
        if clock.monotonic_seconds() >= ends:
            return False
        await clock.sleep(_GIVE_WAY_SECONDS)
        return True

    def say(notice: str) -> None:
        log.warning("migrated_without", action="migrate", notice=notice)

    is_done = await migrate(database, say=say, tries_again=tries_again)
    wait.passed()
    return is_done


def _say(findings: list[Finding]) -> None:
    for finding in findings:
        log.warning("database_limits", action="start", area=finding.area, notice=finding.text, remedy=finding.remedy)


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
    """A fault that may pass; None when the database responds."""
    try:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
    except TransientDatabaseError as error:
        return error
    return None
