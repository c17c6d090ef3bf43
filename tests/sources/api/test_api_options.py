"""Option documents and URLs of the API source: what is accepted, and the reason for what is not."""

from __future__ import annotations

from typing import Any

import pytest

from server.core.errors import InvalidRequestError
from server.core.secret_box import SecretBox, SecretValue
from server.sources.api.options import SECRET_PLACES, BearerAuth, parse_options
from server.sources.api.reader import check_api
from server.sources.api.urls import parameter, redacted, with_parameters

CANARY = "canary-51c0"


def refusal(document: dict[str, Any], **how: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parse_options(document, **how)
    return caught.value


def test_the_contracts_defaults():
    options = parse_options({})
    assert (options.method, options.content_type, options.data_path, options.auth) == ("GET", "music", None, None)
    pagination = parse_options({"pagination": {"enabled": True}}).pagination
    assert pagination.type == "page"
    assert (pagination.limit_param, pagination.offset_param) == ("limit", "offset")
    assert (pagination.page_param, pagination.cursor_param) == ("page", "cursor")
    assert pagination.max_pages is None


def test_the_contracts_whole_document_is_accepted():
    options = parse_options(
        {
            "method": "POST",
            "headers": {"X-Tenant": "t"},
            "auth": {"type": "bearer", "token": "x"},
            "dataPath": "result.items",
            "contentType": "video",
            "fieldMapping": {"title": "name", "artist": "artist.name"},
            "pagination": {
                "enabled": True,
                "type": "cursor",
                "limitParam": "n",
                "offsetParam": "o",
                "pageParam": "p",
                "cursorParam": "c",
                "maxPages": 7,
            },
        }
    )
    assert isinstance(options.auth, BearerAuth)
    assert options.auth.token == SecretValue("inline", "x")
    assert options.pagination.max_pages == 7


def test_null_counts_as_absent():
    assert parse_options({"auth": None, "headers": None, "pagination": {"enabled": False, "maxPages": None}})


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"verb": "GET"}, "options.verb"),
        ({"method": "DELETE"}, "options.method"),
        ({"method": 5}, "options.method"),
        ({"headers": []}, "options.headers"),
        ({"headers": {"X": 5}}, "options.headers.X"),
        ({"headers": {"X Y": "v"}}, "options.headers.X Y"),
        ({"headers": {"Host": "inside"}}, "options.headers.Host"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "options.headers.Transfer-Encoding"),
        ({"headers": {"X": "a\r\nHost: b"}}, "options.headers.X"),
        ({"headers": {"X": "a", "x": "b"}}, "options"),
        ({"auth": {"type": "digest"}}, "options.auth"),
        ({"auth": {"token": "x"}}, "options.auth"),
        ({"auth": "x"}, "options.auth"),
        ({"auth": {"type": "bearer"}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": ""}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": 5}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": {"env": "TECHAURA_SYNC_SECRET_KEY"}}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": {"env": "source_x"}}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": {"env": "SOURCE_X", "file": "x"}}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": {"file": "../etc/passwd"}}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": {"file": ".."}}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": {"encrypted": CANARY}}}, "options.auth.token"),
        ({"auth": {"type": "bearer", "token": "x", "password": CANARY}}, "options.auth.password"),
        ({"auth": {"type": "basic", "username": "a:b", "password": "x"}}, "options.auth.username"),
        ({"auth": {"type": "basic", "username": "a"}}, "options.auth.password"),
        ({"auth": {"type": "apikey", "apiKeyValue": "x"}}, "options.auth"),
        ({"auth": {"type": "apikey", "apiKeyHeader": "X", "apiKeyParam": "x", "apiKeyValue": "x"}}, "options.auth"),
        ({"body": {}}, "options"),
        ({"pagination": {"enabled": True, "paramsIn": "body"}}, "options"),
        ({"pagination": {"enabled": True, "pageSize": 0}}, "options.pagination.pageSize"),
        ({"auth": {"type": "apikey", "apiKeyHeader": "Host", "apiKeyValue": "x"}}, "options.auth.apiKeyHeader"),
        ({"dataPath": ""}, "options.dataPath"),
        ({"dataPath": "a..b"}, "options.dataPath"),
        ({"contentType": "song"}, "options.contentType"),
        ({"fieldMapping": {"title": 5}}, "options.fieldMapping.title"),
        ({"fieldMapping": {"title": ""}}, "options.fieldMapping.title"),
        ({"fieldMapping": {"id": "x"}}, "options.fieldMapping.id"),
        ({"pagination": {"enabled": "yes"}}, "options.pagination.enabled"),
        ({"pagination": {"enabled": True, "type": "link2"}}, "options.pagination.type"),
        ({"pagination": {"enabled": True, "maxPages": 0}}, "options.pagination.maxPages"),
        ({"pagination": {"enabled": True, "maxPages": "5"}}, "options.pagination.maxPages"),
        ({"pagination": {"enabled": True, "pageParam": ""}}, "options.pagination.pageParam"),
        ({"pagination": {"enabled": True, "page_param": "p"}}, "options.pagination.page_param"),
    ],
)
def test_a_wrong_option_is_named(document, field):
    error = refusal(document)
    assert error.field == field
    assert error.reason == ("INVALID_MAPPING" if field == "options.fieldMapping.id" else "INVALID_OPTION")
    assert field.split(".")[1] in error.message if "." in field else error.message.startswith("options")
    assert CANARY not in error.message


@pytest.mark.parametrize(
    "document",
    [
        {"method": CANARY},
        {"headers": {"X": f"{CANARY}\n"}},
        {"auth": {"type": CANARY, "token": "x"}},
        {"auth": {"type": "bearer", "token": [CANARY]}},
        {"auth": {"type": "bearer", "token": {"env": CANARY}}},
        {"auth": {"type": "basic", "username": f"{CANARY}:", "password": "x"}},
        {"auth": CANARY},
        {"pagination": {"enabled": CANARY}},
        {"dataPath": f"{CANARY}.."},
        {"contentType": CANARY},
    ],
)
def test_no_refusal_shows_a_value(document):
    error = refusal(document)
    assert CANARY not in error.message
    assert error.__cause__ is None


def test_a_sealed_document_is_accepted_from_the_store_and_refused_from_a_caller():
    box = SecretBox("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    document = {"headers": {"X-Key": "h", "Accept": "text/plain"}, "auth": {"type": "bearer", "token": "t"}}
    sealed = box.seal(document, SECRET_PLACES)
    assert sealed["headers"]["Accept"] == "text/plain"
    options = parse_options(sealed)
    assert box.reveal(options.headers["X-Key"], "https://a.example/", {}) == "h"
    assert isinstance(options.auth, BearerAuth)
    assert box.reveal(options.auth.token, "https://a.example/", {}) == "t"
    assert refusal(sealed, from_caller=True).field in ("options.headers.X-Key", "options.auth.token")


def test_the_repr_of_options_shows_no_secret():
    options = parse_options({"headers": {"X": CANARY}, "auth": {"type": "bearer", "token": CANARY}})
    assert CANARY not in repr(options)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/songs",
        "http://api.example.com:8080/songs?genre=rock&page_token=5&sort=key",
        "https://api.example.com/songs?key=artist",
        "https://[2606:4700::1111]/songs",
        "https://canción.example/ñ",
    ],
)
async def test_urls_that_are_accepted(url, context):
    await check_api(url, parse_options({}), context(allow_private_addresses=False))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "http://"),
        ("api.example.com/songs", "http://"),
        ("ftp://api.example.com/songs", "http://"),
        ("file:///etc/passwd", "http://"),
        ("https:///songs", "http://"),
        ("https://", "http://"),
        ("https://user:pass@api.example.com/", "options.auth"),
        ("https://user@api.example.com/", "options.auth"),
        ("https://api.example.com/#x", "fragment"),
        ("https://api.example.com/a b", "spaces"),
        ("https://api.example.com/\r\nHost: x", "spaces"),
        ("https://api.example.com\\@inside/", "backslashes"),
        ("https://api.example.com:0/", "port"),
        ("https://api.example.com:99999/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://api.example.com/" + "a" * 255, "255"),
        ("https://api.example.com/?api_key=abc", "'api_key'"),
        ("https://api.example.com/?a=1&access%5Ftoken=abc", "options.auth"),
        ("https://api.example.com/?X-Amz-Signature=abc", "options.auth"),
        ("https://api.example.com/?key=AIzaSyA1234567890abcdef", "'key'"),
    ],
)
async def test_urls_that_are_refused(url, words, context):
    with pytest.raises(InvalidRequestError) as caught:
        await check_api(url, parse_options({}), context())
    assert words in caught.value.message
    assert caught.value.field == "sourceIdentifier"


def test_what_is_shown_of_a_url_has_no_query_and_no_user():
    assert redacted("https://u:p@api.example.com:8443/a/b?x=secret") == "https://api.example.com:8443/a/b"
    assert redacted("https://api.example.com?x=secret") == "https://api.example.com/"


def test_parameters_are_set_without_touching_the_others():
    url = "https://h/p?a=1%2B&page=3&flag&pa%67e=4&b=%20"
    assert with_parameters(url, {"page": "5", "c d": "é&"}) == "https://h/p?a=1%2B&flag&b=%20&page=5&c%20d=%C3%A9%26"
    assert with_parameters("https://h/p", {"page": "5"}) == "https://h/p?page=5"
    assert with_parameters(url, {}) == url
    assert parameter(url, "page") == "3"
    assert parameter(url, "none") is None
