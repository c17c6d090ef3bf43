"""Where a paged source ends: what it says of its end, and what its pages show."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from server.sources.api.options import parse_options
from server.sources.api.reader import open_api
from tests.sources.api.pages import PAGE, ids, songs

STATED_ENDS: dict[str, Any] = {
    "has_more": lambda last, total: {"has_more": not last},
    "hasMore in meta": lambda last, total: {"meta": {"hasMore": not last}},
    "next is null": lambda last, total: {"next": None if last else "/next"},
    "total pages": lambda last, total: {"total_pages": 2},
    "total with a short page": lambda last, total: {"total": total},
    "rest framework": lambda last, total: {
        "count": total,
        "next": None if last else "x",
        "previous": None,
    },
}


@pytest.mark.parametrize("shape", STATED_ENDS)
async def test_no_page_is_asked_for_after_the_one_that_is_said_to_be_the_last(serve, api, read, shape):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        return {"data": songs(100 if number == 1 else 50, number * 100 - 99)} | STATED_ENDS[shape](number == 2, 150)

    app = api(answer)
    outcome = await read(await serve(app), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(150)
    assert len(app.requests) == 2


async def test_short_pages_go_on_while_the_source_says_that_there_are_more(serve, api, read):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        return {"data": songs(2, number * 2 - 1), "has_more": number < 5}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.ids == ids(10)


async def test_a_total_that_was_not_reached_is_an_error_and_what_came_is_handed_over(serve, api, read):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        return {"data": songs(100, number * 100 - 99) if number <= 2 else [], "total": 350}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_CHANGED"
    assert "350" in outcome.error.message and "200" in outcome.error.message
    assert len(outcome.ids) == 200


async def test_a_pages_own_count_called_total_does_not_end_the_run_early(serve, api, read):
    def answer(request: Request) -> Any:
        number = int(request.query_params["page"])
        items = songs(max(0, min(100, 250 - (number - 1) * 100)), number * 100 - 99)
        return {"data": items, "total": len(items)}

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(250)


async def test_an_empty_page_that_says_there_are_more_is_an_error(serve, api, read):
    outcome = await read(await serve(api(lambda request: {"data": [], "has_more": True})), PAGE)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_CHANGED"


async def test_404_past_a_short_page_is_the_end(serve, api, read):
    def answer(request: Request) -> Any:
        return songs(3) if request.query_params["page"] == "1" else Response(status_code=404)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(3)


async def test_404_past_a_full_page_is_an_error(serve, api, read):
    def answer(request: Request) -> Any:
        return songs(100) if request.query_params["page"] == "1" else Response(status_code=404)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_REFUSED"
    assert len(outcome.ids) == 100


async def test_204_is_a_page_without_items(serve, api, read):
    def answer(request: Request) -> Any:
        return songs(3) if request.query_params["page"] == "1" else Response(status_code=204)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert outcome.ids == ids(3)


async def test_a_short_page_before_others_leaves_a_notice(serve, api, read):
    def answer(request: Request) -> Any:
        sizes = [100, 60, 100, 0]
        number = int(request.query_params["page"])
        return songs(sizes[number - 1], number * 100 - 99)

    outcome = await read(await serve(api(answer)), PAGE)
    assert outcome.error is None
    assert len(outcome.ids) == 260
    assert "fewer items" in outcome.notices[0]


@pytest.mark.parametrize(
    ("kind", "head", "is_told"),
    [
        ("x-ndjson", "HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        ("x-ndjson", "HTTP/1.0 200 OK\r\n", False),
        ("csv", "HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        ("json", "HTTP/1.1 200 OK\r\nConnection: close\r\n", True),
        ("x-ndjson", "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n", True),
        ("csv", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", True),
    ],
)
async def test_an_end_that_nobody_told_is_said_and_nothing_is_switched_off_for_it(
    read, context, reveal, kind, head, is_told
):
    lines = {"csv": "id,title\n1,a\n2,b\n", "json": '[{"id": 1}, {"id": 2}]', "x-ndjson": '{"id": 1}\n{"id": 2}\n'}[
        kind
    ]
    body = f"{len(lines):x}\r\n{lines}\r\n0\r\n\r\n" if "chunked" in head else lines
    sent = f"{head.format(length=len(lines))}Content-Type: application/{kind}\r\n\r\n{body}".encode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        outcome = await read(url)
        again = await open_api(url, parse_options({"mode": "mirror"}), context(), reveal)
        rows = sum([batch.frame.height async for batch in again.batches(None, 1)])
        doubts = again.doubts()
        await again.close()
    assert (outcome.error, outcome.ids, rows) == (None, ["1", "2"], 2)
    assert any("did not tell how long its answer is" in notice for notice in outcome.notices) is not is_told
    assert bool(doubts) is not is_told
