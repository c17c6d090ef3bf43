"""A token endpoint that rotates refresh tokens, and an API that takes its newest access token only; in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.support.http_thread import Http11Handler, http_thread


@dataclass
class OAuthApi:
    """What it was asked, and what it takes now."""

    refresh: str = "refresh-canary-0"
    access: str = ""
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    url: str = ""

    def token(self, form: dict[str, list[str]]) -> tuple[int, object]:
        """Answer of the token endpoint."""
        self.forms.append(form)
        if form.get("refresh_token") != [self.refresh]:
            return 400, {"error": "invalid_grant"}
        self.refresh, self.access = f"refresh-canary-{len(self.forms)}", f"access-canary-{len(self.forms)}"
        return 200, {
            "access_token": self.access,
            "token_type": "Bearer",
            "refresh_token": self.refresh,
            "expires_in": 3600,
        }

    def revoke(self) -> None:
        """Take the access token no longer, whatever is left of its life."""
        self.access = ""

    def items(self, authorization: str) -> tuple[int, object]:
        """Answer of the API."""
        if authorization != f"Bearer {self.access}":
            return 401, {"error": authorization}
        return 200, [{"id": 1, "title": "song"}]


@contextmanager
def oauth_api() -> Iterator[OAuthApi]:
    """A running endpoint and API while the block runs."""
    api = OAuthApi()

    class Handler(Http11Handler):
        def do_GET(self) -> None:
            self._answer(*api.items(self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*api.token(parse_qs(body.decode())))

        def _answer(self, status: int, body: object) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    with http_thread(Handler) as url:
        api.url = url
        yield api
