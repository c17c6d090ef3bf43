"""Migrations: an empty database, the bot's own tables, some of them, a half-migrated one; twice, and by two at once."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pymysql
import pytest
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from db import migrate as migration
from db.engine import Database
from db.errors import RefusedDatabaseError
from db.migrate import HEAD_REVISION, current_revision, migrate
from db.schema import metadata
from tests.support.database_server import DatabaseServer
from tests.support.programs import spawn
from tests.support.service import PROGRAM, environment

# The bot's tables as contract.md, section 2, lists them.
CONTRACT_TABLES = {
    "sync_runs": """CREATE TABLE sync_runs (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        source_type VARCHAR(50) NOT NULL, source_identifier VARCHAR(255) NOT NULL, status VARCHAR(50) NOT NULL,
        started_at TIMESTAMP NULL, completed_at TIMESTAMP NULL, items_processed INT DEFAULT 0,
        items_failed INT DEFAULT 0, items_skipped INT DEFAULT 0, sync_metadata JSON NULL, error_message TEXT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        INDEX (source_type), INDEX (status), INDEX (created_at), INDEX (source_type, status))""",
    "sync_errors": """CREATE TABLE sync_errors (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        sync_run_id INT UNSIGNED NOT NULL, error_type VARCHAR(100) NOT NULL, error_code VARCHAR(50) NULL,
        error_message TEXT NOT NULL, error_details TEXT NULL, item_identifier VARCHAR(255) NULL, item_data JSON NULL,
        is_retryable BOOLEAN DEFAULT TRUE, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        FOREIGN KEY (sync_run_id) REFERENCES sync_runs (id) ON DELETE CASCADE ON UPDATE CASCADE)""",
    "content_index": """CREATE TABLE content_index (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        content_type VARCHAR(50) NOT NULL, title VARCHAR(500) NOT NULL, artist VARCHAR(255) NULL,
        genre VARCHAR(100) NULL, source_type VARCHAR(50) NOT NULL, source_identifier VARCHAR(255) NOT NULL,
        external_id VARCHAR(255) NULL, metadata JSON NULL, is_available BOOLEAN DEFAULT TRUE,
        last_synced_at TIMESTAMP NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, UNIQUE (source_type, source_identifier, external_id),
        INDEX (content_type), INDEX (source_type), INDEX (title), INDEX (artist), INDEX (genre), INDEX (is_available),
        INDEX (content_type, is_available))""",
    "catalog_items": """CREATE TABLE catalog_items (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        category_id VARCHAR(50) NOT NULL, capacity VARCHAR(20) NOT NULL, capacity_gb INT NOT NULL,
        price DECIMAL(10,2) NOT NULL, content_count INT NOT NULL, content_unit VARCHAR(50) NOT NULL,
        is_active BOOLEAN DEFAULT TRUE, is_popular BOOLEAN DEFAULT FALSE, is_recommended BOOLEAN DEFAULT FALSE,
        min_price DECIMAL(10,2) NULL, max_price DECIMAL(10,2) NULL, metadata JSON NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (category_id, capacity), INDEX (category_id, capacity), INDEX (is_active))""",
    "catalog_change_log": """CREATE TABLE catalog_change_log (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        catalog_item_id INT UNSIGNED NULL, category_id VARCHAR(50) NOT NULL, capacity VARCHAR(20) NOT NULL,
        action VARCHAR(50) NOT NULL, field_changed VARCHAR(100) NULL, old_value TEXT NULL, new_value TEXT NULL,
        changed_by VARCHAR(100) NOT NULL, change_reason VARCHAR(500) NULL, change_data JSON NULL,
        ip_address VARCHAR(50) NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        FOREIGN KEY (catalog_item_id) REFERENCES catalog_items (id) ON DELETE SET NULL)""",
}
HALF_MIGRATED_ERRORS = re.sub(
    r",\s*FOREIGN KEY.*CASCADE\)",
    ")",
    CONTRACT_TABLES["sync_errors"].replace("sync_run_id INT UNSIGNED", "sync_run_id INT"),
    flags=re.DOTALL,
)


async def column_names(database: Database) -> dict[str, set[str]]:
    def look(connection):
        inspector = inspect(connection)
        return {name: {c["name"] for c in inspector.get_columns(name)} for name in inspector.get_table_names()}

    async with database.read() as connection:
        return await connection.run_sync(look)


def described(server: DatabaseServer, name: str, table: str) -> dict[str, tuple[Any, ...]]:
    """Each column of a table; whether an index that is not unique begins with it is left out."""
    with server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute(f"DESCRIBE {table}")
        return {row[0]: tuple("" if part == "MUL" else part for part in row[1:]) for row in cursor.fetchall()}


def index_columns(server: DatabaseServer, name: str, table: str) -> set[str]:
    """The columns of each index, joined by commas."""
    with server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics "
            "WHERE table_schema = %s AND table_name = %s GROUP BY index_name",
            (name, table),
        )
        return {row[0] for row in cursor.fetchall()}


def execute(server: DatabaseServer, name: str, *statements: str) -> None:
    server.execute(*statements, database=name)


async def test_a_database_of_the_first_revision_gets_what_came_after(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    database = Database(database_server.url(name))
    await migrate(database)
    execute(
        database_server,
        name,
        "ALTER TABLE sync_runs DROP INDEX idx_sync_runs_source_key_status, DROP COLUMN source_key, DROP COLUMN paused",
        "DROP TABLE sync_sources",
        f"UPDATE {migration.VERSION_TABLE} SET version_num = '0001'",
    )
    assert await migrate(database) is True
    found = await column_names(database)
    assert {"source_key", "paused"} <= found["sync_runs"]
    assert "sync_sources" in found
    await database.close()


async def test_an_empty_database_gets_every_table_and_a_second_time_nothing_happens(database_url: str) -> None:
    database = Database(database_url)
    assert await migrate(database) is True
    assert await migrate(database) is False
    assert await current_revision(database) == HEAD_REVISION
    found = await column_names(database)
    for table in metadata.sorted_tables:
        assert {column.name for column in table.columns} == found[table.name]
    await database.close()


async def test_a_database_of_a_newer_program_is_refused(database_url: str) -> None:
    database = Database(database_url)
    await migrate(database)
    async with database.write() as connection:
        await connection.execute(text(f"UPDATE {migration.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(RefusedDatabaseError, match="9999"):
        await migrate(database)
    await database.close()


def test_replicas_that_start_at_once_do_not_collide(database_url: str, tmp_path: Path) -> None:
    environ = environment(database_url, tmp_path)
    replicas = [
        spawn(PROGRAM, "migrate", env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)
    ]
    outcomes = [(replica.communicate(timeout=60), replica.returncode) for replica in replicas]
    assert [code for _output, code in outcomes] == [0] * 5, outcomes


@pytest.mark.parametrize(
    "tables",
    [
        tuple(CONTRACT_TABLES),
        ("sync_runs", "sync_errors"),
        ("content_index",),
        ("catalog_items", "catalog_change_log", "content_index"),
    ],
    ids="+".join,
)
async def test_the_bots_tables_are_adopted_as_they_are(
    database_server: DatabaseServer, tables: tuple[str, ...]
) -> None:
    name = database_server.new_database("utf8mb4_general_ci")
    execute(database_server, name, *(CONTRACT_TABLES[table] for table in tables))
    before = {table: described(database_server, name, table) for table in tables}
    database = Database(database_server.url(name))
    await migrate(database)
    await database.close()
    for table in tables:
        after = described(database_server, name, table)
        assert {column: after[column] for column in before[table]} == before[table]
        assert set(after) == {column.name for column in metadata.tables[table].columns}


async def test_a_first_start_that_is_cut_short_behind_a_table_is_finished_by_the_next(
    database_server: DatabaseServer,
) -> None:
    name = database_server.new_database()
    database = Database(database_server.url(name))
    await migrate(database)
    whole = {table: index_columns(database_server, name, table) for table in ("content_index", "catalog_items")}
    execute(
        database_server,
        name,
        f"DROP TABLE {migration.VERSION_TABLE}",
        "DROP INDEX idx_content_index_title ON content_index",
        "DROP INDEX idx_content_index_genre ON content_index",
        "DROP INDEX idx_catalog_items_is_active ON catalog_items",
    )

    await migrate(database)

    await database.close()
    assert {table: index_columns(database_server, name, table) for table in whole} == whole


async def test_a_row_that_the_bot_inserts_with_the_contracts_columns_stays_valid(
    database_server: DatabaseServer,
) -> None:
    name = database_server.new_database()
    execute(database_server, name, *CONTRACT_TABLES.values())
    database = Database(database_server.url(name))
    await migrate(database)
    await database.close()
    execute(
        database_server,
        name,
        "INSERT INTO sync_runs (source_type, source_identifier, status) VALUES ('csv', 'a.csv', 'pending')",
        "INSERT INTO sync_errors (sync_run_id, error_type, error_message) VALUES (1, 'network', 'x')",
        "INSERT INTO content_index (content_type, title, source_type, source_identifier) VALUES ('music','t','csv','a')",
        "INSERT INTO catalog_items (category_id, capacity, capacity_gb, price, content_count, content_unit) "
        "VALUES ('music', '16GB', 16, 69900, 3000, 'canciones')",
    )


async def test_a_half_migrated_sync_errors_is_adopted_without_its_foreign_key(database_server: DatabaseServer) -> None:
    assert "FOREIGN" not in HALF_MIGRATED_ERRORS
    name = database_server.new_database()
    execute(database_server, name, CONTRACT_TABLES["sync_runs"], HALF_MIGRATED_ERRORS)
    database = Database(database_server.url(name))
    await migrate(database)
    await database.close()
    assert described(database_server, name, "sync_errors")["sync_run_id"][0] in ("int", "int(11)")
    assert "line_no" in described(database_server, name, "sync_errors")
    # Without a foreign key nothing gives it an index, and each look at a run's errors would read the whole table.
    assert index_columns(database_server, name, "sync_errors") >= {"sync_run_id"}


async def test_an_adopted_table_with_an_index_on_the_run_gets_no_second_one(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    execute(database_server, name, CONTRACT_TABLES["sync_runs"], CONTRACT_TABLES["sync_errors"])
    before = index_columns(database_server, name, "sync_errors")
    database = Database(database_server.url(name))
    await migrate(database)
    await database.close()
    assert index_columns(database_server, name, "sync_errors") == before | {"error_code,sync_run_id"}
    assert "source_key,status" in index_columns(database_server, name, "sync_runs")


async def test_an_unsigned_foreign_key_is_not_needed_where_sync_runs_is_signed(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    execute(database_server, name, CONTRACT_TABLES["sync_runs"].replace("id INT UNSIGNED", "id INT"))
    database = Database(database_server.url(name))
    await migrate(database)
    await database.close()
    assert "sync_run_id" in described(database_server, name, "sync_errors")


def test_the_head_revision_in_the_code_is_the_newest_file() -> None:
    folder = Path(migration.__file__).parent / "migrations" / "versions"
    newest = max(path.name.split("_")[0] for path in folder.glob("0*.py"))
    assert newest == HEAD_REVISION


async def test_a_database_user_without_rights_gets_a_clear_error(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    execute(
        database_server,
        name,
        f"CREATE USER u_{name}@'%' IDENTIFIED BY 'pw'",
        f"GRANT SELECT, INSERT ON {name}.* TO u_{name}@'%'",
    )
    database = Database(f"mysql+aiomysql://u_{name}:pw@127.0.0.1:{database_server.port}/{name}")
    with pytest.raises(Exception, match="denied to user"):
        await migrate(database)
    await database.close()


async def test_migrations_describe_the_schema_completely(database: Database) -> None:
    from alembic.autogenerate import compare_metadata

    def compare(connection):
        context = MigrationContext.configure(
            connection, opts={"compare_type": False, "version_table": migration.VERSION_TABLE}
        )
        return compare_metadata(context, metadata)

    async with database.read() as connection:
        differences = await connection.run_sync(compare)
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    assert differences == []


def test_pymysql_is_the_version_that_can_bind_bytes() -> None:
    # aiomysql 0.3.2 fails on every bytes parameter with PyMySQL 1.2.3 and later (aio-libs/aiomysql#1080).
    assert pymysql.VERSION[:2] == (1, 1)
