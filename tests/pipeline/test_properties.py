from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pipeline.plan import MappingPlan
from server.pipeline.prepare import key_digests, prepare
from server.targets.base import Target, TargetColumn
from server.targets.catalog_items import CATALOG_ITEMS
from server.targets.content_index import CONTENT_INDEX
from tests.pipeline.builders import by_format, make_batch, make_plan, make_target

NUMBERS = st.text(alphabet="0123456789+-., eE_", max_size=14) | st.integers().map(str) | st.decimals().map(str)
ANYTHING = st.none() | st.text(max_size=12) | NUMBERS
# Mostly values that pass, so that rows come out as well as rejects.
PASSING: dict[str, st.SearchStrategy[str | None]] = {
    "text": st.sampled_from(["a", "A", " a", "b\u00a0", "ñandú", "🎵", "a\nb", "-", "no"]),
    "integer": st.integers(0, 2**31 - 1).map(str),
    "decimal": st.sampled_from(["0", "-0", "1", "1.0", "2.50", "69900", "99999999.99"]),
    "boolean": st.sampled_from(["sí", "SI", "no", "1", "0", "FALSE", None]),
    "json": st.sampled_from(["{}", '{"a": [1]}', None]),
}

CATALOG_COLUMNS = tuple(column.name for column in CATALOG_ITEMS.columns)
SONG_COLUMNS = ("title", "artist", "content_type", "external_id", "is_available", "x", 'y"\\')
PLANS: list[tuple[Target, tuple[str, ...], dict[str, Any]]] = [
    (CATALOG_ITEMS, CATALOG_COLUMNS, {}),
    (
        CATALOG_ITEMS,
        (*CATALOG_COLUMNS[:6], "x"),
        {"numbers": by_format(",", ".", "$"), "null_tokens": frozenset({"no"})},
    ),
    (CONTENT_INDEX, SONG_COLUMNS, {}),
    (CONTENT_INDEX, ("title", "artist", "x", "y"), {}),
    (CONTENT_INDEX, ("title", "artist", "x", "y"), {"identity": "row_number", "strip_text": False}),
]


def cells(target: Target, column: str) -> st.SearchStrategy[str | None]:
    if column == "content_type":
        return st.sampled_from(["music", "GAME", " video ", None, "poem"])
    passing = PASSING[target.by_name[column].kind if column in target.by_name else "text"]
    return st.integers(0, 20).flatmap(lambda number: passing if number else ANYTHING)


def tables(target: Target, columns: tuple[str, ...]) -> st.SearchStrategy[list[tuple[str | None, ...]]]:
    return st.lists(st.tuples(*[cells(target, column) for column in columns]), max_size=8)


def as_columns(names: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> dict[str, list[str | None]]:
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def cast_all(column: TargetColumn, texts: list[str]) -> list[str | None]:
    """Per text its canonical form, or None where it was rejected or is no value."""
    plan = make_plan(make_target(TargetColumn("k", "text"), column), ["k", "v"])
    rows = prepare(make_batch({"k": ["k"] * len(texts), "v": texts}), plan).rows
    found = dict(zip(rows["record_no"].to_list(), rows["v"].to_list(), strict=True))
    return [found.get(number) for number in range(1, len(texts) + 1)]


@pytest.mark.parametrize(("target", "columns", "changes"), PLANS)
@given(data=st.data())
def test_every_record_ends_in_exactly_one_of_rows_and_rejects(
    target: Target, columns: tuple[str, ...], changes: dict[str, Any], data: st.DataObject
) -> None:
    rows = data.draw(tables(target, columns))
    batch = make_batch(as_columns(columns, rows))
    prepared = prepare(batch, make_plan(target, columns, **changes))
    lines = [*prepared.rows["line"], *(reject.line for reject in prepared.rejects)]
    assert sorted(lines) == batch.lines.to_list()


@pytest.mark.parametrize(("target", "columns", "changes"), PLANS)
@given(data=st.data())
def test_how_records_are_cut_into_batches_does_not_show(
    target: Target, columns: tuple[str, ...], changes: dict[str, Any], data: st.DataObject
) -> None:
    rows = data.draw(tables(target, columns))
    cut = data.draw(st.integers(0, len(rows)))
    plan = make_plan(target, columns, **changes)
    whole = prepare(make_batch(as_columns(columns, rows)), plan)
    first = prepare(make_batch(as_columns(columns, rows[:cut])), plan)
    second = prepare(make_batch(as_columns(columns, rows[cut:]), first_record_no=cut + 1), plan)
    assert pl.concat([first.rows, second.rows]).equals(whole.rows)
    assert first.rejects + second.rejects == whole.rejects


@pytest.mark.parametrize(("target", "columns", "changes"), PLANS)
@given(data=st.data())
def test_the_first_pass_finds_the_digests_that_rows_get(
    target: Target, columns: tuple[str, ...], changes: dict[str, Any], data: st.DataObject
) -> None:
    rows = data.draw(tables(target, columns))
    batch = make_batch(as_columns(columns, rows))
    plan: MappingPlan = make_plan(target, columns, **changes)
    prepared = prepare(batch, plan).rows.select("key_high", "key_low", "record_no")
    digests = key_digests(batch, plan)
    assert digests.height == len(rows)
    assert digests.filter(pl.col("record_no").is_in(prepared["record_no"].to_list())).equals(prepared)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_whole_numbers_agree_with_python(texts: list[str]) -> None:
    cast = cast_all(TargetColumn("v", "integer", minimum="-1000000", maximum="1000000"), texts)
    for text, found in zip(texts, cast, strict=True):
        is_number = re.fullmatch(r"[+-]?([0-9]+\.?0*|\.0+)", text.strip()) is not None
        is_number &= re.fullmatch(r"[+-]?[0-9]{1,3}\.000", text.strip()) is None
        expected = str(int(Decimal(text))) if is_number and abs(Decimal(text)) <= 1_000_000 else None
        assert found == expected


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_decimals_agree_with_python(texts: list[str]) -> None:
    for text, found in zip(texts, cast_all(TargetColumn("v", "decimal", precision=9, scale=3), texts), strict=True):
        expected = None
        if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text.strip()):
            number = Decimal(text.strip())
            if abs(number) < 1_000_000 and number == round(number, 3):
                expected = f"{abs(number) if number == 0 else number:.3f}"
        assert found == expected


@given(st.lists(st.tuples(st.none() | st.text(), st.none() | st.text()), min_size=1, max_size=8), st.text(), st.text())
def test_extras_come_back_from_json_exactly(rows: list[tuple[str | None, str | None]], one: str, two: str) -> None:
    names = ("title", f"1{one}", f"2{two}")
    columns = as_columns(names, [("t", *row) for row in rows])
    prepared = prepare(make_batch(columns), make_plan(CONTENT_INDEX, names, strip_text=False)).rows
    for (first, second), text in zip(rows, prepared["metadata"], strict=True):
        expected = {name: value for name, value in ((names[1], first), (names[2], second)) if value}
        assert (json.loads(text) if text is not None else {}) == expected
        assert (text is None) == (not expected)
