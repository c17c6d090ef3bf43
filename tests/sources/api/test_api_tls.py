"""TLS with an authority of the tests' own, on real servers; HTTP/2 where the server offers it."""

from __future__ import annotations

import pytest

from tests.support.http2_server import Http2Server, http2_server
from tests.support.tls import TestAuthority

ITEMS = [{"id": 1, "title": "Song"}]


@pytest.fixture
def authority(tmp_path):
    return TestAuthority(tmp_path)


async def test_a_server_of_a_configured_authority_is_read(serve, api, read, authority):
    url = await serve(api(lambda request: ITEMS), **authority.certificate("127.0.0.1"))
    outcome = await read(url, http_ca_file=str(authority.file))
    assert outcome.error is None
    assert outcome.ids == ["1"]


@pytest.mark.parametrize(
    ("hosts", "days", "knows", "words"),
    [
        (["127.0.0.1"], 1, False, "certificate"),
        (["songs.example"], 1, True, "certificate"),
        (["10.0.0.1", "localhost"], 1, True, "certificate"),
        (["127.0.0.1"], -1, True, "expired"),
    ],
    ids=["unknown authority", "another name", "another address", "expired"],
)
async def test_a_server_that_cannot_prove_who_it_is_gets_no_request(
    serve, api, read, authority, hosts, days, knows, words
):
    app = api(lambda request: ITEMS)
    url = await serve(app, **authority.certificate(*hosts, days=days))
    settings = {"http_ca_file": str(authority.file)} if knows else {}
    outcome = await read(url, {"auth": {"type": "bearer", "token": "t"}}, **settings)
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.category) == ("SOURCE_REFUSED", "network")
    assert words in outcome.error.message
    assert app.requests == []


async def test_the_name_and_not_the_address_is_proved_though_the_address_is_pinned(
    serve, api, read, authority, monkeypatch
):
    url = await serve(api(lambda request: ITEMS), **authority.certificate("localhost"))
    outcome = await read(url.replace("127.0.0.1", "localhost"), http_ca_file=str(authority.file))
    assert outcome.ids == ["1"]


async def test_an_authority_that_is_added_to_the_file_is_known_from_the_next_run_on(
    serve, api, read, authority, tmp_path
):
    (tmp_path / "other").mkdir()
    known = tmp_path / "known.pem"
    known.write_text(TestAuthority(tmp_path / "other").file.read_text())
    url = await serve(api(lambda request: ITEMS), **authority.certificate("127.0.0.1"))
    before = await read(url, http_ca_file=str(known))
    known.write_text(authority.file.read_text())
    after = await read(url, http_ca_file=str(known))
    assert before.error is not None
    assert before.error.reason == "SOURCE_REFUSED"
    assert after.ids == ["1"]


async def test_plain_http_is_not_taken_for_https(serve, api, read, authority):
    url = await serve(api(lambda request: ITEMS))
    outcome = await read(url.replace("http:", "https:"), http_retry_attempts_max=1)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_UNAVAILABLE"


async def test_the_variables_of_the_environment_for_certificates_change_nothing(
    serve, api, read, authority, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    url = await serve(api(lambda request: ITEMS), **authority.certificate("127.0.0.1"))
    outcome = await read(url)
    assert outcome.error is not None


async def test_an_authority_file_that_cannot_be_read_is_named(read, tmp_path):
    outcome = None
    with pytest.raises(Exception, match="TECHAURA_SYNC_HTTP_CA_FILE"):
        outcome = await read("https://127.0.0.1:1/", http_ca_file=str(tmp_path / "none.pem"))
    assert outcome is None


async def test_http_2_is_spoken_where_the_server_offers_it(read, authority):
    server = Http2Server(headers=[("content-type", "application/json")])
    async with http2_server(server, **authority.certificate("127.0.0.1")):
        outcome = await read(
            server.url,
            {"headers": {"X-Key": "k"}, "auth": {"type": "bearer", "token": "t"}},
            http_ca_file=str(authority.file),
        )
    assert outcome.error is None
    assert outcome.ids == ["1"]
    asked = server.asked[0]
    assert (asked[":path"], asked["authorization"], asked["x-key"]) == ("/songs", "Bearer t", "k")


async def test_pages_over_http_2_share_one_connection(read, authority):
    server = Http2Server(body=b'{"data": [{"id": 1}], "has_more": true}')
    async with http2_server(server, **authority.certificate("127.0.0.1")):
        await read(
            server.url,
            {"pagination": {"enabled": True, "type": "page", "maxPages": 3}},
            http_ca_file=str(authority.file),
        )
    assert server.connections == 1


async def test_headers_over_the_limit_are_refused_over_http_2(read, authority):
    server = Http2Server(headers=[(f"x-{number}", "a" * 100) for number in range(40)])
    async with http2_server(server, **authority.certificate("127.0.0.1")):
        outcome = await read(server.url, http_ca_file=str(authority.file), http_header_bytes_max=2048)
    assert outcome.error is not None
    assert "HTTP_HEADER_BYTES_MAX" in outcome.error.message
