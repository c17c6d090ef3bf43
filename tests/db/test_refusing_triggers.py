"""Whatever goes wrong inside the table itself (a trigger, a column that it computes, a NULL) is a refusal of its row."""

from __future__ import annotations

import pytest

from db.engine import Database
from db.loaders.refusals import Refusal, RowsRefusedError, TargetRefusedError
from db.loaders.sparing import Care
from db.records import LoadCounts
from tests.db.test_refused_rows import numbered, put
from tests.db.test_upsert import rows_of, songs
from tests.support.database_server import CHOSEN
from tests.support.rules import Administrator

SET_BY_TRIGGER = {
    "too long": ("SET NEW.genre = REPEAT('x', 300)", "genre"),
    "null": ("SET NEW.content_type = NULL", "content_type"),
    "not a number": ("SET NEW.is_available = 'secret'", "is_available"),
    "division by zero": ("SET NEW.genre = 1 / 0", ""),
    "out of range": ("SET NEW.genre = CAST(1 AS UNSIGNED) - 2", ""),
    "more than one row": ("SET NEW.genre = (SELECT title FROM content_index)", ""),
    "broken JSON": ("SET NEW.genre = JSON_EXTRACT('{secret', '$.a')", ""),
    "a number of the owner's": ("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 30001", ""),
    "a state of the owner's": ("SIGNAL SQLSTATE '77X01' SET MESSAGE_TEXT = 'mine'", ""),
}


@pytest.mark.parametrize("what", SET_BY_TRIGGER)
@pytest.mark.parametrize("database_url", [CHOSEN], indirect=True)
async def test_whatever_goes_wrong_in_a_trigger_is_a_refusal_of_its_row(
    database: Database, administrator: Administrator, what: str
) -> None:
    statement, column = SET_BY_TRIGGER[what]
    await put(database, songs({"external_id": "a"}, {"external_id": "b"}))
    await administrator.execute(
        "CREATE TRIGGER odd BEFORE INSERT ON content_index FOR EACH ROW BEGIN "
        f"IF NEW.title = 'X' THEN {statement}; END IF; END"
    )
    result = await put(database, numbered(60, {31: "X"}), expect_new=True)
    assert (result.counts, list(result.refused)) == (LoadCounts(59, 0, 0), [31])
    refusal = result.refused[31]
    assert refusal.column == column
    assert "secret" not in refusal.text
    assert ("mine" in refusal.text) is ("owner" in what)


@pytest.mark.parametrize("local_infile", [1, 0])
@pytest.mark.parametrize("database_url", [CHOSEN], indirect=True)
async def test_a_column_that_may_not_be_null_refuses_its_row_unless_a_trigger_fills_it(
    database: Database, administrator: Administrator, local_infile: int
) -> None:
    await administrator.execute(
        f"SET GLOBAL local_infile = {local_infile}", "ALTER TABLE content_index MODIFY artist VARCHAR(255) NOT NULL"
    )
    try:
        rows = songs(*({"external_id": str(n), "artist": None if n == 31 else "a"} for n in range(60)))
        for expect_new, counts in ((True, LoadCounts(59, 0, 0)), (False, LoadCounts(0, 0, 59))):
            result = await put(database, rows, expect_new=expect_new)
            assert result.counts == counts
            assert result.refused == {31: Refusal("column artist: cannot be NULL", 1048, "artist")}
        changed = await put(database, songs({"external_id": "1", "artist": None}, {"external_id": "2", "artist": "b"}))
        assert (changed.counts, list(changed.refused)) == (LoadCounts(0, 1, 0), [0])
        await administrator.execute(
            "CREATE TRIGGER fill BEFORE INSERT ON content_index FOR EACH ROW SET NEW.artist = IFNULL(NEW.artist, 'nobody')"
        )
        assert (await put(database, rows)).counts.inserted == 1
    finally:
        await administrator.execute("SET GLOBAL local_infile = 1")


@pytest.mark.parametrize("database_url", [CHOSEN], indirect=True)
async def test_a_generated_column_that_cannot_be_computed_refuses_its_row(
    database: Database, administrator: Administrator
) -> None:
    await administrator.execute(
        "ALTER TABLE content_index ADD COLUMN short VARCHAR(4) GENERATED ALWAYS AS (CONCAT(title, '')) STORED"
    )
    result = await put(database, numbered(60, {31: "long one"}), expect_new=True)
    assert (result.counts, list(result.refused)) == (LoadCounts(59, 0, 0), [31])
    assert result.refused[31].column == "short"


@pytest.mark.parametrize("kind", ["RAISE(FAIL, 'no')", "RAISE(IGNORE)"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_trigger_of_sqlite_that_undoes_no_statement_is_a_refusal_all_the_same(
    database: Database, administrator: Administrator, kind: str
) -> None:
    for event in ("INSERT", "UPDATE"):
        await administrator.execute(
            f"CREATE TRIGGER odd_{event} BEFORE {event} ON content_index WHEN NEW.title = 'X' BEGIN SELECT {kind}; END"
        )
    result = await put(database, numbered(60, {31: "X"}), expect_new=True)
    assert (result.counts, list(result.refused)) == (LoadCounts(59, 0, 0), [31])
    with pytest.raises(RowsRefusedError):
        await put(database, numbered(60, {n: "X" if n == 40 else "u" for n in range(60)}), care=Care(is_careful=False))
    result = await put(database, numbered(60, {n: "X" if n == 40 else "u" for n in range(60)}))
    assert (result.counts, list(result.refused)) == (LoadCounts(1, 58, 0), [40])


@pytest.mark.parametrize("expect_new", [True, False])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_trigger_of_sqlite_that_ends_the_transaction_ends_the_load(
    database: Database, administrator: Administrator, expect_new: bool
) -> None:
    await administrator.execute(
        "CREATE TRIGGER odd BEFORE INSERT ON content_index WHEN NEW.title = 'X' BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
    )
    with pytest.raises(TargetRefusedError, match="ends the whole transaction"):
        await put(database, numbered(60, {31: "X"}), expect_new=expect_new)
    assert await rows_of(database) == []
