"""Items that are no objects in a list: rows as arrays, keyed objects, fields of parents; and JSON behind a guard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.responses import Response

from server.core.errors import InvalidRequestError
from server.sources.api.options import parse_options
from tests.sources.api.pages import songs


def columns(outcome: Any, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in outcome.rows]


@pytest.mark.parametrize(
    "guard",
    [")]}'\n", ")]}',\n", "while(1);", "while (true);\n", "for(;;);", "for (;;) ;", "throw 1; <dont be evil>", "{}&&", "&&&START&&&\n", "\ufeff)]}'\n\n"],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("path", [None, "data", "$.data[*]"])
async def test_what_guards_json_against_scripts_is_passed_over(serve, api, read, guard, path):
    body = json.dumps(songs(3) if path is None else {"data": songs(3)})
    app = api(lambda _request: Response((guard + body).encode(), media_type="application/json"))
    outcome = await read(await serve(app), {"dataPath": path})
    assert (outcome.error, outcome.ids) == (None, ["1", "2", "3"])


SHEET = {"range": "A1:C3", "values": [["id", "title", "artist"], ["1", "Song 1", "A"], ["2", "Song 2"]]}
BY_PLACE = {"external_id": "[0]", "title": "[1]", "artist": "[2]"}


@pytest.mark.parametrize(
    ("body", "options", "rows"),
    [
        ({"values": SHEET["values"][1:]}, {"dataPath": "values", "fieldMapping": BY_PLACE}, [("1", "Song 1", "A"), ("2", "Song 2", None)]),
        (SHEET["values"][1:], {"fieldMapping": {**BY_PLACE, "title": "{[2]}: {[1]}"}}, [("1", "A: Song 1", "A"), ("2", None, None)]),
        (SHEET, {"dataPath": "values", "rowNamesPath": "values[0]"}, [("1", "Song 1", "A"), ("2", "Song 2", None)]),
        (SHEET["values"], {"rowNamesPath": "[0]"}, [("1", "Song 1", "A"), ("2", "Song 2", None)]),
        ({"columns": ["title", "id"], "rows": [["Song 1", 1]]}, {"dataPath": "rows", "rowNamesPath": "columns"}, [("1", "Song 1", None)]),
        (
            {"schema": {"fields": [{"name": "id"}, {"name": "t"}]}, "out": {"rows": [[7, "x"], [8, "y"]]}},
            {"dataPath": "out.rows", "rowNamesPath": "$.schema.fields", "fieldMapping": {"title": "t"}},
            [("7", "x", None), ("8", "y", None)],
        ),
        ({"columns": ["id", "id", "title"], "rows": [[1, 2, "x"]]}, {"dataPath": "rows", "rowNamesPath": "columns", "fieldMapping": {"artist": "1"}}, [("1", "x", "2")]),
    ],
)  # fmt: skip
async def test_arrays_are_items_by_place_or_by_names_that_the_answer_tells(serve, api, read, body, options, rows):
    outcome = await read(await serve(api(lambda _request: body)), options)
    assert (outcome.error, outcome.rejects) == (None, [])
    assert columns(outcome, "external_id", "title", "artist") == rows


async def test_rows_of_json_lines_are_items_and_keep_their_own_text(serve, api, read):
    app = api(lambda _request: Response(b'[1, "a", 1.50]\n[2, "b", 2]\n', media_type="application/x-ndjson"))
    outcome = await read(await serve(app), {"fieldMapping": {"external_id": "[0]", "title": "[1]"}})
    assert columns(outcome, "external_id", "title", "metadata") == [("1", "a", '[1,"a",1.50]'), ("2", "b", '[2,"b",2]')]


async def test_names_that_are_not_there_are_an_error_about_their_option(serve, api, read):
    outcome = await read(await serve(api(lambda _request: [[1], [2]])), {"rowNamesPath": "columns"})
    assert outcome.error is not None
    assert (outcome.error.reason, "options.rowNamesPath" in outcome.error.message) == ("SOURCE_MALFORMED", True)


KEYED = {"-N1": {"title": "A"}, "-N2": {"title": "B"}, "-N3": {"title": "C", "id": "own"}}


@pytest.mark.parametrize(
    ("body", "options", "rows"),
    [
        (KEYED, {"dataPath": "$.*"}, [("-N1", "A"), ("-N2", "B"), ("own", "C")]),
        ({"result": {"songs": KEYED}}, {"dataPath": "$.result.songs[*]"}, [("-N1", "A"), ("-N2", "B"), ("own", "C")]),
        (KEYED, {"dataPath": "$.*", "fieldMapping": {"title": "{~}: {title}"}}, [("-N1", "-N1: A"), ("-N2", "-N2: B"), ("own", "-N3: C")]),
        (
            {"rock": {"s1": {"title": "A"}}, "jazz": {"s1": {"title": "B"}}},
            {"dataPath": "$.*.*", "fieldMapping": {"external_id": "{^.~}/{~}"}},
            [("rock/s1", "A"), ("jazz/s1", "B")],
        ),
        ({"songs": [{"title": "A"}]}, {"dataPath": "$.songs[*]"}, [(None, "A")]),
    ],
)  # fmt: skip
async def test_the_name_of_an_item_identifies_it_and_can_be_mapped(serve, api, read, body, options, rows):
    outcome = await read(await serve(api(lambda _request: body)), options)
    assert outcome.error is None
    assert columns(outcome, "external_id", "title") == rows


CATALOGUE = {
    "label": "L",
    "artists": [
        {"name": "A", "born": {"in": "Cali"}, "albums": [{"id": 1, "tracks": [{"n": 1}, {"n": 2}]}, {"id": 2, "tracks": []}]},
        {"name": "B", "albums": [{"id": 3, "tracks": [{"n": 1, "^": "its own"}]}]},
    ],
}  # fmt: skip


async def test_fields_of_parents_are_reached_in_mappings_templates_and_identity(serve, api, read):
    options = {
        "dataPath": "$.artists[*].albums[*].tracks[*]",
        "fieldMapping": {"external_id": "{^.id}-{n}", "artist": "^^.name", "title": "{^^^.label} {^^.born.in}"},
    }  # fmt: skip
    with pytest.raises(InvalidRequestError) as caught:
        parse_options(options | {"fieldMapping": {"artist": "^artist"}})
    assert caught.value.field == "options.fieldMapping.artist"
    outcome = await read(await serve(api(lambda _request: CATALOGUE)), options)
    assert outcome.error is None
    assert columns(outcome, "external_id", "artist", "title") == [
        ("1-1", "A", "L Cali"),
        ("1-2", "A", "L Cali"),
        (None, "B", None),
    ]
    # What is stored of an item as a whole is the item.
    assert json.loads(outcome.rows[0]["metadata"]) == {"n": 1}


@pytest.mark.parametrize("path", ["data.items", "$.data.items", "data.items[0].inner", None])
async def test_every_kind_of_data_path_has_a_way_up(serve, api, read, path):
    inner = [{"id": 1}, {"id": 2}]
    body: Any = {"data": {"source": "S", "items": inner}}
    if path is None:
        body = {"source": "S", "items": inner}
    elif path.endswith("inner"):
        body = {"data": {"items": [{"source": "S", "inner": inner}]}}
    outcome = await read(
        await serve(api(lambda _request: body)), {"dataPath": path, "fieldMapping": {"artist": "^.source"}}
    )
    assert (outcome.error, columns(outcome, "external_id", "artist")) == (None, [("1", "S"), ("2", "S")])


@pytest.mark.parametrize("data_path", ["data", "$.data", "$.data[*]", None])
async def test_a_cursor_stands_in_the_last_item_however_the_items_are_found(serve, api, read, data_path):
    def answer(request: Any) -> Any:
        first = int(request.query_params.get("starting_after", 0)) + 1
        return {"data": songs(min(10, 26 - first), first), "has_more": first < 16}

    app = api(answer)
    pagination = {
        "enabled": True,
        "type": "cursor",
        "pageSize": 10,
        "cursorParam": "starting_after",
        "cursorPath": "$.data[-1].id",
    }
    outcome = await read(await serve(app), {"dataPath": data_path, "pagination": pagination})
    assert (outcome.error, len(outcome.ids), len(app.requests)) == (None, 25, 3)


async def test_a_cursor_stands_in_the_last_item_of_a_bare_array(serve, api, read):
    def answer(request: Any) -> Any:
        first = int(request.query_params.get("since", 0)) + 1
        return songs(max(0, min(10, 26 - first)), first)

    pagination = {"enabled": True, "type": "cursor", "pageSize": 10, "cursorParam": "since", "cursorPath": "$[-1].id"}
    outcome = await read(await serve(api(answer)), {"pagination": pagination})
    assert (outcome.error, len(outcome.ids)) == (None, 25)
