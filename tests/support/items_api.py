"""A small paged API on loopback, in a thread: bearer auth, pages of items, faults on request."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qs, urlparse

from tests.support.http_thread import Http11Handler, http_thread


@dataclass
class ItemsApi:
    """What the API holds, and what it was asked."""

    count: int = 350
    token: str = "t0ken"
    failing_pages: set[int] = field(default_factory=set)
    asked_pages: list[int] = field(default_factory=list)
    hold: threading.Event | None = None
    # Set as soon as a request waits for `hold`.
    holds: threading.Event = field(default_factory=threading.Event)
    # Whether anybody may ask.
    is_open: bool = False
    # A slow API: so long between two pieces of a body, of which there are forty.
    pause_seconds: float = 0.0
    url: str = ""
    extra: dict[str, object] = field(default_factory=dict)
    # Whole items, by their number.
    replaced: dict[int, object] = field(default_factory=dict)
    # What `?table=` asks for, all of it on the first page.
    tables: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    # Fields of single items, by their number.
    changed: dict[int, dict[str, object]] = field(default_factory=dict)
    # Headers of every answer; `ETag: *` stands for the digest of its body.
    headers: dict[str, str] = field(default_factory=dict)
    unchanged_pages: list[int] = field(default_factory=list)
    # The ETag of every page, in place of the digest.
    etag: str = ""
    # Whether the next page is named in a Link header, which says nothing in a 304.
    links: bool = False

    def link(self, path: str) -> dict[str, str]:
        """The header that names the next page, where there is one."""
        query = parse_qs(urlparse(path).query)
        page, limit = int(query.get("page", ["1"])[0]), int(query.get("limit", ["100"])[0])
        if not self.links or page * limit >= self.count:
            return {}
        return {"Link": f"</items?page={page + 1}&limit={limit}>; rel=next"}

    def is_unchanged(self, path: str, asked: Message, etag: str) -> bool:
        """Whether a request is answered 304: it has a condition that holds."""
        if "If-None-Match" in asked:
            unchanged = asked["If-None-Match"] == etag
        else:
            unchanged = "Last-Modified" in self.headers and asked["If-Modified-Since"] == self.headers["Last-Modified"]
        if unchanged:
            self.unchanged_pages.append(int(parse_qs(urlparse(path).query).get("page", ["1"])[0]))
        return unchanged

    def answer(self, path: str, authorization: str) -> tuple[int, object]:
        """Status and body of one request."""
        if not self.is_open and authorization != f"Bearer {self.token}":
            return 401, {"error": "who are you"}
        query = parse_qs(urlparse(path).query)
        page, limit = int(query.get("page", ["1"])[0]), int(query.get("limit", ["100"])[0])
        self.asked_pages.append(page)
        if self.hold is not None and page > 1:
            self.holds.set()
            self.hold.wait(30)
        if page in self.failing_pages:
            return 503, {}
        if "table" in query:
            return 200, {"data": self.tables[query["table"][0]] if page == 1 else []}
        first = (page - 1) * limit
        numbers = range(first, min(first + limit, self.count))
        return 200, {
            "data": [
                self.replaced.get(n)
                or {"id": n, "name": f"song {n}", "by": {"name": "x"}, "price": 1.10}
                | self.extra
                | self.changed.get(n, {})
                for n in numbers
            ]
        }


@contextmanager
def items_api(**given: object) -> Iterator[ItemsApi]:
    """A running API while the block runs."""
    api = ItemsApi(**given)  # type: ignore[arg-type]

    class Handler(Http11Handler):
        def do_GET(self) -> None:
            status, body = api.answer(self.path, self.headers.get("Authorization", ""))
            raw = json.dumps(body, ensure_ascii=False).encode()
            headers = api.headers
            if "ETag" in headers:
                headers = headers | {"ETag": api.etag or f'"{hashlib.sha256(raw).hexdigest()}"'}
            if status == 200 and api.is_unchanged(self.path, self.headers, headers.get("ETag", "")):
                status, raw = 304, b""
            else:
                headers = headers | api.link(self.path)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            other_type = api.headers.get("X-304-Content-Type", "") if status == 304 else ""
            self.send_header("Content-Type", other_type or "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            piece = max(1, len(raw) // 40) if api.pause_seconds else len(raw)
            # A run that is stopped hangs up.
            with contextlib.suppress(ConnectionError):
                for start in range(0, len(raw), piece):
                    self.wfile.write(raw[start : start + piece])
                    time.sleep(api.pause_seconds)

    with http_thread(Handler) as url:
        api.url = f"{url}/items"
        try:
            yield api
        finally:
            if api.hold is not None:
                api.hold.set()
