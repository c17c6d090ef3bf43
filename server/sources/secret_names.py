"""Which names of fields and parameters mean a secret, so that none is taken where it would be stored in clear."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = frozenset(
    [
        "accesstoken",
        "authtoken",
        "token",
        "apitoken",
        "apikey",
        "appkey",
        "subscriptionkey",
        "password",
        "passwd",
        "pwd",
        "secret",
        "clientsecret",
        "signature",
        "sig",
        "auth",
        "authorization",
        "session",
        "sessionid",
        "sessiontoken",
        "privatekey",
        "credential",
        "credentials",
        "jwt",
        "bearer",
        "pass",
        "passphrase",
        "accesskey",
        "secretkey",
        "authcode",
        "apikeyvalue",
    ]
)
_ENDINGS: Final = (
    "secret",
    "password",
    "passphrase",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "token",
    "signature",
    "credential",
)
# What names a page, or a place in a list of changes, is no secret.
_PLACES: Final = (
    "after", "batch", "before", "change", "continuation", "continue", "cursor", "delta", "list", "next", "offset", "page", "paging",
    "position", "query", "resume", "scroll", "skip", "start", "sync", "watermark",
)  # fmt: skip
_PLACE_TOKENS: Final = tuple(f"{place}token" for place in _PLACES)
# These name a secret in some APIs and a plain field in others; a long value tells them apart.
_AMBIGUOUS_CHARS_MIN: Final = {"key": 16, "code": 32}


def means_secret(name: str, value: object) -> bool:
    """Whether a field with that name and value holds a secret; one without a value holds none."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        return False
    if plain.endswith(_PLACE_TOKENS):
        return False
    if plain in _NAMES or plain.endswith(_ENDINGS):
        return True
    return plain in _AMBIGUOUS_CHARS_MIN and len(str(value)) >= _AMBIGUOUS_CHARS_MIN[plain]


def is_surely_secret(name: str) -> bool:
    """Whether a name means a secret and nothing else, as `api_key` does, and `session` or `pass` may not."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return not plain.endswith(_PLACE_TOKENS) and plain.endswith((*_ENDINGS, "authorization", "jwt"))
