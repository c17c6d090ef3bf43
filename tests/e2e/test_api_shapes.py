"""Sources of other shapes through the real program: what reaches the table, and that no secret of a request is stored or shown."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.test_api_auth import everything
from tests.e2e.test_csv_to_table import rows
from tests.support.scripted_api import Asked, Said, scripted_api
from tests.support.service import Service


def test_objects_under_names_of_their_own_are_the_same_rows_in_the_next_run(service: Service) -> None:
    titles = {f"-N{n}": f"song {n}" for n in range(10)}
    with scripted_api(lambda _asked: {name: {"title": title} for name, title in titles.items()}) as api:
        options = {"dataPath": "$.*", "fieldMapping": {"artist": "singer"}}
        first = service.run("api", f"{api.url}/keyed", options)
        titles |= {"-N1": "other", "-N2": "titles", "-N3": "now"}
        second = service.run("api", f"{api.url}/keyed", options)
        ledgers = [
            (run["ledger"]["inserted"], run["ledger"]["updated"], run["ledger"]["unchanged"]) for run in (first, second)
        ]
        assert ledgers == [(10, 0, 0), (0, 3, 7)]
        found = rows(
            service, "SELECT external_id FROM content_index WHERE source_identifier = :url", url=f"{api.url}/keyed"
        )
        assert sorted(row[0] for row in found) == sorted(titles)
        nowhere = "no item has a value at singer, where options.fieldMapping.artist points; the column stays empty"
        looked = service.post("/v1/sync/test", {"sourceType": "api", "sourceIdentifier": api.url, "options": options})[
            1
        ]
        assert nowhere in first["notices"] and nowhere in looked["data"]["notices"]


def test_rows_of_a_sheet_are_shown_and_stored_by_their_names(service: Service) -> None:
    sheet = [["id", "title", "artist"], ["1", "Song 1", "A"], ["2", "Song 2"]]
    options = {"dataPath": "values", "rowNamesPath": "values[0]"}
    with scripted_api(lambda _asked: {"range": "A1:C3", "values": sheet}) as api:
        identifier = f"{api.url}/sheet"
        status, looked = service.post(
            "/v1/sync/test", {"sourceType": "api", "sourceIdentifier": identifier, "options": options}
        )
        assert (status, looked["data"]["itemCount"]) == (200, 2)
        assert [row["title"] for row in looked["data"]["rows"]] == ["Song 1", "Song 2"]
        assert service.run("api", identifier, options)["status"] == "completed"
        found = rows(
            service,
            "SELECT title, artist FROM content_index WHERE source_identifier = :url ORDER BY title",
            url=identifier,
        )
    assert [tuple(row) for row in found] == [("Song 1", "A"), ("Song 2", None)]


def test_secrets_of_query_body_and_cookies_reach_the_source_and_nothing_else(service: Service) -> None:
    """The source says back what it was sent, in errors, cookies and addresses."""
    canaries = ["canary-query", "canary-body", "canary-cookie"]

    def answer(asked: Asked) -> Any:
        said = f"you sent {asked.query} {asked.body.decode()} {asked.headers.get('Cookie')}"
        if asked.path == "/broken":
            return Said({"error": {"message": said}}, 400, {"Set-Cookie": "sid=canary-cookie"})
        if "sid=canary-cookie" not in asked.headers.get("Cookie", ""):
            return Said(None, 307, {"Location": asked.path, "Set-Cookie": "sid=canary-cookie; Path=/"})
        if asked.query["token"] != "canary-query" or json.loads(asked.body)["login"]["password"] != "canary-body":
            return Said({"message": said}, 401)
        return {"data": [{"id": 1, "title": "song"}], "next": None}

    options = {
        "method": "POST",
        "query": {"token": "canary-query", "session": "45-1"},
        "body": {"login": {"password": "canary-body"}, "session": 2024},
    }
    with scripted_api(answer) as api:
        shown: list[Any] = []
        for path, status in (("/good", "completed"), ("/broken", "failed")):
            run = service.run("api", api.url + path, options)
            assert run["status"] == status, run
            shown.append(run)
            request = {"sourceType": "api", "sourceIdentifier": api.url + path, "options": options}
            shown.append(service.post("/v1/sync/test", request)[1])
        assert "you sent" in shown[2]["failure"]["message"]
        assert json.loads(api.asked[0].body) == options["body"]
    for canary in canaries:
        assert canary not in json.dumps(shown) + everything(service)
