"""Which privileges the database user lacks: each is tried by itself, with a statement that changes nothing.

SHOW GRANTS is not read: roles, wildcards and grants on single tables make it a language of its own. A server checks the
privileges of a statement before anything else of it, so a statement on no row, on a table that is not there, or with a
column twice tells whether they are held; every other refusal means that they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.error_numbers import DatabaseReason
from db.errors import TransientDatabaseError, translate
from db.inspection.findings import Finding
from db.migrate import VERSION_TABLE
from db.schema import metadata

_PROBE: Final = "sync_privilege_probe"
_MISSING: Final = "sync_privilege_missing"
# The wait for a table that others have locked.
_TABLE_WAIT_SECONDS: Final = 1

_ROWS: Final = {
    "SELECT": "SELECT 1 FROM `{table}` WHERE FALSE",
    "INSERT": "INSERT INTO `{table}` (`{column}`) SELECT NULL FROM DUAL WHERE FALSE",
    "UPDATE": "UPDATE `{table}` SET `{column}` = NULL WHERE FALSE",
    "DELETE": "DELETE FROM `{table}` WHERE FALSE",
}
_SCHEMA: Final = {
    "CREATE": f"CREATE TABLE {_PROBE} (id INT, id INT)",
    "ALTER": f"ALTER TABLE {_MISSING} ADD COLUMN probe INT",
    "INDEX": f"CREATE INDEX probe ON {_MISSING} (probe)",
    "REFERENCES": f"CREATE TABLE {_PROBE} (id INT, id INT, FOREIGN KEY (id) REFERENCES {_MISSING} (id))",
}
# Without these the service works with less, and says so.
_CONSEQUENCES: Final = {
    "DELETE": "old runs, errors and checkpoints are never removed",
    "INDEX": "indexes of the service's own tables are missing, and it is slower",
    "REFERENCES": "the service's own tables have no foreign keys",
}


async def missing_privileges(database: Database, *, to_migrate: bool) -> list[Finding]:
    """A finding for each privilege that is missing.

    Args:
        to_migrate: tables are still to be made or changed.

    Raises:
        DatabaseError: the server cannot be asked.
    """
    async with _connection(database) as connection:
        lacking: dict[str, list[str]] = {}
        try:
            for privilege, statement in (_SCHEMA if to_migrate else {}).items():
                # A user who may not create a table may not create one with a foreign key either.
                if not (privilege == "REFERENCES" and "CREATE" in lacking) and await _is_denied(connection, statement):
                    lacking[privilege] = []
            # The first table that anyone reads, whether it is there or not.
            if await _is_denied(connection, f"SELECT 1 FROM {VERSION_TABLE} WHERE FALSE"):
                lacking["SELECT"] = [VERSION_TABLE]
            if await _is_temporary_denied(connection):
                lacking["CREATE TEMPORARY TABLES"] = []
            for table in await _tables(connection):
                column = next(iter(metadata.tables[table].primary_key.columns)).name
                for privilege, statement in _ROWS.items():
                    if await _is_denied(connection, statement.format(table=table, column=column)):
                        lacking.setdefault(privilege, []).append(table)
        except TransientDatabaseError:
            # Locked, or read-only: it cannot be inspected now; statements that need the table wait for it.
            pass
        asked = await connection.execute(text("SELECT DATABASE() AS name, CURRENT_USER() AS account"))
        user = asked.one()
    return [_finding(privilege, tables, str(user.name), str(user.account)) for privilege, tables in lacking.items()]


def _finding(privilege: str, tables: list[str], database: str, account: str) -> Finding:
    user, _, host = account.rpartition("@")
    consequence = _CONSEQUENCES.get(privilege, "")
    where = f" on {', '.join(tables)}" if tables else ""
    return Finding(
        "limits" if consequence else "refuses",
        "privilege",
        f"the database user lacks {privilege}{where}" + (f": {consequence}" if consequence else ""),
        f"GRANT {privilege} ON `{database}`.* TO '{user}'@'{host}'",
    )


@asynccontextmanager
async def _connection(database: Database) -> AsyncIterator[AsyncConnection]:
    """One that waits for no table, and keeps nothing of what was tried."""
    async with database.read() as connection:
        wait = (await connection.execute(text("SELECT @@lock_wait_timeout"))).scalar_one()
        await connection.execute(text("SET SESSION lock_wait_timeout = :seconds"), {"seconds": _TABLE_WAIT_SECONDS})
        try:
            yield connection
        finally:
            await connection.execute(text("SET SESSION lock_wait_timeout = :seconds"), {"seconds": wait})


async def _tables(connection: AsyncConnection) -> list[str]:
    """Those of the schema that are there; views and other tables have no privileges that matter."""
    rows = await connection.execute(
        text(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'"
        )
    )
    there = {str(name) for (name,) in rows}
    return [table.name for table in metadata.sorted_tables if table.name in there]


async def _is_temporary_denied(connection: AsyncConnection) -> bool:
    denied = await _is_denied(connection, f"CREATE TEMPORARY TABLE {_PROBE} (id INT PRIMARY KEY)")
    if not denied:
        await _is_denied(connection, f"DROP TEMPORARY TABLE IF EXISTS {_PROBE}")
    return denied


async def _is_denied(connection: AsyncConnection, statement: str) -> bool:
    """Whether the server refuses a statement for a lack of rights.

    Raises:
        TransientDatabaseError
    """
    try:
        await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        fault = translate(error)
        if isinstance(fault, TransientDatabaseError):
            raise fault from None
        return fault.reason == DatabaseReason.DENIED
    return False
