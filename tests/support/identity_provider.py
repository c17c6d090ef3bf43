"""An OpenID provider on loopback: it publishes its keys, and signs what a test wants signed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.support.http_thread import Http11Handler, http_thread

AUDIENCE = "techaura-sync"


class Provider:
    """What the provider has; its address is its issuer too."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, RSAKey | ECKey] = {
            "first": RSAKey.generate_key(2048, {"kid": "first"}),
            "curve": ECKey.generate_key("P-256", {"kid": "curve"}),
        }
        self.asked: list[str] = []
        self.is_away = False
        self.discovery: dict[str, Any] = {}

    def token(self, kid: str = "first", alg: str = "RS256", **claims: Any) -> str:
        """A token that is good, but for what is said otherwise; None leaves a claim out."""
        now = int(time.time())
        given = {"iss": self.url, "aud": AUDIENCE, "sub": "bot-7", "iat": now, "exp": now + 600, "scope": "sync:read"}
        content = {name: value for name, value in (given | claims).items() if value is not None}
        return jwt.encode({"alg": alg, "kid": kid}, content, self.keys[kid], algorithms=[alg])

    def document(self, path: str) -> Any:
        """What stands at a path; None for nothing."""
        self.asked.append(path)
        if self.is_away:
            return None
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.discovery
        return KeySet(list(self.keys.values())).as_dict(private=False) if path == "/keys" else None


@contextmanager
def identity_provider() -> Iterator[Provider]:
    """A provider while the block runs."""
    provider = Provider()

    class Handler(Http11Handler):
        def do_GET(self) -> None:
            document = provider.document(self.path)
            raw = json.dumps(document).encode()
            self.send_response(503 if document is None else 200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    with http_thread(Handler) as url:
        provider.url = url
        yield provider
