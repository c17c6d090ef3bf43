"""Incremental runs through the real program, against npm's json-server, whose items change between the runs."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.e2e.test_csv_to_table import rows
from tests.support.existing_servers import json_server
from tests.support.items_api import items_api
from tests.support.list_api import list_api
from tests.support.service import Service

Answer = tuple[int, object, dict[str, str]]
COUNT = 120
OPTIONS: dict[str, Any] = {
    "pagination": {"enabled": True, "pageParam": "_page", "limitParam": "_limit"},
    "incremental": {"cursorField": "updated", "param": "updated_gte", "lookbackSeconds": 60},
}


def at(minute: int) -> str:
    return f"2024-05-01T{10 + minute // 60}:{minute % 60:02}:00Z"


@pytest.fixture
def songs_url(tmp_path: Path) -> Iterator[str]:
    songs = [{"id": n, "title": f"song {n}", "updated": at(n)} for n in range(1, COUNT + 1)]
    with json_server(tmp_path, {"songs": songs}) as url:
        yield f"{url}/songs"


def change(url: str, number: int, **fields: str) -> None:
    request = urllib.request.Request(
        f"{url}/{number}", json.dumps(fields).encode(), {"Content-Type": "application/json"}, method="PATCH"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def execute(service: Service, sql: str) -> None:
    url = service.environ["TECHAURA_SYNC_DATABASE_URL"].replace("+aiosqlite", "").replace("+aiomysql", "+pymysql")
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(sql))
    finally:
        engine.dispose()


def marks(service: Service, run_id: int) -> list[Any]:
    return [row[0] for row in rows(service, "SELECT value FROM sync_watermarks WHERE sync_run_id = :id", id=run_id)]


def counts(run: dict[str, Any]) -> tuple[Any, ...]:
    ledger = run["ledger"]
    return run["status"], ledger["rowsRead"], ledger["inserted"], ledger["updated"], ledger["unchanged"]


def test_only_what_changed_is_read_and_all_of_it_is(service: Service, songs_url: str) -> None:
    first = service.run("api", songs_url, OPTIONS)
    assert counts(first) == ("completed", COUNT, COUNT, 0, 0)
    assert marks(service, first["syncRunId"]) == [at(COUNT)]
    # The lookback of a minute reads the last two again, and writes neither.
    second = service.run("api", songs_url, OPTIONS)
    assert counts(second) == ("completed", 2, 0, 0, 2)
    change(songs_url, 7, title="changed", updated=at(COUNT + 30))
    third = service.run("api", songs_url, OPTIONS)
    assert counts(third) == ("completed", 3, 0, 1, 2)
    assert marks(service, third["syncRunId"]) == [at(COUNT + 30)]
    assert rows(
        service,
        "SELECT title FROM content_index WHERE source_identifier = :url AND external_id = '7'",
        url=songs_url,
    ) == [("changed",)]


def test_an_initial_value_is_where_the_first_run_begins_and_only_that(service: Service, songs_url: str) -> None:
    options = OPTIONS | {"incremental": OPTIONS["incremental"] | {"initial": at(COUNT - 9)}}
    first = service.run("api", songs_url, options)
    assert counts(first) == ("completed", 10, 10, 0, 0)
    assert counts(service.run("api", songs_url, options))[1] == 2


def test_everything_is_read_when_it_was_not_for_long_or_the_options_changed(service: Service, songs_url: str) -> None:
    service.run("api", songs_url, OPTIONS)
    mapped = service.run("api", songs_url, OPTIONS | {"fieldMapping": {"artist": "title"}})
    assert counts(mapped)[:2] == ("completed", COUNT)
    assert counts(service.run("api", songs_url, OPTIONS))[1] == 2
    execute(service, "UPDATE sync_watermarks SET full_at = '2001-01-01 00:00:00'")
    assert counts(service.run("api", songs_url, OPTIONS))[1] == COUNT
    assert counts(service.run("api", songs_url, OPTIONS))[1] == 2


def test_a_failed_run_moves_nothing_and_what_it_goes_on_with_does(service: Service) -> None:
    options = {
        "auth": {"type": "bearer", "token": "t0ken"},
        "fieldMapping": {"title": "name"},
        "pagination": {"enabled": True},
        "incremental": {"cursorField": "updated", "param": "since"},
    }
    with items_api(count=350, failing_pages={3}) as api:
        api.extra = {"updated": "2024-05-01T00:00:00Z"}
        failed = service.run("api", api.url, options)
        assert (failed["status"], failed["ledger"]["inserted"]) == ("failed", 200)
        assert marks(service, failed["syncRunId"]) == []
        api.failing_pages.clear()
        asked = len(api.asked_pages)
        execute(service, f"UPDATE sync_runs SET status = 'pending' WHERE id = {failed['syncRunId']}")
        service.post("/v1/sync/resume")
        done = service.finished(failed["syncRunId"])
        assert (done["status"], done["ledger"]["rowsRead"]) == ("completed", 350)
        assert api.asked_pages[asked] == 3
        assert marks(service, failed["syncRunId"]) == ["2024-05-01T00:00:00Z"]


def test_a_list_that_moved_is_asked_for_again(service: Service) -> None:
    """An item that slipped to a page that was read already would never be asked for otherwise."""
    options = {
        "pagination": {"enabled": True, "pageSize": 10},
        "incremental": {"cursorField": "updated", "param": "since", "lookbackSeconds": 0},
    }
    moving = [True]

    def answer(query: dict[str, str]) -> Answer:
        first = (int(query.get("page", 1)) - 1) * 10 + 1
        # Everything behind the first page has moved up by one.
        first += moving[0] and first > 1
        shown = [{"id": n, "title": f"song {n}", "updated": at(n)} for n in range(first, min(first + 10, 36))]
        return 200, {"data": shown, "total": 35 - (moving[0] and first > 1)}, {}

    with list_api(answer) as api:
        moved = service.run("api", api.url, options)
        assert counts(moved)[:2] == ("completed", 34)
        assert "the next run asks for the same changes again: the total of the source changed from 35 to 34" in str(
            moved["notices"]
        )
        assert marks(service, moved["syncRunId"]) == []
        moving[0] = False
        whole = service.run("api", api.url, options)
        assert (counts(whole), whole["notices"]) == (("completed", 35, 1, 0, 34), [])
        assert "since" not in api.queries[-1]
        assert marks(service, whole["syncRunId"]) == [at(35)]


def test_a_test_of_the_source_shows_the_value_that_would_be_kept(
    service: Service, songs_url: str, look: Callable[[str, Any], Any]
) -> None:
    before = rows(service, "SELECT COUNT(*) FROM sync_watermarks")
    assert look(songs_url, OPTIONS)["detected"]["watermark"] == at(100)
    assert rows(service, "SELECT COUNT(*) FROM sync_watermarks") == before


@pytest.fixture
def look(service: Service) -> Callable[[str, Any], Any]:
    def post(url: str, options: Any) -> Any:
        body = {"sourceType": "api", "sourceIdentifier": url, "options": options}
        status, answer = service.post("/v1/sync/test", body)
        assert status == 200, answer
        return answer["data"]

    return post
