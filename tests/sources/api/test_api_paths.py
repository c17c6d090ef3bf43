"""Paths, JSONPath and templates: what they find, what is refused, and that their cost is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from server.core.errors import InvalidRequestError, SyncError
from server.sources.api.item_mapper import ItemMapper
from server.sources.api.items import json_path
from server.sources.api.items.data_path import read_json
from server.sources.api.options import parse_options
from server.sources.exact_json.json_values import NumberText, to_text
from server.sources.exact_json.strict_json import JsonRefusedError
from server.targets.content_index import CONTENT_INDEX

ITEM = (
    '{"id": 7, "name": "Ojalá", "artist": {"name": "Silvio"}, "price": 1.10, "big": 12345678901234567890.5, '
    '"tracks": [{"name": "A", "n": 1.50}, {"name": "B", "n": 2}], "tags": ["x", null, true], "a.b": {"c": "dotted"}, '
    '"none": null, "empty": "", "deep": {"list": [[1, [2]]]}}'
)


def value(path: str, item: str = ITEM, column: str = "title") -> Any:
    parse_options({"fieldMapping": {column: path}})
    page = read_json(f"[{item}]".encode(), None, None)
    return ItemMapper(CONTENT_INDEX, {column: path}).texts(page.values, page.texts)[column][0]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("artist.name", "Silvio"),
        ("tracks[0].name", "A"),
        ("tracks.1.name", "B"),
        ("tracks[0].n", "1.50"),
        ("deep.list[0][1][0]", "2"),
        ("tracks[9].name", None),
        ("artist[0]", None),
        ("tags", '["x",null,true]'),
        ("a.b", '{"c":"dotted"}'),
        ("$.artist.name", "Silvio"),
        ("$['a.b'].c", "dotted"),
        ("$.tracks[-1].name", "B"),
        ("$.price", "1.10"),
        ("$.big", "12345678901234567890.5"),
        ("$.tracks[*].name", "A, B"),
        ("$.tracks[*].n", "1.50, 2"),
        ("$.tags[*]", "x, true"),
        ("$.tracks[?@.n > 1.6].name", "B"),
        ("$.tracks[?@.n == 1.5].name", "A"),
        ("$.tracks[?@.name == 'B' && @.n >= 2].n", "2"),
        ("$.tracks[?length(@.name) == 1].name", "A, B"),
        ("$.tracks[:1]", '[{"name":"A","n":1.50}]'),
        ("$..name", "Ojalá, Silvio, A, B"),
        ("$.nothing[*]", None),
        ("$.none", None),
        ("{artist.name} - {name}", "Silvio - Ojalá"),
        ("{$.tracks[0].name}/{tracks[1].name} {{{price}}}", "A/B {1.10}"),
        ("{artist.name} - {none}", None),
        ("{artist.name} - {empty}", None),
        ("n° {id}", "n° 7"),
    ],
)
def test_a_field_is_found(path, found):
    assert value(path) == found


def test_several_values_for_a_column_of_json_are_an_array():
    assert value("$.tracks[*].name", column="metadata") == '["A","B"]'
    assert json.loads(value("$.tracks[?@.n > 0]", column="metadata"))[1]["name"] == "B"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a..b", "no path"),
        ("a[x]", "no path"),
        ("a[0", "no path"),
        ("a.[0]", "no path"),
        ("$[", "RFC 9535"),
        ("$.a b", "RFC 9535"),
        ("$.a | $.b", "RFC 9535"),
        ("$..a..b", "more than once"),
        ("$..*..*..*..*", "more than once"),
        ("$[0,1][0,1][0,1][0,1][0,1][0,1]", "ways"),
        ("$[?@.a[?@.b]]", "inside of a filter"),
        ("$[?@..a]", "inside of a filter"),
        ("$[?count($..*) > 1]", "'$' in a filter"),
        ("$[?match(@.a, '(a+)+$')]", "RFC 9535"),
        ("$[?search(@.a, '(a+)+$')]", "RFC 9535"),
        ("$[?@.a =~ /(a+)+$/]", "RFC 9535"),
        ("$[?" + "(" * 400 + "@.a" + ")" * 100 + "]", "RFC 9535"),
        ("{a", "brace"),
        ("a}", "no path"),
        ("{}", "no path"),
        ("{a} {$[?match(@.a, 'x')]}", "RFC 9535"),
        ("{a}" + "x" * 600, "512"),
    ],
)
def test_a_path_that_is_wrong_or_could_cost_too_much_is_refused_before_the_run(path, words):
    if path == "a}":
        assert value(path) is None
        return
    with pytest.raises(InvalidRequestError) as caught:
        parse_options({"fieldMapping": {"title": path}})
    assert caught.value.field == "options.fieldMapping.title"
    assert words in caught.value.message


def items(body: Any, path: str) -> list[Any]:
    parse_options({"dataPath": path})
    text = body if isinstance(body, str) else json.dumps(body)
    return list(read_json(text.encode(), None, path).values)


ALBUMS = {"albums": [{"songs": [{"id": 1}, {"id": 2}]}, {"songs": []}, {"songs": [{"id": 3}]}], "n": 1}


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("albums[0].songs", [1, 2]),
        ("albums.2.songs", [3]),
        ("$.albums[0].songs", [1, 2]),
        ("$.albums[*].songs", [1, 2, 3]),
        ("$.albums[*].songs[*]", [1, 2, 3]),
        ("$..songs", [1, 2, 3]),
        ("$..songs[?@.id > 1]", [2, 3]),
        ("$.albums[1].songs", []),
        ("$.albums[1].songs[*]", []),
        ("$.albums[*].songs[?@.id > 9]", []),
    ],
)
def test_a_data_path_leads_to_the_items(path, ids):
    assert [item["id"] for item in items(ALBUMS, path)] == ids


@pytest.mark.parametrize(
    "path", ["$.albums[*].tracks", "$.albums[*].tracks[*]", "$..tracks", "albums[9].songs", "$.x[*]"]
)
def test_a_data_path_that_leads_nowhere_is_never_an_empty_page(path):
    page = read_json(json.dumps(ALBUMS).encode(), None, path)
    assert page.unless_known is not None and page.unless_known.kind == "no_array"


@pytest.mark.parametrize("path", ["$[*]", "$[0].a", "$..a"])
def test_a_text_that_looks_like_json_stays_a_text(path):
    with pytest.raises(JsonRefusedError) as caught:
        items('"[{\\"a\\": []}]"', path)
    assert caught.value.kind == "no_array"


@pytest.mark.parametrize("path", ["$.n", "albums[0].songs[0].id", "$.albums[0].songs[0].id"])
def test_a_data_path_to_one_place_must_lead_to_an_array(path):
    with pytest.raises(JsonRefusedError, match="not to an array"):
        items(ALBUMS, path)


@pytest.mark.parametrize("path", ["$.a[*]", "a[0].b"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"a": [{"b": [NaN]}]}', "not_a_number"),
        ('{"a": [{"b": [1e999]}]}', "out_of_range"),
        ('{"a": [{"b": [], "b": []}]}', "duplicate_key"),
        ('{"a": [{"b": ["\\ud83d"]}]}', "bad_encoding"),
        ('{"a": [' * 65 + "]}" * 65, "too_deep"),
    ],
)
def test_what_is_not_exact_is_refused_on_these_paths_too(path, body, kind):
    with pytest.raises(JsonRefusedError) as caught:
        items(body, path)
    assert caught.value.kind == kind


def test_items_of_a_json_path_keep_their_digits():
    page = read_json(b'{"a": [{"x": [ {"id": 1.50, "n": 12345678901234567890123} ]}]}', None, "$.a[*].x[*]")
    assert page.texts == ['{"id":1.50,"n":12345678901234567890123}']


def test_a_json_path_that_finds_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(json_path, "NODES_MAX", 100)
    with pytest.raises(JsonRefusedError) as caught:
        items({"a": [[0] * 101]}, "$.a[0][*]")
    assert caught.value.kind == "too_large"
    monkeypatch.setattr(json_path, "VALUES_MAX", 50)
    with pytest.raises(JsonRefusedError, match="too many for a JSONPath"):
        items({"a": [[0] * 101]}, "$.a[*]")


async def test_a_field_that_finds_too_much_ends_the_run_with_the_reason(serve, api, read, monkeypatch):
    monkeypatch.setattr(json_path, "NODES_MAX", 100)
    app = api(lambda request: [{"id": 1, "a": [0] * 200}])
    outcome = await read(await serve(app), {"fieldMapping": {"title": "$.a[*]"}})
    assert isinstance(outcome.error, SyncError)
    assert (outcome.error.reason, outcome.error.category) == ("INVALID_MAPPING", "validation")
    assert "fieldMapping.title" in outcome.error.message


async def test_a_cursor_may_stand_in_a_list_or_at_a_json_path(serve, api, read):
    def answer(request):
        at = int(request.query_params.get("cursor", "0"))
        links = [{"rel": "self", "v": "x"}, {"rel": "next", "v": at + 1 if at < 2 else None}]
        return {"data": [{"id": at}], "links": links}

    url = await serve(api(answer))
    for path in ("links[1].v", "$.links[?@.rel == 'next'].v"):
        options = {"pagination": {"enabled": True, "type": "cursor", "cursorPath": path}}
        outcome = await read(url, options)
        assert outcome.error is None
        assert outcome.ids == ["0", "1", "2"]


async def test_pages_of_a_json_path_go_through_the_same_guards(serve, api, read):
    def answer(request):
        page = int(request.query_params["page"])
        return {"groups": [{"songs": [{"id": page * 2 + k}]} for k in (0, 1)] if page < 4 else []}

    app = api(answer)
    options = {"dataPath": "$.groups[*].songs[*]", "pagination": {"enabled": True}}
    outcome = await read(await serve(app), options)
    assert outcome.error is None
    assert outcome.ids == [str(n) for n in range(2, 8)]
    broken = await read(await serve(api(lambda request: Response(b'{"group": []}'))), options)
    assert broken.error is not None and broken.error.reason == "SOURCE_MALFORMED"


FRAGMENTS = st.sampled_from([
    ".a", ".b", "['a.b']", "[0]", "[-1]", "[*]", ".*", "..a", "..*", "..[0]", "[0,1]", "[1:3]", "[::-1]", "[::0]", "['a','b']",
    "[?@.a]", "[?@.a == 1]", "[?@.a != null]", "[?@.a < 'x']", "[?@.n >= 1.5]", "[?!@.a]", "[?@ == 1]", "[?@.a == @.b]",
    "[?length(@.a) > 1]", "[?count(@.*) > 1]", "[?value(@.a) == true]", "[?@.a && (@.b || @[0])]", "[?@['a'] == \"\\u00e9\"]",
    "[?@.a == @.*]", "[?length(@) == 2]", "[?@.a == 1e2]", "[?@.a == -0]", "[", "?", "{", " ",
])  # fmt: skip
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 200)
    | st.sampled_from([NumberText("1.50"), NumberText("1E2"), "x", "é", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "n", "a.b"]), inner, max_size=3)
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("text", ["1.50", NumberText("1.50")])
def test_a_slice_of_a_text_finds_nothing(text):
    assert json_path.JsonPath("$[0][1:3]").nodes([text]) == []
    assert json_path.JsonPath("$[*][:]").nodes([text, ["a"]]) == ["a"]


@given(st.lists(FRAGMENTS, max_size=5).map(lambda parts: "$" + "".join(parts)), DOCUMENTS)
def test_any_json_path_is_refused_or_finds_what_the_document_has(path, document):
    try:
        compiled = json_path.JsonPath(path)
    except ValueError:
        return
    found = compiled.nodes(document)
    assert all(to_text(node) in to_text(document) for node in found)
    if not found:
        assert compiled.may_be_empty(document) in (True, False)
