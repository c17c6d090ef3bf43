"""A TCP proxy that does what networks do: delay, trickle, swallow, cut, reset; and, where MySQL is spoken, at a certain
statement, before it arrives or after it was executed but before its answer is back.

It runs in a thread with an event loop of its own, so that a drill may block. `judge` is called there for each statement.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from tests.drills.statements import Reader, Statement

_PIECE_BYTES: Final = 65_536
_COM_QUERY: Final = 3


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to a statement.

    Args:
        error: answer this error and forward nothing; the transaction stays open on the server, as ours must undo it.
        is_cut: end the connection; after the server has answered, when `is_after`.
        is_after: the statement is executed, its answer is swallowed.
        late_seconds: the client is cut at once, the statement arrives so much later.
        act: called at that moment (a kill, say).
    """

    error: tuple[int, str] | None = None
    is_cut: bool = True
    is_after: bool = False
    late_seconds: float = 0.0
    act: Callable[[], None] | None = None


@dataclass(slots=True)
class Weather:
    """What every connection suffers. Changing it works at once, also for open connections."""

    delay_seconds: float = 0.0
    bytes_per_second: int = 0
    is_black_hole: bool = False
    is_down: bool = False


class ProxyThread:
    """The event loop that proxies run on. Use as a context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.servers: list[asyncio.Server] = []
        self.writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _end(self) -> None:
        for server in self.servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        writers = set(self.writers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


class FaultProxy:
    """One listening port before one server.

    Args:
        target_port: of the server, on loopback.
        judge: asked for each MySQL statement; None lets it pass. Without it bytes are bytes.
        replica: the index that statements are told with.
    """

    def __init__(
        self,
        thread: ProxyThread,
        target_port: int,
        judge: Callable[[Statement], Strike | None] | None = None,
        replica: int = 0,
    ) -> None:
        self.target_port = target_port
        self.weather = Weather()
        self.port = 0
        self.connections = 0
        # Those that were turned away as well.
        self.attempts = 0
        self._thread = thread
        self._judge = judge
        self._replica = replica
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        asyncio.run_coroutine_threadsafe(self._listen(), thread.loop).result(10)

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self._thread.servers.append(server)
        self.port = server.sockets[0].getsockname()[1]

    def reset_all(self) -> None:
        """RST on every connection, both ways."""
        for writer in list(self._writers):
            self._thread.loop.call_soon_threadsafe(_reset, writer)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        if self.weather.is_down:
            _reset(writer)
            return
        self._thread.writers.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            self._thread.writers.discard(writer)
            _reset(writer)
            return
        self.connections += 1
        pair = {writer, server_writer}
        self._writers |= pair
        self._thread.writers |= pair
        link = _Link(self, reader, writer, server_reader, server_writer)
        tasks = [asyncio.ensure_future(link.up()), asyncio.ensure_future(link.down())]
        self._tasks.update(tasks)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)
            self._writers -= pair
            self._thread.writers -= pair
            for each in pair:
                each.close()

    def judged(self, statement: Statement) -> Strike | None:
        """What is to happen to a statement."""
        return self._judge(statement) if self._judge is not None else None

    @property
    def speaks_mysql(self) -> bool:
        """Whether statements are looked at."""
        return self._judge is not None

    @property
    def replica(self) -> int:
        """The index that statements are told with."""
        return self._replica


class _Link:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: FaultProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._server_reader, self._server_writer = server_reader, server_writer
        self._statements = Reader(proxy.replica)
        self._after: Strike | None = None

    async def up(self) -> None:
        """From the client to the server."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                if not self._proxy.speaks_mysql:
                    piece = await self._reader.read(_PIECE_BYTES)
                    if not piece:
                        return
                    await self._carry(piece, self._server_writer)
                    continue
                head = await self._reader.readexactly(4)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "little"))
                # A command begins a sequence; what is sent for LOAD DATA LOCAL continues one.
                if head[3] == 0 and payload[:1] == bytes([_COM_QUERY]):
                    strike = self._proxy.judged(self._statements.read(payload[1:]))
                    if strike is not None and not await self._strike(strike):
                        if strike.late_seconds:
                            await self._arrive_late(head + payload, strike.late_seconds)
                        return
                    if strike is not None and strike.error is not None:
                        continue
                await self._carry(head + payload, self._server_writer)

    async def _strike(self, strike: Strike) -> bool:
        """Whether the connection goes on."""
        if strike.is_after:
            self._after = strike
            return True
        if strike.act is not None:
            strike.act()
        if strike.error is not None:
            code, state = strike.error
            body = b"\xff" + struct.pack("<H", code) + b"#" + state.encode() + b"injected by a drill"
            self._writer.write(len(body).to_bytes(3, "little") + b"\x01" + body)
            await self._writer.drain()
            return True
        if strike.is_cut:
            _reset(self._writer)
        return not strike.is_cut

    async def _arrive_late(self, packet: bytes, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._server_writer.write(packet)
        await self._server_writer.drain()
        # Time for it to be executed before the connection ends.
        await asyncio.sleep(0.5)

    async def down(self) -> None:
        """From the server to the client."""
        with contextlib.suppress(OSError):
            while piece := await self._server_reader.read(_PIECE_BYTES):
                if self._after is not None:
                    after, self._after = self._after, None
                    if after.act is not None:
                        after.act()
                    if after.is_cut:
                        _reset(self._writer)
                        return
                await self._carry(piece, self._writer)

    async def _carry(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        weather = self._proxy.weather
        if weather.delay_seconds:
            await asyncio.sleep(weather.delay_seconds)
        while weather.is_black_hole:  # noqa: ASYNC110 - the weather changes from another thread
            await asyncio.sleep(0.05)
        start = 0
        while start < len(piece):
            rate = weather.bytes_per_second
            part = piece[start : start + (max(1, rate // 10) if rate else len(piece))]
            writer.write(part)
            await writer.drain()
            start += len(part)
            if rate:
                await asyncio.sleep(len(part) / rate)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End with RST instead of FIN."""
    with contextlib.suppress(OSError):
        found = writer.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
