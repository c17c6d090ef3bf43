"""What a database server allows, queried once per connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

_KEY: Final = "techaura_server_facts"
_INTERLEAVED: Final = 2


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Limits and features of a MySQL or MariaDB server, as the session has them.

    Args:
        packet_bytes_max: length of a statement, or of a chunk of a load, at most (max_allowed_packet).
        takes_local_infile: whether LOAD DATA LOCAL is allowed.
        interleaves_ids: whether statements that insert at once take turns with AUTO_INCREMENT value by value, so that a
            load keeps no other one waiting to its end (innodb_autoinc_lock_mode = 2).
        has_aria: whether temporary tables may be Aria (MariaDB only).
    """

    packet_bytes_max: int
    takes_local_infile: bool
    interleaves_ids: bool
    has_aria: bool


async def server_facts(connection: AsyncConnection) -> ServerFacts:
    """The facts of a MySQL or MariaDB connection."""
    info = (await connection.get_raw_connection()).info
    if _KEY not in info:
        asked = await connection.exec_driver_sql(
            "SELECT @@max_allowed_packet AS packet, @@local_infile AS local_infile, @@innodb_autoinc_lock_mode AS lock_mode"
        )
        said = asked.one()
        info[_KEY] = ServerFacts(
            packet_bytes_max=int(said.packet),
            takes_local_infile=bool(said.local_infile),
            interleaves_ids=int(said.lock_mode) == _INTERLEAVED,
            has_aria=await _has_aria(connection),
        )
    facts: ServerFacts = info[_KEY]
    return facts


async def _has_aria(connection: AsyncConnection) -> bool:
    if not getattr(connection.dialect, "is_mariadb", False):
        return False
    found = await connection.exec_driver_sql(
        "SELECT COUNT(*) FROM information_schema.ENGINES WHERE ENGINE = 'Aria' AND SUPPORT IN ('YES', 'DEFAULT') "
        "AND COALESCE(@@enforce_storage_engine, 'Aria') = 'Aria'"
    )
    return bool(found.scalar_one())
