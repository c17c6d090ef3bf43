"""Which names of fields and parameters mean a secret."""

from __future__ import annotations

import pytest

from server.sources.secret_names import means_secret

LONG = "x7Kq02mZpa94Lw1Tx7Kq02mZpa94Lw1T"


@pytest.mark.parametrize(
    "name",
    [
        "token", "refresh_token", "id_token", "csrf_token", "X-CSRF-Token", "userToken", "access-token", "bearer", "pass", "passphrase",
        "apikey_value", "api_key", "APIKEY", "x_api_key", "client_secret", "secretKey", "aws_access_key", "private-key", "pwd",
        "session_id", "auth_code", "Authorization", "signature", "db_password",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["x", 4711, LONG])
def test_these_are_secrets(name: str, value: object) -> None:
    assert means_secret(name, value)


@pytest.mark.parametrize(
    "name",
    [
        "page_token", "pageToken", "nextToken", "next_page_token", "continuationToken", "sync_token", "nextSyncToken", "$skiptoken",
        "deltatoken", "scroll_token", "paging_token", "offsetToken", "afterToken", "change_token", "listToken", "sid", "pin", "otp", "cursor", "title", "author", "passenger", "compass", "tokens", "keyboard", "pinned", "country_code", "monkey",
    ],
)  # fmt: skip
def test_these_are_none(name: str) -> None:
    assert not means_secret(name, LONG)


@pytest.mark.parametrize("name", ["key", "code"])
def test_of_a_name_that_may_be_either_the_value_decides(name: str) -> None:
    assert means_secret(name, LONG)
    assert not means_secret(name, "CO")
    assert not means_secret(name, "SUMMER-SALE-24")


@pytest.mark.parametrize("value", ["", None, True, [], {}])
def test_without_a_value_there_is_no_secret(value: object) -> None:
    assert not means_secret("token", value)
