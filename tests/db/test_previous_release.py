"""The release before on the newest schema: while replicas are replaced one after the other, both run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pymysql
import pytest

from db.engine import Database
from tests.support.database_server import CHOSEN, DatabaseServer

PREVIOUS = Path(__file__).parent / "statements" / "0007"


def statements(kind: str) -> list[str]:
    """What the code of that revision sends to its tables; tests/support/statement_log.py noted it."""
    return (PREVIOUS / f"{kind}.sql").read_text().splitlines()


def refused(database: Database, server: DatabaseServer | None, noted: list[str]) -> list[str]:
    """Those that the database cannot prepare."""
    found = []
    if server is None:
        with sqlite3.connect(str(database.file)) as connection:
            for statement in noted:
                try:
                    connection.execute(f"EXPLAIN {statement}", [None] * statement.count("?"))
                except sqlite3.Error as error:
                    found.append(f"{error}: {statement}")
        connection.close()
        return found
    with server.connect(str(database.url.database)) as connection, connection.cursor() as cursor:
        for statement in noted:
            try:
                cursor.execute("PREPARE noted FROM %s", (statement,))
            except pymysql.err.Error as error:
                found.append(f"{error}: {statement}")
    return found


@pytest.fixture
def server(database: Database, request: pytest.FixtureRequest) -> DatabaseServer | None:
    return None if database.is_sqlite else request.getfixturevalue("database_server")


async def test_the_statements_of_the_previous_release_run_on_the_newest_schema(
    database: Database, server: DatabaseServer | None
) -> None:
    noted = statements("sqlite" if server is None else CHOSEN)
    assert len(noted) > 100
    assert refused(database, server, noted) == []


async def test_a_schema_that_lacked_a_column_of_the_previous_release_would_be_noticed(
    database: Database, server: DatabaseServer | None
) -> None:
    noted = statements("sqlite" if server is None else CHOSEN)
    async with database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE sync_runs DROP COLUMN not_before_ms")
    found = refused(database, server, noted)
    assert found
    assert all("not_before_ms" in fault for fault in found)
