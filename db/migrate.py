"""Brings a database to the present schema, whether it is empty, the bot's own, or half-migrated.

Additive only: tables, columns and indexes are added; nothing is dropped, renamed or retyped. Each step looks first and
takes «exists already» for an answer, so that replicas that start at once, on one node or on several, all end in the same
place. The work is done again only when the recorded revision is not the newest; the common start reads one row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from db.engine import Database
from db.errors import DatabaseError, RefusedDatabaseError, TransientDatabaseError

VERSION_TABLE: Final = "techaura_sync_version"
# The newest file in migrations/versions; a test keeps the two alike. Written here, a start needs no Alembic.
HEAD_REVISION: Final = "0007"
_TRIES_MAX: Final = 5
_LOCK_NAME: Final = "techaura_sync_migrate"
_LOCK_WAIT_SECONDS: Final = 60


async def current_revision(database: Database) -> str | None:
    """The revision that the database records, or None when it records none."""
    try:
        async with database.read() as connection:
            row = await connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))
            return row.scalar_one_or_none()
    except RefusedDatabaseError as error:
        if error.code == 1146 or "no such table" in error.message:
            return None
        raise


async def migrate(database: Database) -> bool:
    """Bring the database to `HEAD_REVISION`; answer whether anything had to be done.

    Raises:
        DatabaseError: the server cannot be reached, or refuses (rights to create and alter tables are needed).
    """
    revision = await current_revision(database)
    if revision == HEAD_REVISION:
        return False
    for tries_left in reversed(range(_TRIES_MAX)):
        try:
            async with database.write(timeout_seconds=600) as connection:
                await connection.run_sync(_upgrade)
            return True
        except DatabaseError as error:
            # Another replica was faster with the same step; the next look finds its work.
            if not tries_left or not isinstance(error, TransientDatabaseError):
                raise
        except _NotUpgraded as error:
            # So it was when the recorded revision is not the one any more that this try began with.
            seen, revision = revision, await current_revision(database)
            if not tries_left or revision == seen:
                raise RefusedDatabaseError(f"the database cannot be migrated: {error}") from error
    raise AssertionError("unreachable: the loop returns or raises")


class _NotUpgraded(Exception):
    """Alembic found another revision than it expected."""


def _upgrade(connection: Connection) -> None:
    # Imported here: Alembic costs half a second that a start with nothing to do should not pay.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    is_mysql = connection.dialect.name != "sqlite"
    if is_mysql:
        # Politeness only (it is per node): correctness rests on each step taking «exists already».
        connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": _LOCK_NAME, "wait": _LOCK_WAIT_SECONDS})
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise _NotUpgraded(str(error)) from error
    finally:
        if is_mysql:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK_NAME})
