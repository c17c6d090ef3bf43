"""The HTTP client against real servers: credentials, faults, redirects, limits; and no secret in any text."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

ITEMS = [{"id": 1, "title": "Song"}]
CANARY = "canary-7f3a"


def wide_frame() -> bytes:
    """A zstd frame that asks its reader for 128 MiB of memory."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(b"[]") + packer.flush()


def headers_of(app: Any) -> dict[str, str]:
    return dict(app.requests[0].headers)


async def test_a_bearer_token_is_sent(serve, api, read):
    app: Any = api(lambda request: ITEMS)
    await read(await serve(app), {"auth": {"type": "bearer", "token": "t-1"}})
    assert headers_of(app)["authorization"] == "Bearer t-1"


async def test_a_secret_of_the_environment_is_sent(serve, api, read):
    app: Any = api(lambda request: ITEMS)
    await read(await serve(app), {"auth": {"type": "bearer", "token": {"env": "SOURCE_TOKEN"}}})
    assert headers_of(app)["authorization"] == "Bearer token-of-the-environment"


async def test_basic_credentials_are_sent_as_utf_8(serve, api, read):
    app: Any = api(lambda request: ITEMS)
    await read(await serve(app), {"auth": {"type": "basic", "username": "josé", "password": "contraseña:1"}})
    assert base64.b64decode(headers_of(app)["authorization"].removeprefix("Basic ")).decode() == "josé:contraseña:1"


@pytest.mark.parametrize(("username", "password"), [("key", ""), ("", "token"), ({"env": "SOURCE_TOKEN"}, "x")])
async def test_basic_credentials_may_lack_one_half_or_come_from_the_environment(serve, api, read, username, password):
    app: Any = api(lambda request: ITEMS)
    await read(await serve(app), {"auth": {"type": "basic", "username": username, "password": password}})
    sent = base64.b64decode(headers_of(app)["authorization"].removeprefix("Basic ")).decode()
    assert sent == f"{username if isinstance(username, str) else 'token-of-the-environment'}:{password}"


async def test_cookies_are_not_kept(serve, api, read):
    app: Any = api(
        lambda request: JSONResponse(
            {"data": ITEMS, "has_more": len(app.requests) < 2}, headers={"Set-Cookie": "session=1; Path=/"}
        )
    )
    await read(await serve(app), {"pagination": {"enabled": True, "type": "cursor"}})
    assert all("cookie" not in request.headers for request in app.requests)


async def test_headers_over_the_limit_are_refused(serve, api, read):
    app: Any = api(lambda request: JSONResponse(ITEMS, headers={"X-Large": "a" * 4000}))
    outcome = await read(await serve(app), http_header_bytes_max=2048)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_MALFORMED"
    assert "HTTP_HEADER_BYTES_MAX" in outcome.error.message


async def test_a_source_that_goes_silent_is_given_up_before_the_whole_time_is_over(serve, api, read):
    async def half() -> Any:
        yield b"["
        await asyncio.Event().wait()

    app: Any = api(lambda request: StreamingResponse(half()))
    outcome = await read(await serve(app), http_read_timeout_seconds=0.1, http_retry_attempts_max=1)
    assert outcome.error is not None
    assert "0.1 seconds" in outcome.error.message


async def test_an_api_key_is_sent_in_its_header_in_place_of_a_header_of_that_name(serve, api, read):
    app: Any = api(lambda request: ITEMS)
    options = {
        "headers": {"x-api-key": "old", "Accept-Language": "es"},
        "auth": {"type": "apikey", "apiKeyHeader": "X-Api-Key", "apiKeyValue": "k-1"},
    }
    await read(await serve(app), options)
    assert headers_of(app)["x-api-key"] == "k-1"
    assert headers_of(app)["accept-language"] == "es"


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_an_authentication_error_that_names_where_they_come_from(
    serve, api, read, status
):
    app: Any = api(lambda request: Response(status_code=status))
    outcome = await read(await serve(app), {"auth": {"type": "bearer", "token": {"env": "SOURCE_TOKEN"}}})
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.category) == ("AUTHENTICATION_FAILED", "authentication")
    assert not outcome.error.retryable
    assert "SOURCE_TOKEN" in outcome.error.message
    assert len(app.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 410, 422])
async def test_other_4xx_are_refusals_that_are_not_tried_again(serve, api, read, status):
    app: Any = api(lambda request: Response(status_code=status))
    outcome = await read(await serve(app))
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable) == ("SOURCE_REFUSED", False)
    assert str(status) in outcome.error.message
    assert len(app.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_passing_faults_are_tried_again(serve, api, read, status):
    app: Any = api(lambda request: Response(status_code=status) if len(app.requests) < 3 else ITEMS)
    outcome = await read(await serve(app))
    assert outcome.error is None
    assert outcome.ids == ["1"]
    assert len(app.requests) == 3


async def test_waits_between_tries_grow_and_are_jittered(serve, api, read, clock):
    app: Any = api(lambda request: Response(status_code=500))
    await read(await serve(app), http_retry_attempts_max=5, http_retry_wait_seconds_max=1.5)
    assert clock.waits == [0.25, 0.5, 0.75, 0.75]


async def test_retry_after_in_seconds_is_obeyed(serve, api, read, clock):
    app: Any = api(
        lambda request: Response(status_code=429, headers={"Retry-After": "7"}) if len(app.requests) < 2 else ITEMS
    )
    outcome = await read(await serve(app))
    assert outcome.error is None
    assert clock.waits == [pytest.approx(7.35)]


async def test_retry_after_as_a_date_is_obeyed(serve, api, read, clock):
    headers = {"Retry-After": "Tue, 01 Jan 2030 00:00:20 GMT"}
    app: Any = api(lambda request: Response(status_code=503, headers=headers) if len(app.requests) < 2 else ITEMS)
    outcome = await read(await serve(app))
    assert outcome.error is None
    assert clock.waits == [pytest.approx(21.0)]


async def test_a_retry_after_beyond_the_longest_wait_gives_the_run_back_at_once(serve, api, read, clock):
    app: Any = api(lambda request: Response(status_code=429, headers={"Retry-After": "3600"}))
    outcome = await read(await serve(app))
    assert outcome.error is not None
    assert outcome.error.retryable
    assert outcome.error.retry_after_seconds == pytest.approx(3600, rel=0.1)
    assert clock.waits == []
    assert len(app.requests) == 1


async def test_tries_end_when_the_time_for_them_is_over(serve, api, read, clock):
    app: Any = api(lambda request: Response(status_code=500))
    await read(
        await serve(app),
        http_retry_attempts_max=100,
        http_retry_wait_seconds_max=4,
        http_retry_elapsed_seconds_max=10,
    )
    assert clock.elapsed_seconds <= 10
    assert len(app.requests) < 20


async def test_a_server_that_is_not_there_is_a_retryable_network_error(read, unused_tcp_port):
    outcome = await read(f"http://127.0.0.1:{unused_tcp_port}/songs")
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.category) == ("SOURCE_UNAVAILABLE", "network")
    assert "4 tries" in outcome.error.message


async def test_a_stalled_answer_ends_within_its_deadline(serve, api, read):
    async def drip() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    app: Any = api(lambda request: StreamingResponse(drip()))
    outcome = await read(await serve(app), http_timeout_seconds=0.2, http_retry_attempts_max=1)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_UNAVAILABLE"
    assert "0.2 seconds" in outcome.error.message


async def raw_server(answer: bytes) -> tuple[asyncio.Server, str]:
    """A server that sends fixed bytes to each connection and closes it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{}, ",
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 300_000 + b"\r\n\r\n",
    ],
    ids=["short body", "short chunk", "nothing", "other protocol", "huge header"],
)
async def test_broken_answers_are_retryable(read, answer):
    server, url = await raw_server(answer)
    async with server:
        outcome = await read(url, http_retry_attempts_max=2)
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.retryable) == ("SOURCE_UNAVAILABLE", True)


async def test_redirects_within_the_origin_are_followed(serve, api, read):
    app: Any = api(lambda request: ITEMS if request.url.path == "/new" else RedirectResponse("/new", 301))
    outcome = await read(await serve(app), {"auth": {"type": "bearer", "token": "t"}})
    assert outcome.ids == ["1"]
    assert app.requests[1].headers["authorization"] == "Bearer t"


async def test_a_redirect_elsewhere_is_refused_and_nothing_is_sent_there(serve, api, read):
    other = api(lambda request: ITEMS)
    other_url = await serve(other)
    app: Any = api(lambda request: RedirectResponse(f"{other_url}/steal?x={CANARY}", 302))
    outcome = await read(await serve(app), {"auth": {"type": "bearer", "token": "t"}})
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_REFUSED"
    assert CANARY not in outcome.error.message
    assert other.requests == []


@pytest.mark.parametrize(
    "location",
    [
        "http:127.0.0.1:1/",
        "http://[::1",
        "http://host:99999999/",
        "http://a:b/",
        "\\\\\\\\host",
        "",
        "http://\\x00/",
        "//",
    ],
)
async def test_a_redirect_to_what_is_no_url_is_refused(serve, api, read, location):
    app: Any = api(lambda request: Response(status_code=302, headers={"Location": location}))
    outcome = await read(await serve(app), http_retry_attempts_max=1)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_REFUSED"


async def test_endless_redirects_are_refused(serve, api, read):
    app: Any = api(lambda request: RedirectResponse("/again"))
    outcome = await read(await serve(app))
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_REFUSED"
    assert len(app.requests) == 6


@pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", "raw deflate", "two gzip members", "identity", "br", "zstd", "two zstd frames"]
)
async def test_compressed_answers_are_read(serve, api, read, encoding):
    body = json.dumps(ITEMS * 500).encode()
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "raw deflate": raw.compress(body) + raw.flush(),
        "two gzip members": gzip.compress(body[:100]) + gzip.compress(body[100:]),
        "identity": body,
        "br": brotli.compress(body),
        "zstd": zstandard.compress(body),
        "two zstd frames": zstandard.compress(body[:100]) + zstandard.compress(body[100:]),
    }[encoding]
    name = {"raw deflate": "deflate", "two gzip members": "gzip", "two zstd frames": "zstd"}.get(encoding, encoding)
    app: Any = api(lambda request: Response(packed, headers={"Content-Encoding": name}))
    outcome = await read(await serve(app))
    assert outcome.error is None
    assert len(outcome.ids) == 500


def spaces(size_bytes: int = 64 * 1024 * 1024) -> bytes:
    return b"[" + b" " * size_bytes + b"]"


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (lambda: gzip.compress(spaces()), "gzip"),
        (lambda: gzip.compress(gzip.compress(spaces())), "gzip, gzip"),
        (lambda: gzip.compress(b"[1]")[:-4] + b"\0\0\0\0", "gzip"),
        (lambda: b"not gzip at all", "gzip"),
        (lambda: b"[]", "br-of-some-kind"),
        (lambda: brotli.compress(spaces(), quality=5), "br"),
        (lambda: zstandard.compress(spaces()), "zstd"),
        (wide_frame, "zstd"),
        (lambda: b"not packed", "br"),
        (lambda: b"not packed", "zstd"),
        (lambda: brotli.compress(b"[]") + b"more", "br"),
    ],
    ids=[
        "bomb",
        "nested bomb",
        "bad length",
        "not packed",
        "unknown",
        "br bomb",
        "zstd bomb",
        "zstd window",
        "no br",
        "no zstd",
        "more behind br",
    ],
)
async def test_bad_compression_is_refused(serve, api, read, packed, encoding):
    body = packed()
    app: Any = api(lambda request: Response(body, headers={"Content-Encoding": encoding}))
    outcome = await read(await serve(app))
    assert outcome.error is not None
    assert (outcome.error.reason, outcome.error.category) == ("SOURCE_MALFORMED", "parsing")


@pytest.mark.parametrize(
    ("compress", "name"), [(gzip.compress, "gzip"), (brotli.compress, "br"), (zstandard.compress, "zstd")]
)
async def test_compressed_data_that_ends_early_is_retryable(serve, api, read, compress, name):
    packed = compress(json.dumps(ITEMS * 100).encode())[:-12]
    app: Any = api(lambda request: Response(packed, headers={"Content-Encoding": name}))
    outcome = await read(await serve(app), http_retry_attempts_max=2)
    assert outcome.error is not None
    assert outcome.error.retryable


@pytest.mark.parametrize("declared", [True, False])
async def test_a_page_over_the_size_limit_is_refused(serve, api, read, declared):
    body = json.dumps(ITEMS * 1000).encode()

    async def pieces() -> Any:
        yield body

    app: Any = api(lambda request: Response(body) if declared else StreamingResponse(pieces()))
    outcome = await read(await serve(app), http_page_bytes_max=4096)
    assert outcome.error is not None
    assert outcome.error.reason == "SOURCE_MALFORMED"
    assert "HTTP_PAGE_BYTES_MAX" in outcome.error.message


async def test_proxies_of_the_environment_are_not_used(serve, api, read, monkeypatch, unused_tcp_port):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    outcome = await read(await serve(api(lambda request: ITEMS)))
    assert outcome.ids == ["1"]


SECRET_OPTIONS: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"type": "bearer", "token": CANARY}},
    "basic": {"auth": {"type": "basic", "username": "u", "password": CANARY}},
    "apikey": {"auth": {"type": "apikey", "apiKeyHeader": "X-Key", "apiKeyValue": CANARY}},
    "header": {"headers": {"X-Custom": CANARY}},
}
ANSWERS: dict[str, Any] = {
    "401": lambda request: Response(f"bad token {CANARY}", status_code=401),
    "404": lambda request: Response(CANARY, status_code=404),
    "500": lambda request: Response(CANARY, status_code=500),
    "not json": lambda request: Response(CANARY),
    "no array": lambda request: JSONResponse({CANARY: CANARY}),
    "redirect": lambda request: RedirectResponse(f"http://{CANARY}.example/?q={CANARY}"),
    "bad cursor": lambda request: JSONResponse({"data": [], "cursor": {"token": CANARY}}),
}


@pytest.mark.parametrize("options", SECRET_OPTIONS)
@pytest.mark.parametrize("answer", [name for name in ANSWERS if name != "redirect"])
async def test_no_failure_shows_a_secret_that_the_source_says_back(serve, api, read, caplog, options, answer):
    caplog.set_level(logging.DEBUG)
    url = await serve(api(ANSWERS[answer]))
    chosen = SECRET_OPTIONS[options] | {"pagination": {"enabled": True, "type": "cursor"}}
    outcome = await read(url + f"/songs?filter={CANARY}", chosen, http_retry_attempts_max=2)
    assert outcome.error is not None
    assert CANARY not in outcome.error.message
    assert CANARY not in repr(outcome.error)
    encoded = base64.b64encode(f"u:{CANARY}".encode()).decode()
    assert CANARY not in caplog.text and encoded not in caplog.text
