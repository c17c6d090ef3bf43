"""The set-based upsert: exact counts, exact values, nothing written that did not change. On both kinds of database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select, text

from db.engine import Database
from db.loaders.upsert import LoadResult, load
from db.migrate import migrate
from db.records import LoadCounts, LoadSpec
from db.schema import catalog_change_log, catalog_items, content_index
from server.pipeline.hashing import mark_values, marks_expr
from tests.db.test_migrate import CONTRACT_TABLES, execute
from tests.support.database_server import DatabaseServer

CONTENT = LoadSpec(
    table="content_index",
    columns=("content_type", "title", "artist", "external_id", "metadata"),
    constants={"source_type": "csv", "source_identifier": "songs.csv"},
    key=("source_type", "source_identifier", "external_id"),
    synced_at_column="last_synced_at",
    touch_after_hours=12,
    audit_reason=None,
    marked_columns=("content_type", "title", "artist", "genre", "metadata", "is_available"),
    mark_values=mark_values,
)
CATALOG = LoadSpec(
    table="catalog_items",
    columns=("category_id", "capacity", "capacity_gb", "price", "content_count", "content_unit", "is_active"),
    constants={},
    key=("category_id", "capacity"),
    synced_at_column=None,
    touch_after_hours=12,
    audit_reason="sync of prices.csv",
    marked_columns=("capacity_gb", "price", "content_count", "content_unit", "is_active", "is_popular"),
    mark_values=mark_values,
)


def songs(*rows: Mapping[str, str | None]) -> pl.DataFrame:
    base = {"content_type": "music", "title": "t", "artist": None, "external_id": "1", "metadata": None}
    made = pl.DataFrame([base | dict(row) for row in rows], schema=dict.fromkeys(base, pl.String))
    marks = marks_expr(CONTENT.marked_columns, {name: pl.col(name) for name in base}).alias("column_marks")
    return made.with_columns(pl.struct(pl.all()).hash(1).reinterpret(signed=True).alias("row_hash"), marks)


def item(**values: str) -> pl.DataFrame:
    base = {
        "category_id": "music", "capacity": "16GB", "capacity_gb": "16", "price": "69900.00",
        "content_count": "3000", "content_unit": "canciones", "is_active": "1",
    }  # fmt: skip
    marks = marks_expr(CATALOG.marked_columns, {name: pl.col(name) for name in base}).alias("column_marks")
    return pl.DataFrame([base | values]).with_columns(pl.lit(7, pl.Int64).alias("row_hash"), marks)


async def write(database: Database, rows: pl.DataFrame, spec: LoadSpec = CONTENT) -> LoadResult:
    async with database.write() as connection:
        return await load(connection, spec, rows)


async def rows_of(database: Database, table: Any = content_index) -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(table).order_by(table.c.id))).all())


async def age(database: Database, days: int) -> None:
    """Make every row look as if it was synced that many days ago."""
    async with database.write() as connection:
        moment = f"datetime('now', '-{days} days')" if database.is_sqlite else f"NOW() - INTERVAL {days} DAY"
        await connection.execute(text(f"UPDATE content_index SET last_synced_at = {moment}, updated_at = {moment}"))


async def test_new_changed_and_unchanged_rows_are_counted_apart(database: Database) -> None:
    first = songs({"external_id": "1"}, {"external_id": "2"}, {"external_id": "3"})
    assert (await write(database, first)).counts == LoadCounts(3, 0, 0)
    assert (await write(database, first)).counts == LoadCounts(0, 0, 3)
    second = songs({"external_id": "2", "title": "T"}, {"external_id": "3"}, {"external_id": "4"})
    assert (await write(database, second)).counts == LoadCounts(1, 1, 1)
    assert [(row.external_id, row.title) for row in await rows_of(database)] == [
        ("1", "t"), ("2", "T"), ("3", "t"), ("4", "t"),
    ]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), [("cafe", "café"), ("a", "A"), ("x", None), (None, ""), ("a", "a.")])
async def test_a_change_that_the_collation_does_not_see_is_still_a_change(
    database: Database, old: str | None, new: str | None
) -> None:
    await write(database, songs({"artist": old}))
    assert (await write(database, songs({"artist": new}))).counts == LoadCounts(0, 1, 0)
    assert (await rows_of(database))[0].artist == new


async def test_values_are_stored_exactly(database: Database) -> None:
    title = "007 \\N \\ \t \n ' \" % %s :x 🎵 ñ é \u0000 \u2028 end"
    await write(database, songs({"title": title, "metadata": '{"a":"\\u00e9\\n\\"","b":[1,null]}'}))
    (row,) = await rows_of(database)
    assert row.title == title
    assert row.metadata == {"a": 'é\n"', "b": [1, None]}


async def test_an_unchanged_row_keeps_its_times_within_the_day_and_is_refreshed_after_it(database: Database) -> None:
    await write(database, songs({}))
    await age(database, 1)
    (aged,) = await rows_of(database)
    assert (await write(database, songs({}))).counts == LoadCounts(0, 0, 1)
    (refreshed,) = await rows_of(database)
    assert refreshed.last_synced_at > aged.last_synced_at
    assert refreshed.updated_at == aged.updated_at
    await write(database, songs({}))
    assert (await rows_of(database))[0].last_synced_at == refreshed.last_synced_at


async def test_another_source_with_the_same_ids_is_left_alone(database: Database) -> None:
    await write(database, songs({"title": "mine"}))
    other = LoadSpec(**{name: getattr(CONTENT, name) for name in CONTENT.__slots__} | {
        "constants": {"source_type": "csv", "source_identifier": "other.csv"}
    })  # fmt: skip
    assert (await write(database, songs({"title": "theirs"}), other)).counts == LoadCounts(1, 0, 0)
    assert [row.title for row in await rows_of(database)] == ["mine", "theirs"]


async def test_a_fault_in_a_batch_leaves_nothing_of_it(database: Database) -> None:
    async def fail_after_load() -> None:
        async with database.write() as connection:
            await load(connection, CONTENT, songs({}))
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await fail_after_load()
    assert await rows_of(database) == []


async def test_an_item_is_logged_when_it_is_created_and_for_each_field_that_changed(database: Database) -> None:
    await write(database, item(), CATALOG)
    await write(database, item(), CATALOG)
    await write(database, item(price="74900.50", content_unit="Canciones"), CATALOG)
    log = await rows_of(database, catalog_change_log)
    assert [(row.action, row.field_changed, row.changed_by) for row in log] == [
        ("create", None, "csv_sync"), ("update", "price", "csv_sync"), ("update", "content_unit", "csv_sync"),
    ]  # fmt: skip
    (stored,) = await rows_of(database, catalog_items)
    assert {row.catalog_item_id for row in log} == {stored.id}
    assert [float(value) for value in (log[1].old_value, log[1].new_value)] == [69900.0, 74900.5]
    assert (log[2].old_value, log[2].new_value) == ("canciones", "Canciones")
    assert all("prices.csv" in row.change_reason for row in log)


async def test_rows_that_the_bot_seeded_are_unchanged_when_their_values_are(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(
            text(
                "INSERT INTO catalog_items (category_id, capacity, capacity_gb, price, content_count, content_unit) "
                "VALUES ('music', '16GB', 16, 69900, 3000, 'canciones')"
            )
        )
    assert (await write(database, item(), CATALOG)).counts == LoadCounts(0, 0, 1)
    assert await rows_of(database, catalog_change_log) == []


async def test_keys_that_only_the_collation_takes_for_one_are_set_aside(database_server: DatabaseServer) -> None:
    name = database_server.new_database("utf8mb4_general_ci")
    execute(database_server, name, *CONTRACT_TABLES.values())
    database = Database(database_server.url(name))
    await migrate(database)
    try:
        first = await write(database, songs({"external_id": "a"}, {"external_id": "A"}, {"external_id": "b"}))
        assert (first.counts, first.collided) == (LoadCounts(2, 0, 0), (1,))
        second = await write(database, songs({"external_id": "Á"}, {"external_id": "b"}, {"external_id": "c"}))
        assert (second.counts, second.collided) == (LoadCounts(1, 0, 1), (0,))
        assert [row.external_id for row in await rows_of(database)] == ["a", "b", "c"]
    finally:
        await database.close()


@pytest.mark.parametrize("local_infile", [1, 0])
async def test_a_value_that_the_real_column_cannot_hold_is_set_aside_and_never_cut(
    database_server: DatabaseServer, local_infile: int
) -> None:
    name = database_server.new_database()
    latin = CONTRACT_TABLES["content_index"].replace("title VARCHAR(500)", "title VARCHAR(12) CHARACTER SET latin1")
    execute(database_server, name, latin, f"SET GLOBAL local_infile = {local_infile}")
    database = Database(database_server.url(name))
    try:
        await migrate(database)
        written = await write(
            database,
            songs(
                {"external_id": "1", "title": "fits"},
                {"external_id": "2", "title": "emoji 😀"},
                {"external_id": "3", "title": "A title that is too long"},
                {"external_id": "4", "title": "ñandú"},
            ),
        )
        assert written.counts == LoadCounts(2, 0, 0)
        assert written.damaged == {1: "title", 2: "title"}
        assert [row.title for row in await rows_of(database)] == ["fits", "ñandú"]
    finally:
        execute(database_server, name, "SET GLOBAL local_infile = 1")
        await database.close()
