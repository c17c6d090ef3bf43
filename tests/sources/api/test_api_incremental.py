"""Incremental reading: what is asked for, what the checkpoint carries, and what may never become a mark."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from server.core.errors import InvalidRequestError
from server.sources.api.options import parse_options
from server.sources.api.reader import open_api
from server.sources.api.source import ApiSource
from server.sources.api.watermark import Incremental, first_value, rank_of

BY_TIME = {"cursorField": "changed", "param": "since"}
PAGES = {"enabled": True, "pageSize": 10}


def options(**incremental: Any) -> Incremental:
    made = parse_options({"incremental": BY_TIME | incremental}).incremental
    assert made is not None
    return made


def changing(total: int, *, failing: set[int] | None = None) -> Any:
    """Pages of 10 items, newest change first; the field that grows is a time in 2024."""

    def answer(request: Request) -> Any:
        page = int(request.query_params["page"])
        if page in (failing or ()):
            return Response(status_code=503)
        numbers = range((page - 1) * 10, min(page * 10, total))
        return [{"id": n, "changed": f"2024-03-01T00:{59 - n // 10:02}:{n % 10:02}+02:00"} for n in numbers]

    return answer


@pytest.mark.parametrize(
    ("given", "stored", "asked"),
    [
        ({}, None, ""),
        ({"initial": "2020-01-01"}, None, "2020-01-01"),
        ({}, "2024-03-01T00:10:00+02:00", "2024-02-29T22:05:00Z"),
        ({}, "2024-03-01 00:10:00.250", "2024-03-01 00:05:00.250"),
        ({"lookbackSeconds": 0}, "2024-03-01T00:10:00Z", "2024-03-01T00:10:00Z"),
        ({"format": "date", "lookbackSeconds": 86_400}, "2024-03-01", "2024-02-29"),
        ({"format": "unix"}, "1700000000", "1699999700"),
        ({"format": "unix"}, "1700000000.75", "1699999700"),
        ({"format": "unixMillis"}, "1700000000123", "1699999700123"),
        ({"format": "unix"}, "100", "0"),
        ({"dateFormat": "%d/%m/%Y"}, "03/04/2026", "02/04/2026"),
        ({"dateFormat": "%m/%d/%Y"}, "03/04/2026", "03/03/2026"),
        ({"dateFormat": "%d.%m.%Y %H:%M", "lookbackSeconds": 60}, "1.4.2026 9:05", "01.04.2026 09:04"),
        ({"dateFormat": "%d/%m/%Y", "initial": "31/12/2025"}, None, "31/12/2025"),
        ({"format": "number"}, "4711", "4711"),
        ({"format": "number", "initial": "7"}, None, "7"),
    ],
)
def test_what_a_run_asks_for(given, stored, asked):
    assert first_value(options(**given), stored) == asked


@pytest.mark.parametrize(
    ("kind", "ascending"),
    [
        (
            "timestamp",
            ["0999-12-31", "2024-03-01T00:30:00+02:00", "2024-02-29T22:30:01Z", "2024-03-01", "20240301T000001"],
        ),
        ("date", ["2024-02-29", "2024-03-01"]),
        ("unix", ["0", "9.5", "10", "1700000000"]),
        ("number", ["9", "10", "99999999999999999"]),
    ],
)
def test_ranks_have_the_order_of_the_values(kind, ascending):
    ranks = [rank_of(value, kind) for value in ascending]
    assert None not in ranks
    assert ranks == sorted(set(ranks), key=str)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("timestamp", ""), ("timestamp", "yesterday"), ("timestamp", "9999-12-31T23:59:59-23:00"), ("unix", "-5"),
     ("unix", "1e9"), ("number", "1.5"), ("number", "٣"), ("number", "9" * 30), ("timestamp", "2" * 200)],
)  # fmt: skip
def test_what_is_no_such_value_has_no_rank(kind, text):
    assert rank_of(text, kind) is None


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"incremental": {"param": "since"}}, "options.incremental.cursorField"),
        ({"incremental": {"cursorField": "a"}}, "options.incremental.param"),
        ({"incremental": BY_TIME | {"cursorField": "a..b"}}, "options.incremental.cursorField"),
        ({"incremental": BY_TIME | {"format": "week"}}, "options.incremental.format"),
        ({"incremental": BY_TIME | {"initial": "soon"}}, "options.incremental"),
        ({"incremental": BY_TIME | {"format": "number", "lookbackSeconds": 5}}, "options.incremental"),
        ({"incremental": BY_TIME | {"initial": "03/04/2026"}}, "options.incremental"),
        ({"incremental": BY_TIME | {"dateFormat": "%d/%m/%Y", "initial": "2026-04-03"}}, "options.incremental"),
        ({"incremental": BY_TIME | {"dateFormat": "%d/%m/%Y", "format": "unix"}}, "options.incremental"),
        *(
            ({"incremental": BY_TIME | {"dateFormat": form}}, "options.incremental.dateFormat")
            for form in (
                *(
                    "",
                    "DD/MM/YYYY",
                    "%d/%m/%y",
                    "%d/%m",
                    "%d%m%Y",
                    "%d/%m/%Y/%d",
                    "%d/%m/%Y %M",
                    "%d %b %Y",
                    "%d/%m/%Y%%",
                ),
                *(
                    "%d/%m/%Y %I:%M",
                    "on %d/%m/%Y",
                    "%d/%m/%Y ",
                    "%d\n%m\n%Y",
                    "%d/%m/%Y %H:%M %z",
                    "%d/%m/%Y" + " " * 40 + "%H:%M",
                ),
            )
        ),
        ({"incremental": BY_TIME | {"fullAfterDays": 90}}, "options.incremental.fullAfterDays"),
        ({"incremental": BY_TIME, "pagination": {"enabled": True, "maxPages": 3}}, "options"),
        ({"incremental": BY_TIME, "mode": "mirror"}, "options"),
    ],
)
def test_wrong_options_are_refused(document, field):
    with pytest.raises(InvalidRequestError) as caught:
        parse_options(document)
    assert (caught.value.reason, caught.value.field) == ("INVALID_OPTION", field)


def test_ranks_of_a_declared_form_have_the_order_of_the_days():
    ranks = [rank_of(text, "date", "%d/%m/%Y") for text in ("31/12/2025", "1/1/2026", "02/01/2026", "01/02/2026")]
    assert (None in ranks, ranks) == (False, sorted(set(ranks), key=str))
    assert [rank_of(text, "date", "%d/%m/%Y") for text in ("31/02/2026", "2026-01-01", "01/13/2026", "1/1/26")] == [
        None
    ] * 4


@pytest.fixture
def read_from(context, reveal):
    """Read with a watermark; gives what each batch's position says of it, and the error."""

    async def run(url: str, document: Any, stored: str | None = None, after: Any = None) -> Any:
        made = context(http_retry_attempts_max=1, http_batch_rows=10)
        made = replace(made, watermark=stored)
        reader = await open_api(url, parse_options(document), made, reveal)
        positions, error = [], None
        try:
            async for batch in reader.batches(after, 1):
                positions.append(json.loads(json.dumps(batch.position)))  # noqa: PERF401 - kept when the next one fails
        except Exception as caught:  # noqa: BLE001 - handed to the test
            error = caught
        finally:
            await reader.close()
        return positions, error, reader.notices()

    return run


async def test_the_first_run_asks_for_everything_and_carries_the_highest_value(serve, api, read_from):
    app = api(changing(25))
    positions, error, notices = await read_from(await serve(app), {"incremental": BY_TIME, "pagination": PAGES})
    assert (error, notices) == (None, ())
    assert all("since" not in query for query in app.queries)
    # The highest is on the first page, and no later page lowers it.
    assert [one["watermark"]["value"] for one in positions] == ["2024-03-01T00:59:09+02:00"] * 3
    assert positions[-1]["watermark"]["isFull"] is True


async def test_a_first_run_from_an_initial_value_counts_as_a_full_one(serve, api, read_from):
    app = api(changing(5))
    document = {"incremental": BY_TIME | {"initial": "2020-01-01"}, "pagination": PAGES}
    positions, error, _ = await read_from(await serve(app), document)
    assert error is None
    assert {query["since"] for query in app.queries} == {"2020-01-01"}
    assert positions[-1]["watermark"]["isFull"] is True


@pytest.mark.parametrize("where", ["query", "body"])
async def test_a_later_run_asks_on_each_page_for_what_changed(serve, api, read_from, where):
    bodies: list[Any] = []

    async def handler(request: Request) -> Response:
        asked = json.loads(await request.body()) if where == "body" else dict(request.query_params)
        bodies.append(asked)
        items = [{"id": k + int(asked["page"]) * 2, "changed": "2024-05-01T00:00:00Z"} for k in (0, 1)]
        return Response(json.dumps(items if int(asked["page"]) < 3 else []))

    app = api(None)
    app.handler = handler
    document: dict[str, Any] = {
        "incremental": BY_TIME,
        "pagination": {"enabled": True, "paramsIn": where, "pageSize": 2},
    }
    if where == "body":
        document |= {"method": "POST", "body": {"x": 1}}
        document["incremental"] = BY_TIME | {"param": "filter.since"}
    positions, error, _ = await read_from(await serve(app), document, "2024-03-01T00:10:00Z")
    assert error is None
    asked = [body["filter"]["since"] if where == "body" else body["since"] for body in bodies]
    assert asked == ["2024-03-01T00:05:00Z"] * 3
    assert positions[-1]["watermark"] == {
        "value": "2024-05-01T00:00:00Z", "rank": "2024-05-01T00:00:00.000000", "isFull": False
    }  # fmt: skip


async def test_a_run_that_goes_on_keeps_to_the_value_that_it_began_with(serve, api, read_from):
    failing = {2}
    app = api(changing(25, failing=failing))
    url, document = await serve(app), {"incremental": BY_TIME, "pagination": PAGES}
    positions, error, _ = await read_from(url, document, "2024-03-01T00:10:00Z")
    assert error is not None
    failing.clear()
    app.requests.clear()
    # Meanwhile another run has moved the mark: this one must not mix the pages of two questions.
    rest, error, _ = await read_from(url, document, "2024-06-01T00:00:00Z", after=positions[-1])
    assert error is None
    assert {query["since"] for query in app.queries} == {"2024-03-01T00:05:00Z"}
    assert app.queries[0]["page"] == "2"
    # The highest value stood on a page before the resume.
    assert rest[-1]["watermark"]["value"] == "2024-03-01T00:59:09+02:00"


async def test_followed_links_keep_what_the_source_put_into_them(serve, api, read_from):
    def answer(request: Request) -> Any:
        page = int(request.query_params.get("p", "1"))
        return {"data": [{"id": page, "changed": "2024-01-01"}], "next": f"/?p={page + 1}" if page < 3 else None}

    app = api(answer)
    document = {"incremental": BY_TIME, "pagination": {"enabled": True, "type": "link"}}
    _, error, _ = await read_from(await serve(app), document, "2024-03-01")
    assert error is None
    assert [query.get("since") for query in app.queries] == ["2024-02-29T23:55:00Z", None, None]


async def test_a_time_in_the_future_never_becomes_the_mark(serve, api, read_from):
    items = [{"id": 1, "changed": "2024-01-01"}, {"id": 2, "changed": "2099-01-01"}]
    positions, error, notices = await read_from(await serve(api(lambda request: items)), {"incremental": BY_TIME})
    assert error is None
    assert positions[-1]["watermark"]["value"] == "2024-01-01"
    assert "future" in notices[0]


async def test_items_without_the_field_leave_a_notice_and_none_with_it_is_an_error(serve, api, read_from):
    items: list[Any] = [{"id": 1, "changed": "2024-01-01"}, {"id": 2, "changed": None}, {"id": 3}]
    url = await serve(api(lambda request: items))
    positions, error, notices = await read_from(url, {"incremental": BY_TIME})
    assert error is None and len(positions) == 1
    assert "no timestamp" in notices[0]
    _, error, _ = await read_from(url, {"incremental": BY_TIME | {"cursorField": "updated"}})
    assert (error.reason, error.category) == ("INVALID_MAPPING", "validation")
    assert "cursorField" in error.message


async def test_a_page_that_is_not_all_is_refused_for_the_rest_would_never_be_seen(serve, api, read_from):
    app = api(lambda request: {"data": [{"id": 1, "changed": "2024-01-01"}], "has_more": True})
    positions, error, _ = await read_from(await serve(app), {"incremental": BY_TIME})
    assert positions == []
    assert (error.reason, "options.pagination" in error.message) == ("SOURCE_MALFORMED", True)


async def test_a_run_without_items_has_no_mark(serve, api, read_from):
    positions, error, _ = await read_from(await serve(api(lambda request: [])), {"incremental": BY_TIME}, "2024-01-01")
    assert (positions, error) == ([], None)


def key(url: str = "https://x.example/songs", **document: Any) -> str:
    rule = ApiSource.load(url, {"incremental": BY_TIME} | document, from_caller=True).watermark
    assert rule is not None
    return rule.key


def test_a_watermark_belongs_to_what_is_read_and_where_it_goes():
    same = [
        key(auth={"type": "bearer", "token": "other"}),
        key(pagination={"enabled": True, "pageSize": 5}),
        key(incremental=BY_TIME | {"lookbackSeconds": 7, "fullAfterDays": 3}),
        key(headers={"X": "y"}),
    ]
    other = [
        key("https://x.example/albums"),
        key(fieldMapping={"title": "name"}),
        key(dataPath="songs"),
        key(method="POST", body={"kind": "x"}),
        key(incremental=BY_TIME | {"cursorField": "created"}),
    ]
    assert set(same) == {key()}
    assert len({key(), *other}) == len(other) + 1
    assert ApiSource.load("https://x.example/", {}, from_caller=True).watermark is None


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        (["Tue, 05 Nov 2024 10:00:00 GMT", "Wed, 06 Nov 2024 09:00:00 GMT"], "Wed, 06 Nov 2024 08:55:00 GMT"),
        (["2024-11-05 10:00:00", "2024-11-06 09:00:00"], "2024-11-06 08:55:00"),
        (["2024-11-05 10:00:00 UTC", "2024-11-06 09:00:00 UTC"], "2024-11-06 08:55:00 UTC"),
        (["2024-11-05 10:00:00 +0000", "2024-11-06 11:00:00 +0200"], "2024-11-06 08:55:00 +00:00"),
        ([1730800800, 1730883600], "1730883300"),
        (["1730800800123", "1730883600123"], "1730883300123"),
        (["2024-11-05T10:00:00Z", "2024-11-06T09:00:00Z"], "2024-11-06T08:55:00Z"),
    ],
)  # fmt: skip
async def test_values_are_asked_for_as_the_source_spells_them(serve, api, context, reveal, values, asked):
    app = api(lambda _request: [{"id": n, "_updated": value} for n, value in enumerate(values)])
    url = await serve(app)
    document = {"cursorField": "_updated", "param": "where", "template": '{"_updated": {"$gt": "{value}"}}'}
    stored = None
    for _ in range(2):
        looked = replace(context(), watermark=stored)
        reader = await open_api(url, parse_options({"incremental": document}), looked, reveal)
        batches = [batch async for batch in reader.batches(None, 1)]
        await reader.close()
        stored = batches[-1].position["watermark"]["value"]
        assert stored == str(values[1])
    assert app.queries[0] == {}
    assert app.queries[1] == {"where": f'{{"_updated": {{"$gt": "{asked}"}}}}'}


@pytest.mark.parametrize(
    ("value", "said", "unsaid"),
    [
        ("03/04/2026", ["%d/%m/%Y to read the first of them as 2026-04-03", "or to %m/%d/%Y to read the first"], []),
        ("13.04.2026 08:30", ["%d.%m.%Y %H:%M to read the first of them as 2026-04-13"], ["%m.%d"]),
        ("soon", ["has a timestamp at"], ["dateFormat"]),
    ],
)
async def test_a_date_in_another_form_is_refused_with_every_day_that_it_may_be(
    serve, api, read_from, value, said, unsaid
):
    app = api(lambda _request: [{"id": 1, "changed": value}])
    _, error, _ = await read_from(await serve(app), {"incremental": BY_TIME})
    assert error.reason == "INVALID_MAPPING"
    assert [part for part in said if part not in error.message] == []
    assert [part for part in unsaid if part in error.message] == []


async def test_a_declared_form_is_read_and_asked_for(serve, api, read_from):
    app = api(lambda _request: [{"id": n, "changed": day} for n, day in enumerate(("03/04/2026", "12/03/2026", "?"))])
    document = {"incremental": BY_TIME | {"dateFormat": "%d/%m/%Y", "lookbackSeconds": 0}}
    positions, error, notices = await read_from(await serve(app), document, stored="28/02/2026")
    assert (error, len(notices), "date of the form %d/%m/%Y" in notices[0]) == (None, 1, True)
    assert {query["since"] for query in app.queries} == {"28/02/2026"}
    assert positions[-1]["watermark"]["value"] == "03/04/2026"


def test_a_mark_is_not_read_by_another_form():
    def key(**more: Any) -> str:
        source = ApiSource.load("http://a.example/", {"incremental": BY_TIME | more}, from_caller=True)
        assert source.watermark is not None
        return source.watermark.key

    assert len({key(), key(dateFormat="%d/%m/%Y"), key(dateFormat="%m/%d/%Y")}) == 3


def test_sources_that_ask_by_secrets_of_other_names_share_no_mark():
    def bearer(secret: object) -> dict[str, object]:
        return {"type": "bearer", "token": secret}

    def grant(name: str) -> dict[str, object]:
        secret = {"env": f"SOURCE_{name}"}
        return {"type": "oauth2", "clientId": "c", "clientSecret": secret, "tokenUrl": "https://x.example/token"}

    keys = [
        key(),
        key(auth=bearer({"env": "SOURCE_A"})),
        key(auth=bearer({"env": "SOURCE_B"})),
        key(auth=bearer({"file": "SOURCE_A"})),
        key(auth=grant("A")),
        key(auth=grant("C")),
        key(query={"tenant_token": {"env": "SOURCE_A"}, "page_size": "5"}),
        key(query={"tenant_token": {"env": "SOURCE_B"}, "page_size": "5"}),
        key(headers={"X-Key": {"env": "SOURCE_D"}}),
    ]
    # A bearer token and a client secret of one name ask as the same.
    assert len(set(keys)) == len(keys) - 1
    assert key(auth=bearer({"env": "SOURCE_A"})) == key(auth=grant("A"))
