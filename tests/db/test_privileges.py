"""The privileges of docs/guides/mysql.md: each is needed, and they are enough, at the first start and afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import DatabaseError
from db.inspection.look import look_at, refuse
from db.migrate import migrate
from tests.db.test_migrate import CONTRACT_TABLES, execute
from tests.support.database_server import PASSWORD, DatabaseServer, opened
from tests.support.grants import AFTERWARDS, FIRST_START, GUIDE

# What the service says it does without, and works.
SPARED = {"REFERENCES", "INDEX", "DELETE"}


async def lacking(url: str) -> dict[str, tuple[str, str]]:
    async with opened(url) as database:
        found = await look_at(database)
    return {
        finding.remedy.split(" ")[1] if "TEMPORARY" not in finding.remedy else "CREATE TEMPORARY TABLES": (
            finding.severity,
            finding.remedy,
        )
        for finding in found
        if finding.area == "privilege"
    }


async def test_they_are_enough_at_the_first_start_and_the_shorter_list_afterwards(
    database_server: DatabaseServer,
) -> None:
    name = database_server.new_database(privileges=())
    first = database_server.new_user(name, FIRST_START)
    later = database_server.new_user(name, AFTERWARDS)
    execute(database_server, name, *CONTRACT_TABLES.values())
    said: list[str] = []
    for user in (first, later):
        url = database_server.url(name, user=user)
        if user == first:
            assert await lacking(url) == {}
        async with opened(url) as database:
            assert await migrate(database, say=said.append) is (user == first)
        assert await lacking(url) == {}
    assert said == []
    assert set(AFTERWARDS) < set(FIRST_START)


@pytest.mark.parametrize("privilege", FIRST_START)
async def test_each_is_needed_at_the_first_start_and_named_with_its_grant(
    database_server: DatabaseServer, privilege: str
) -> None:
    name = database_server.new_database(privileges=())
    # Tables to be altered, and tables with foreign keys to be made.
    execute(database_server, name, *(CONTRACT_TABLES[table] for table in ("sync_runs", "catalog_items")))
    user = database_server.new_user(name, [each for each in FIRST_START if each != privilege])
    url = database_server.url(name, user=user)
    found = await lacking(url)
    if database_server.kind == "mariadb" and privilege == "REFERENCES":
        assert found == {}  # MariaDB asks for none
        return
    severity = "limits" if privilege in SPARED else "refuses"
    assert found == {privilege: (severity, f"GRANT {privilege} ON `{name}`.* TO '{user}'@'%'")}
    said: list[str] = []
    async with opened(url) as database:
        try:
            refuse(await look_at(database))
            await migrate(database, say=said.append)
        except DatabaseError as error:
            assert severity == "refuses"
            assert f"GRANT {privilege} ON" in error.message
        else:
            assert severity == "limits"
            assert bool(said) == (privilege != "DELETE")


@pytest.mark.parametrize("privilege", AFTERWARDS)
async def test_each_is_needed_afterwards_and_named_with_its_grant(
    database_server: DatabaseServer, privilege: str
) -> None:
    name = database_server.new_database()
    async with opened(database_server.url(name)) as owner:
        await migrate(owner)
    user = database_server.new_user(name, [each for each in AFTERWARDS if each != privilege])
    url = database_server.url(name, user=user)
    severity = "limits" if privilege in SPARED else "refuses"
    assert await lacking(url) == {privilege: (severity, f"GRANT {privilege} ON `{name}`.* TO '{user}'@'%'")}


async def test_a_grant_on_tables_alone_is_looked_at_table_by_table(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    async with opened(database_server.url(name)) as owner:
        await migrate(owner)
    user = database_server.new_user(name, ("SELECT", "INSERT", "DELETE", "CREATE TEMPORARY TABLES"))
    for table in CONTRACT_TABLES:
        database_server.execute(f"GRANT UPDATE ON `{name}`.`{table}` TO `{user}`@'%'")
    async with opened(database_server.url(name, user=user)) as database:
        (finding,) = await look_at(database)
    assert "lacks UPDATE on" in finding.text
    assert "sync_batches" in finding.text
    assert "content_index" not in finding.text


async def test_nothing_is_left_of_the_look(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    async with opened(database_server.url(name)) as database:
        assert await look_at(database) == []
    assert database_server.execute("SHOW TABLES", database=name) == []


def test_the_guide_names_no_other_privilege_and_no_global_one() -> None:
    text = Path(GUIDE).read_text(encoding="utf-8")
    assert text.count("GRANT ") == 2
    assert PASSWORD not in text
    assert " ON *.*" not in text
