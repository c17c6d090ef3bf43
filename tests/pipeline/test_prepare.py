from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import polars as pl
import pytest

from server.core.reasons import Category
from server.core.reject_kinds import RejectKind
from server.pipeline.keys import apply_ordinals
from server.pipeline.prepare import key_digests, prepare
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject, SourceBatch
from server.targets.base import TargetColumn
from server.targets.catalog_items import CATALOG_ITEMS
from server.targets.content_index import CONTENT_INDEX
from tests.pipeline.builders import SOURCE, make_batch, make_plan, make_target

ITEM = {
    "category_id": "music",
    "capacity": "64GB",
    "capacity_gb": "64",
    "price": "69900",
    "content_count": "5000",
    "content_unit": "canciones",
}


def items(**changes: str | None) -> SourceBatch:
    return make_batch({name: [value] for name, value in (ITEM | changes).items()})


def prepare_items(**changes: str | None) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    batch = items(**changes)
    prepared = prepare(batch, make_plan(CATALOG_ITEMS, batch.frame.columns))
    return prepared.rows, prepared.rejects


def prepare_songs(columns: Mapping[str, Sequence[str | None]], **changes: object) -> pl.DataFrame:
    prepared = prepare(make_batch(columns), make_plan(CONTENT_INDEX, list(columns), **changes))
    assert prepared.rejects == ()
    return prepared.rows


# --- the shape of rows


def test_rows_have_constants_then_columns_in_table_order_then_hash_key_and_place() -> None:
    rows = prepare_songs({"genre": ["salsa"], "title": ["Idilio"], "year": ["1993"]})
    assert rows.schema == {
        **dict.fromkeys(("source_type", "source_identifier", "content_type", "title", "genre"), pl.String),
        **dict.fromkeys(("external_id", "metadata"), pl.String),
        "row_hash": pl.Int64,
        "column_marks": pl.String,
        **dict.fromkeys(("key_high", "key_low", "line", "record_no", "byte_offset"), pl.UInt64),
    }
    shown = rows.select(pl.exclude("external_id", "row_hash", "column_marks", "key_high", "key_low"))
    assert shown.row(0) == ("csv", "/data/catalog.csv", "music", "Idilio", "salsa", '{"year":"1993"}', 2, 1, 100)


def test_the_record_behind_a_row_can_be_shown_and_its_place_is_unknown_without_bytes() -> None:
    batch = make_batch({"title": ["a", "b", "c"], "artist": ["x", "y", "z"]}, first_record_no=8, with_bytes=False)
    prepared = prepare(batch, make_plan(CONTENT_INDEX, ["title", "artist"]))
    assert prepared.raw_text(9) == "b|y"
    assert prepared.rows["byte_offset"].to_list() == [None, None, None]


def test_a_column_that_nothing_fills_is_left_to_the_table() -> None:
    assert "is_available" not in prepare_songs({"title": ["a"]}).columns
    assert "metadata" not in prepare_songs({"title": ["a"]}).columns


def test_a_catalog_row_is_canonical() -> None:
    rows, rejects = prepare_items(is_active="SÍ", is_popular=None, min_price="60000.5", extra="x")
    assert rejects == ()
    assert rows.drop("row_hash", "column_marks", "key_high", "key_low", "line", "record_no", "byte_offset").row(0) == (
        *("music", "64GB", "64", "69900.00", "5000", "canciones", "1", "0", "60000.50"),
        '{"extra":"x"}',
    )


def test_a_row_without_a_value_takes_the_constant_before_the_default() -> None:
    columns = {"title": ["a", "b"], "content_type": ["GAME", ""]}
    assert prepare_songs(columns)["content_type"].to_list() == ["game", "music"]
    rows = prepare_songs(columns, constants={**SOURCE, "content_type": "video"})
    assert rows["content_type"].to_list() == ["game", "video"]


def test_null_tokens_are_no_value_after_stripping_and_in_exact_case() -> None:
    rows = prepare_songs(
        {"title": ["a", "b", "c"], "artist": [" N/A ", "n/a", "-"], "x": ["-", "y", "N/A"]},
        null_tokens=frozenset({"N/A", "-"}),
    )
    assert rows["artist"].to_list() == [None, "n/a", None]
    assert rows["metadata"].to_list() == [None, '{"x":"y"}', None]


def test_the_empty_text_may_stand_among_the_null_tokens() -> None:
    rows = prepare_songs({"title": ["a", "b"], "artist": ["", "-"]}, null_tokens=frozenset({"", "-"}))
    assert rows["artist"].to_list() == [None, None]


def test_text_and_extras_keep_their_white_space_when_asked_to() -> None:
    columns: dict[str, list[str | None]] = {"title": [" a "], "artist": [""], "is_available": [" no "], "x": [" "]}
    rows = prepare_songs(columns, strip_text=False)
    assert rows.select("title", "artist", "is_available", "metadata").row(0) == (" a ", None, "0", '{"x":" "}')


def test_text_that_keeps_its_white_space_is_compared_with_null_tokens_without_it() -> None:
    columns: dict[str, list[str | None]] = {"title": ["a", "b"], "artist": [" - ", " -x"]}
    rows = prepare_songs(columns, strip_text=False, null_tokens=frozenset({"-"}))
    assert rows["artist"].to_list() == [None, " -x"]


def test_a_batch_without_rows_gives_none() -> None:
    batch = make_batch({"title": [], "external_id": [], "metadata": []})
    plan = make_plan(CONTENT_INDEX, batch.frame.columns)
    assert prepare(batch, plan).rows.is_empty()
    assert key_digests(batch, plan).is_empty()


@pytest.mark.parametrize("header", ["*", "^.*$", "extra:0", "title:number", "at:line", "line", "record_no", "", 'a"b'])
def test_a_header_is_a_name_and_never_a_pattern(header: str) -> None:
    rows = prepare_songs({header: ["x"], "title": ["t"], "artist": ["a"]})
    assert json.loads(rows["metadata"][0]) == {header: "x"}
    assert prepare_songs({header: ["x"], "y": ["z"]}, requested={"title": header})["title"].to_list() == ["x"]


# --- rejects


def test_a_reject_names_the_source_column_and_carries_its_place_and_raw_text() -> None:
    batch = make_batch({"name": ["ok", None], "who": ["a", "b"]}, first_record_no=7)
    plan = make_plan(CONTENT_INDEX, ["name", "who"], requested={"title": "name"})
    assert prepare(batch, plan).rejects == (
        Reject(
            RejectKind.REQUIRED_MISSING, Category.VALIDATION, "title has no value and is required", 9, 800, "name", "|b"
        ),
    )


def test_a_reject_of_a_source_without_bytes_has_no_offset() -> None:
    batch = make_batch({"title": [""]}, with_bytes=False)
    assert prepare(batch, make_plan(CONTENT_INDEX, ["title"])).rejects[0].byte_offset is None


def test_the_raw_text_of_a_reject_is_cut() -> None:
    batch = make_batch({"title": ["x" * (REJECT_RAW_CHARS_MAX + 1)]})
    reject = prepare(batch, make_plan(CONTENT_INDEX, ["title"])).rejects[0]
    assert reject.kind == "too_long"
    assert len(reject.raw) == REJECT_RAW_CHARS_MAX


def test_rejects_of_the_source_and_of_validation_come_in_source_order() -> None:
    parsing = [
        Reject(RejectKind.STRAY_QUOTE, Category.PARSING, "a stray quote", line, None, None, "") for line in (1, 3, 99)
    ]
    batch = make_batch({"title": ["", "ok", ""]}, rejects=tuple(parsing))
    prepared = prepare(batch, make_plan(CONTENT_INDEX, ["title"]))
    assert [(reject.line, reject.kind) for reject in prepared.rejects] == [
        (1, "stray_quote"),
        (2, "required_missing"),
        (3, "stray_quote"),
        (4, "required_missing"),
        (99, "stray_quote"),
    ]
    assert prepared.rows["record_no"].to_list() == [2]


def test_a_row_with_several_faults_is_one_reject_for_the_first_in_table_order() -> None:
    rows, rejects = prepare_items(content_unit=None, price="x", capacity_gb="-1")
    assert rows.is_empty()
    assert [(reject.kind, reject.column) for reject in rejects] == [("out_of_range", "capacity_gb")]


def test_a_value_that_is_none_of_the_choices_names_them() -> None:
    batch = make_batch({"title": ["a"], "content_type": ["poem"]})
    reject = prepare(batch, make_plan(CONTENT_INDEX, batch.frame.columns)).rejects[0]
    assert (reject.kind, reject.message) == ("bad_cast", "content_type is none of music, video, movie, game, other")


def test_json_that_the_database_cannot_hold_is_rejected_and_the_rest_stands_as_it_is() -> None:
    batch = make_batch({"title": ["a", "b", "c"], "metadata": ['{"a": 1.0}', "{bad", ""]})
    prepared = prepare(batch, make_plan(CONTENT_INDEX, batch.frame.columns))
    assert prepared.rows["metadata"].to_list() == ['{"a": 1.0}', None]
    assert [(reject.kind, reject.column) for reject in prepared.rejects] == [("bad_cast", "metadata")]


@pytest.mark.parametrize(
    ("lowest", "price", "highest", "fault"),
    [
        ("10", "10.00", "10", None),
        (None, "10", "9.99", ("price", "price is greater than max_price")),
        ("10.01", "10", None, ("min_price", "min_price is greater than price")),
        (None, "10", None, None),
        ("9", "10", "100000.00", None),
        ("99999999.99", "99999999.98", "99999999.99", ("min_price", "min_price is greater than price")),
    ],
)
def test_prices_must_not_fall_from_the_lowest_to_the_highest(
    lowest: str | None, price: str, highest: str | None, fault: tuple[str, str] | None
) -> None:
    _, rejects = prepare_items(min_price=lowest, price=price, max_price=highest)
    assert [(reject.column, reject.message) for reject in rejects] == ([fault] if fault else [])
    assert all(reject.kind == "out_of_range" for reject in rejects)


# --- extras


def test_extras_leave_out_columns_without_a_value() -> None:
    rows = prepare_songs({"title": list("abcd"), "x": ["1", None, "", None], "y": ["2", "2", " ", None]})
    assert rows["metadata"].to_list() == ['{"x":"1","y":"2"}', '{"y":"2"}', None, None]


@pytest.mark.parametrize("other", ["x", None])
def test_extras_are_escaped_the_same_whether_or_not_other_rows_lack_values(other: str | None) -> None:
    hard = "".join(map(chr, range(32))) + '"\\/\x7f\u2028\u2029é🎵'
    rows = prepare_songs({"title": ["a", "b"], 'ké"y\\': [f"<{hard}>", other]})
    assert rows["metadata"][0] == (
        '{"ké\\"y\\\\":"<\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f'
        "\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e"
        '\\u001f\\"\\\\/\x7f\u2028\u2029é🎵>"}'
    )


# --- identity


def test_content_identity_is_the_key_digest_and_does_not_depend_on_place_or_other_columns() -> None:
    one = prepare_songs({"title": [" Idilio "], "artist": ["Willie Colón"], "genre": ["salsa"]})
    other = prepare_songs({"x": ["0", "1"], "artist": ["Z", "Willie Colón"], "title": ["Z", "Idilio"]})
    assert one["external_id"][0] == other["external_id"][1] == "ca772cceeb71076edd9f010428a0dec7"
    assert one["external_id"][0] == f"{one['key_high'][0]:016x}{one['key_low'][0]:016x}"


def test_content_identity_tells_case_and_missing_values_apart() -> None:
    rows = prepare_songs({"title": ["a", "A", "a", "b"], "artist": ["b", "b", None, "a"]})
    assert rows["external_id"].n_unique() == 4


def test_row_number_identity_counts_records_from_its_base() -> None:
    plan = make_plan(CONTENT_INDEX, ["title"], identity="row_number")
    from_zero = make_plan(CONTENT_INDEX, ["title"], identity="row_number", row_number_base=0)
    batch = make_batch({"title": ["a", None, "c"]}, first_record_no=1)
    assert prepare(batch, plan).rows["external_id"].to_list() == ["row_1", "row_3"]
    assert prepare(batch, from_zero).rows["external_id"].to_list() == ["row_0", "row_2"]


def test_a_row_without_its_mapped_identity_is_identified_by_content() -> None:
    columns: dict[str, list[str | None]] = {"external_id": ["id-1", None, ""], "title": ["a", "a", "b"]}
    rows = prepare_songs(columns)
    by_content = prepare_songs({"title": ["a", "a", "b"]})
    assert rows["external_id"].to_list() == ["id-1", *by_content["external_id"][1:]]
    assert rows["key_high"].to_list()[1:] == by_content["key_high"].to_list()[1:]


def test_a_mapped_identity_is_required_when_the_target_has_no_content_key() -> None:
    target = make_target(TargetColumn("id", "text"), TargetColumn("a", "text"), identity_column="id")
    batch, plan = make_batch({"id": ["1", None], "a": ["x", "y"]}), make_plan(target, ["id", "a"])
    assert key_digests(batch, plan).height == 2
    prepared = prepare(batch, plan)
    assert prepared.rows["id"].to_list() == ["1"]
    assert [reject.kind for reject in prepared.rejects] == ["required_missing"]


def test_ordinals_change_the_identity_of_later_duplicates_only() -> None:
    rows = prepare_songs({"title": ["a", "a", "b", "a"]})
    ordinals = pl.Series([1, 2, 1, 3], dtype=pl.UInt32)
    changed = apply_ordinals(rows, ordinals)
    first = rows["external_id"].to_list()
    assert changed["external_id"].to_list() == [first[0], first[1] + "-2", first[2], first[3] + "-3"]
    assert changed.drop("external_id").equals(rows.drop("external_id"))
    assert changed.columns == rows.columns


def test_ordinals_of_one_change_nothing() -> None:
    rows = prepare_songs({"title": ["a", "b"]})
    assert apply_ordinals(rows, pl.Series([1, 1])).equals(rows)
    assert apply_ordinals(rows.clear(), pl.Series([], dtype=pl.UInt32)).is_empty()


# --- row hash


def test_the_row_hash_changes_with_any_value_and_only_with_values() -> None:
    base: dict[str, list[str | None]] = {"title": ["a"], "artist": ["b"], "x": ["c"]}
    before = prepare_songs(base)["row_hash"][0]
    assert prepare_songs({name: base[name] for name in ("x", "artist", "title")})["row_hash"][0] == before
    for name in base:
        assert prepare_songs(base | {name: ["other"]})["row_hash"][0] != before
    assert prepare_songs(base | {"artist": [None]})["row_hash"][0] != before


def test_the_row_hash_does_not_depend_on_a_generated_identity() -> None:
    hashes = [prepare_songs({"title": ["a"]}, identity=rule)["row_hash"][0] for rule in ("content", "row_number")]
    assert hashes[0] == hashes[1]


def test_a_column_mapped_anew_changes_the_row_hash_even_without_values() -> None:
    assert (
        prepare_songs({"title": ["a"]})["row_hash"][0]
        != prepare_songs({"title": ["a"], "genre": [None]})["row_hash"][0]
    )


def test_a_constant_is_part_of_the_row_hash() -> None:
    video = prepare_songs({"title": ["a"]}, constants={**SOURCE, "content_type": "video"})
    assert video["row_hash"][0] != prepare_songs({"title": ["a"]})["row_hash"][0]


# --- key digests


def test_key_digests_cover_rows_that_validation_refuses() -> None:
    batch = make_batch({"title": ["a", None, "x" * 501]}, first_record_no=5)
    digests = key_digests(batch, make_plan(CONTENT_INDEX, ["title"]))
    assert digests["record_no"].to_list() == [5, 6, 7]
    assert digests.schema == {"key_high": pl.UInt64, "key_low": pl.UInt64, "record_no": pl.UInt64}
    assert digests.null_count().row(0) == (0, 0, 0)


def test_natural_keys_that_are_equal_after_stripping_have_one_digest() -> None:
    columns = {name: [value, f" {value}", value] for name, value in ITEM.items()} | {"price": ["1", "2", "3"]}
    columns["capacity"][2] = "32GB"
    digests = key_digests(make_batch(columns), make_plan(CATALOG_ITEMS, list(columns)))
    assert digests.select("key_high", "key_low").n_unique() == 2
    assert digests["key_high"][0] == digests["key_high"][1]
