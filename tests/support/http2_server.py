"""A small HTTP/2 server over TLS: one fixed answer, and what it was asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived


@dataclass
class Http2Server:
    """What it answers, and what it was asked."""

    body: bytes = b'[{"id": 1}]'
    headers: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.asked.append({str(name): str(value) for name, value in event.headers})
                    connection.send_headers(event.stream_id, [(":status", "200"), *self.headers])
                    connection.send_data(event.stream_id, self.body, end_stream=True)
            writer.write(connection.data_to_send())
        writer.close()


@asynccontextmanager
async def http2_server(server: Http2Server, ssl_certfile: str, ssl_keyfile: str) -> AsyncIterator[Http2Server]:
    """A running server while the block runs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ssl_certfile, ssl_keyfile)
    context.set_alpn_protocols(["h2"])
    running = await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=context)
    server.url = f"https://127.0.0.1:{running.sockets[0].getsockname()[1]}/songs"
    async with running:
        yield server
