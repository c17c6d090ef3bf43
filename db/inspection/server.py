"""Settings of the server that keep the service from working, or limit it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from db.engine import Database
from db.inspection.findings import Finding

_VARIABLES: Final = ("max_allowed_packet", "local_infile", "read_only", "binlog_format", "log_bin", "max_connections")
_PACKET_BYTES_MIN: Final = 4 * 1024 * 1024
_VERSIONS_MIN: Final = {"MySQL": (8, 0, 19), "MariaDB": (10, 6, 0)}
# For the bot, other replicas and a person.
_CONNECTIONS_SPARE: Final = 5


async def server_findings(database: Database) -> list[Finding]:
    """A finding for each setting that is in the way.

    Raises:
        DatabaseError: the server cannot be asked.
    """
    async with database.read() as connection:
        names = ", ".join(f"'{name}'" for name in _VARIABLES)
        rows = await connection.execute(text(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})"))
        values = {str(name): str(value) for name, value in rows}
        dialect = connection.dialect
        product = "MariaDB" if getattr(dialect, "is_mariadb", False) else "MySQL"
        version = tuple(part for part in dialect.server_version_info or () if isinstance(part, int))[:3]
    return [*_version(product, version), *_settings(values, database.pool_size_max)]


def _version(product: str, version: tuple[int, ...]) -> list[Finding]:
    oldest = _VERSIONS_MIN[product]
    if not version or version >= oldest:
        return []
    shown, needed = (".".join(str(part) for part in each) for each in (version, oldest))
    return [Finding("refuses", "server", f"{product} {shown} is too old", f"use {product} {needed} or newer")]


def _settings(values: dict[str, str], pool_size_max: int) -> list[Finding]:
    findings = []
    packet = int(values.get("max_allowed_packet", _PACKET_BYTES_MIN))
    if packet < _PACKET_BYTES_MIN:
        findings.append(
            Finding(
                "limits",
                "server",
                f"max_allowed_packet is {packet} bytes: a row that is longer is rejected",
                "SET GLOBAL max_allowed_packet = 67108864",
            )
        )
    if values.get("local_infile", "ON") == "OFF":
        findings.append(
            Finding(
                "limits",
                "server",
                "local_infile is OFF: rows that are not simply new are loaded by INSERT statements, which takes longer",
                "SET GLOBAL local_infile = ON",
            )
        )
    if values.get("read_only", "OFF") != "OFF":
        findings.append(
            Finding(
                "limits",
                "server",
                "the database is read-only: runs wait until it is not",
                "SET GLOBAL read_only = OFF, or name the primary in TECHAURA_SYNC_DATABASE_URL",
            )
        )
    if values.get("log_bin", "OFF") != "OFF" and values.get("binlog_format") == "STATEMENT":
        findings.append(
            Finding(
                "refuses",
                "server",
                "binlog_format is STATEMENT, with which InnoDB refuses transactions that are READ COMMITTED",
                "SET GLOBAL binlog_format = 'ROW'",
            )
        )
    connections = int(values.get("max_connections", pool_size_max + _CONNECTIONS_SPARE))
    if connections < pool_size_max + _CONNECTIONS_SPARE:
        findings.append(
            Finding(
                "limits",
                "server",
                f"max_connections is {connections}, and this replica alone may open {pool_size_max}: it waits for a free one",
                f"SET GLOBAL max_connections = {4 * (pool_size_max + _CONNECTIONS_SPARE)}, or lower "
                "TECHAURA_SYNC_DATABASE_POOL_SIZE_MAX",
            )
        )
    return findings
