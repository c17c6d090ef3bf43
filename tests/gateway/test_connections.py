"""What single connections may do: how long each phase may take, how large a head may be, how many there may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.serving import gateway_running
from tests.clients.scripted_service import Script, serving, snapshot
from tests.gateway.conftest import settings

DEADLINE_SECONDS = 30
QUICK = {
    "gateway_head_timeout_seconds": 0.3,
    "gateway_body_timeout_seconds": 0.4,
    "gateway_write_timeout_seconds": 0.5,
    "gateway_idle_timeout_seconds": 1,
}
GET = b"GET /v1/sync/stats HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/sync/trigger HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Caller:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, raw: bytes) -> None:
        """Send bytes, unless the other side is gone."""
        self.writer.write(raw)
        try:
            await self.writer.drain()
        except ConnectionError:
            return

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """One answer; status 0 when the connection ends without one."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
                lines = head.decode().lower().split("\r\n")
                lengths = [line.split(": ")[1] for line in lines if line.startswith("content-length")]
                body = await self.reader.readexactly(int(lengths[0]))
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, {}
        return int(head.split()[1]), json.loads(body)

    async def ended(self) -> None:
        """Wait until the other side has closed."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                return


@asynccontextmanager
async def gateway(script: Script, **limits: Any) -> AsyncIterator[int]:
    """A gateway with limits of its own; gives its port."""
    async with serving(script) as target, gateway_running(settings(grpc_target=target, **limits)) as port:
        yield port


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[Caller]:
    """A raw connection to the gateway."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        (b"G", "head"),
        (GET, "head"),
        (GET + b"X-A: " + b"a" * 4000, "head"),
        (GET + b"\r\n" + GET, "head"),
        (POST + b"Content-Length: 10\r\n\r\n{", "body"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", "body"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n", "body"),
    ],
)
async def test_a_request_that_does_not_go_on_is_answered_and_closed(script: Script, sent: bytes, part: str) -> None:
    async with gateway(script, **QUICK) as port, caller(port) as one:
        await one.send(sent)
        if sent.count(b"\r\n\r\n") and part == "head":
            assert (await one.answer())[0] == 200
        status, body = await one.answer()
        assert (status, body["success"], body["reason"]) == (408, False, "INVALID_REQUEST")
        assert part in body["error"]
        await one.ended()


@pytest.mark.parametrize(
    ("start", "drop"), [(GET, b"a"), (POST + b"Content-Length: 999999\r\n\r\n", b" "), (b"GET /", b"a")]
)
async def test_a_byte_now_and_then_does_not_extend_the_time(script: Script, start: bytes, drop: bytes) -> None:
    async with gateway(script, **QUICK) as port, caller(port) as one:

        async def dribble() -> None:
            await one.send(start)
            while True:
                await one.send(drop)
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        assert (await one.answer())[0] == 408
        await one.ended()
        dribbling.cancel()


async def test_a_connection_that_says_nothing_is_closed_without_a_word(script: Script) -> None:
    async with gateway(script, **QUICK) as port, caller(port) as one:
        assert await one.answer() == (0, {})


async def test_a_connection_between_two_requests_is_closed_in_time(script: Script) -> None:
    async with gateway(script, **QUICK) as port, caller(port) as one:
        await one.send(GET + b"\r\n")
        assert (await one.answer())[0] == 200
        await one.send(GET + b"\r\n")
        assert (await one.answer())[0] == 200
        assert await one.answer() == (0, {})


async def test_a_body_that_no_route_reads_does_not_hold_the_connection(script: Script) -> None:
    async with gateway(script, **QUICK) as port, caller(port) as one:
        await one.send(GET + b"Content-Length: 999999\r\n\r\n")
        assert (await one.answer())[0] == 200
        for _ in range(1000):
            await one.send(b" " * 100)
        await one.ended()


async def test_a_reader_who_takes_nothing_is_cut_off(script: Script) -> None:
    script.stats.total = 1
    big = snapshot(1, errors=())
    big.run.notices.extend(["n" * 1000] * 2000)
    script.snapshots[41] = [big]
    async with gateway(script, **QUICK) as port, caller(port) as one:
        one.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads
        for _ in range(20):
            await one.send(GET.replace(b"stats", b"41") + b"\r\n")
        one.writer.transport.set_write_buffer_limits(0)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not one.writer.transport.is_closing():
                await one.send(b"x" * 65536)
                await asyncio.sleep(0.02)


async def test_a_caller_that_hangs_up_within_a_body_leaves_no_traceback(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(script, **QUICK) as port:
        async with caller(port) as one:
            await one.send(POST + b"Content-Length: 10\r\n\r\n{")
        async with caller(port) as other:
            await other.send(GET + b"\r\n")
            assert (await other.answer())[0] == 200
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


HEADS = {
    "two lengths of a kind": (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "the other way round": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400),
    "a length that is none": (POST + b"Content-Length: +2\r\n\r\n{}", 400),
    "chunked in HTTP/1.0": (b"POST /v1/sync/resume HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "two hosts": (GET + b"Host: localhost\r\n\r\n", 400),
    "no host": (b"GET /v1/sync/stats HTTP/1.1\r\n\r\n", 400),
    "no http": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "another coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "many headers": (GET + b"".join(b"X-%d: 1\r\n" % n for n in range(2000)) + b"\r\n", 431),
    "a few headers too many": (GET + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"\r\n", 431),
    "one large header": (GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "several that are large together": (
        GET + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 900) for n in range(50)) + b"\r\n",
        431,
    ),
    "a large header without an end": (GET + b"X: " + b"a" * 300_000, 431),
    "a long target": (b"GET /v1/sync/runs?pageToken=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    "many trailers": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(2000)) + b"\r\n",
        431,
    ),
    "a large trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "a bad chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
}


@pytest.mark.parametrize("case", HEADS)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_head_over_a_limit_or_in_doubt_is_refused_and_the_connection_closed(
    script: Script, case: str, at_once: bool
) -> None:
    raw, status = HEADS[case]
    async with gateway(script) as port, caller(port) as one:
        for start in range(0, len(raw), len(raw) if at_once else 1000):
            await one.send(raw[start : start + (len(raw) if at_once else 1000)])
        answered, body = await one.answer()
        assert answered == status
        assert (body["success"], bool(body["error"]), bool(body["reason"]), bool(body["nextStep"])) == (
            False,
            True,
            True,
            True,
        )
        await one.ended()
    assert script.requests == []


async def test_a_head_within_every_limit_is_taken(script: Script) -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 250) for n in range(99))
    target = b"/v1/sync/runs?pageToken=" + b"1" * 6000
    async with gateway(script) as port, caller(port) as one:
        await one.send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
        assert (await one.answer())[0] == 200


async def test_a_refusal_of_a_head_request_has_no_body(script: Script) -> None:
    async with gateway(script) as port, caller(port) as one:
        await one.send(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 200 + b"\r\n")
        async with asyncio.timeout(DEADLINE_SECONDS):
            said = await one.reader.read()
    assert said.startswith(b"HTTP/1.1 431 ")
    assert said.endswith(b"\r\n\r\n")


async def test_a_new_connection_takes_the_place_of_the_one_that_has_waited_longest(script: Script) -> None:
    async with gateway(script, gateway_connections_max=3) as port, caller(port) as first, caller(port) as second:
        await first.send(GET + b"\r\n")
        assert (await first.answer())[0] == 200
        # The second has said nothing since it came; the first is waited for only since its answer.
        async with caller(port) as third, caller(port) as fourth:
            for one in (third, fourth, first):
                await one.send(GET + b"\r\n")
                assert (await one.answer())[0] == 200
            assert await second.answer() == (0, {})


async def test_connections_that_are_being_answered_stay_and_a_new_one_is_told(script: Script) -> None:
    script.snapshots[41] = [snapshot(2)]
    script.run_goes_on = True
    limits = {"gateway_connections_max": 2, "gateway_event_streams_max": 2}
    async with gateway(script, **limits) as port, caller(port) as stream, caller(port) as other:
        await stream.send(GET.replace(b"stats", b"41/events") + b"\r\n")
        assert b"id: 2" in await stream.reader.readuntil(b"id: 2")
        # One stream may hold half of the places, no more; the others are for requests.
        await other.send(GET.replace(b"stats", b"41/events") + b"\r\n")
        status, body = await other.answer()
        assert (status, body["reason"]) == (503, "SERVICE_UNAVAILABLE")
        assert "event streams" in body["error"]

        script.never_answers = True
        await other.send(GET + b"\r\n")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while script.requests[-1].DESCRIPTOR.name != "GetSyncStatsRequest":  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        async with caller(port) as third:
            status, body = await third.answer()
            assert (status, body["reason"]) == (503, "SERVICE_UNAVAILABLE")
            assert "TECHAURA_SYNC_GATEWAY_CONNECTIONS_MAX" in body["nextStep"]
            await third.ended()

        await stream.send(b"")
        stream.writer.transport.abort()
        script.never_answers = False
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                async with caller(port) as fourth:
                    await fourth.send(GET + b"\r\n")
                    if (await fourth.answer())[0] == 200:
                        break
