"""Stands between a client and a MySQL server as an attacker would: changes what the server says first, and reads along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

_HEAD_BYTES: Final = 4
# Behind protocol version, server version with its zero, connection id, first salt and a filler: the lower half of the
# capabilities, whose bit 11 says that TLS is offered.
_SSL_BYTE, _SSL_BIT = 1, 0x08


@dataclass
class GreetingProxy:
    """A running proxy.

    Args:
        port: where it listens, on 127.0.0.1.
        seen: what clients have sent, all of it.
    """

    port: int
    seen: bytearray = field(default_factory=bytearray)


def without_tls(greeting: bytes) -> bytes:
    """A server's greeting in which it does not offer TLS."""
    changed = bytearray(greeting)
    changed[greeting.index(b"\0", 1) + 1 + 4 + 8 + 1 + _SSL_BYTE] &= ~_SSL_BIT & 0xFF
    return bytes(changed)


@asynccontextmanager
async def greeting_proxy(target_port: int, change: Callable[[bytes], bytes]) -> AsyncIterator[GreetingProxy]:
    """A proxy before a server on loopback while the block runs.

    Args:
        change: given the payload of the server's first packet, answers what the client gets to see instead.
    """

    handlers: set[asyncio.Task[Any]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(cast("asyncio.Task[Any]", asyncio.current_task()))
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target_port)
        try:
            head = await server_reader.readexactly(_HEAD_BYTES)
            payload = change(await server_reader.readexactly(int.from_bytes(head[:3], "little")))
            writer.write(len(payload).to_bytes(3, "little") + head[3:] + payload)
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, server_writer, proxy.seen))
                group.create_task(_carry(server_reader, writer, bytearray()))
        finally:
            writer.close()
            server_writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    proxy = GreetingProxy(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        await asyncio.gather(*handlers)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray) -> None:
    try:
        while piece := await reader.read(65_536):
            seen += piece
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
