"""Fixtures of the database's own tests."""

from __future__ import annotations

import pytest

from db.engine import Database
from tests.support.database_server import DatabaseServer
from tests.support.rules import Administrator


@pytest.fixture
def administrator(database: Database, request: pytest.FixtureRequest) -> Administrator:
    """Whoever sets rules on the tables of `database`."""
    server: DatabaseServer | None = None if database.is_sqlite else request.getfixturevalue("database_server")
    return Administrator(database, server)
