"""A test of a source through the real program: what it says, and that it writes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.support.items_api import items_api
from tests.support.programs import run
from tests.support.service import Service


def look(service: Service, source_type: str, identifier: str, options: object = None) -> tuple[int, Any]:
    body = {"sourceType": source_type, "sourceIdentifier": identifier, "options": options}
    return service.post("/v1/sync/test", body)


def counts(service: Service) -> list[Any]:
    return [
        rows(service, f"SELECT COUNT(*) FROM {table}")
        for table in ("sync_runs", "sync_errors", "sync_batches", "content_index", "catalog_items")
    ]


OPTIONS = {
    "auth": {"type": "bearer", "token": "t0ken"},
    "fieldMapping": {"title": "{by.name}: {name}", "artist": "by.name"},
    "pagination": {"enabled": True, "type": "auto"},
}


def test_an_api_says_what_its_first_page_holds(service: Service) -> None:
    before = counts(service)
    with items_api(count=350) as api:
        status, answer = look(service, "api", api.url, OPTIONS)
        assert status == 200, answer
        assert api.asked_pages == [1]
    found = answer["data"]
    assert (found["itemCount"], found["whole"]) == (100, False)
    assert found["fields"] == ["id", "name", "by", "price"]
    assert found["detected"]["format"] == "json"
    assert len(found["samples"]) == len(found["rows"]) == 5
    assert found["samples"][1] == {"id": 1, "name": "song 1", "by": {"name": "x"}, "price": 1.1}
    first = found["rows"][0]
    assert (first["title"], first["artist"], first["external_id"]) == ("x: song 0", "x", "0")
    assert (first["content_type"], first["source_type"]) == ("music", "api")
    assert found["rejected"] == []
    assert counts(service) == before


def test_an_api_fails_as_its_run_would(service: Service) -> None:
    with items_api(failing_pages={1}) as api:
        status, answer = look(service, "api", api.url, OPTIONS)
        assert (status, answer["reason"]) == (503, "SOURCE_UNAVAILABLE")
        assert api.asked_pages == [1]
        wrong = OPTIONS | {"auth": {"type": "bearer", "token": "canary-9c1"}}
        status, answer = look(service, "api", api.url, wrong)
        assert (status, answer["reason"]) == (409, "AUTHENTICATION_FAILED")
        assert "canary-9c1" not in json.dumps(answer) + service.log()
        status, answer = look(service, "api", api.url, OPTIONS | {"dataPath": "$..x..y"})
        assert (status, answer["reason"], answer["field"]) == (400, "INVALID_OPTION", "options.dataPath")
        api.failing_pages.clear()
        status, answer = look(service, "api", api.url, OPTIONS | {"dataPath": "songs"})
        assert (status, answer["reason"]) == (409, "SOURCE_MALFORMED")


def test_secrets_that_a_source_says_back_are_hidden(service: Service) -> None:
    with items_api(token="canary-77aa", count=3) as api:
        api.extra = {
            "echo": "you sent canary-77aa",
            "password": "p4ss",
            "nested": [{"api_key": "k", "keep": "x" * 600}],
        }
        options = {"auth": {"type": "bearer", "token": "canary-77aa"}, "fieldMapping": {"title": "echo"}}
        status, answer = look(service, "api", api.url, options)
    assert status == 200, answer
    sample = answer["data"]["samples"][0]
    assert (sample["echo"], sample["password"]) == ("you sent ***", "***")
    assert sample["nested"] == [{"api_key": "***", "keep": "x" * 500 + "..."}]
    assert answer["data"]["rows"][0]["title"] == "you sent ***"
    # The metadata holds the item as a text: what is secret in it is hidden, too.
    assert json.loads(answer["data"]["rows"][0]["metadata"]) == sample
    assert "canary-77aa" not in json.dumps(answer)
    assert (answer["data"]["itemCount"], answer["data"]["whole"]) == (3, True)
    assert answer["data"]["detected"] == {"format": "json", "pagination": "none"}


@pytest.mark.parametrize(
    ("auth", "said", "secret"),
    [
        (
            {"type": "basic", "username": "bob", "password": "CANARYPASS"},
            "Basic Ym9iOkNBTkFSWVBBU1M=",
            "Ym9iOkNBTkFSWVBBU1M=",
        ),
        (
            {"type": "apikey", "apiKeyParam": "k", "apiKeyValue": "CANARY/with+odd"},
            "/x?k=CANARY%2Fwith%2Bodd",
            "CANARY",
        ),
        ({"type": "apikey", "apiKeyHeader": "X-Key", "apiKeyValue": "123456789"}, 123456789, "123456789"),
    ],
    ids=["basic", "in a URL", "a number"],
)
def test_a_secret_is_hidden_in_whatever_form_it_comes_back(
    service: Service, auth: dict[str, Any], said: Any, secret: str
) -> None:
    with items_api(count=2, is_open=True) as api:
        api.extra = {"echo": said, f"name {said}": 1}
        status, answer = look(service, "api", api.url, {"auth": auth, "fieldMapping": {"title": "echo"}})
    assert status == 200, answer
    assert secret not in json.dumps(answer)
    assert answer["data"]["samples"][0]["echo"].endswith("***")
    assert any(name.startswith("name ") and name.endswith("***") for name in answer["data"]["fields"])


def test_numbers_are_shown_with_their_own_digits(service: Service) -> None:
    with items_api(count=1) as api:
        api.extra = {"long": 12345678901234567890123456789}
        _status, answer = look(service, "api", api.url, OPTIONS)
        assert answer["data"]["samples"][0]["long"] == 12345678901234567890123456789
        assert answer["data"]["samples"][0]["price"] == 1.1


def test_a_file_says_its_dialect_and_which_rows_would_be_rejected(service: Service) -> None:
    path = service.data_root / "look.csv"
    path.write_bytes("título;artista;género\nOjalá;Silvio;trova\n;Nadie;x\nYo\n".encode("cp1252"))
    before = counts(service)
    options = {
        "delimiter": "auto", "encoding": "cp1252",
        "columnMapping": {"title": "título", "artist": "artista", "genre": "género"},
    }  # fmt: skip
    status, answer = look(service, "csv", str(path), options)
    assert status == 200, answer
    found = answer["data"]
    assert (found["itemCount"], found["whole"]) == (3, True)
    assert found["fields"] == ["título", "artista", "género"]
    assert found["detected"]["delimiter"] == ";"
    assert found["samples"][0] == {"título": "Ojalá", "artista": "Silvio", "género": "trova"}
    assert [row["title"] for row in found["rows"]] == ["Ojalá"]
    assert {(one["line"], one["code"]) for one in found["rejected"]} == {
        (3, "required_missing"),
        (4, "missing_columns"),
    }
    assert counts(service) == before
    status, answer = look(service, "csv", str(path), options | {"columnMapping": {"title": "nowhere"}})
    assert (status, answer["reason"]) == (400, "INVALID_MAPPING")
    status, answer = look(service, "csv", "/etc/passwd")
    assert (status, answer["reason"]) == (400, "SOURCE_FORBIDDEN")


def test_only_the_beginning_of_a_large_file_is_read(service: Service) -> None:
    path = service.data_root / "large.csv"
    path.write_text("title,artist\n" + "".join(f"song {n},x\n" for n in range(100_000)))
    status, answer = look(service, "csv", str(path))
    assert status == 200, answer
    assert answer["data"]["whole"] is False
    assert 0 < answer["data"]["itemCount"] <= 1000


def test_the_command_line_tests_with_the_options_of_a_run(service: Service) -> None:
    with items_api(count=3) as api:
        base = ["techaura-sync", "--target", service.grpc_target]
        given = ["api", api.url, "--header", f"Authorization:Bearer {api.token}", "--map", "title=name"]
        done = run(*base, "test", *given)
        assert done.returncode == 0, done.stderr
        assert "3 records in the whole source" in done.stdout
        assert "title='song 2'" in done.stdout
        as_json = run(*base, "--json", "test", *given)
        assert json.loads(as_json.stdout)["rows"][0]["title"] == "song 0"
        refused = run(*base, "test", *given, "--watch")
        assert refused.returncode == 2
        down = run(*base, "test", "api", api.url)
        assert down.returncode != 0
        assert "401" in down.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "auto"])
def test_utf8_with_damaged_lines_brings_no_other_encoding(service: Service, encoding: str) -> None:
    name, options = f"damaged-{encoding}.csv", {"delimiter": ";", "encoding": encoding}
    good = "".join(f"{number};Canción {number};José\n" for number in range(30)).encode()
    bad = b"x;Ni\xc3a;y\nz;Canci\xf3n;y\n"
    (service.data_root / name).write_bytes(b"external_id;title;artist\n" + good + bad)
    status, answer = look(service, "csv", name, options)
    assert status == 200, answer
    found = answer["data"]
    assert found["rows"][0]["title"] == "Canción 0"
    assert (found["readings"], found["proposedOptions"]) == ([], None)
    done = service.run("csv", name, options)
    assert (done["status"], done["ledger"]["inserted"], done["ledger"]["rejected"]) == ("completed", 30, 2)
    assert "cp1252" not in str(done["notices"])
