"""An upgrade of the real program: a run that the release before left in the middle, and `migrate --sql`."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from db.migrate import HEAD_REVISION, VERSION_TABLE, current_revision
from tests.db.test_migrate import CONTRACT_TABLES
from tests.support.database_server import DatabaseServer, opened
from tests.support.programs import run
from tests.support.service import PROGRAM, environment, service_running, start_service

ROWS = 30_000
# What 0008 to 0010 brought, taken away again: a program knows no other way to have been the one before.
BACK_TO_0007 = (
    "DROP TABLE sync_run_counts",
    "ALTER TABLE sync_sources DROP COLUMN row_identifier",
    "DROP INDEX idx_sync_runs_counted_as_status{on_runs}",
    "DROP INDEX idx_sync_runs_source_key_completed_at{on_runs}",
    "ALTER TABLE sync_runs DROP COLUMN counted_as",
    "ALTER TABLE sync_runs DROP COLUMN waited_ms",
    "DROP INDEX idx_sync_errors_error_code_sync_run_id{on_errors}",
    f"UPDATE {VERSION_TABLE} SET version_num = '0007'",
)


def execute(url: str, request: pytest.FixtureRequest, *statements: str) -> None:
    """As who may do everything."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite+aiosqlite:///"))) as connection, connection:
            for statement in statements:
                connection.execute(statement.format(on_runs="", on_errors=""))
        return
    server: DatabaseServer = request.getfixturevalue("database_server")
    server.execute(
        *(statement.format(on_runs=" ON sync_runs", on_errors=" ON sync_errors") for statement in statements),
        database=url.rsplit("/", maxsplit=1)[-1],
    )


def asked(url: str, question: str) -> int:
    async def work() -> int:
        async with opened(url) as database, database.read() as connection:
            return int((await connection.execute(text(question))).scalar_one())

    return asyncio.run(work())


def revision(url: str) -> str | None:
    async def work() -> str | None:
        async with opened(url) as database:
            return await current_revision(database)

    return asyncio.run(work())


def test_a_run_that_the_release_before_left_in_the_middle_is_finished_by_the_new_one(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "big.csv").write_text("external_id,title\n" + "".join(f"{n},t{n}\n" for n in range(ROWS)))
    environ = environment(database_url, tmp_path, CSV_BLOCK_BYTES=8192)
    first = start_service(tmp_path, environ)
    run_id = first.trigger("csv", "big.csv")
    while asked(database_url, "SELECT COUNT(*) FROM sync_batches") < 2:
        pass
    first.kill()
    assert asked(database_url, "SELECT COUNT(*) FROM sync_runs WHERE status = 'in_progress'") == 1
    execute(database_url, request, *BACK_TO_0007)
    with service_running(tmp_path, environ) as second:
        finished = second.finished(run_id)
        stats = second.get("/v1/sync/stats")[1]["data"]
    assert (finished["status"], finished["ledger"]["inserted"], finished["ledger"]["rowsRead"]) == (
        "completed",
        ROWS,
        ROWS,
    )
    assert asked(database_url, "SELECT COUNT(*) FROM content_index") == ROWS
    assert (stats["total"], stats["completed"]) == (1, 1)
    assert revision(database_url) == HEAD_REVISION


def test_migrate_sql_prints_what_would_be_done_and_does_nothing(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environ = environment(database_url, tmp_path)
    printed = run(PROGRAM, "migrate", "--sql", env=environ)
    assert printed.returncode == 0, printed.stderr
    assert "CREATE TABLE sync_runs (" in printed.stdout
    if database_url.startswith("sqlite"):
        assert not Path(database_url.removeprefix("sqlite+aiosqlite:///")).exists()
    else:
        assert revision(database_url) is None
    count = printed.stdout.count(";\n\n")
    assert run(PROGRAM, "migrate", env=environ).returncode == 0
    execute(database_url, request, *BACK_TO_0007)
    printed = run(PROGRAM, "migrate", "--sql", env=environ)
    assert "CREATE TABLE sync_runs (" not in printed.stdout
    assert "ALTER TABLE sync_runs ADD COLUMN counted_as" in printed.stdout.replace("`", "")
    assert 0 < printed.stdout.count(";\n\n") < count
    assert revision(database_url) == "0007"


def test_migrate_sql_on_a_database_that_is_as_it_should_be(database_url: str, tmp_path: Path) -> None:
    environ = environment(database_url, tmp_path)
    assert run(PROGRAM, "migrate", env=environ).returncode == 0
    printed = run(PROGRAM, "migrate", "--sql", env=environ)
    assert (printed.returncode, printed.stdout) == (0, "-- the database is at the newest revision\n")


def test_migrate_answers_one_question_at_a_time(tmp_path: Path) -> None:
    asked_both = run(PROGRAM, "migrate", "--sql", "--check", env=environment("sqlite+aiosqlite:///x.db", tmp_path))
    assert asked_both.returncode == 2
    assert "one at a time" in asked_both.stderr


def test_migrate_sql_of_the_bots_tables_names_only_what_they_lack(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database()
    database_server.execute(*CONTRACT_TABLES.values(), database=name)
    before = database_server.execute("SHOW CREATE TABLE sync_runs", database=name)
    printed = run(PROGRAM, "migrate", "--sql", env=environment(database_server.url(name), tmp_path)).stdout
    assert [table for table in CONTRACT_TABLES if f"CREATE TABLE {table} " in printed] == []
    assert "ADD COLUMN revision" in printed
    assert "CREATE TABLE sync_batches " in printed
    assert database_server.execute("SHOW CREATE TABLE sync_runs", database=name) == before
    assert len(database_server.execute("SHOW TABLES", database=name)) == len(CONTRACT_TABLES)
