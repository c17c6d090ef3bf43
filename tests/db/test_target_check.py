"""What would refuse every row alike is found before the first one, or ends the load at once, in words and by name."""

from __future__ import annotations

import pytest

from db.engine import Database
from db.loaders.refusals import TargetRefusedError
from db.loaders.target_check import check_target
from db.migrate import migrate
from db.records import LoadCounts
from db.schema import TARGET_TABLES
from server.targets.registry import TARGETS
from tests.db.test_refused_rows import numbered, put
from tests.db.test_upsert import CATALOG, CONTENT, rows_of, songs
from tests.support.database_server import CHOSEN, DatabaseServer
from tests.support.grants import FIRST_START
from tests.support.rules import Administrator

ON_A_SERVER = pytest.mark.parametrize("database_url", [CHOSEN], indirect=True)


async def look(database: Database) -> list[str]:
    """The columns that may refuse every row, if no trigger fills them."""
    async with database.read() as connection:
        return [fault.column for fault in await check_target(connection, CONTENT)]


async def test_tables_as_they_should_be_are_let_pass(database: Database) -> None:
    async with database.read() as connection:
        assert await check_target(connection, CONTENT) == ()
        assert await check_target(connection, CATALOG) == ()


@ON_A_SERVER
@pytest.mark.parametrize(
    "column",
    [
        "owner VARCHAR(20) NULL",
        "owner VARCHAR(20) NOT NULL DEFAULT ''",
        "owner VARCHAR(20) NOT NULL DEFAULT (CONCAT('a', 'b'))",
        "owner ENUM('a', 'b') NOT NULL",
        "owner TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP",
        "owner INT GENERATED ALWAYS AS (CHAR_LENGTH(title)) STORED",
        "owner VARCHAR(20) GENERATED ALWAYS AS (UPPER(artist)) VIRTUAL",
    ],
)
async def test_columns_that_need_nothing_of_the_service_are_let_pass(
    database: Database, administrator: Administrator, column: str
) -> None:
    await administrator.execute(f"ALTER TABLE content_index ADD COLUMN {column}")
    assert await look(database) == []
    assert (await put(database, numbered(3), expect_new=True)).counts == LoadCounts(3, 0, 0)


@ON_A_SERVER
@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("kind", ["VARCHAR(20)", "INT", "TEXT", "DATETIME"])
async def test_a_column_without_a_default_ends_the_load_with_the_statement_that_mends_it(
    database: Database, administrator: Administrator, kind: str, count: int
) -> None:
    await administrator.execute(f"ALTER TABLE content_index ADD COLUMN owner {kind} NOT NULL")
    # The ordinary user sees no triggers, so that the first rows have to tell.
    assert await look(database) == ["owner"]
    for expect_new in (True, False):
        with pytest.raises(TargetRefusedError, match=r"content_index\.owner must have a value") as raised:
            await put(database, numbered(count), expect_new=expect_new)
        assert "ALTER TABLE content_index MODIFY owner" in raised.value.next_step
    assert await rows_of(database) == []


@ON_A_SERVER
async def test_a_column_without_a_default_does_no_harm_to_rows_that_are_there(
    database: Database, administrator: Administrator
) -> None:
    await put(database, numbered(3))
    await administrator.execute("ALTER TABLE content_index ADD COLUMN owner VARCHAR(20) NOT NULL")
    assert (await put(database, numbered(3, {1: "u"}))).counts == LoadCounts(0, 1, 2)


async def test_who_sees_triggers_knows_before_the_first_row(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    user = database_server.new_user(name, (*FIRST_START, "TRIGGER"))
    database = Database(database_server.url(name, user=user))
    try:
        await migrate(database)
        administrator = Administrator(database, database_server)
        await administrator.execute("ALTER TABLE content_index ADD COLUMN owner VARCHAR(20) NOT NULL")
        with pytest.raises(TargetRefusedError, match="owner must have a value"):
            await look(database)
        await administrator.execute(
            "CREATE TRIGGER own BEFORE INSERT ON content_index FOR EACH ROW SET NEW.owner = 'bot'"
        )
        assert await look(database) == ["owner"]
        assert (await put(database, numbered(40), expect_new=True)).counts == LoadCounts(40, 0, 0)
        assert (await put(database, numbered(60))).counts == LoadCounts(20, 0, 40)
    finally:
        await database.close()


@ON_A_SERVER
async def test_a_trigger_that_fills_such_a_column_for_all_rows_but_one_refuses_that_one(
    database: Database, administrator: Administrator
) -> None:
    await administrator.execute(
        "ALTER TABLE content_index ADD COLUMN owner VARCHAR(20) NOT NULL",
        "CREATE TRIGGER own BEFORE INSERT ON content_index FOR EACH ROW BEGIN "
        "IF NEW.title <> 'X' THEN SET NEW.owner = 'bot'; END IF; END",
    )
    result = await put(database, numbered(60, {31: "X"}), expect_new=True)
    assert (result.counts, list(result.refused)) == (LoadCounts(59, 0, 0), [31])
    assert result.refused[31].column == "owner"


@ON_A_SERVER
@pytest.mark.parametrize(
    "column",
    [
        "row_hash BIGINT AS (1) STORED",
        "column_marks VARCHAR(255) AS ('') VIRTUAL",
        "artist VARCHAR(255) AS ('') STORED",
    ],
)
async def test_a_generated_column_that_the_service_writes_is_named(
    database: Database, administrator: Administrator, column: str
) -> None:
    name = column.partition(" ")[0]
    drop = [f"DROP INDEX idx_content_index_{name}, "] if name == "artist" else [""]
    await administrator.execute(f"ALTER TABLE content_index {drop[0]}DROP COLUMN {name}, ADD COLUMN {column}")
    with pytest.raises(TargetRefusedError, match=rf"content_index\.{name} is a generated column"):
        await look(database)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_such_columns_are_found_on_sqlite(database: Database, administrator: Administrator) -> None:
    await administrator.execute(
        "ALTER TABLE content_index DROP COLUMN row_hash",
        "ALTER TABLE content_index ADD COLUMN row_hash BIGINT GENERATED ALWAYS AS (1) VIRTUAL",
    )
    with pytest.raises(TargetRefusedError, match="row_hash is a generated column"):
        await look(database)
    await administrator.execute("ALTER TABLE content_index DROP COLUMN row_hash")
    await administrator.execute("ALTER TABLE content_index ADD COLUMN row_hash BIGINT")
    await administrator.add_column("content_index", "owner VARCHAR(20) NOT NULL")
    with pytest.raises(TargetRefusedError, match="owner must have a value"):
        await look(database)


@ON_A_SERVER
@pytest.mark.parametrize("expect_new", [True, False])
@pytest.mark.parametrize("left", [0, 1, 5])
async def test_a_table_that_has_no_number_left_says_so(
    database: Database, administrator: Administrator, left: int, expect_new: bool
) -> None:
    await administrator.execute(f"ALTER TABLE content_index AUTO_INCREMENT = {2**32 - 1 - left}")
    with pytest.raises(TargetRefusedError, match=r"content_index\.id has no number left") as raised:
        await put(database, numbered(40), expect_new=expect_new)
    assert "MODIFY id BIGINT UNSIGNED" in raised.value.next_step
    assert await rows_of(database) == []


@ON_A_SERVER
async def test_a_table_whose_last_number_is_taken_says_so(database: Database, administrator: Administrator) -> None:
    await put(database, numbered(1))
    await administrator.execute("UPDATE content_index SET id = 4294967295", "ALTER TABLE content_index ENGINE = InnoDB")
    for _time in range(2):
        with pytest.raises(TargetRefusedError, match=r"content_index\.id has no number left"):
            await put(database, songs({"external_id": "new"}))
    assert len(await rows_of(database)) == 1


@ON_A_SERVER
async def test_a_key_of_another_table_that_a_trigger_fills_is_a_refusal_of_its_row(
    database: Database, administrator: Administrator
) -> None:
    await administrator.execute(
        "CREATE TABLE heard (title VARCHAR(50) NOT NULL PRIMARY KEY)",
        "INSERT INTO heard VALUES ('t31')",
        "CREATE TRIGGER hear AFTER INSERT ON content_index FOR EACH ROW INSERT INTO heard VALUES (NEW.title)",
    )
    result = await put(database, numbered(60), expect_new=True)
    assert (result.counts, list(result.refused)) == (LoadCounts(59, 0, 0), [31])


@ON_A_SERVER
async def test_what_is_no_refusal_of_rows_is_raised_as_it_is(database: Database, administrator: Administrator) -> None:
    await administrator.execute(
        "CREATE TRIGGER hear AFTER INSERT ON content_index FOR EACH ROW INSERT INTO nowhere VALUES (NEW.title)"
    )
    for expect_new in (True, False):
        with pytest.raises(Exception, match="nowhere"):
            await put(database, numbered(60), expect_new=expect_new)


def test_each_target_is_a_table_with_what_the_loaders_keep_in_it() -> None:
    assert {table.name for table in TARGET_TABLES} == set(TARGETS)
    for table in TARGET_TABLES:
        assert set(TARGETS[table.name].by_name) < set(table.columns.keys())
