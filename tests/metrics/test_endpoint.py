"""The port of metrics: what it answers, to whom, and how little a caller can hold up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.callers import AllowedHosts
from server.core.config import Settings
from server.metrics.endpoint import MetricsEndpoint, metrics_listening

DEADLINE_SECONDS = 30
PAGE = b"techaura_sync_ready 1.0\n"
LONG = 50_000_000


async def page(_accept: str) -> tuple[bytes, str]:
    return PAGE, "text/plain"


@asynccontextmanager
async def listening(answer: Callable[[str], object] = page, allowed: str = "", **limits: object) -> AsyncIterator[int]:
    settings = Settings(metrics_port=0, **limits)  # type: ignore[arg-type] # what the settings take
    hosts = AllowedHosts(settings.metrics_host, allowed)
    endpoint = MetricsEndpoint(settings, answer, hosts.allows)  # type: ignore[arg-type] # a page of the test
    async with metrics_listening(settings, endpoint) as port:
        yield port


async def asked(port: int, raw: bytes) -> tuple[int, bytes]:
    """Status and body of a request; status 0 when the connection ends without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            writer.write(raw)
            try:
                whole = await reader.read()
            except ConnectionError:
                return 0, b""
    finally:
        writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    return (int(head.split()[1]), body) if head else (0, b"")


def request(method: str = "GET", path: str = "/metrics", host: str = "localhost:1", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


async def test_a_scrape_gets_the_page_and_a_head_its_head_alone() -> None:
    async with listening() as port:
        assert await asked(port, request()) == (200, PAGE)
        assert await asked(port, request(path="/metrics?name[]=up")) == (200, PAGE)
        assert await asked(port, request("HEAD")) == (200, b"")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request(path="/"), 404),
        (request(path="/metrics/"), 404),
        (request("POST", more="Content-Length: 2\r\n"), 405),
        (request("DELETE"), 405),
        (request(host="evil.example"), 421),
        (request(host="169.254.169.254"), 421),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (request(more=f"X-Long: {'x' * 20_000}\r\n"), 431),
    ],
)
async def test_anything_else_is_refused(raw: bytes, status: int) -> None:
    async with listening() as port:
        assert (await asked(port, raw))[0] == status
        assert await asked(port, request()) == (200, PAGE)


async def test_hosts_that_the_setting_names_may_be_named() -> None:
    async with listening(allowed="server,*.inside.example") as port:
        for host in ("server:9464", "a.inside.example", "[::1]:9464", "127.0.0.1"):
            assert (await asked(port, request(host=host)))[0] == 200
        assert (await asked(port, request(host="inside.example.evil")))[0] == 421


async def test_who_sends_no_whole_head_is_cut_off() -> None:
    async with listening(metrics_timeout_seconds=0.2) as port:
        assert await asked(port, b"GET /metrics HTTP/1.1\r\nHost: loc") == (0, b"")
        assert await asked(port, b"") == (0, b"")
        assert await asked(port, request()) == (200, PAGE)


async def test_a_page_that_takes_too_long_is_not_waited_for() -> None:
    begun = asyncio.Event()

    async def never(_accept: str) -> tuple[bytes, str]:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async with listening(never, metrics_timeout_seconds=0.2) as port:
        assert await asked(port, request()) == (0, b"")
        assert begun.is_set()


async def test_who_reads_nothing_is_cut_off_and_gives_its_place_back() -> None:
    pages = iter([b"x" * LONG])

    async def first_long(_accept: str) -> tuple[bytes, str]:
        return next(pages, PAGE), "text/plain"

    async with listening(first_long, metrics_timeout_seconds=0.3, metrics_connections_max=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(request())
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await asked(port, request()) != (200, PAGE):
                pass
            received = 0
            with suppress(ConnectionError):
                while chunk := await reader.read(65_536):
                    received += len(chunk)
        writer.close()
        assert 0 < received < LONG


async def test_one_more_connection_than_there_may_be_is_cut_off_and_a_free_place_is_given_again() -> None:
    waiting, may_go = asyncio.Semaphore(0), asyncio.Event()

    async def held(_accept: str) -> tuple[bytes, str]:
        waiting.release()
        await may_go.wait()
        return PAGE, "text/plain"

    async with listening(held, metrics_connections_max=2) as port:
        first = [asyncio.create_task(asked(port, request())) for _ in range(2)]
        for _ in first:
            await waiting.acquire()
        assert await asked(port, request()) == (0, b"")
        may_go.set()
        assert await asyncio.gather(*first) == [(200, PAGE)] * 2
        assert await asked(port, request()) == (200, PAGE)


async def test_a_fault_of_a_page_ends_its_connection_alone() -> None:
    faults = iter([ValueError("a fault")])

    async def faulty(_accept: str) -> tuple[bytes, str]:
        for fault in faults:
            raise fault
        return PAGE, "text/plain"

    async with listening(faulty) as port:
        assert await asked(port, request()) == (0, b"")
        assert await asked(port, request()) == (200, PAGE)


async def test_the_end_does_not_wait_for_whoever_is_connected() -> None:
    async with listening(metrics_timeout_seconds=600) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asked(port, request()) == (200, PAGE)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await reader.read() == b""
    writer.close()
