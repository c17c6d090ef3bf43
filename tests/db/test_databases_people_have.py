"""The service on databases as people have them: settings, character sets, row formats, and what is already there.

One case a line; each comes through the whole story of tests/support/story.py as the ordinary user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.db.test_migrate import CONTRACT_TABLES, HALF_MIGRATED_ERRORS
from tests.support.database_server import DatabaseServer
from tests.support.grants import AFTERWARDS, FIRST_START
from tests.support.story import assert_ledger, story_on

ALL = tuple(CONTRACT_TABLES.values())
LATIN = ("Ñandú é", 'O\'Brien \\ "x"')


@dataclass(frozen=True)
class Case:
    """One setting or situation.

    Args:
        name: what is so.
        settings: of the server, set globally while the case lasts; MariaDB and MySQL know other names.
        tables: statements before the first start.
        later: statements after it.
        collation: of the database.
        hard: titles that this database can hold.
        only: the kind of server that knows this.
    """

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    collation: str = "utf8mb4_unicode_ci"
    hard: tuple[str, ...] | None = None
    only: str = ""


def contract(*names: str, suffix: str = "") -> tuple[str, ...]:
    """The bot's tables of these names."""
    return tuple(CONTRACT_TABLES[name] + suffix for name in names)


def changed(table: str, old: str, new: str) -> tuple[str, ...]:
    """All of the bot's tables, one of them otherwise."""
    assert old in CONTRACT_TABLES[table]
    return tuple(text.replace(old, new) if name == table else text for name, text in CONTRACT_TABLES.items())


MODES = [
    Case(f"sql_mode {mode or 'empty'}", {"sql_mode": f"'{mode}'"})
    for mode in (
        "",
        "ANSI",
        "ANSI_QUOTES,PIPES_AS_CONCAT",
        "NO_BACKSLASH_ESCAPES",
        "PAD_CHAR_TO_FULL_LENGTH",
        "TRADITIONAL",
    )
]
SESSIONS = [
    Case("autocommit off", {"autocommit": 0}),
    Case("isolation serializable", {"transaction_isolation": "'SERIALIZABLE'"}, only="mysql"),
    Case("isolation serializable", {"tx_isolation": "'SERIALIZABLE'"}, only="mariadb"),
    Case("innodb_strict_mode off", {"innodb_strict_mode": 0}),
    Case("statements of one second", {"max_execution_time": 1000}, only="mysql"),
    Case("statements of one second", {"max_statement_time": 1}, only="mariadb"),
    Case("network timeouts of two seconds", {"net_read_timeout": 2, "net_write_timeout": 2}),
    Case("no warnings kept", {"max_error_count": 0}),
    Case("few warnings kept", {"max_error_count": 2}),
    Case("server's time zone", {"time_zone": "'-05:00'"}),
    Case("no foreign key checks", {"foreign_key_checks": 0}),
    Case("safe updates", {"sql_safe_updates": 1}, only="mariadb"),
    Case("big selects forbidden", {"max_join_size": 50}),
    Case("few rows selected", {"sql_select_limit": 3}),
    Case("chained transactions", {"completion_type": "'CHAIN'"}),
    Case("connections released", {"completion_type": "'RELEASE'"}),
    Case("names unquoted", {"sql_quote_show_create": 0}, only="mariadb"),
    Case("no notes, no unique checks", {"sql_notes": 0, "unique_checks": 0}, only="mariadb"),
    Case("one engine enforced", {"enforce_storage_engine": "InnoDB"}, only="mariadb"),
    Case("temporary tables in MyISAM", {"default_tmp_storage_engine": "MyISAM"}),
    Case("explicit defaults off", {"explicit_defaults_for_timestamp": 0}, only="mariadb"),
    Case("primary key required", {"sql_require_primary_key": 1}, only="mysql"),
    Case("primary key required", {"innodb_force_primary_key": 1}, only="mariadb"),
    Case("invisible primary keys", {"sql_generate_invisible_primary_key": 1}, only="mysql"),
    Case("local_infile off", {"local_infile": 0}),
    Case("packets of 1 MiB", {"max_allowed_packet": 1 << 20}),
    Case("packets of 4 MiB", {"max_allowed_packet": 4 << 20}),
    Case("autoinc lock and steps", {"auto_increment_increment": 3, "auto_increment_offset": 2}),
    Case("collation of connections", {"collation_connection": "'latin1_swedish_ci'"}),
]
CHARSETS = [
    Case("a latin1 database", collation="latin1_swedish_ci"),
    Case("a binary database", collation="utf8mb4_bin"),
    Case("a general_ci database", collation="utf8mb4_general_ci"),
    Case("the server's default collation", tables=ALL, collation="utf8mb4_0900_ai_ci", only="mysql"),
    Case("an accent-sensitive database", tables=ALL, collation="utf8mb4_0900_as_cs", only="mysql"),
    Case("uca 1400", tables=ALL, collation="utf8mb4_uca1400_ai_ci", only="mariadb"),
    Case("all of the bot's tables binary", tables=contract(*CONTRACT_TABLES, suffix=" COLLATE utf8mb4_bin")),
    Case("all of the bot's tables latin1", tables=contract(*CONTRACT_TABLES, suffix=" CHARSET latin1"), hard=LATIN),
    Case("all of the bot's tables utf8mb3", tables=contract(*CONTRACT_TABLES, suffix=" CHARSET utf8mb3"), hard=LATIN),
    Case("content_index in another collation", tables=(
        *contract("sync_runs", "sync_errors"), *contract("content_index", suffix=" COLLATE utf8mb4_bin"))),
    Case("runs in another collation", tables=(
        *contract("sync_runs", "sync_errors", suffix=" COLLATE utf8mb4_spanish_ci"), *contract("content_index"))),
]  # fmt: skip
ADOPTED = [
    Case("all of the bot's tables", tables=ALL),
    Case("only content_index", tables=contract("content_index"), collation="utf8mb4_general_ci"),
    Case("only the runs", tables=contract("sync_runs", "sync_errors"), collation="utf8mb4_general_ci"),
    Case("only the catalog", tables=contract("catalog_items", "catalog_change_log"), collation="utf8mb4_general_ci"),
    Case("half-migrated errors", tables=(CONTRACT_TABLES["sync_runs"], HALF_MIGRATED_ERRORS)),
    Case("compressed rows", tables=contract(*CONTRACT_TABLES, suffix=" ROW_FORMAT=COMPRESSED")),
    Case("times as DATETIME", tables=tuple(re.sub(r"\bTIMESTAMP\b", "DATETIME", text) for text in ALL)),
    Case("times with ON UPDATE", tables=tuple(
        text.replace("updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
                     "updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP") for text in ALL)),
    Case("a BIGINT id", tables=changed("content_index", "id INT UNSIGNED", "id BIGINT UNSIGNED")),
    Case("metadata as LONGTEXT", tables=changed("content_index", "metadata JSON", "metadata LONGTEXT")),
    Case("prices with four digits", tables=changed("catalog_items", "price DECIMAL(10,2)", "price DECIMAL(12,4)")),
    Case("further columns", later=(
        ("ALTER TABLE content_index ADD COLUMN views INT NOT NULL DEFAULT 0, ADD COLUMN slug VARCHAR(600) "
        "AS (CONCAT(title, '-', artist)) VIRTUAL"), "ALTER TABLE catalog_items ADD COLUMN owner VARCHAR(20)")),
    Case("a stored generated column", later=(
        "ALTER TABLE content_index ADD COLUMN shout VARCHAR(500) AS (UPPER(title)) STORED",)),
    Case("a trigger after each insert", later=(
        "CREATE TABLE seen (n INT PRIMARY KEY)", "INSERT INTO seen VALUES (0)",
        "CREATE TRIGGER t AFTER INSERT ON content_index FOR EACH ROW UPDATE seen SET n = n + 1")),
    Case("a child table", later=(
        ("CREATE TABLE likes (id INT PRIMARY KEY, content_id INT UNSIGNED, "
        "FOREIGN KEY (content_id) REFERENCES content_index (id))"),)),
    Case("a check that holds", later=("ALTER TABLE content_index ADD CONSTRAINT named CHECK (title <> '')",)),
    Case("upper-case tables beside ours", tables=("CREATE TABLE CONTENT_INDEX (id INT PRIMARY KEY)",)),
]  # fmt: skip
CASES = [*MODES, *SESSIONS, *CHARSETS, *ADOPTED]


@contextmanager
def set_globally(server: DatabaseServer, settings: Mapping[str, object]) -> Iterator[None]:
    """Settings of the whole server while the block runs, for connections that are made then."""
    before = {name: server.execute(f"SELECT @@GLOBAL.{name}")[0][0] for name in settings}
    try:
        for name, value in settings.items():
            server.execute(f"SET GLOBAL {name} = {value}")
        yield
    finally:
        for name, value in before.items():
            shown = value if isinstance(value, int | float) else "NULL" if value is None else repr(value)
            server.execute(f"SET GLOBAL {name} = {shown}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.only}".strip().replace(" ", "-"))
async def test_the_story_comes_out_exact(case: Case, database_server: DatabaseServer, tmp_path: Path) -> None:
    if case.only not in ("", database_server.kind):
        pytest.skip(f"only {case.only} has it")
    name = database_server.new_database(case.collation)
    for statement in case.tables:
        database_server.execute(statement, database=name)
    with set_globally(database_server, case.settings):
        async with story_on(database_server, database_server.url(name), name, tmp_path) as story:
            for statement in case.later:
                database_server.execute(statement, database=name)
            await (story.tell() if case.hard is None else story.tell(hard=case.hard))
    database_server.drop_database(name)


async def test_the_shorter_list_of_privileges_does_after_the_first_start(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database(privileges=())
    first, later = (database_server.new_user(name, privileges) for privileges in (FIRST_START, AFTERWARDS))
    async with story_on(database_server, database_server.url(name, user=first), name, tmp_path):
        pass
    async with story_on(database_server, database_server.url(name, user=later), name, tmp_path) as story:
        await story.tell()


async def test_large_values_need_no_large_sort_buffer(database_server: DatabaseServer, tmp_path: Path) -> None:
    name = database_server.new_database()

    def write(count: int, note: str) -> None:
        rows = "".join(f"s-{number},title {number},{note * 30_000}\n" for number in range(count))
        (tmp_path / "songs.csv").write_text("external_id,title,notes\n" + rows)

    with set_globally(database_server, {"sort_buffer_size": 32_768}):
        async with story_on(database_server, database_server.url(name), name, tmp_path) as story:
            write(40, "ab")
            assert_ledger(await story.run("songs.csv"), inserted=40)
            # The bot edits each, and then the source changes each.
            changed = "title = 'by hand', metadata = JSON_SET(metadata, '$.notes', REPEAT('xy', 30000))"
            database_server.execute(f"UPDATE content_index SET {changed}", database=name)
            write(41, "cd")
            run = await story.run("songs.csv")
            assert_ledger(run, inserted=1, updated=40)
            assert run["conflicts"] == "40"
            assert {metadata["notes"] for _title, _artist, metadata in story.songs().values()} == {"cd" * 30_000}
