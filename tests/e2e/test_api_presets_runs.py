"""A preset through the real program: shown by a test of the source, and read by a run with several pages at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.http_thread import Http11Handler, http_thread
from tests.support.service import Service

COUNT = 730


class WordPress(Http11Handler):
    """Posts as WordPress lists them; a page beyond the last is a 400."""

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        numbers = range(1, COUNT + 1)[(page - 1) * size : page * size]
        posts = [{"id": number, "title": {"rendered": f"Canción {number}"}, "artist": "Maná"} for number in numbers]
        body = json.dumps(posts if numbers else {"code": "rest_post_invalid_page_number"}).encode()
        self.send_response(200 if numbers else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-WP-Total", str(COUNT))
        self.send_header("X-WP-TotalPages", str(-(-COUNT // size)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def posts() -> Iterator[str]:
    with http_thread(WordPress) as url:
        yield f"{url}/wp-json/wp/v2/posts"


def test_what_a_preset_fills_in_is_shown_and_the_run_reads_all(service: Service, posts: str) -> None:
    options: dict[str, Any] = {"preset": "wordpress", "pagination": {"pageSize": 50}}
    body = {"sourceType": "api", "sourceIdentifier": posts, "options": options}
    status, answer = service.post("/v1/sync/test", body)
    assert (status, answer["data"]["rows"][0]["title"]) == (200, "Canción 1"), answer
    filled_in = json.loads(answer["data"]["detected"]["preset"])
    assert filled_in == {
        "fieldMapping": {"title": "title.rendered"},
        "pagination": {"enabled": True, "type": "page", "limitParam": "per_page"},
    }
    run = service.run("api", posts, options)
    assert (run["status"], run["ledger"]["inserted"], run["notices"]) == ("completed", COUNT, []), run
    again = service.run("api", posts, options | {"mode": "mirror"})
    assert (again["status"], again["ledger"]["unchanged"], again["deactivated"]) == ("completed", COUNT, 0), again
    status, refused = service.post("/v1/sync/test", body | {"options": {"preset": "joomla"}})
    assert status == 400 and "preset" in refused["error"]
