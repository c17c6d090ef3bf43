"""An API on loopback, in a thread, that answers each request by a function of the test's own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlparse

from tests.support.http_thread import Http11Handler, http_thread

# What is asked for -> status, body as JSON, and headers.
Answering = Callable[[dict[str, str]], tuple[int, object, Mapping[str, str]]]


@dataclass
class ListApi:
    """What the API answers, and what it was asked."""

    answer: Answering
    url: str = ""
    queries: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def list_api(answer: Answering) -> Iterator[ListApi]:
    """A running API while the block runs; its `answer` may be changed meanwhile."""
    api = ListApi(answer)

    class Handler(Http11Handler):
        def do_GET(self) -> None:
            query = dict(parse_qsl(urlparse(self.path).query))
            api.queries.append(query)
            status, body, headers = api.answer(query)
            raw = json.dumps(body).encode()
            self.send_response_only(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            # A run that is stopped hangs up.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(raw)

    with http_thread(Handler) as url:
        api.url = f"{url}/items"
        yield api
