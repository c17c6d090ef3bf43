"""Brings a database to the present schema, whether it is empty, the bot's own, or half-migrated.

Additive only: tables, columns and indexes are added; nothing is dropped, renamed or retyped. Each step looks first and
treats «exists already» as done, so that replicas that start at once, on one node or on several, all end in the same
place. The work is done again only when the recorded revision is not the newest; the common start reads one row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import Final, TextIO

from sqlalchemy import Connection, inspect, text

from db.engine import Database
from db.errors import RefusedDatabaseError, TransientDatabaseError

VERSION_TABLE: Final = "techaura_sync_version"
# The newest file in migrations/versions, by its name: a start with nothing to do needs no Alembic.
HEAD_REVISION: Final = max(
    path.name[:4] for path in (Path(__file__).parent / "migrations/versions").glob("[0-9]*_*.py")
)
_TRIES_MAX: Final = 5
_SECONDS_MAX: Final = 600
_LOCK_NAME: Final = "techaura_sync_migrate"
_LOCK_WAIT_SECONDS: Final = 60
# How long a statement of the migration may block other sessions that need the table.
_TABLE_WAIT_SECONDS: Final = 1


def _unsaid(_text: str) -> None:
    """The default of `say`: does nothing."""


async def _few_times(_error: TransientDatabaseError, faults: int) -> bool:
    return faults < _TRIES_MAX


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


def too_new(revision: str | None) -> tuple[str, str] | None:
    """What to say, and what to do, where a newer program has migrated the database; None where this one can work on it."""
    # Revisions are numbered; one that is no number is left to Alembic.
    if revision is None or not revision.isdecimal() or int(revision) <= int(HEAD_REVISION):
        return None
    text = (
        f"the database is at revision {revision}, and this program knows none after {HEAD_REVISION}: a newer version of it has "
        "migrated the database"
    )
    remedy = (
        "start that version, or one after it; to go back to this one, restore the backup from before the upgrade "
        "(docs/upgrading.md)"
    )
    return text, remedy


def _check_not_too_new(revision: str | None) -> None:
    if (found := too_new(revision)) is not None:
        raise RefusedDatabaseError(f"{found[0]}; {found[1]}", next_step=found[1])


async def migrate(
    database: Database,
    *,
    say: Callable[[str], None] = _unsaid,
    tries_again: Callable[[TransientDatabaseError, int], Awaitable[bool]] = _few_times,
) -> bool:
    """Bring the database to `HEAD_REVISION`; return whether anything had to be done.

    A statement that needs a table waits for it only a moment, since everyone who comes after it waits too; then it gives
    way, and after a pause the work begins again where it was.

    Args:
        say: told what the database has to do without.
        tries_again: given each passing fault and its number, from 1; pauses, and returns whether to try again.

    Raises:
        DatabaseError: the server cannot be reached, or refuses (rights to create and alter tables are needed).
    """
    revision = await current_revision(database)
    if revision == HEAD_REVISION:
        return False
    _check_not_too_new(revision)
    faults = 0
    while True:
        try:
            async with database.write(timeout_seconds=_SECONDS_MAX) as connection:
                await connection.run_sync(_upgrade, say)
            return True
        except TransientDatabaseError as error:
            # Another connection has the table, or another replica was faster with the same step.
            faults += 1
            if not await tries_again(error, faults):
                raise
        except _NotUpgradedError as error:
            # So it was when the recorded revision is not the one any more that this try began with.
            seen, revision = revision, await current_revision(database)
            if revision == seen:
                raise RefusedDatabaseError(f"the database cannot be migrated: {error}") from error


class _NotUpgradedError(Exception):
    """Alembic found a revision other than the expected one."""


def _upgrade(connection: Connection, say: Callable[[str], None]) -> None:
    is_mysql = connection.dialect.name != "sqlite"
    if is_mysql:
        # An optimisation only (it is per node): correctness rests on each step treating «exists already» as done.
        connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": _LOCK_NAME, "wait": _LOCK_WAIT_SECONDS})
        table_wait = connection.execute(text("SELECT @@lock_wait_timeout")).scalar_one()
        connection.execute(text("SET SESSION lock_wait_timeout = :seconds"), {"seconds": _TABLE_WAIT_SECONDS})
    try:
        _run_revisions(connection, "head", say=say)
    finally:
        if is_mysql:
            connection.execute(text("SET SESSION lock_wait_timeout = :seconds"), {"seconds": table_wait})
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK_NAME})


async def planned_statements(database: Database) -> list[str]:
    """What `migrate` would send to this database as it is now, in order. Nothing is changed.

    Raises:
        DatabaseError: the server cannot be asked; or the database records a revision that this build does not know.
    """
    revision = await current_revision(database)
    if revision == HEAD_REVISION:
        return []
    _check_not_too_new(revision)
    try:
        async with database.read() as connection:
            return await connection.run_sync(_plan, revision)
    except _NotUpgradedError as error:
        raise RefusedDatabaseError(f"the database cannot be migrated: {error}") from error


def _plan(connection: Connection, revision: str | None) -> list[str]:
    output = StringIO()
    _run_revisions(connection, f"{revision}:head" if revision else "head", output=output)
    # Alembic ends each with «;» and an empty line, and heads each revision with a comment.
    statements = [statement.rstrip(";") for statement in output.getvalue().strip().split("\n\n")]
    is_made = inspect(connection).has_table(VERSION_TABLE)
    return [statement for statement in statements if not (is_made and f"CREATE TABLE {VERSION_TABLE} " in statement)]


def _run_revisions(
    connection: Connection,
    revisions: str,
    *,
    say: Callable[[str], None] = _unsaid,
    output: TextIO | None = None,
) -> None:
    """Run revisions, or with `output` write what they would do.

    Raises:
        _NotUpgradedError
    """
    # Imported here: it takes half a second, which a start with nothing to do should not spend.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes.update(connection=connection, say=say, output=output)
    try:
        command.upgrade(config, revisions, sql=output is not None)
    except CommandError as error:
        raise _NotUpgradedError(str(error)) from error
