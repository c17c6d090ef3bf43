"""Whose hosts a secret is sent to that a token is asked for with: the token's address, and the source that gets the token."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet

from server.core.errors import FatalError
from server.core.secret_box import SecretBox
from server.sources.api.http.credentials import credentials
from server.sources.api.options import parse_options

CANARY = "canary-91c2"


@pytest.mark.parametrize(
    ("hosts", "source", "is_opened"),
    [
        ("id.example,api.example", "https://api.example/songs", True),
        ("id.example", "https://api.example/songs", False),
        ("api.example", "https://api.example/songs", False),
        # The token would go to whoever asks.
        ("id.example,api.example", "https://evil.example/songs", False),
    ],
)
@pytest.mark.parametrize("secret", ["clientSecret", "password", "param"])
def test_what_a_token_is_asked_for_with_names_the_host_that_gets_the_token_too(hosts, source, is_opened, secret):
    reference = {"env": "SOURCE_ID"}
    auth: dict[str, Any] = {
        "type": "oauth2",
        "tokenUrl": "https://id.example/token",
        "clientId": "c",
        "clientSecret": "s",
    }
    if secret == "password":
        auth |= {"grant": "password", "username": "u", "password": reference}
    elif secret == "param":
        auth |= {"params": {"pin": reference}}
    else:
        auth[secret] = reference
    box = SecretBox(Fernet.generate_key().decode())
    environ = {"SOURCE_ID": CANARY, "SOURCE_ID_HOSTS": hosts}
    options = parse_options({"auth": auth})
    if is_opened:
        grant = credentials(source, options, lambda secret, url: box.reveal(secret, url, environ)).grant
        assert grant is not None and CANARY in grant.secrets
    else:
        with pytest.raises(FatalError, match="SOURCE_ID may not be sent to") as caught:
            credentials(source, options, lambda secret, url: box.reveal(secret, url, environ))
        assert CANARY not in caught.value.message
