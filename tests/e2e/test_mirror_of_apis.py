"""Mode mirror over APIs that move, break off or never end: no row is switched off on less than a proven whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from techaura.sync.v1 import resources_pb2
from techaura_sync import SyncClient

from tests.conftest import DATABASES, service_on
from tests.support.list_api import list_api
from tests.support.seen import change, select
from tests.support.service import Service

Answer = tuple[int, object, Mapping[str, str]]
PENDING = resources_pb2.SYNC_STATUS_PENDING
COUNT, SIZE = 250, 50


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program with small batches, so that a short run has checkpoints."""
    with service_on(request, tmp_path_factory, HTTP_BATCH_ROWS=600) as running:
        yield running


def pause(service: Service, run_id: int) -> None:
    """Pause a run, and wait until it is."""
    assert service.post(f"/v1/sync/{run_id}/pause")[0] == 200
    with SyncClient(service.grpc_target) as client:
        for update in client.watch(run_id):
            if update.run.status == PENDING:
                return


def songs(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": n, "title": f"Song {n}"} for n in range(first, min(last, COUNT) + 1)]


def page_of(query: Mapping[str, str]) -> int:
    return int(query.get("page", query.get("cursor", 1)))


def whole(query: Mapping[str, str]) -> Answer:
    number = page_of(query)
    return (
        200,
        {"data": songs(number * SIZE - SIZE + 1, number * SIZE), "next_cursor": number + 1 if number < 5 else None},
        {},
    )


def without(*gone: int) -> Any:
    """The same list without some of its items."""

    def answer(query: Mapping[str, str]) -> Answer:
        left = [song for song in songs(1, COUNT) if song["id"] not in gone]
        number = page_of(query)
        following = number + 1 if number * SIZE < len(left) else None
        return 200, {"data": left[number * SIZE - SIZE : number * SIZE], "next_cursor": following}, {}

    return answer


def overlapping(query: Mapping[str, str]) -> Answer:
    status, body, headers = whole(query)
    if page_of(query) == 3:
        body = {"data": [*songs(91, 100), *songs(111, 150)], "next_cursor": 4}
    return status, body, headers


def moving(query: Mapping[str, str]) -> Answer:
    number, first = page_of(query), page_of(query) * SIZE - SIZE + 1
    shift = int(number >= 4)
    return 200, {"data": songs(first + shift, first + SIZE - 1 + shift), "total": COUNT - shift}, {}


def broken_in_the_middle(query: Mapping[str, str]) -> Answer:
    return whole(query) if page_of(query) != 3 else (404, "Not Found", {})


def busy(query: Mapping[str, str]) -> Answer:
    return whole(query) if page_of(query) != 3 else (200, {"success": False, "data": [], "message": "Server busy"}, {})


def endless(query: Mapping[str, str]) -> Answer:
    number = page_of(query)
    return (
        200,
        {"data": songs(number * SIZE - SIZE + 1, number * SIZE) if number < 5 else [], "next_cursor": number + 1},
        {},
    )


def in_part(query: Mapping[str, str]) -> Answer:
    return 206, {"data": songs(1, 200)}, {"Content-Range": "id 0..199; max=200"}


SOURCES: dict[str, tuple[Any, str, str, str]] = {
    "an order that is not stable": (overlapping, "page", "completed", "10 items came on more than one page"),
    "an order that is not stable, by cursor": (
        overlapping,
        "cursor",
        "completed",
        "10 items came on more than one page",
    ),
    "a list that moves": (moving, "page", "completed", "changed from 250 to 249 while it was read"),
    "a page that is missing": (broken_in_the_middle, "page", "failed", "pages before it were full"),
    "an error with an empty list": (busy, "page", "failed", "Server busy"),
    "pages without an end": (endless, "cursor", "completed", "the end of the source is assumed"),
    "a part": (in_part, "", "failed", "206"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_no_row_is_switched_off_that_may_be_there(service: Service, source: str) -> None:
    answer, kind, status, words = SOURCES[source]
    paging = {"pagination": {"enabled": True, "type": kind}} if kind else {}
    options = {"mode": "mirror", "mirrorGoneRatioMax": 0.9}
    with list_api(whole) as api:
        clean = service.run("api", api.url, options | {"pagination": {"enabled": True, "type": "cursor"}})
        assert (clean["status"], clean["ledger"]["inserted"]) == ("completed", COUNT)
        api.answer = answer
        run = service.run("api", api.url, options | paging)
        assert (run["status"], run["deactivated"]) == (status, 0), run
        said = str(run["notices"]) + str(run["failure"])
        assert words in said
        assert status == "failed" or "nothing was switched off" in said
        active = "SELECT COUNT(*) FROM content_index WHERE source_identifier = :url AND is_available = 1"
        assert select(service, active, url=api.url) == [(COUNT,)]
        # A list that stands still, and ends, is mirrored again.
        api.answer = without(7, 140)
        still = service.run("api", api.url, options | {"pagination": {"enabled": True, "type": "cursor"}})
        assert (still["status"], still["deactivated"]) == ("completed", 2), still


def test_what_a_run_has_seen_before_it_was_interrupted_counts_for_its_mirror(service: Service) -> None:
    pages, size = 9, 200
    hold, held = threading.Event(), threading.Event()
    repeated: dict[int, int] = {}

    def answer(query: Mapping[str, str]) -> Answer:
        number = page_of(query)
        if number == 8 and repeated:
            held.set()
            hold.wait(60)
        numbers = range(number * size - size + 1, number * size + 1) if number <= pages else range(0)
        return 200, {"data": [{"id": repeated.get(n, n), "title": f"Song {repeated.get(n, n)}"} for n in numbers]}, {}

    options = {"mode": "mirror", "pagination": {"enabled": True, "pageSize": size}}
    with list_api(answer) as api:
        assert service.run("api", api.url, options)["ledger"]["inserted"] == pages * size
        # One item comes again instead of another one, long after the run was interrupted.
        repeated[1500] = 2
        run_id = service.trigger("api", api.url, options)
        assert held.wait(60)
        with SyncClient(service.grpc_target) as client:
            for update in client.watch(run_id):
                # What was seen before the first checkpoint is not known to the reader that goes on, but for a sample.
                if update.run.ledger.rows_read:
                    break
        pause(service, run_id)
        hold.set()
        assert service.post(f"/v1/sync/{run_id}/continue")[0] == 200
        run = service.finished(run_id)
    assert (run["status"], run["deactivated"]) == ("completed", 0), run
    assert any("1 item came on more than one page" in notice for notice in run["notices"])
    assert any("nothing was switched off" in notice for notice in run["notices"])


class ChangingList:
    """A list from which an item goes, and gets another one, in the middle of the next walk."""

    def __init__(self, kind: str) -> None:
        self.ids = list(range(1, COUNT + 1))
        self.titles: dict[int, str] = {}
        self.kind = kind
        self.swap: tuple[int, int] | None = None
        # Set when page 3 of the second walk is asked for, and what it waits for then.
        self.hold: tuple[threading.Event, threading.Event] | None = None
        self.asked: list[int] = []

    def answer(self, query: Mapping[str, str]) -> Answer:
        start = int(query["offset"]) if "offset" in query else page_of(query) * SIZE - SIZE
        self.asked.append(start)
        if self.hold is not None and start == 2 * SIZE and self.asked.count(start) == 2:
            held, go = self.hold
            held.set()
            go.wait(60)
        items = [{"id": n, "title": self.titles.get(n, f"Song {n}")} for n in self.ids[start : start + SIZE]]
        if self.swap is not None and start == SIZE:
            gone, new = self.swap
            self.ids.remove(gone)
            self.ids.append(new)
            self.swap = None
        following = start // SIZE + 2 if start + SIZE < len(self.ids) else None
        body: dict[str, Any] = {"data": items}
        if self.kind == "cursor":
            body["next_cursor"] = following
        elif self.kind == "link":
            body["next"] = f"?page={following}" if following else None
        else:
            body["total"] = len(self.ids)
        return 200, body, {}


def switched_off(service: Service, url: str) -> set[int]:
    query = "SELECT external_id FROM content_index WHERE source_identifier = :url AND is_available = 0"
    return {int(row[0]) for row in select(service, query, url=url)}


@pytest.mark.parametrize("kind", ["page", "offset", "cursor", "link"])
def test_an_item_that_slips_between_two_pages_is_not_gone(service: Service, kind: str) -> None:
    changing = ChangingList(kind)
    options = {
        "mode": "mirror",
        "pagination": {"enabled": True, "type": kind, "limitParam": "limit", "pageSize": SIZE, "pagesAtOnce": 1},
    }
    with list_api(changing.answer) as api:
        assert service.run("api", api.url, options)["ledger"]["inserted"] == COUNT
        changing.asked.clear()
        # Item 101 moves to the end of page 2, which has been read by then.
        changing.swap = (3, 9001)
        changing.titles = {5: "Another title"}
        run = service.run("api", api.url, options)
        assert (run["status"], run["deactivated"]) == ("completed", 0), run
        assert any("its pages were read a second time" in notice for notice in run["notices"]), run["notices"]
        # What the first reading did counts, though the second met it as it is.
        counts = {"inserted": 1, "updated": 1, "unchanged": COUNT - 2, "rejected": 0, "skipped": 0}
        assert {name: run["ledger"][name] for name in counts} == counts
        assert changing.asked.count(0) == 2
        assert switched_off(service, api.url) == set()
        # What went meanwhile is switched off by the next run, and nothing else.
        run = service.run("api", api.url, options)
        assert (run["status"], run["deactivated"]) == ("completed", 1), run
        assert switched_off(service, api.url) == {3}
        # Where nothing is gone, one reading is enough.
        changing.asked.clear()
        run = service.run("api", api.url, options)
        assert (run["deactivated"], run["notices"]) == (0, [])
        assert changing.asked.count(0) == 1


def test_a_second_reading_that_is_interrupted_goes_on_as_the_second(service: Service) -> None:
    changing = ChangingList("page")
    options = {"mode": "mirror", "pagination": {"enabled": True, "type": "page", "pageSize": SIZE, "pagesAtOnce": 1}}
    with list_api(changing.answer) as api:
        assert service.run("api", api.url, options)["ledger"]["inserted"] == COUNT
        changing.asked.clear()
        changing.ids.remove(7)
        held, go = threading.Event(), threading.Event()
        changing.hold = (held, go)
        run_id = service.trigger("api", api.url, options)
        assert held.wait(60)
        pause(service, run_id)
        go.set()
        assert service.post(f"/v1/sync/{run_id}/continue")[0] == 200
        run = service.finished(run_id)
        assert (run["status"], run["deactivated"]) == ("completed", 1), run
        assert switched_off(service, api.url) == {7}
        assert changing.asked.count(4 * SIZE) == 2


class ScriptedWalks:
    """A list of which each walk sees another state: walks begin with the first page."""

    def __init__(self, *walks: list[int]) -> None:
        self.walks = list(walks)
        self.now: list[int] = []
        self.titles: dict[int, str] = {}
        self.ends_early_at: int | None = None

    def answer(self, query: Mapping[str, str]) -> Answer:
        number = page_of(query)
        if number == 1 and self.walks:
            self.now = self.walks.pop(0)
        first = number * SIZE - SIZE
        if self.ends_early_at == number:
            return 404, {}, {}
        items = [{"id": n, "title": self.titles.get(n, f"Song {n}")} for n in self.now[first : first + SIZE]]
        following = number + 1 if first + SIZE < len(self.now) else None
        return 200, {"data": items, "next_cursor": following}, {}


CURSOR = {"mode": "mirror", "pagination": {"enabled": True, "type": "cursor", "limitParam": "limit", "pageSize": SIZE}}


def test_a_second_look_on_one_page_takes_nothing_for_gone_that_the_first_met(service: Service) -> None:
    all_of_them = list(range(1, 61))
    first = [n for n in all_of_them if n != 7] + [900]
    # The second look ends behind its first page, without a word.
    scripted = ScriptedWalks(all_of_them, first, first[:SIZE])
    with list_api(scripted.answer) as api:
        assert service.run("api", api.url, CURSOR)["ledger"]["inserted"] == 60
        run = service.run("api", api.url, CURSOR)
        assert (run["status"], run["deactivated"], switched_off(service, api.url)) == ("completed", 1, {7}), run
        assert (run["ledger"]["inserted"], run["ledger"]["unchanged"]) == (1, SIZE - 1)


def test_an_empty_second_look_switches_off_no_more_than_the_first_missed(service: Service) -> None:
    all_of_them = list(range(1, 121))
    scripted = ScriptedWalks(all_of_them, all_of_them[1:], [])
    with list_api(scripted.answer) as api:
        assert service.run("api", api.url, CURSOR)["ledger"]["inserted"] == 120
        run = service.run("api", api.url, CURSOR | {"mirrorAllowEmpty": True, "mirrorGoneRatioMax": 1.0})
        assert (run["status"], switched_off(service, api.url)) == ("completed", {1}), run


def test_what_changed_between_the_looks_too_leaves_counts_that_add_up(service: Service) -> None:
    first = list(range(1, 121))
    scripted = ScriptedWalks(first, [*first[1:], 900, 901], [902, 903, *first[1:60], 904])
    with list_api(scripted.answer) as api:
        assert service.run("api", api.url, CURSOR)["ledger"]["inserted"] == 120
        run = service.run("api", api.url, CURSOR)
        ledger = run["ledger"]
        assert (run["status"], switched_off(service, api.url)) == ("completed", {1}), run
        assert (ledger["inserted"], ledger["updated"], ledger["unchanged"]) == (5, 0, 57)
        assert ledger["rowsRead"] == 62


def test_what_the_first_look_did_is_told_also_where_the_run_ends_in_the_second(service: Service) -> None:
    changing = ChangingList("page")
    options = {"mode": "mirror", "pagination": {"enabled": True, "type": "page", "pageSize": SIZE, "pagesAtOnce": 1}}
    with list_api(changing.answer) as api:
        service.run("api", api.url, options)
        changing.asked.clear()
        changing.ids = [*changing.ids[1:], 9001, 9002]
        held, go = threading.Event(), threading.Event()
        changing.hold = (held, go)
        run_id = service.trigger("api", api.url, options)
        assert held.wait(60)
        assert service.get(f"/v1/sync/{run_id}")[1]["data"]["ledger"]["inserted"] == 2
        assert service.post(f"/v1/sync/{run_id}/cancel")[0] == 200
        go.set()
        run = service.finished(run_id)
        assert (run["status"], run["deactivated"]) == ("cancelled", 0)
        assert (run["ledger"]["inserted"], run["ledger"]["unchanged"] >= 0) == (2, True)


def test_a_reading_that_began_again_for_another_reason_is_no_second_look(service: Service) -> None:
    """An exact total that did not come fails the run; its retry reads the list whole for the first time."""
    changing = ChangingList("page")
    told: list[int] = []

    def answer(query: Mapping[str, str]) -> Answer:
        status, body, headers = changing.answer(query)
        assert isinstance(body, dict)
        return status, body | ({"total": told[0]} if told else {}), headers

    options = {"mode": "mirror", "pagination": {"enabled": True, "type": "page", "pageSize": SIZE, "pagesAtOnce": 1}}
    with list_api(answer) as api:
        service.run("api", api.url, options)
        told.append(COUNT + 5)
        run = service.run("api", api.url, options)
        assert (run["status"], run["failure"]["reason"]) == ("failed", "SOURCE_CHANGED"), run
        told.clear()
        # As the nightly retry takes it up.
        change(service, "UPDATE sync_runs SET status = 'pending', retry_count = 1 WHERE id = :id", id=run["syncRunId"])
        changing.asked.clear()
        changing.swap = (3, 9001)
        assert service.post("/v1/sync/resume")[0] == 200
        again = service.finished(run["syncRunId"])
        assert (again["status"], again["deactivated"], switched_off(service, api.url)) == ("completed", 0, set()), again
        assert changing.asked.count(0) == 2


def test_a_conflict_of_the_first_look_is_told(service: Service) -> None:
    first = list(range(1, 121))
    scripted = ScriptedWalks(first, first[1:], first[1:])
    with list_api(scripted.answer) as api:
        service.run("api", api.url, CURSOR)
        change(
            service,
            "UPDATE content_index SET title = 'by hand' WHERE source_identifier = :url AND external_id = '5'",
            url=api.url,
        )
        scripted.titles = {5: "from the source"}
        run = service.run("api", api.url, CURSOR)
        assert (run["status"], run["deactivated"], run["conflicts"]) == ("completed", 1, 1), run
        assert run["ledger"]["updated"] == 1
