"""Two servers that others wrote, read through the real program into both databases: every item once, and exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.support.existing_servers import datasette, json_server
from tests.support.service import Service

SONGS = [
    {
        "id": n,
        "title": f"Canción {n}",
        "artist": f'Tríos "{n % 7}", etc',
        "price": f"{n}.50",
        "updated": f"2024-01-{n % 28 + 1:02}T10:00:00Z",
    }
    for n in range(1, 351)
]
NESTED = [
    {"id": f"s{n}", "name": f"Ojalá {n}", "by": {"name": "Silvio"}, "tags": [{"n": "a"}, {"n": "b"}], "price": n + 0.5}
    for n in range(1, 251)
]
EXPECTED = {(str(song["id"]), song["title"], song["artist"]) for song in SONGS}


@pytest.fixture(scope="module")
def datasette_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with datasette(tmp_path_factory.mktemp("datasette"), SONGS) as url:
        yield url


@pytest.fixture(scope="module")
def json_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with json_server(tmp_path_factory.mktemp("json-server"), {"songs": NESTED}) as url:
        yield url


def stored(service: Service, url: str) -> set[tuple[Any, ...]]:
    return set(
        rows(
            service,
            "SELECT external_id, title, artist FROM content_index WHERE source_identifier = :url",
            url=url,
        )
    )


DATASETTE: dict[str, tuple[str, dict[str, Any]]] = {
    "link": (
        "songs.json?_shape=objects",
        {"dataPath": "rows", "pagination": {"enabled": True, "type": "link", "limitParam": "_size"}},
    ),
    "auto": (
        "songs.json?_shape=objects&_x=1",
        {"dataPath": "$.rows[*]", "pagination": {"enabled": True, "type": "auto", "limitParam": "_size"}},
    ),
    "cursor": (
        "songs.json?_shape=objects&_x=2",
        {
            "dataPath": "rows",
            "pagination": {
                "enabled": True, "type": "cursor", "limitParam": "_size", "pageSize": 70, "cursorParam": "_next",
                "cursorPath": "next",
            },
        },
    ),
    "lines": (
        "songs.json?_shape=array&_nl=on",
        {"format": "ndjson", "pagination": {"enabled": True, "type": "link", "limitParam": "_size"}},
    ),
    "csv": ("songs.csv?_stream=on", {"format": "csv"}),
}  # fmt: skip


@pytest.mark.parametrize("way", DATASETTE)
def test_datasette_is_read_whole(service: Service, datasette_url: str, way: str) -> None:
    path, options = DATASETTE[way]
    url = f"{datasette_url}/{path}"
    run = service.run("api", url, options)
    assert (run["status"], run["itemsProcessed"], run["itemsFailed"]) == ("completed", 350, 0), run
    assert run["notices"] == []
    assert stored(service, url) == EXPECTED
    again = service.run("api", url, options)
    assert again["ledger"]["unchanged"] == 350


def test_datasette_that_is_not_paged_on_request_says_so(service: Service, datasette_url: str) -> None:
    run = service.run("api", f"{datasette_url}/songs.json?_shape=objects&_x=3", {"dataPath": "rows"})
    assert (run["status"], run["itemsProcessed"]) == ("completed", 100)
    assert "options.pagination" in run["notices"][0]


def test_a_test_of_datasette_says_how_it_is_paged(service: Service, datasette_url: str) -> None:
    body = {
        "sourceType": "api",
        "sourceIdentifier": f"{datasette_url}/songs.json?_shape=objects",
        "options": {"dataPath": "rows", "fieldMapping": {"title": "{artist} - {title}"}},
    }
    status, answer = service.post("/v1/sync/test", body)
    assert status == 200, answer
    found = answer["data"]
    assert (found["itemCount"], found["whole"]) == (100, False)
    assert found["detected"]["pagination"] == "link"
    assert found["fields"] == list(SONGS[0])
    assert found["samples"] == [song | {} for song in SONGS[:5]]
    assert found["rows"][0]["title"] == f"{SONGS[0]['artist']} - {SONGS[0]['title']}"


JSON_SERVER: dict[str, tuple[str, dict[str, Any]]] = {
    "link": ("songs?_page=1", {"enabled": True, "type": "link", "limitParam": "_limit"}),
    "auto": ("songs?_page=1&x=1", {"enabled": True, "type": "auto", "limitParam": "_limit", "pageSize": 40}),
    "page": ("songs", {"enabled": True, "type": "page", "pageParam": "_page", "limitParam": "_limit"}),
    "offset": ("songs?x=2", {"enabled": True, "type": "offset", "offsetParam": "_start", "limitParam": "_limit"}),
    "one answer": ("songs?x=3", {"enabled": False}),
}


@pytest.mark.parametrize("way", JSON_SERVER)
def test_json_server_is_read_whole(service: Service, json_server_url: str, way: str) -> None:
    path, pagination = JSON_SERVER[way]
    url = f"{json_server_url}/{path}"
    mapping = {"title": "{name} ({$.tags[*].n})", "artist": "by.name", "genre": "tags[1].n"}
    run = service.run("api", url, {"fieldMapping": mapping, "pagination": pagination})
    assert (run["status"], run["itemsProcessed"], run["itemsFailed"]) == ("completed", 250, 0), run
    assert stored(service, url) == {(f"s{n}", f"Ojalá {n} (a, b)", "Silvio") for n in range(1, 251)}
    ((metadata,),) = rows(
        service,
        "SELECT metadata FROM content_index WHERE source_identifier = :url AND external_id = 's7'",
        url=url,
    )
    assert json.loads(metadata) == NESTED[6]


def test_json_server_without_such_a_collection_is_refused(service: Service, json_server_url: str) -> None:
    run = service.run("api", f"{json_server_url}/albums", {})
    assert (run["status"], run["failure"]["reason"], run["failure"]["retryable"]) == ("failed", "SOURCE_REFUSED", True)
