"""An API on loopback, in a thread, that answers by a function and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from tests.support.http_thread import Http11Handler, http_thread


@dataclass
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Said:
    """One answer.

    Args:
        content: bytes as they are; everything else as JSON.
    """

    content: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ScriptedApi:
    """Where it is, and what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def scripted_api(answer: Callable[[Asked], Said | object]) -> Iterator[ScriptedApi]:
    """A running API while the block runs."""
    api = ScriptedApi()

    class Handler(Http11Handler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers), body)
            api.asked.append(asked)
            found = answer(asked)
            said = found if isinstance(found, Said) else Said(found)
            content = said.content if isinstance(said.content, bytes) else json.dumps(said.content).encode()
            self.send_response_only(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

    with http_thread(Handler) as url:
        api.url = url
        yield api
