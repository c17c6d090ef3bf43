"""LOAD DATA LOCAL hands over what was offered and nothing else, and is not needed."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomysql
import pytest
from sqlalchemy import text

from db.engine import Database
from db.errors import DatabaseError
from db.migrate import migrate
from db.records import LoadCounts
from tests.db.test_upsert import rows_of, songs, write
from tests.support.database_server import DatabaseServer


@asynccontextmanager
async def rogue_server(wanted: str) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that lets anyone in and answers each statement by asking for a file; gives what it received."""
    received: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def packet() -> bytes:
            head = await reader.readexactly(4)
            return await reader.readexactly(int.from_bytes(head[:3], "little"))

        def send(number: int, payload: bytes) -> None:
            writer.write(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)

        greeting = b"\x0a8.0.0-rogue\x00" + struct.pack("<I", 1) + b"a" * 8 + b"\x00"
        greeting += struct.pack("<HBHHB", 0xFFFF, 45, 2, 0x00FF, 21) + b"\x00" * 10 + b"b" * 12 + b"\x00"
        send(0, greeting + b"mysql_native_password\x00")
        await packet()
        send(2, b"\x00\x00\x00\x02\x00\x00\x00")
        try:
            while True:
                await packet()
                send(1, b"\xfb" + wanted.encode())
                received.append(await packet())
                send(3, b"\x00\x00\x00\x02\x00\x00\x00")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        server.close()
        await ended.wait()


async def test_a_server_that_asks_for_a_file_gets_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("canary-91c2")
    async with rogue_server(str(secret)) as (port, received):
        with pytest.raises(aiomysql.OperationalError, match="did not offer"):
            await aiomysql.connect(host="127.0.0.1", port=port, user="u", local_infile=True, autocommit=None,
                                   init_command="SELECT 1")  # fmt: skip
        database = Database(f"mysql+aiomysql://u@127.0.0.1:{port}/x")
        with pytest.raises((DatabaseError, aiomysql.OperationalError)):
            async with database.read() as connection:
                await connection.execute(text("SELECT 1"))
        await database.close()
    assert received
    assert b"".join(received) == b""


async def test_a_server_that_forbids_it_is_loaded_all_the_same(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    database = Database(database_server.url(name))
    await migrate(database)
    title = "007 \\N \\ \t \n ' \" % %s :x 🎵 ñ NULL"
    with database_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL local_infile = 0")
        try:
            written = await write(database, songs({"title": title}, {"title": "NULL", "external_id": "2"}))
        finally:
            cursor.execute("SET GLOBAL local_infile = 1")
    assert written.counts == LoadCounts(2, 0, 0)
    assert [row.title for row in await rows_of(database)] == [title, "NULL"]
    await database.close()


async def test_the_word_null_is_text_and_no_value_is_null(database_server: DatabaseServer) -> None:
    name = database_server.new_database()
    database = Database(database_server.url(name))
    await migrate(database)
    await write(database, songs({"title": "NULL", "artist": None}, {"title": "\\N", "artist": "", "external_id": "2"}))
    assert [(row.title, row.artist) for row in await rows_of(database)] == [("NULL", None), ("\\N", "")]
    await database.close()
