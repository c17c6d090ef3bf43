"""Answers that are no JSON document: lines of JSON, and CSV."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.responses import Response

LINES = b'{"id": 1, "title": "a b", "price": 1.10}\r\n\n{"id":2,"title":"b\xe2\x80\xa8c"}\n'


def answered(body: bytes, media_type: str, **headers: str) -> Any:
    return lambda request: Response(body, media_type=media_type, headers=headers)


@pytest.mark.parametrize(
    "media_type", ["application/x-ndjson", "application/jsonl", "Application/X-NDJSON; charset=UTF-8"]
)
async def test_lines_are_told_by_their_content_type(serve, api, read, media_type):
    outcome = await read(await serve(api(answered(LINES, media_type))))
    assert outcome.error is None
    assert outcome.ids == ["1", "2"]
    assert outcome.rows[0]["metadata"] == '{"id":1,"title":"a b","price":1.10}'
    assert outcome.rows[1]["title"] == "b\u2028c"


async def test_lines_are_read_where_the_option_says_so(serve, api, read):
    url = await serve(api(answered(LINES, "text/plain")))
    assert (await read(url, {"format": "ndjson"})).ids == ["1", "2"]
    guessed = await read(url)
    assert guessed.error is not None and guessed.error.reason == "SOURCE_MALFORMED"


async def test_a_bad_line_is_a_reject_and_its_neighbours_are_not(serve, api, read):
    bad = {
        '{"a": NaN}': "not_a_number",
        '{"a": 1e999}': "out_of_range",
        '{"a": 1, "a": 2}': "duplicate_key",
        "[" * 65 + "]" * 65: "too_deep",
        "[" * 100_000: "too_deep",
        '{"a": "\\ud83d"}': "bad_encoding",
        '{"id": 1},{"id": 2}': "not_json",
        '{"id":': "not_json",
        "5": "not_an_object",
    }
    body = "\n".join(['{"id": 1}', *bad, '{"id": 2}'])
    outcome = await read(await serve(api(answered(body.encode(), "application/x-ndjson"))))
    assert outcome.error is None
    assert outcome.ids == ["1", "2"]
    assert [reject.kind for reject in outcome.rejects] == list(bad.values())
    assert [reject.line for reject in outcome.rejects] == list(range(2, 2 + len(bad)))


async def test_lines_are_paged_like_any_answer(serve, api, read):
    def answer(request):
        page = int(request.query_params["page"])
        lines = [json.dumps({"id": n}) for n in range(page * 10, page * 10 + 10 if page < 3 else page * 10 + 2)]
        return Response("\n".join(lines) if page < 4 else "", media_type="application/x-ndjson")

    outcome = await read(await serve(api(answer)), {"pagination": {"enabled": True, "pageSize": 10}})
    assert outcome.error is None
    assert outcome.ids == [str(n) for n in range(10, 32)]


CSV = 'id,title,artist,nota\r\n007,"Ojalá, ""x""",Silvio,"a\nb"\r\n8,Yo,,\r\n'


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "cp1252"])
async def test_csv_is_read_by_the_reader_of_files(serve, api, read, charset):
    app = api(answered(CSV.encode(charset), f"text/csv; charset={charset}"))
    outcome = await read(await serve(app))
    assert outcome.error is None
    assert outcome.ids == ["007", "8"]
    assert (outcome.rows[0]["title"], outcome.rows[0]["artist"]) == ('Ojalá, "x"', "Silvio")
    assert json.loads(outcome.rows[0]["metadata"]) == {
        "id": "007", "title": 'Ojalá, "x"', "artist": "Silvio", "nota": "a\nb"
    }  # fmt: skip


async def test_csv_fields_are_mapped_like_those_of_json(serve, api, read):
    body = "Código;Canción;De\n1;Ojalá;Silvio\n".encode()
    options = {
        "format": "csv", "csvDelimiter": ";",
        "fieldMapping": {"external_id": "Código", "title": "{De}: {Canción}"},
    }  # fmt: skip
    outcome = await read(await serve(api(answered(body, "application/octet-stream"))), options)
    assert (outcome.ids, outcome.rows[0]["title"]) == (["1"], "Silvio: Ojalá")


async def test_a_bad_record_is_a_reject_with_the_readers_reason(serve, api, read):
    body = b'id,title\n1,a\n2\n3,b,c\n4,"x"y\n5,e\n'
    outcome = await read(await serve(api(answered(body, "text/csv"))))
    assert outcome.ids == ["1", "5"]
    assert [(one.kind, one.line) for one in outcome.rejects] == [
        ("missing_columns", 2), ("too_many_columns", 3), ("stray_quote", 4)
    ]  # fmt: skip
    assert outcome.rejects[1].raw == "3,b,c"


async def test_pages_of_csv_follow_the_link_header_to_a_page_with_only_a_header(serve, api, read):
    def answer(request):
        page = int(request.query_params.get("p", "1"))
        body = "id,title\n" + "".join(f"{n},t\n" for n in range(page * 3, page * 3 + 3)) if page < 4 else "id,title\n"
        link = {"link": f'</?p={page + 1}>; rel="next"'} if page < 4 else {"link": '</?p=1>; rel="first"'}
        return Response(body, media_type="text/csv", headers=link)

    outcome = await read(await serve(api(answer)), {"pagination": {"enabled": True, "type": "link"}})
    assert outcome.error is None
    assert outcome.ids == [str(n) for n in range(3, 12)]


@pytest.mark.parametrize("body", [b"", b"\n\n"])
async def test_an_empty_answer_of_csv_or_lines_has_no_items(serve, api, read, body):
    for media_type in ("text/csv", "application/x-ndjson"):
        outcome = await read(await serve(api(answered(body, media_type))))
        assert (outcome.error, outcome.batches) == (None, [])


async def test_csv_in_an_encoding_that_is_not_known_fails_the_run(serve, api, read):
    outcome = await read(await serve(api(answered(b"id\n\xff\n", "text/csv; charset=klingon"))))
    assert outcome.error is not None and outcome.error.reason == "SOURCE_MALFORMED"
