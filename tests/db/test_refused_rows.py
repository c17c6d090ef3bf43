"""A row that the table refuses costs that row alone: whatever refuses it, wherever it stands, in each way of writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from db.engine import Database
from db.loaders.mirror import Looks, deactivate_gone
from db.loaders.refusals import Refusal, RowsRefusedError, TargetRefusedError
from db.loaders.sparing import CAREFUL, Care
from db.loaders.upsert import LoadResult, load
from db.migrate import migrate
from db.records import LoadCounts, LoadSpec
from db.schema import catalog_change_log, sync_seen_rows
from tests.db.test_migrate import CONTRACT_TABLES, execute
from tests.db.test_upsert import CATALOG, CONTENT, age, item, rows_of, songs, write
from tests.support.database_server import DatabaseServer
from tests.support.rules import Administrator

GENRES = replace(CONTENT, columns=("content_type", "title", "artist", "genre", "external_id"))


def numbered(count: int, bad: Mapping[int, str] | None = None, **values: str | None) -> pl.DataFrame:
    """Songs `0` to `count`; `bad` has titles for some of them."""
    return songs(*(values | {"external_id": str(n), "title": (bad or {}).get(n, f"t{n}")} for n in range(count)))


def with_genre(rows: pl.DataFrame, genre: str, at: int, bad: str) -> pl.DataFrame:
    found = pl.when(pl.int_range(pl.len()) == at).then(pl.lit(bad)).otherwise(pl.lit(genre))
    return rows.with_columns(found.alias("genre"), (pl.col("row_hash") ^ found.hash(2).reinterpret(signed=True)))


async def put(
    database: Database, rows: pl.DataFrame, spec: LoadSpec = CONTENT, *, expect_new: bool = False, care: Care = CAREFUL
) -> LoadResult:
    async with database.write() as connection:
        return await load(connection, spec, rows, expect_new=expect_new, care=care)


async def titles(database: Database) -> dict[str, str]:
    return {row.external_id: row.title for row in await rows_of(database)}


RULES = {
    "a check": "CHECK constraint not_x",
    "a check over two columns": "CHECK constraint not_both",
    "a trigger": "no X",
    "a trigger whose own insert is refused": "",
    "a foreign key": "foreign key",
    "another unique key": "unique key",
}


async def set_rule(administrator: Administrator, rule: str) -> None:
    match rule:
        case "a check":
            await administrator.add_constraint("content_index", "CONSTRAINT not_x CHECK (title <> 'X')")
        case "a check over two columns":
            both = "CONSTRAINT not_both CHECK (artist IS NULL OR title <> 'X' OR artist <> 'a')"
            await administrator.add_constraint("content_index", both)
        case "a trigger":
            for event in ("INSERT", "UPDATE"):
                guard = f"guard_{event.lower()}"
                await administrator.add_trigger(
                    f"BEFORE {event}", "content_index", "NEW.title = 'X'", "no X", name=guard
                )
        case "a trigger whose own insert is refused":
            await administrator.execute("CREATE TABLE heard (title VARCHAR(500) NOT NULL, CHECK (title <> 'X'))")
            for event in ("INSERT", "UPDATE"):
                await administrator.execute(
                    f"CREATE TRIGGER hear_{event.lower()} AFTER {event} ON content_index FOR EACH ROW BEGIN "
                    "INSERT INTO heard VALUES (NEW.title); END"
                )
        case "a foreign key":
            await administrator.execute(
                "CREATE TABLE known (title VARCHAR(500) NOT NULL PRIMARY KEY)"
                + ("" if administrator.server is None else " COLLATE utf8mb4_unicode_ci")
            )
            listed = ", ".join(f"('t{n}'), ('u{n}')" for n in range(400))
            await administrator.execute(f"INSERT INTO known VALUES {listed}")
            foreign = "CONSTRAINT fk_known FOREIGN KEY (title) REFERENCES known (title)"
            await administrator.add_constraint("content_index", foreign)
        case "another unique key":
            await administrator.add_constraint("content_index", "CONSTRAINT uq_title UNIQUE (title)")
            await write(administrator.database, songs({"external_id": "old", "title": "X"}))


@pytest.mark.parametrize("expect_new", [True, False])
@pytest.mark.parametrize("rule", RULES)
async def test_one_refused_row_of_400_is_set_aside_when_it_is_new(
    database: Database, administrator: Administrator, rule: str, expect_new: bool
) -> None:
    await set_rule(administrator, rule)
    before = len(await rows_of(database))
    result = await put(database, numbered(400, {137: "X"}, artist="a"), expect_new=expect_new)
    assert result.counts == LoadCounts(399, 0, 0)
    assert list(result.refused) == [137]
    assert RULES[rule] in result.refused[137].text
    assert len(await rows_of(database)) == before + 399
    assert "137" not in await titles(database)


@pytest.mark.parametrize("rule", RULES)
async def test_one_refused_row_of_400_stays_as_it_was_when_it_is_to_be_changed(
    database: Database, administrator: Administrator, rule: str
) -> None:
    await set_rule(administrator, rule)
    await put(database, numbered(400, artist="a"))
    changed = {n: "X" if n == 137 else f"u{n}" for n in range(400) if n % 2}
    result = await put(database, numbered(400, changed, artist="a"))
    assert result.counts == LoadCounts(0, 199, 200)
    assert list(result.refused) == [137]
    found = await titles(database)
    assert (found["137"], found["139"], found["138"]) == ("t137", "u139", "t138")
    if rule == "a trigger whose own insert is refused":
        async with database.read() as connection:
            heard = await connection.exec_driver_sql("SELECT COUNT(*) FROM heard")
            assert heard.scalar_one() == 400 + 199


@pytest.mark.parametrize(
    "at", [{0, 399}, {0}, {399}, {0, 1, 2}, set(range(0, 400, 2)), set(range(100, 300)), set(range(399))]
)
async def test_refused_rows_are_found_wherever_they_stand(
    database: Database, administrator: Administrator, at: set[int]
) -> None:
    await set_rule(administrator, "a check")
    result = await put(database, numbered(400, dict.fromkeys(at, "X")), expect_new=True, care=Care(has_accepted=True))
    assert result.counts == LoadCounts(400 - len(at), 0, 0)
    assert set(result.refused) == at
    assert set(await titles(database)) == {str(n) for n in range(400) if n not in at}


async def test_a_few_refused_rows_are_found_by_few_statements(database: Database, administrator: Administrator) -> None:
    await set_rule(administrator, "a check")
    bad = dict.fromkeys((3, 700, 1500), "X")
    # 2k log2(n) + k + 1, and the row that is tried first.
    result = await put(database, numbered(2048, bad), care=Care(statements_max=2 * 3 * 11 + 3 + 1 + 1))
    assert (result.counts, set(result.refused)) == (LoadCounts(2045, 0, 0), set(bad))


async def test_rows_that_are_all_refused_alike_end_the_load(database: Database, administrator: Administrator) -> None:
    await set_rule(administrator, "a check")
    with pytest.raises(TargetRefusedError, match="not_x") as raised:
        await put(database, numbered(50, dict.fromkeys(range(50), "X")), expect_new=True)
    assert raised.value.reason == "TARGET_REFUSED"
    assert await rows_of(database) == []


async def test_rows_that_are_all_refused_are_row_errors_when_others_of_the_run_were_written(
    database: Database, administrator: Administrator
) -> None:
    await set_rule(administrator, "a check")
    result = await put(database, numbered(50, dict.fromkeys(range(50), "X")), care=Care(has_accepted=True))
    assert (result.counts, len(result.refused)) == (LoadCounts(0, 0, 0), 50)


async def test_rows_that_stay_refused_are_row_errors_when_the_others_are_there(
    database: Database, administrator: Administrator
) -> None:
    await set_rule(administrator, "a check")
    rows = numbered(100, dict.fromkeys(range(50), "X"))
    for counts in (LoadCounts(50, 0, 0), LoadCounts(0, 0, 50)):
        result = await put(database, rows)
        assert (result.counts, list(result.refused)) == (counts, list(range(50)))


async def test_a_few_rows_that_are_all_refused_are_row_errors(database: Database, administrator: Administrator) -> None:
    await set_rule(administrator, "a check")
    result = await put(database, numbered(3, dict.fromkeys(range(3), "X")), expect_new=True)
    assert (result.counts, list(result.refused)) == (LoadCounts(0, 0, 0), [0, 1, 2])


async def test_a_search_that_takes_too_many_statements_ends_the_load(
    database: Database, administrator: Administrator
) -> None:
    await set_rule(administrator, "a check")
    bad = dict.fromkeys(range(0, 400, 2), "X")
    with pytest.raises(TargetRefusedError, match="TECHAURA_SYNC_REFUSED_STATEMENTS_MAX"):
        await put(database, numbered(400, bad), care=Care(statements_max=100))
    assert await rows_of(database) == []


async def test_without_care_a_refusal_is_raised_and_nothing_stands(
    database: Database, administrator: Administrator
) -> None:
    await set_rule(administrator, "a check")
    with pytest.raises(RowsRefusedError):
        await put(database, numbered(40, {7: "X"}), care=Care(is_careful=False))
    assert await rows_of(database) == []


async def test_a_refused_refresh_is_a_refusal_too(database: Database, administrator: Administrator) -> None:
    await put(database, numbered(10))
    await age(database, 1)
    await administrator.add_trigger("BEFORE UPDATE", "content_index", "NEW.title = 't4'", "not now")
    result = await put(database, numbered(10))
    assert (result.counts, list(result.refused)) == (LoadCounts(0, 0, 9), [4])
    assert result.refused[4].said == "not now"
    oldest, following, *_ = sorted(await rows_of(database), key=lambda row: row.last_synced_at)
    assert (oldest.title, oldest.last_synced_at < following.last_synced_at) == ("t4", True)


async def test_a_refused_item_leaves_no_row_in_the_change_log(database: Database, administrator: Administrator) -> None:
    await administrator.add_constraint("catalog_items", "CONSTRAINT cheap CHECK (price < 100)")

    def items(**prices: str) -> pl.DataFrame:
        return pl.concat([item(capacity=capacity, price=price) for capacity, price in prices.items()])

    result = await put(database, items(a="1.00", b="500.00", c="2.00"), CATALOG)
    assert (result.counts, list(result.refused)) == (LoadCounts(2, 0, 0), [1])
    result = await put(database, items(a="9.00", b="3.00", c="800.00"), CATALOG)
    assert (result.counts, list(result.refused)) == (LoadCounts(1, 1, 0), [2])
    log = await rows_of(database, catalog_change_log)
    assert [(row.action, row.capacity, row.field_changed) for row in log] == [
        ("create", "a", None), ("create", "c", None), ("update", "a", "price"), ("create", "b", None),
    ]  # fmt: skip


async def test_a_change_log_that_refuses_its_row_refuses_the_item(
    database: Database, administrator: Administrator
) -> None:
    await administrator.add_trigger("BEFORE INSERT", "catalog_change_log", "NEW.capacity = 'b'", "not b")
    rows = pl.concat([item(capacity=capacity) for capacity in "abc"])
    result = await put(database, rows, CATALOG)
    assert (result.counts, list(result.refused)) == (LoadCounts(2, 0, 0), [1])
    assert [row.capacity for row in await rows_of(database, catalog_change_log)] == ["a", "c"]


async def test_a_mirror_has_seen_a_row_whose_change_was_refused(
    database: Database, administrator: Administrator
) -> None:
    await set_rule(administrator, "a check")
    await put(database, numbered(3))
    spec = replace(CONTENT, seen_by=(1, 0))
    result = await put(database, numbered(5, {1: "X", 3: "X"}), spec)
    assert (result.counts, sorted(result.refused)) == (LoadCounts(1, 0, 2), [1, 3])
    seen = {row.target_id for row in await seen_rows(database)}
    assert seen == {row.id for row in await rows_of(database)}
    assert len(seen) == 4


async def test_a_row_that_may_not_be_switched_off_stays_on_and_the_others_do_not(
    database: Database, administrator: Administrator
) -> None:
    spec = replace(CONTENT, availability_column="is_available", seen_by=(1, 0))
    await put(database, numbered(40), replace(spec, seen_by=None))
    await administrator.add_trigger("BEFORE UPDATE", "content_index", "NEW.title IN ('t5', 't9')", "not these")
    await put(database, numbered(3), spec)
    async with database.write() as connection:
        done = await deactivate_gone(connection, spec, Looks(1, (0,)))
    assert (done.count, [refusal.said for refusal in done.refused.values()]) == (35, ["not these"] * 2)
    on = {row.external_id for row in await rows_of(database) if row.is_available in (None, True)}
    assert on == {"0", "1", "2", "5", "9"}


async def seen_rows(database: Database) -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(sync_seen_rows.select())).all())


async def test_a_refused_row_that_was_edited_in_the_table_counts_once(
    database: Database, administrator: Administrator
) -> None:
    spec = replace(CONTENT, conflict_policy="keep_local")
    await put(database, numbered(4), spec)
    await administrator.execute("UPDATE content_index SET artist = 'mine' WHERE external_id IN ('1', '2')")
    await administrator.add_trigger("BEFORE UPDATE", "content_index", "NEW.external_id = '1'", "no")
    result = await put(database, numbered(4, artist="theirs"), spec)
    assert (result.counts, list(result.refused)) == (LoadCounts(0, 2, 0), [1])
    assert [conflict.row_no for conflict in result.conflicts] == [2]
    assert {row.external_id: row.artist for row in await rows_of(database)} == {
        "0": "theirs", "1": "mine", "2": "mine", "3": "theirs",
    }  # fmt: skip


async def test_a_foreign_key_and_a_check_name_their_columns(database: Database, administrator: Administrator) -> None:
    genres = "CREATE TABLE genres (name VARCHAR(100) NOT NULL PRIMARY KEY)"
    await administrator.execute(
        genres if database.is_sqlite else genres + " COLLATE utf8mb4_unicode_ci", "INSERT INTO genres VALUES ('rock')"
    )
    await administrator.add_constraint(
        "content_index", "CONSTRAINT fk_genre FOREIGN KEY (genre) REFERENCES genres (name)"
    )
    await put(database, with_genre(numbered(30), "rock", -1, ""), GENRES)
    result = await put(database, with_genre(numbered(40), "rock", 35, "polka"), GENRES)
    assert (result.counts, list(result.refused)) == (LoadCounts(9, 0, 30), [35])
    changed = await put(database, with_genre(numbered(30), "rock", 5, "polka"), GENRES)
    assert (changed.counts, list(changed.refused)) == (LoadCounts(0, 0, 29), [5])
    if not database.is_sqlite:
        assert changed.refused[5] == Refusal("foreign key fk_genre", 1452, "genre")


@pytest.mark.parametrize("expect_new", [True, False])
async def test_keys_that_are_one_to_the_collation_and_refused_rows_are_told_apart(
    database_server: DatabaseServer, expect_new: bool
) -> None:
    name = database_server.new_database("utf8mb4_general_ci")
    execute(database_server, name, *CONTRACT_TABLES.values())
    database = Database(database_server.url(name))
    try:
        await migrate(database)
        await set_rule(Administrator(database, database_server), "a check")
        ids = [f"{letter}{n}" for n in range(30) for letter in "aAb"]
        rows = songs(*({"external_id": id_, "title": "X" if id_ in ("b7", "b20", "A3") else "t"} for id_ in ids))
        result = await put(database, rows, expect_new=expect_new)
        assert result.counts == LoadCounts(58, 0, 0)
        assert [ids[index] for index in result.collided] == [f"A{n}" for n in range(30)]
        assert [ids[index] for index in result.refused] == ["b7", "b20"]
        assert len(await rows_of(database)) == 58
    finally:
        await database.close()
