"""Crash drill 15: whatever a source does wrong, a run is never `completed` wrongly and the target never emptied.

usage: python -m tests.drills.api_faults [--seed N] [--count N]

Each plan is made from its own number (`--seed 17 --count 1` makes number 17 again): a source of some size and kind of
paging is synced once as it is, then with a fault, then, the fault gone, until it completes; in every second plan in mode
mirror, without its guard of how many may be gone. The oracle knows every item that the source has had. After each run: the
ledger adds up; a completed run has left every item that the source has at its end in the table as the source has it (but see
`believable`); every row that stood there before stands there still; no row of an item that the source has had all the while
is switched off. After the last one the table is exactly the source, and the rows of items that it has no more, which a mirror
has switched off. The real program does it, on an embedded database.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlparse

from tests.support.http_thread import Http11Handler, http_thread
from tests.support.service import Service, environment, service_running

# Of the whole list rather than of one page.
_OF_THE_LIST: Final = (
    "unstable order", "moving list", "capped", "estimated total", "endless empty pages", "last page again and again",
)  # fmt: skip
FAULTS: Final = (
    "cut body", "cut array", "fewer items", "replaced", "growing", "repeated page", "looping cursor", "429 storm", "5xx storm",
    "stall", "zero rows", "reset", "not json", "404", "empty page", "401",
    *_OF_THE_LIST, "error with an empty list",
)  # fmt: skip
PAGINGS: Final = ("page", "offset", "cursor", "link")
_SETTINGS: Final = {
    "HTTP_TIMEOUT_SECONDS": 0.4,
    "HTTP_RETRY_WAIT_SECONDS_MAX": 0.02,
    "HTTP_RETRY_ATTEMPTS_MAX": 3,
    "HTTP_BATCH_ROWS": 20,
    # A source that says «too many requests» is waited for this long in all.
    "HTTP_WAIT_SECONDS_MAX": 1,
    "HTTP_RUN_WAIT_SECONDS_MAX": 1,
}
_RUNS_MAX: Final = 4


@dataclass
class Plan:
    """A source, and what goes wrong with it.

    Args:
        tells_total: whether its pages state the total.
        is_mirror: whether it is synced in mode mirror.
        at_page: on which page the fault is.
        is_wrong: whether it is there now.
    """

    number: int
    fault: str
    paging: str
    items: dict[int, str]
    page_items: int
    tells_total: bool
    at_page: int
    is_mirror: bool = False
    is_wrong: bool = False
    asked: Counter[int] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def made(cls, number: int) -> Plan:
        """The plan of a number."""
        pick = random.Random(number)
        size, page_items = pick.randint(1, 120), pick.randint(5, 20)
        pages = -(-size // page_items)
        fault = FAULTS[number % len(FAULTS)]
        return cls(
            number,
            fault,
            pick.choice(PAGINGS),
            {key: f"song {key}" for key in range(1, size + 1)},
            page_items,
            # Nobody can know of an item that slips from one page to the one before, but by the total.
            pick.random() < 0.7 or fault == "moving list",
            pick.randint(1, pages),
            is_mirror=pick.random() < 0.5,
        )

    @property
    def options(self) -> dict[str, Any]:
        """The request's."""
        paging = {"pagination": {"enabled": True, "type": self.paging, "pageSize": self.page_items}}
        return paging | ({"mode": "mirror", "mirrorGoneRatioMax": 1} if self.is_mirror else {})

    def answer(self, query: dict[str, list[str]]) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for one request."""
        page = self._page_of(query)
        self.asked[page] += 1
        if self.is_wrong and page >= self.at_page and self.fault in ("replaced", "growing"):
            self._change()
        first = int(query["offset"][0]) if self.paging == "offset" else (page - 1) * self.page_items
        keys = self._order()[first : first + self.page_items]
        body: dict[str, Any] = {"data": [{"id": key, "title": self.items[key]} for key in keys]}
        more = first + self.page_items < len(self.items)
        if self.tells_total:
            body["total"] = len(self.items)
        if self.paging == "cursor":
            body["nextCursor"] = str(page + 1) if more else None
        if self.paging == "link":
            body["next"] = f"/items?page={page + 1}" if more else None
        if self.is_wrong and self.fault in _OF_THE_LIST:
            return self._wrong_list(body, page, keys, more=more)
        if self.is_wrong and page == self.at_page:
            return self._wrong(body, page)
        return 200, json.dumps(body).encode(), {}

    def _order(self) -> list[int]:
        keys = sorted(self.items)
        if self.is_wrong and self.fault == "unstable order":
            random.Random(self.number + self.asked.total()).shuffle(keys)
        return keys

    def _wrong_list(
        self, body: dict[str, Any], page: int, keys: list[int], *, more: bool
    ) -> tuple[int, bytes, dict[str, str]]:
        """A fault of the whole list rather than of one page."""
        on = {"nextCursor": str(page + 1), "next": f"/items?page={page + 1}", "has_more": True}
        match self.fault:
            case "moving list" if page == self.at_page and keys and len(self.items) > 1:
                # Seen, and gone before the next page is asked for: an item of that one slips to this one.
                self.is_wrong = False
                del self.items[keys[0]]
            case "capped" if page > self.at_page:
                return (404, 400, 422)[self.number % 3], b'{"error": "this page is too deep"}', {}
            case "estimated total" if self.tells_total:
                body["total"] = max(1, len(self.items) + self.number % 7 - 3 + page % 2)
            case "endless empty pages" if not more:
                body |= on
            case "last page again and again" if not more:
                last = sorted(self.items)[-self.page_items :]
                body |= on | {"data": [{"id": key, "title": self.items[key]} for key in last]}
        return 200, json.dumps(body).encode(), {}

    def _page_of(self, query: dict[str, list[str]]) -> int:
        if self.paging == "offset":
            return int(query.get("offset", ["0"])[0]) // self.page_items + 1
        return int(query.get("cursor" if self.paging == "cursor" else "page", ["1"])[0])

    def _change(self) -> None:
        """Once: other items in place of these, or more of them."""
        self.is_wrong = False
        if self.fault == "growing":
            last = max(self.items)
            self.items |= {key: f"song {key}" for key in range(last + 1, last + 2 * self.page_items)}
        else:
            self.items = {key: f"other song {key}" for key in range(1001, 1001 + len(self.items))}

    def _wrong(self, body: dict[str, Any], page: int) -> tuple[int, bytes, dict[str, str]]:
        whole = json.dumps(body).encode()
        match self.fault:
            case "cut body":
                return 200, whole, {"cut": str(len(whole) // 2)}
            case "cut array" | "not json":
                return 200, whole[: len(whole) // 2] if self.fault == "cut array" else b"<html>", {}
            case "fewer items":
                return 200, json.dumps(body | {"data": body["data"][:-1], "total": len(self.items)}).encode(), {}
            case "empty page":
                return 200, json.dumps(body | {"data": [], "total": len(self.items)}).encode(), {}
            case "zero rows":
                return 200, b'{"data": [], "total": 0}', {}
            case "repeated page" | "looping cursor":
                body |= {
                    "nextCursor": str(max(1, page - 1)),
                    "next": f"/items?page={max(1, page - 1)}",
                    "has_more": True,
                }
                return 200, json.dumps(body).encode(), {}
            case "error with an empty list":
                return 200, b'{"success": false, "message": "busy", "data": []}', {}
            case "stall":
                return 200, whole, {"stall": "1"}
            case "reset":
                return 200, b"", {"cut": "0"}
            case fault:
                status = {"429 storm": 429, "5xx storm": 503, "404": 404, "401": 401}[fault]
                # A storm lasts for two tries, or for longer than the run is patient.
                if fault.endswith("storm") and self.number % 2 and self.asked[page] > 2:
                    self.is_wrong = False
                return status, b"{}", {}


@contextmanager
def source() -> Iterator[tuple[str, dict[str, Plan]]]:
    """A running server, and the plans that it has at /<number>/items."""
    plans: dict[str, Plan] = {}

    class Handler(Http11Handler):
        def do_GET(self) -> None:
            parts = urlparse(self.path)
            plan = plans[parts.path.split("/")[1]]
            status, body, how = plan.answer(parse_qs(parts.query))
            if "stall" in how:
                plan.stopped.wait(10)
            body = body.replace(b'"/items?', f'"/{plan.number}/items?'.encode())
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(max(1, len(body)) if "cut" in how else len(body)))
            self.end_headers()
            try:
                self.wfile.write(body[: int(how["cut"])] if "cut" in how else body)
            except OSError:
                self.close_connection = True
            self.close_connection = self.close_connection or "cut" in how

    with http_thread(Handler) as url:
        try:
            yield url, plans
        finally:
            for plan in plans.values():
                plan.stopped.set()


@dataclass
class Drill:
    """The program and the source."""

    service: Service
    base: str
    plans: dict[str, Plan]
    database: Path

    def rows(self, identifier: str) -> dict[int, str]:
        """What stands in the table of one source."""
        with closing(sqlite3.connect(self.database)) as connection:
            found = connection.execute(
                "SELECT external_id, title FROM content_index WHERE source_identifier = ?", (identifier,)
            )
            return {int(key): title for key, title in found}

    def switched_off(self, identifier: str) -> set[int]:
        """The items of one source whose rows are not available."""
        with closing(sqlite3.connect(self.database)) as connection:
            query = "SELECT external_id FROM content_index WHERE source_identifier = ? AND NOT is_available"
            return {int(key) for (key,) in connection.execute(query, (identifier,))}

    def check(self, number: int) -> tuple[str, list[str]]:
        """Carry one plan out; answer the fault with the status of its run, and what is wrong."""
        plan = self.plans[str(number)] = Plan.made(number)
        identifier = f"{self.base}/{number}/items"
        wrong: list[str] = []
        seen = dict(plan.items)

        def run(what: str) -> str:
            before, had = self.rows(identifier), set(plan.items)
            result = self.service.run("api", identifier, plan.options)
            after = self.rows(identifier)
            if off := had & plan.items.keys() & self.switched_off(identifier):
                wrong.append(f"{what}: {len(off)} items that the source has are switched off")
            seen.update(plan.items)
            ledger = result["ledger"]
            counted = sum(ledger[name] for name in ("inserted", "updated", "unchanged", "rejected", "skipped"))
            if counted != ledger["rowsRead"]:
                wrong.append(f"{what}: the ledger does not add up: {ledger}")
            if missing := before.keys() - after.keys():
                wrong.append(f"{what}: {len(missing)} rows that stood in the table are gone")
            if (
                result["status"] == "completed"
                and not believable(plan, what)
                and not plan.items.items() <= after.items()
            ):
                wrong.append(f"{what}: completed, and {len(plan.items.items() - after.items())} items are not there")
            if result["status"] not in ("completed", "failed"):
                wrong.append(f"{what}: ended as {result['status']}")
            return str(result["status"])

        if run("whole source") != "completed":
            wrong.append("the source without a fault did not complete")
        plan.is_wrong = True
        status = run(plan.fault)
        plan.is_wrong = False
        plan.stopped.set()
        for _ in range(_RUNS_MAX):
            if run("fault gone") == "completed":
                break
        else:
            wrong.append("the fault is gone, and no run completes")
        if self.rows(identifier) != seen:
            wrong.append("the table is not what the source has and had")
        if plan.is_mirror and self.switched_off(identifier) != seen.keys() - plan.items.keys():
            wrong.append("the mirror has not switched off just what the source has no more")
        return f"{plan.fault}: {status}", wrong


def believable(plan: Plan, what: str) -> bool:
    """Whether nobody could have known better than to take the fault for the truth; the rows stay all the same."""
    # A source that says from the start that it has nothing; one whose items are replaced between two pages that fit
    # together, which is just what growing looks like. The next run puts both right.
    return what == plan.fault and ((plan.fault == "zero rows" and plan.at_page == 1) or plan.fault == "replaced")


@contextmanager
def drill(folder: Path) -> Iterator[Drill]:
    """Everything that runs, while the block runs."""
    environ = environment(f"sqlite+aiosqlite:///{folder / 'sync.db'}", folder, **_SETTINGS)
    with source() as (base, plans), service_running(folder, environ) as service:
        yield Drill(service, base, plans, folder / "sync.db")


def main() -> int:
    """Run the drill and print its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=160)
    given = parser.parse_args()
    endings: Counter[str] = Counter()
    problems = 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="techaura-drill-") as folder, drill(Path(folder)) as running:
        for number in range(given.seed, given.seed + given.count):
            ending, wrong = running.check(number)
            endings[ending] += 1
            problems += bool(wrong)
            for problem in wrong:
                print(f"seed {number}: {Plan.made(number).fault}, {Plan.made(number).paging}: {problem}")
    shown = ", ".join(f"{ending} {count}" for ending, count in sorted(endings.items()))
    seconds = time.perf_counter() - started
    print(f"drill 15 faults: {given.count} plans in {seconds:.0f} s, {problems} wrong (seed {given.seed}); {shown}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
