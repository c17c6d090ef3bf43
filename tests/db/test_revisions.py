"""Revisions: all of them make the schema, from each state in which one may find a database; a plan is what is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import event, text

from db.engine import Database
from db.errors import DatabaseError
from db.inspection.look import look_at
from db.migrate import HEAD_REVISION, VERSION_TABLE, current_revision, migrate, planned_statements
from db.migrations.later_columns import BY_TABLE
from db.schema import metadata
from tests.db.test_migrate import CONTRACT_TABLES
from tests.support.database_server import DatabaseServer, opened
from tests.support.schema_shape import make_previous, shape_of

DDL = ("CREATE", "ALTER")
CONTRACT_INDEXES_OF_THE_BOT = ("content_index", "catalog_items", "catalog_change_log")


async def make_schema(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)


@pytest.fixture
def other_url(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Another empty database of the same kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{tmp_path / 'other.db'}"
    server: DatabaseServer = request.getfixturevalue("database_server")
    return server.url(server.new_database())


async def test_all_revisions_together_make_the_schema(database_url: str, other_url: str) -> None:
    async with opened(database_url) as database, opened(other_url) as other:
        await migrate(database)
        await make_schema(other)
        assert await shape_of(database) == await shape_of(other)
        assert set(await shape_of(database)) == set(metadata.tables)


async def test_a_database_of_the_previous_revision_becomes_the_schema(database_url: str, other_url: str) -> None:
    async with opened(database_url) as database, opened(other_url) as other:
        async with database.write() as connection:
            await make_previous(connection)
        await make_schema(other)
        assert await shape_of(database) != await shape_of(other)
        assert await migrate(database)
        assert await shape_of(database) == await shape_of(other)


class CutShort:
    """Raises in place of one DDL statement."""

    def __init__(self, database: Database, at: int) -> None:
        self._engine = database.engine.sync_engine
        self._at = at
        self.count = 0

    def __enter__(self) -> Self:
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().startswith(DDL):
            self.count += 1
            if self.count == self._at:
                raise KilledError


class KilledError(Exception):
    """The process is gone."""


async def ddl_count(url: str) -> int:
    async with opened(url) as database:
        with CutShort(database, 0) as counting:
            await migrate(database)
    return counting.count


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.94, 0.97, 1.0])
async def test_a_migration_that_was_cut_short_goes_on(database_url: str, other_url: str, share: float) -> None:
    """Wherever it ended. The search indexes of the bot's own tables are not looked for where such a table stands."""
    count = await ddl_count(other_url)
    async with opened(database_url) as database, opened(other_url) as whole:
        with CutShort(database, max(1, round(share * count))), pytest.raises(KilledError):
            await migrate(database)
        assert await current_revision(database) != HEAD_REVISION
        assert await migrate(database)
        found, expected = await shape_of(database), await shape_of(whole)
        for shape in (found, expected):
            for table in CONTRACT_INDEXES_OF_THE_BOT:
                del shape[table]["indexes"], shape[table]["foreign keys"]
            # Of two statements after its table, too.
            del shape["sync_errors"]["foreign keys"]
        assert found == expected


@pytest.mark.parametrize("state", ["empty", "previous", "version_table_only", "newest"])
async def test_a_plan_is_what_a_migration_does_and_changes_nothing(
    database_url: str, other_url: str, state: str
) -> None:
    async with opened(database_url) as database, opened(other_url) as other:
        for each in (database, other):
            async with each.write() as connection:
                if state == "previous":
                    await make_previous(connection)
                elif state == "version_table_only":
                    await connection.execute(
                        text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
                    )
            if state == "newest":
                await migrate(each)
        before = await shape_of(database)
        planned = await planned_statements(database)
        assert await shape_of(database) == before
        assert bool(planned) is (state != "newest")
        async with database.write() as connection:
            for statement in planned:
                if not statement.startswith("--"):
                    await connection.exec_driver_sql(statement)
        await migrate(other)
        assert await shape_of(database) == await shape_of(other)
        assert await current_revision(database) == HEAD_REVISION
        assert await migrate(database) is False


async def test_a_plan_for_the_bots_tables_alters_each_of_them_once(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    database_server.execute(*CONTRACT_TABLES.values(), database=name)
    async with opened(database_server.url(name)) as database:
        planned = await planned_statements(database)
        before = int(database_server.execute("SHOW GLOBAL STATUS LIKE 'Com_alter_table'")[0][1])
        await migrate(database)
        after = int(database_server.execute("SHOW GLOBAL STATUS LIKE 'Com_alter_table'")[0][1])
    altered = [statement.split()[2].strip("`") for statement in planned if statement.startswith("ALTER TABLE")]
    assert sorted(altered) == sorted(set(altered))
    assert set(CONTRACT_TABLES) & set(altered) == {"sync_runs", "sync_errors", "content_index", "catalog_items"}
    assert after - before == len(altered)


async def test_a_plan_for_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for work in (planned_statements, migrate):
        with pytest.raises(DatabaseError, match="revision 9999, and this program knows none after") as caught:
            await work(database)
        assert "start that version" in caught.value.message
    found = await look_at(database)
    assert [(each.severity, "9999" in each.text, "start that version" in each.remedy) for each in found] == [
        ("refuses", True, True)
    ]


def test_each_column_that_later_revisions_add_is_a_column_of_the_schema() -> None:
    assert BY_TABLE
    for table, columns in BY_TABLE.items():
        assert {column.name for column in columns} <= set(metadata.tables[table].columns.keys())


def test_revisions_read_nothing_that_moves_on() -> None:
    """A revision that named db/schema.py would do something else after the next change of it."""
    folder = Path(__file__).parents[2] / "db" / "migrations"
    sources = {path.name: path.read_text() for path in folder.rglob("*.py")}
    assert "tables_0007.py" in sources
    assert [name for name, source in sources.items() if "db.schema" in source.replace("db/schema", "")] == []
