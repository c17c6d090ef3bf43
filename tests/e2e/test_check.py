"""`techaura-syncd migrate --check`, and the same look at each start: what will not work, with what mends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.db.test_databases_people_have import set_globally
from tests.db.test_migrate import CONTRACT_TABLES
from tests.support.database_server import DatabaseServer
from tests.support.grants import AFTERWARDS, FIRST_START
from tests.support.programs import run
from tests.support.service import PROGRAM, environment, service_running

CONTENT = CONTRACT_TABLES["content_index"]


def check(url: str, folder: Path, command: str = "migrate", *options: str) -> tuple[int, str, str]:
    """Exit code, what it printed in words on one line, and its log."""
    environ = environment(url, folder) | {"COLUMNS": "200"}
    done = run(PROGRAM, command, *options, env=environ)
    return done.returncode, " ".join(done.stdout.split()), done.stderr


def test_a_database_that_is_as_it_should_be_has_nothing_in_the_way(
    database_server: DatabaseServer, tmp_path: Path
) -> None:
    name = database_server.new_database()
    assert check(database_server.url(name), tmp_path, "migrate", "--check")[:2] == (0, "nothing is in the way")
    assert database_server.execute("SHOW TABLES", database=name) == []
    assert check(database_server.url(name), tmp_path)[0] == 0
    assert check(database_server.url(name), tmp_path, "migrate", "--check")[:2] == (0, "nothing is in the way")


@pytest.mark.parametrize(
    ("tables", "what", "remedy"),
    [
        (
            (CONTENT.replace("UNIQUE (source_type, source_identifier, external_id),", ""),),
            "content_index has no unique key on (source_type, source_identifier, external_id)",
            "ALTER TABLE content_index ADD UNIQUE (source_type, source_identifier, external_id)",
        ),
        (
            (CONTENT.replace("external_id),", "external_id(20)),"),),
            "content_index has no unique key on",
            "ALTER TABLE content_index ADD UNIQUE",
        ),
        (
            (
                CONTENT.replace("VARCHAR(255)", "VARCHAR(60)").replace("VARCHAR(500)", "VARCHAR(200)")
                + " ENGINE=MyISAM",
            ),
            "content_index has the engine MyISAM, which has no transactions",
            "ALTER TABLE content_index ENGINE = InnoDB",
        ),
        (("CREATE VIEW catalog_items AS SELECT 1 AS id",), "catalog_items is a view", "RENAME TABLE catalog_items"),
    ],
    ids=["no unique key", "unique by a prefix", "another engine", "a view"],
)
def test_tables_that_cannot_be_written_to_safely_are_refused_by_check_and_start_alike(
    database_server: DatabaseServer, tmp_path: Path, tables: tuple[str, ...], what: str, remedy: str
) -> None:
    name = database_server.new_database(privileges=(*FIRST_START,))
    for statement in tables:
        database_server.execute(statement, database=name)
    url = database_server.url(name)
    code, printed, said = check(url, tmp_path, "migrate", "--check")
    assert code == 2
    assert "refuses" in printed and what in printed and remedy in printed
    assert said.count("\n") == 1
    for command in ("migrate", "serve"):
        code, printed, said = check(url, tmp_path, command)
        assert (code, printed) == (2, "")
        assert what in said and remedy in said
        assert "Traceback" not in said


@pytest.mark.parametrize("privilege", ["CREATE TEMPORARY TABLES", "UPDATE"])
def test_a_privilege_that_only_a_later_run_would_miss_is_missed_at_the_start(
    database_server: DatabaseServer, tmp_path: Path, privilege: str
) -> None:
    name = database_server.new_database()
    assert check(database_server.url(name), tmp_path)[0] == 0
    user = database_server.new_user(name, [each for each in AFTERWARDS if each != privilege])
    code, _printed, said = check(database_server.url(name, user=user), tmp_path, "serve")
    assert code == 2
    assert f"GRANT {privilege} ON `{name}`.* TO '{user}'@'%'" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "tables", "what"),
    [
        ({"local_infile": 0}, (), "local_infile is OFF"),
        ({"max_allowed_packet": 1 << 20}, (), "max_allowed_packet is 1048576 bytes"),
        ({"max_connections": 12}, (), "max_connections is 12"),
        ({}, (CONTENT + " CHARSET latin1",), "holds not every character in"),
    ],
    ids=["local_infile", "packet", "connections", "character set"],
)
def test_what_the_service_does_without_is_said_once_at_the_start(
    database_server: DatabaseServer, tmp_path: Path, settings: Mapping[str, object], tables: tuple[str, ...], what: str
) -> None:
    name = database_server.new_database()
    for statement in tables:
        database_server.execute(statement, database=name)
    with set_globally(database_server, settings):
        code, printed, _said = check(database_server.url(name), tmp_path, "migrate", "--check")
        assert (code, "limits" in printed, what in printed) == (0, True, True)
        with service_running(tmp_path, environment(database_server.url(name), tmp_path)) as service:
            lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    said = [line for line in lines if line["event"] == "database_limits"]
    assert [(what in line["notice"], bool(line["remedy"])) for line in said] == [(True, True)]


def test_names_of_strangers_are_no_markup(database_server: DatabaseServer, tmp_path: Path) -> None:
    name = database_server.new_database()
    user = database_server.new_user(name, (), name="[red]u[/red]")
    database_server.execute(f"GRANT {', '.join(p for p in FIRST_START if p != 'INDEX')} ON `{name}`.* TO `{user}`@'%'")
    url = database_server.url(name, user="%5Bred%5Du%5B%2Fred%5D")
    code, printed, _said = check(url, tmp_path, "migrate", "--check")
    assert code == 0
    assert f"GRANT INDEX ON `{name}`.* TO '[red]u[/red]'@'%'" in printed
