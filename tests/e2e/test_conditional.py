"""Conditional requests through the real program: pages that have not changed are not sent again, and count like any."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.test_api_to_table import options
from tests.e2e.test_csv_to_table import rows
from tests.e2e.test_incremental import execute
from tests.support.http_thread import Http11Handler, http_thread
from tests.support.items_api import ItemsApi, items_api
from tests.support.service import Service

ETAGS = {"ETag": "*"}
OLD = {"Last-Modified": "Sat, 01 Aug 2026 10:00:00 GMT", "Date": "Sat, 01 Aug 2026 10:01:00 GMT"}
FRESH = {"Last-Modified": "Sat, 01 Aug 2026 10:00:01 GMT", "Date": "Sat, 01 Aug 2026 10:01:00 GMT"}


def counts(run: dict[str, Any]) -> tuple[Any, ...]:
    ledger = run["ledger"]
    return run["status"], ledger["rowsRead"], ledger["inserted"], ledger["updated"], ledger["unchanged"]


def asked_again(service: Service, api: ItemsApi, **more: Any) -> tuple[dict[str, Any], list[int], list[int]]:
    """One more run; what became of it, the pages that it asked for, and those of them that were not sent."""
    api.asked_pages.clear()
    api.unchanged_pages.clear()
    run = service.run("api", api.url, options() | more)
    return run, sorted(api.asked_pages), sorted(api.unchanged_pages)


def kept(service: Service) -> int:
    return int(rows(service, "SELECT COUNT(*) FROM sync_kept_pages")[0][0])


@pytest.mark.parametrize("headers", [ETAGS, OLD], ids=["ETag", "Last-Modified"])
def test_only_changed_pages_are_sent_again(service: Service, headers: dict[str, str]) -> None:
    with items_api(count=350, headers=headers) as api:
        assert counts(service.run("api", api.url, options())) == ("completed", 350, 350, 0, 0)
        run, asked, unchanged = asked_again(service, api)
        assert counts(run) == ("completed", 350, 0, 0, 350)
        assert (asked, unchanged) == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
        assert any("5 pages had not changed" in notice for notice in run["notices"])
        api.changed[120] = {"name": "another name"}
        if headers is not ETAGS:
            api.headers = headers | {
                "Last-Modified": "Sat, 01 Aug 2026 10:00:30 GMT",
                "Date": "Sat, 01 Aug 2026 11:00:00 GMT",
            }
        run, asked, unchanged = asked_again(service, api)
        assert counts(run) == ("completed", 350, 0, 1, 349)
        assert (asked, unchanged) == ([1, 2, 3, 4, 5], [1, 3, 4, 5] if headers is ETAGS else [])
        title = "SELECT title FROM content_index WHERE source_identifier = :url AND external_id = '120'"
        assert rows(service, title, url=api.url) == [("another name",)]


def test_rows_of_a_page_that_is_not_sent_are_mended_and_mirrored_like_any(service: Service) -> None:
    with items_api(count=250, headers=ETAGS) as api:
        service.run("api", api.url, options() | {"mode": "mirror"})
        execute(
            service, f"UPDATE content_index SET title = 'x' WHERE source_identifier = '{api.url}' AND external_id = '7'"
        )
        execute(service, f"DELETE FROM content_index WHERE source_identifier = '{api.url}' AND external_id = '8'")
        api.count = 240
        run, _asked, unchanged = asked_again(service, api, mode="mirror")
        assert (counts(run), run["deactivated"]) == (("completed", 240, 1, 1, 238), 10)
        # Once by the first look, which found page 3 changed, and once by the second, before rows were switched off.
        assert unchanged == [1, 1, 2, 2, 3, 4, 4]
        found = (
            "SELECT external_id, title FROM content_index WHERE source_identifier = :url AND external_id IN ('7', '8')"
        )
        assert sorted(rows(service, found, url=api.url)) == [("7", "song 7"), ("8", "song 8")]


def test_a_last_change_of_just_now_proves_nothing(service: Service) -> None:
    with items_api(count=50, headers=FRESH) as api:
        service.run("api", api.url, options())
        assert asked_again(service, api)[2] == []


@pytest.mark.parametrize("headers", [ETAGS | {"Cache-Control": "private, No-Store"}, ETAGS | {"Vary": "*"}])
def test_what_must_not_be_kept_is_not(service: Service, headers: dict[str, str]) -> None:
    with items_api(count=50, headers=headers) as api:
        before = kept(service)
        service.run("api", api.url, options())
        assert kept(service) == before
        assert asked_again(service, api)[2] == []


def test_it_can_be_switched_off_and_other_options_share_nothing(service: Service) -> None:
    with items_api(count=50, headers=ETAGS) as api:
        service.run("api", api.url, options())
        assert asked_again(service, api, conditional=False)[2] == []
        assert asked_again(service, api, contentType="video")[2] == []
        assert asked_again(service, api)[2] == [1, 2]


def test_pages_that_are_no_more_or_too_old_are_forgotten(service: Service) -> None:
    with items_api(count=350, headers=ETAGS) as api:
        before = kept(service)
        service.run("api", api.url, options())
        assert kept(service) == before + 5
        api.count = 150
        assert asked_again(service, api)[2] == [1]
        assert kept(service) == before + 3
        execute(service, "UPDATE sync_kept_pages SET kept_at = '2020-01-01 00:00:00'")
        assert asked_again(service, api)[2] == []
        assert asked_again(service, api)[2] == [1, 2, 3]


def test_a_run_that_finds_fault_with_its_source_makes_the_next_one_ask_for_everything(service: Service) -> None:
    with items_api(count=350, headers=ETAGS) as api:
        service.run("api", api.url, options())
        # The second page repeats the first.
        api.changed = {n: {"id": n - 100, "name": f"song {n - 100}"} for n in range(100, 200)}
        failed, _asked, unchanged = asked_again(service, api)
        assert (failed["status"], failed["failure"]["reason"]) == ("failed", "PAGINATION_LOOP")
        assert 1 in unchanged
        api.changed = {}
        run, _asked, unchanged = asked_again(service, api)
        assert (counts(run), unchanged) == (("completed", 350, 0, 0, 350), [])


def test_a_page_that_is_lost_from_the_store_is_asked_for_again(service: Service) -> None:
    hold = threading.Event()
    hold.set()
    with items_api(count=250, headers=ETAGS, hold=hold) as api:
        service.run("api", api.url, options())
        # The page is removed when it is known already: while the run waits for its second page.
        hold.clear()
        api.holds.clear()
        api.asked_pages.clear()
        run_id = service.trigger("api", api.url, options())
        assert api.holds.wait(30)
        execute(service, "DELETE FROM sync_kept_pages")
        hold.set()
        run = service.finished(run_id)
        assert counts(run) == ("completed", 250, 0, 0, 250)
        assert api.asked_pages.count(2) == 2


@pytest.mark.parametrize("content_type", ["text/plain; charset=iso-8859-1", "text/html"])
def test_an_unchanged_page_is_read_as_it_was_sent_whatever_the_304_calls_itself(
    service: Service, content_type: str
) -> None:
    with items_api(count=3, headers=ETAGS) as api:
        api.changed = {1: {"name": "Canción ñandú"}}
        service.run("api", api.url, options())
        api.headers = ETAGS | {"X-304-Content-Type": content_type}
        run, _asked, unchanged = asked_again(service, api)
        assert (counts(run), unchanged) == (("completed", 3, 0, 0, 3), [1, 2])


def test_the_last_page_is_asked_for_in_full_so_that_a_new_one_behind_it_is_seen(service: Service) -> None:
    link = {"pagination": {"enabled": True, "type": "link"}}
    with items_api(count=250, headers=ETAGS) as api:
        api.links = True
        service.run("api", api.url, options() | link)
        assert asked_again(service, api, **link)[2] == [1, 2]
        # Page 3 keeps its items, and so its ETag, while a fourth appears behind it.
        api.count = 300
        service.run("api", api.url, options() | link)
        api.count = 350
        run, _asked, unchanged = asked_again(service, api, **link)
        assert (counts(run), unchanged) == (("completed", 350, 50, 0, 300), [1, 2])


def test_a_star_is_no_tag(service: Service) -> None:
    with items_api(count=50, headers={"ETag": "*"}) as api:
        api.etag = "*"
        before = kept(service)
        service.run("api", api.url, options())
        assert kept(service) == before


def test_a_mirror_does_not_trust_a_date_alone(service: Service) -> None:
    with items_api(count=150, headers=OLD) as api:
        service.run("api", api.url, options() | {"mode": "mirror"})
        # A row is deleted, and the date of the last change says nothing of it.
        api.count = 149
        run, _asked, unchanged = asked_again(service, api, mode="mirror")
        assert (run["deactivated"], unchanged) == (1, [])


@pytest.mark.parametrize("in_header", [False, True])
def test_the_total_of_a_page_that_is_not_sent_is_no_evidence(service: Service, in_header: bool) -> None:
    """The ETag is of the items alone, as of a cache in front of the database, and the total stands beside them."""
    numbers = list(range(250))

    class Songs(Http11Handler):
        def do_GET(self) -> None:
            page = int(parse_qs(urlsplit(self.path).query)["page"][0])
            items = [{"id": number, "name": f"song {number}"} for number in numbers[(page - 1) * 50 : page * 50]]
            etag = f'"{hashlib.blake2b(json.dumps(items).encode(), digest_size=8).hexdigest()}"'
            is_unchanged = self.headers.get("If-None-Match") == etag
            told = {} if in_header else {"total": len(numbers)}
            body = b"" if is_unchanged else json.dumps({"data": items} | told).encode()
            self.send_response(304 if is_unchanged else 200)
            self.send_header("ETag", etag)
            if in_header and not is_unchanged:
                self.send_header("X-Total-Count", str(len(numbers)))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    mirror = {"fieldMapping": {"title": "name"}, "pagination": {"enabled": True, "pageSize": 50}, "mode": "mirror"}
    with http_thread(Songs) as url:
        assert service.run("api", f"{url}/songs", mirror)["ledger"]["inserted"] == 250
        numbers.remove(249)
        run = service.run("api", f"{url}/songs", mirror)
        assert (run["status"], run["deactivated"]) == ("completed", 1), run["notices"]
        assert run["notices"][1:] == ["4 pages had not changed and were not sent again"]
        assert "its pages were read a second time" in run["notices"][0]
