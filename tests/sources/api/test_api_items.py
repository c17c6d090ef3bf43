"""From a body to rows: where the items are, exact values, what is refused and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from server.core.errors import SyncError
from server.sources.api.item_mapper import ItemMapper, rejects_of
from server.sources.api.items.data_path import read_json
from server.sources.exact_json.json_values import NumberText, to_text
from server.sources.exact_json.strict_json import JsonRefusedError
from server.targets.catalog_items import CATALOG_ITEMS
from server.targets.content_index import CONTENT_INDEX


def items(body: Any, data_path: str | None = None) -> list[Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return list(read_json(text.encode(), None, data_path).values)


def row(item: str, mapping: dict[str, str] | None = None) -> dict[str, Any]:
    page = read_json(f"[{item}]".encode(), None, None)
    return {
        name: column[0]
        for name, column in ItemMapper(CONTENT_INDEX, mapping or {}, {"content_type"})
        .texts(page.values, page.texts)
        .items()
    }


def refusal(body: bytes | str, data_path: str | None = None) -> JsonRefusedError:
    """Why a body is no page, or is one only where other pages of the source were."""
    try:
        page = read_json(body if isinstance(body, bytes) else body.encode(), None, data_path)
    except JsonRefusedError as refused:
        return refused
    assert page.unless_known is not None and page.values == []
    return page.unless_known


def test_the_array_is_the_body_or_data_or_items():
    assert items([1]) == [1]
    assert items({"data": [1], "items": [2]}) == [1]
    assert items({"items": [2], "data": [1]}) == [1]
    assert items({"data": {"x": 1}, "items": [2]}) == [2]


def test_a_data_path_leads_to_the_array():
    assert items({"result": {"songs": [1, 2]}, "data": [3]}, "result.songs") == [1, 2]
    assert items({"result": [[1]]}, "result") == [[1]]


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ("{}", None, "options.dataPath"),
        ('"text"', None, "string"),
        ('{"data": {"k": 1}}', None, "object"),
        ('{"a": {}}', "a.b.c", "'a.b'"),
        ('{"a": 5}', "a", "number"),
        ('{"a": "x"}', "a", "string"),
    ],
)
def test_a_body_without_the_array_says_what_was_found(body, path, words):
    error = refusal(body, path)
    assert error.kind == "no_array"
    assert words in error.message


@pytest.mark.parametrize(
    "body",
    ["", " ", "<html>", "[1,]", "[1 2]", '{"data" 1}', "{'a': 1}", "[1] x", "[tru]", "{1:2}", "[1] tr"],
)
def test_what_is_no_json_is_refused(body):
    assert refusal(body).kind == "not_json"


@pytest.mark.parametrize("path", [None, "data[0].x", "$.data[*].x"])
def test_a_text_that_ends_inside_a_value_is_cut_off_wherever_it_ends(path):
    whole = json.dumps({"data": [{"x": [{"t": 'a"\\é😀', "n": -1.5e3, "f": False, "o": None}]}]})
    body = whole.encode()
    kinds = {refusal(body[:length], path).kind for length in range(1, len(body))}
    assert kinds == {"cut_off"}
    unescaped = json.dumps({"data": [{"x": ["é😀"]}]}, ensure_ascii=False).encode()
    assert {refusal(unescaped[:length], path).kind for length in range(1, len(unescaped))} == {"cut_off"}


@pytest.mark.parametrize(
    ("body", "path", "found"),
    [
        (None, None, []),
        ({"data": None}, None, []),
        ({"items": ""}, None, []),
        ({"a": {"b": None}}, "a.b", []),
        ({"a": {"b": " \n"}}, "a.b", []),
        ({"a": {"b": {}}}, "a.b", []),
        ({"a": None}, "a.b", []),
        ({"a": [{"b": None}]}, "a[0].b", []),
        ({"a": {"b": None}}, "$.a.b", []),
        ({"a": {"b": {"id": 1}}}, "a.b", [{"id": 1}]),
        ({"a": {"b": {"id": 1}}}, "$.a.b", [{"id": 1}]),
        ({"a": [{"b": {"id": 1}}]}, "a[0].b", [{"id": 1}]),
        ({"a": {"0": {"id": 1}, "7": {"id": 2}}}, "a", [{"id": 1}, {"id": 2}]),
        ({"data": {"1": {"id": 1}, "3": {"id": 2}}}, None, [{"id": 1}, {"id": 2}]),
        ({"a": [{"b": {"1": 5, "3": 6}}]}, "a[0].b", [5, 6]),
    ],
)
def test_nothing_one_thing_and_a_list_with_holes_are_lists(body, path, found):
    assert items(body, path) == found


def test_one_thing_keeps_its_digits_and_what_it_cannot_keep_is_refused():
    page = read_json(b'{"a": {"id": 1.10}}', None, "a")
    assert page.texts == ['{"id":1.10}']
    broken = read_json(b'{"a": {"id": "\\ud83d"}}', None, "a")
    assert [refused.kind for refused in broken.refused.values()] == ["bad_encoding"]


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    try:
        page = read_json(text.encode("utf-8", "surrogatepass"), None, None)
    except JsonRefusedError:
        return
    json.loads(text)
    assert len(page.values) == len(page.texts)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(VALUES), st.sampled_from([None, 1, 3]), st.booleans())
def test_items_keep_their_text_whatever_stands_between(values, indent, ascii_only):
    body = json.dumps({"a": [[1]], "data": values, "z": {"data": 1}}, indent=indent, ensure_ascii=ascii_only)
    page = read_json(body.encode("utf-8", "surrogatepass"), None, None)
    expected = [json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only) for value in values]
    assert page.texts == expected


@given(VALUES)
def test_parsed_values_are_written_back_as_they_were(value):
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    page = read_json(f"[{text}]".encode("utf-8", "surrogatepass"), None, None)
    if not page.refused:
        assert json.loads(to_text(page.values[0])) == value


def test_white_space_inside_strings_is_kept():
    page = read_json(b'[ { "a b" : "x \\" , y" , "c":\n[ 1 ,\t2 ] } , 5 ]', None, None)
    assert page.texts == ['{"a b":"x \\" , y","c":[1,2]}', "5"]


@pytest.mark.parametrize(
    "literal",
    [
        "12345678901234567890123456789",
        "0.1000000000000000055511151231257827",
        "1.50",
        "1E5",
        "-0.0",
        "9007199254740993",
    ],
)
def test_numbers_keep_their_digits(literal):
    found = row(f'{{"id": {literal}, "title": "t", "price": [{literal}]}}')
    assert found["external_id"] == literal
    assert found["metadata"] == f'{{"id":{literal},"title":"t","price":[{literal}]}}'


def test_identifiers_are_looked_for_in_order():
    assert row('{"uuid": "u", "_id": "m", "id": 7}')["external_id"] == "7"
    assert row('{"uuid": "u", "id": null, "_id": {"$oid": "abc"}}')["external_id"] == "abc"
    assert row('{"uuid": "u", "id": "", "external_id": "e"}')["external_id"] == "e"
    assert row('{"uuid": "u"}')["external_id"] == "u"
    assert row('{"id": "007"}')["external_id"] == "007"
    assert row('{"title": "t"}')["external_id"] is None


def test_fields_called_like_columns_are_taken_unless_they_are_objects():
    found = row(
        '{"title": "T", "artist": {"name": "A"}, "genre": ["g"], "is_available": false, "content_type": "video"}'
    )
    assert (found["title"], found["artist"], found["genre"], found["is_available"]) == ("T", None, None, "false")
    assert "content_type" not in found


def test_a_field_mapping_follows_dots_and_indexes_and_wins_over_names():
    item = '{"name": "N", "title": "T", "artists": [{"name": "A"}], "a.b": "dotted", "tags": ["x", 1.50], "n": null}'
    mapping = {
        "title": "name",
        "artist": "artists.0.name",
        "genre": "tags",
        "external_id": "a.b",
        "content_type": "n.x",
    }
    found = row(item, mapping)
    assert (found["title"], found["artist"], found["genre"]) == ("N", "A", '["x",1.50]')
    assert (found["external_id"], found["content_type"]) == ("dotted", None)


def test_missing_paths_are_no_value():
    found = row('{"a": [1]}', {"title": "a.5", "artist": "a.x", "genre": "a.0.b"})
    assert (found["title"], found["artist"], found["genre"]) == (None, None, None)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ("5", "not_an_object"),
        ('"text"', "not_an_object"),
        ("[]", "not_an_object"),
        ('{"a": 1, "a": 2}', "duplicate_key"),
        ('{"a": {"b": 1, "b": 1}}', "duplicate_key"),
        ('{"a": NaN}', "not_a_number"),
        ('{"a": -Infinity}', "not_a_number"),
        ('{"a": 1e999}', "out_of_range"),
        ('{"a": -1e400}', "out_of_range"),
        ('{"a": %s}' % ("9" * 5000), "out_of_range"),
        ('{"a": "\\ud83d"}', "bad_encoding"),
        ('{"\\udc00": 1}', "bad_encoding"),
    ],
)
def test_an_item_that_cannot_be_kept_is_a_reject_and_its_neighbours_are_not(item, kind):
    page = read_json(f'[{{"id":1}}, {item}, {{"id":2}}]'.encode(), None, None)
    rejects = rejects_of(page, 1)
    assert [(index, reject.kind) for index, reject in rejects.items()] == [(1, kind)]
    assert (rejects[1].line, rejects[1].category) == (2, "parsing")
    assert rejects[1].raw == item.replace(": ", ":").replace(", ", ",")
    assert "item 2" in rejects[1].message


def test_escaped_pairs_are_characters():
    assert row('{"title": "\\ud83d\\ude00"}')["title"] == "😀"


@pytest.mark.parametrize("body", ['{"n": 1e999, "data": []}', '{"data": [], "data": []}', '{"a": NaN, "data": []}'])
def test_what_is_not_exact_around_the_items_refuses_the_page(body):
    assert refusal(body).kind in ("out_of_range", "duplicate_key", "not_a_number")


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_nesting_is_refused_beyond_64(opening):
    closing = "".join({"[": "]", "{": "}"}[char] for char in reversed(opening) if char in "[{")
    levels = len(closing)
    for count, refused in ((64 // levels, False), (64 // levels + 1, True), (200_000, True)):
        body = '{"data": [], "x": ' + opening * (count - 1) + "1" + closing * (count - 1) + "}"
        if refused and count * levels - levels + 1 > 64:
            assert refusal(body).kind == "too_deep"
        else:
            assert items(body) == []


def test_brackets_in_strings_are_no_nesting():
    text = '[{"title": "' + '[{\\"' * 500 + '"}]'
    assert items(text)[0]["title"] == '[{"' * 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_unicode_encodings_are_told_by_the_first_bytes(encoding):
    body = json.dumps([{"title": "canción"}], ensure_ascii=False).encode(encoding)
    assert read_json(body, None, None).values[0] == {"title": "canción"}


def test_the_charset_of_the_content_type_is_used():
    body = '[{"title":"canción"}]'.encode("latin-1")
    assert read_json(body, "iso-8859-1", None).values[0] == {"title": "canción"}
    assert refusal(body).kind == "bad_encoding"


async def test_rejects_and_rows_share_one_numbering(serve, api, read):
    body = b'[{"id": 1, "title": "a"}, 5, {"id": 3, "title": "b"}, {"id": NaN}, {"id": 5, "title": "c"}]'
    outcome = await read(await serve(api(lambda request: Response(body))))
    (batch,) = outcome.batches
    assert list(batch.record_nos) == [1, 3, 5]
    assert list(batch.lines) == [1, 3, 5]
    assert [(reject.line, reject.kind) for reject in batch.rejects] == [(2, "not_an_object"), (4, "not_a_number")]
    assert batch.raw_text(1) == '{"id":3,"title":"b"}'


@pytest.mark.parametrize(
    "body", [b"<html>login</html>", b'{"message": "no"}', b"[1]]", b"\xff\xfe[\x00,\x00]\x00", b""]
)
async def test_a_body_that_cannot_be_read_fails_the_run_as_parsing(serve, api, read, body):
    outcome = await read(await serve(api(lambda request: Response(body))))
    assert isinstance(outcome.error, SyncError)
    assert (outcome.error.reason, outcome.error.category) == ("SOURCE_MALFORMED", "parsing")
    assert "page 1" in outcome.error.message
    assert outcome.batches == []


def test_number_texts_are_strings_with_their_literal():
    page = read_json(b'[{"a": 1.10}]', None, None)
    assert isinstance(page.values[0]["a"], NumberText)


@pytest.mark.parametrize(
    "mapping", [{}, {"price": "price"}, {"price": "$.price"}, {"price": "in.price"}, {"price": "{in.price}"}]
)
def test_three_decimals_of_a_json_number_are_a_fraction_and_those_of_a_text_stay_as_they_are(mapping: dict[str, str]):
    def prices(number: str, decimal: str = ".") -> Any:
        page = read_json(
            f'[{{"price": {number}, "in": {{"price": {number}}}, "capacity": {number}}}]'.encode(), None, None
        )
        made = ItemMapper(CATALOG_ITEMS, mapping, (), decimal).texts(page.values, page.texts)
        return made["price"][0], made["capacity"][0]

    assert prices("69.900") == ("69.9000", "69.900")
    assert prices("3.0005") == ("3.0005", "3.0005")
    assert prices("1E3") == ("1000", "1E3")
    assert prices('"69.900"') == ("69.900", "69.900")
    assert prices("69.900", ",") == ("69,9000", "69.900")
    assert prices('"69.900"', ",") == ("69.900", "69.900")
