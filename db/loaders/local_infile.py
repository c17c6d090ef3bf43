"""LOAD DATA LOCAL from memory, and from nowhere else.

With LOCAL switched on, a MySQL client hands over whatever file the *server* names, in answer to any statement
(CVE-2025-62611 and its relatives). So aiomysql's file sender is replaced, for every connection of this process, by one
that knows no files: it sends the bytes that were registered for this connection under the name that the server repeats,
once, and nothing otherwise. The bytes are flow-controlled, which the original's are not.

LOCAL has a second trap: it implies IGNORE, even in strict mode. A value that is too long, or that the column's character
set cannot hold, is cut or replaced, with no more than a warning. So the warnings of each load are read, and the rows
that they name are reported as not storable; nobody may write them.

The statement itself is only ever built here; the text format is CSV without an escape character, in which an unquoted
NULL is NULL and everything else stands in quotes, so that no byte of a value has a second meaning.
"""

from __future__ import annotations

import asyncio
import io
import re
import secrets
import weakref
from collections.abc import Sequence
from typing import Any, Final

import aiomysql.connection
import polars as pl
from pymysql.err import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.errors import RefusedDatabaseError

_CHUNK_BYTES: Final = 1024 * 1024
# What max_error_count is set to in db/engine.py.
WARNINGS_MAX: Final = 65535
# A note, and no warning, even in strict mode: digits after the point were cut.
DAMAGE_NOTE: Final = 1265
_ROW: Final = re.compile(r"at row (\d+)\s*$")
_COLUMN: Final = re.compile(r"for column [^ ]*?`?'?(\w+)[`']* at row")

# What each connection may send now: name -> content. An entry lives as long as its statement.
_registered: weakref.WeakKeyDictionary[Any, dict[str, memoryview]] = weakref.WeakKeyDictionary()


class _RegisteredContent:
    """Stands in for aiomysql.connection.LoadLocalFile: same constructor, same `send_data`."""

    def __init__(self, filename: bytes | str, connection: Any) -> None:
        name = filename.decode("utf-8", "replace") if isinstance(filename, bytes) else filename
        self._connection = connection
        self._content = _registered.get(connection, {}).pop(name, None)

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
            for start in range(0, len(view), _CHUNK_BYTES):
                connection.write_packet(bytes(view[start : start + _CHUNK_BYTES]))
                await connection._writer.drain()  # noqa: SLF001 - the driver has no flow control of its own
        finally:
            # An empty packet ends the content, in whatever state the sending is.
            connection.write_packet(b"")


aiomysql.connection.LoadLocalFile = _RegisteredContent


async def load_local(connection: AsyncConnection, table: str, columns: list[str], rows: pl.DataFrame) -> dict[int, str]:
    """Put rows into a table; answer the rows (by index) that were damaged on the way, with the column at fault.

    Args:
        table, columns: names of ours, in the order of the frame's columns.
        rows: String and integer columns; null becomes NULL.

    Raises:
        DatabaseError: by way of the connection's context.
    """
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    content = await asyncio.to_thread(_content, rows)
    name = f"techaura-sync-{secrets.token_hex(8)}"
    quote = connection.dialect.identifier_preparer.quote
    offered = _registered.setdefault(driver, {})
    offered[name] = content
    try:
        await connection.exec_driver_sql(
            f"LOAD DATA LOCAL INFILE '{name}' INTO TABLE {quote(table)} CHARACTER SET utf8mb4 "
            "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' "
            f"({', '.join(quote(column) for column in columns)})"
        )
        return await damaged_rows(connection)
    finally:
        offered.pop(name, None)


def _content(rows: pl.DataFrame) -> memoryview:
    target = io.BytesIO()
    rows.write_csv(target, include_header=False, quote_style="non_numeric", null_value="NULL")
    return target.getbuffer()


async def damaged_rows(connection: AsyncConnection) -> dict[int, str]:
    """The rows of the statement just run (by index) that the server could not store as they are, with the column.

    Raises:
        RefusedDatabaseError: the server warned of something that names no row, or of more rows than it lists.
    """
    warnings: Sequence[Any] = (await connection.exec_driver_sql("SHOW WARNINGS")).all()
    damaged: dict[int, str] = {}
    for warning in warnings:
        level, code, message = warning
        if level == "Note" and code != DAMAGE_NOTE:
            continue
        row = _ROW.search(message)
        if row is None or len(warnings) >= WARNINGS_MAX:
            raise RefusedDatabaseError(f"the database could not store a batch as it is (warning {code})", int(code))
        column = _COLUMN.search(message)
        damaged.setdefault(int(row[1]) - 1, column[1] if column else "")
    return damaged
