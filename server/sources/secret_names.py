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
    ]
)
_ENDINGS: Final = ("secret", "password", "apikey", "accesstoken", "authtoken", "signature", "credential")
# `key` names a secret in some APIs and a plain field in others; a long value tells them apart.
_KEY_CHARS_MIN: Final = 16


def means_secret(name: str, value: object) -> bool:
    """Whether a field with that name and value holds a secret; one without a value holds none."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        return False
    if plain in _NAMES or plain.endswith(_ENDINGS):
        return True
    return plain == "key" and len(str(value)) >= _KEY_CHARS_MIN
