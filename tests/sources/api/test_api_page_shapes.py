"""Pages as they are written: no items in many forms, one thing for a list, null, text that is cut off or mislabelled, stops."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sources.api.pages import CURSOR, OFFSET, PAGE, ids, songs

LINK: dict[str, Any] = {"pagination": {"enabled": True, "type": "link"}}
AUTO: dict[str, Any] = {"pagination": {"enabled": True, "type": "auto"}}


def page_of(request: Request) -> int:
    return int(request.query_params.get("page", 1))


@pytest.mark.parametrize("last", [None, "", {}, "absent", "  "], ids=repr)
@pytest.mark.parametrize("path", ["data", "answer.songs", "$.answer.songs"])
async def test_no_items_however_they_are_written_are_the_end(serve, api, read, last, path):
    def answer(request: Request) -> Any:
        number = page_of(request)
        items = songs(100 if number < 3 else 50, number * 100 - 99) if number < 4 else last
        if path == "data":
            return {"took": 3} if items == "absent" else {"data": items}
        return {"answer": {"took": 3} if items == "absent" else {"songs": items}}

    outcome = await read(await serve(api(answer)), PAGE | {"dataPath": path})
    assert (outcome.error, outcome.ids) == (None, ids(250))
    assert bool(outcome.doubts) == (last == "absent")


async def test_a_page_without_the_place_of_items_goes_on_where_it_names_a_next_one(serve, api, read):
    def answer(request: Request) -> Any:
        at = int(request.query_params.get("cursor", 0))
        named = {"next_cursor": at + 1} if at < 3 else {}
        return named if at % 2 == 0 else {"songs": songs(5, at * 5 - 4), **named}

    outcome = await read(await serve(api(answer)), CURSOR | {"dataPath": "songs"})
    assert (outcome.error, outcome.ids) == (None, ["1", "2", "3", "4", "5", "11", "12", "13", "14", "15"])


async def test_a_path_that_leads_nowhere_on_the_first_page_is_an_error(serve, api, read):
    outcome = await read(await serve(api(lambda _: {"data": songs(3)})), PAGE | {"dataPath": "songs"})
    assert outcome.error is not None
    assert (outcome.error.reason, "options.dataPath" in outcome.error.message) == ("SOURCE_MALFORMED", True)


async def test_a_last_page_with_one_thing_in_place_of_a_list_is_read(serve, api, read):
    def answer(request: Request) -> Any:
        number = page_of(request)
        if number == 3:
            return {"tracks": {"track": {"id": 201, "title": "Song 201"}}}
        return {"tracks": {"track": songs(100, number * 100 - 99) if number < 3 else {}}}

    outcome = await read(await serve(api(answer)), PAGE | {"dataPath": "tracks.track"})
    assert (outcome.error, outcome.ids) == (None, ids(201))


async def test_null_among_the_items_is_none_and_keeps_its_place(serve, api, read):
    def answer(request: Request) -> Any:
        first = int(request.query_params["offset"])
        items = [None if n % 4 == 0 else {"id": n, "title": "T"} for n in range(first + 1, min(first + 100, 250) + 1)]
        return {"playlists": {"items": items, "total": 250}}

    outcome = await read(await serve(api(answer)), OFFSET | {"dataPath": "playlists.items"})
    assert outcome.error is None
    assert outcome.ids == [str(n) for n in range(1, 251) if n % 4]
    assert (outcome.rejects, outcome.doubts) == ([], ())
    assert any("62 entries" in notice and "null" in notice for notice in outcome.notices)


@pytest.mark.parametrize("media_type", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("lasts", [True, False])
async def test_text_that_ends_inside_a_value_is_asked_for_again(serve, api, read, media_type, lasts):
    def answer(request: Request) -> Any:
        number = page_of(request)
        items = songs(max(0, min(100, 250 - number * 100 + 100)), number * 100 - 99)
        body = json.dumps({"data": items}) if media_type.endswith("/json") else "\n".join(map(json.dumps, items))
        is_broken = number == 2 and (lasts or [page_of(one) for one in app.requests].count(2) < 3)
        return Response(body[: len(body) // 2 + 9] if is_broken else body, media_type=media_type)

    app = api(answer)
    outcome = await read(await serve(app), PAGE)
    if not lasts:
        assert (outcome.error, outcome.ids) == (None, ids(250))
        return
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable, len(outcome.ids)) == ("SOURCE_UNAVAILABLE", True, 100)


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252", "us-ascii", "klingon"])
@pytest.mark.parametrize("media_type", ["application/json", "application/x-ndjson", "text/csv"])
async def test_utf_8_is_utf_8_whatever_the_answer_calls_it(serve, api, read, charset, media_type):
    bodies = {
        "application/json": '[{"id": 1, "title": "Beyoncé ☃"}]',
        "application/x-ndjson": '{"id": 1, "title": "Beyoncé ☃"}\n',
        "text/csv": "id,title\n1,Beyoncé ☃\n",
    }
    body = bodies[media_type].encode()
    answer = Response(body, headers={"Content-Type": f"{media_type}; charset={charset}"})
    outcome = await read(await serve(api(lambda _: answer)))
    assert [row["title"] for row in outcome.rows] == ["Beyoncé ☃"]


@pytest.mark.parametrize(
    ("charset", "encoding"), [("ISO-8859-1", "latin-1"), ("utf-16le", "utf-16-le"), ("shift_jis", "shift_jis")]
)
async def test_what_is_no_utf_8_is_what_the_answer_calls_it(serve, api, read, charset, encoding):
    title = "日本" if encoding == "shift_jis" else "Beyoncé"
    body = f'[{{"id": 1, "title": "{title}"}}]'.encode(encoding)
    answer = Response(body, headers={"Content-Type": f"application/json; charset={charset}"})
    outcome = await read(await serve(api(lambda _: answer)))
    assert [row["title"] for row in outcome.rows] == [title]


STOPS: dict[str, Any] = {
    "a cursor that means the end": (
        {"type": "cursor", "stopPath": "next_cursor", "stopValue": "LTE="},
        lambda at: {"next_cursor": "LTE=" if at == 3 else str(at + 1)},
    ),
    "a flag of its own": (
        {"type": "page", "stopPath": "page_state.more", "stopValue": "false"},
        lambda at: {"page_state": {"more": at < 3}},
    ),
    "a flag that is true": ({"type": "page", "stopPath": "$.end_of_stream"}, lambda at: {"end_of_stream": at == 3}),
    "pages of its own": ({"type": "page", "pagesPath": "seiten"}, lambda at: {"seiten": 3}),
    "a total of its own": ({"type": "page", "totalPath": "anzahl"}, lambda at: {"anzahl": 300}),
    "0 as the next cursor": ({"type": "cursor"}, lambda at: {"next_cursor": 0 if at == 3 else at + 1}),
    "0 as the next cursor, a text": ({"type": "cursor"}, lambda at: {"next_cursor": "0" if at == 3 else f"{at + 1}"}),
}


@pytest.mark.parametrize("how", STOPS)
async def test_what_ends_a_walk_can_be_said(serve, api, read, how):
    pagination, says = STOPS[how]

    def answer(request: Request) -> Any:
        token = request.query_params.get("cursor", "1")
        at = page_of(request) if pagination["type"] == "page" else 1 if token == "LTE=" else int(token)
        return {"data": songs(100, at * 100 - 99), **says(at)}

    app = api(answer)
    outcome = await read(await serve(app), {"pagination": {"enabled": True, **pagination}})
    assert (outcome.error, outcome.ids, len(app.requests)) == (None, ids(300), 3)


async def test_a_cursor_behind_which_the_source_begins_again_is_named(serve, api, read):
    def answer(request: Request) -> Any:
        token = request.query_params.get("cursor", "LTE=")
        at = 1 if token == "LTE=" else int(token)
        return {"data": songs(10, at * 10 - 9), "next_cursor": str(at + 1) if at < 3 else "LTE="}

    outcome = await read(await serve(api(answer)), CURSOR)
    assert outcome.error is not None
    assert (outcome.error.reason, len(outcome.ids)) == ("PAGINATION_LOOP", 30)
    assert "began again behind the cursor that page 3 gave" in outcome.error.message


@pytest.mark.parametrize("kind", ["cursor", "page", "offset", "link", "auto"])
async def test_no_size_is_sent_where_its_parameter_has_no_name(serve, api, read, kind):
    allowed = {"cursor", "page", "offset"}

    def answer(request: Request) -> Any:
        if set(request.query_params) - allowed:
            return JSONResponse({"message": "unexpected parameter"}, 400)
        query = request.query_params
        first = int(query.get("offset", query.get("cursor", (page_of(request) - 1) * 40)))
        following = first + 40 if first + 40 < 130 else None
        named = {"next_cursor": following, "next": f"/?cursor={following}" if following else None}
        return {
            "data": songs(max(0, min(40, 130 - first)), first + 1),
            **(named if kind in ("cursor", "link", "auto") else {}),
        }

    outcome = await read(await serve(api(answer)), {"pagination": {"enabled": True, "type": kind, "limitParam": ""}})
    assert (outcome.error, outcome.ids) == (None, ids(130))
