"""LOAD DATA LOCAL from memory, and from nowhere else.

With LOCAL switched on, a MySQL client hands over whatever file the *server* names, in response to any statement
(CVE-2025-62611 and its relatives). So aiomysql's file sender is replaced, for every connection of this process, by one
that knows no files: it sends the bytes that were registered for this connection under the name that the server repeats,
once, and nothing otherwise. The bytes are flow-controlled, which the original's are not.

LOCAL has a second trap: it implies IGNORE, even in strict mode. A value that is too long, or that the column's character
set cannot hold, is cut or replaced, with no more than a warning. So the warnings of each load are read (damage.py),
and nobody may write the rows that they name.

The statement itself is only ever built here; the text format is CSV without an escape character, in which an unquoted
NULL is NULL and everything else stands in quotes, so that no byte of a value has a second meaning.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import weakref
from collections.abc import Mapping
from typing import Any, Final

import aiomysql.connection
import polars as pl
from pymysql.err import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.server_facts import server_facts

_CHUNK_BYTES: Final = 256 * 1024
# Of a packet, beside the bytes that it carries.
_PACKET_HEAD_BYTES: Final = 1024

# What each connection may send now: name -> content and size of its chunks. An entry lives as long as its statement.
_registered: weakref.WeakKeyDictionary[Any, dict[str, tuple[memoryview, int]]] = weakref.WeakKeyDictionary()


class _RegisteredContent:
    """Stands in for aiomysql.connection.LoadLocalFile: same constructor, same `send_data`."""

    def __init__(self, filename: bytes | str, connection: Any) -> None:
        name = filename.decode("utf-8", "replace") if isinstance(filename, bytes) else filename
        self._connection = connection
        nothing: tuple[memoryview | None, int] = (None, _CHUNK_BYTES)
        self._content, self._chunk_bytes = _registered.get(connection, {}).pop(name, nothing)

    async def send_data(self) -> None:
        """Send the registered content, or nothing.

        Raises:
            OperationalError: nothing was registered under the name that the server asked for.
        """
        connection = self._connection
        try:
            if self._content is None:
                raise OperationalError(2068, "the server asked for a file that this client did not offer")
            view = self._content
            for start in range(0, len(view), self._chunk_bytes):
                connection.write_packet(bytes(view[start : start + self._chunk_bytes]))
                await connection._writer.drain()  # noqa: SLF001 - the driver has no flow control of its own
        finally:
            # An empty packet ends the content, in whatever state the sending is.
            connection.write_packet(b"")


aiomysql.connection.LoadLocalFile = _RegisteredContent


async def load_local(
    connection: AsyncConnection, table: str, rows: pl.DataFrame, fixed: Mapping[str, str] | None = None
) -> int:
    """Put rows into a table; return how many the server has stored.

    Values that it could not store as they are were changed or left out, with a warning.

    Args:
        table: a name of ours.
        rows: String and integer columns, named as those of the table; null becomes NULL.
        fixed: columns that every row has alike, with their values as SQL.

    Raises:
        DatabaseError: by way of the connection's context.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    chunk_bytes = min(_CHUNK_BYTES, (await server_facts(connection)).packet_bytes_max - _PACKET_HEAD_BYTES)
    content = await asyncio.to_thread(_content, rows)
    name = f"techaura-sync-{secrets.token_hex(8)}"
    quote = connection.dialect.identifier_preparer.quote
    alike = "SET " + ", ".join(f"{quote(column)} = {value}" for column, value in fixed.items()) if fixed else ""
    offered = _registered.setdefault(driver, {})
    offered[name] = content, chunk_bytes
    try:
        result = await connection.exec_driver_sql(
            f"LOAD DATA LOCAL INFILE '{name}' INTO TABLE {quote(table)} CHARACTER SET utf8mb4 "
            "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' "
            f"({', '.join(quote(column) for column in rows.columns)}) {alike}",
            # Without parameters the driver leaves the percent signs of the values alone.
            execution_options={"no_parameters": True},
        )
        return result.rowcount
    finally:
        offered.pop(name, None)


def _content(rows: pl.DataFrame) -> memoryview:
    target = io.BytesIO()
    rows.write_csv(target, include_header=False, quote_style="non_numeric", null_value="NULL")
    return target.getbuffer()
