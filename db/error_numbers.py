"""What the error numbers of MySQL and MariaDB mean, in words that hold no row content: one table.

A fault is transient where the same transaction may succeed later without anyone changing anything; every other one is
refused. A number that is not listed is refused, and only its number is told: the server's words for it may hold values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_GRANT: Final = "grant the database user what docs/guides/mysql.md lists, then sync again"
_CREDENTIALS: Final = "check user and password in TECHAURA_SYNC_DATABASE_URL"


class DatabaseReason(StrEnum):
    """What is wrong with a database, as the proto enum ErrorReason names it."""

    UNAVAILABLE = "DATABASE_UNAVAILABLE"
    LOCKED = "DATABASE_LOCKED"
    READ_ONLY = "DATABASE_READ_ONLY"
    FULL = "DATABASE_FULL"
    DENIED = "DATABASE_DENIED"
    REFUSED = "DATABASE_REFUSED"
    TARGET_REFUSED = "TARGET_REFUSED"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One number.

    Args:
        text: what happened; `{on}` becomes the table of the statement, with « on » before it, or nothing.
        is_transient: whether the whole transaction is tried again.
        next_step: what a person does about it; empty takes that of the reason.
        names: whether the server's own words name objects of the schema and nothing else, so that they may be told.
    """

    reason: DatabaseReason
    text: str
    is_transient: bool = False
    next_step: str = ""
    names: bool = False


def _passing(text: str, reason: DatabaseReason = DatabaseReason.UNAVAILABLE, next_step: str = "") -> Meaning:
    return Meaning(reason, text, is_transient=True, next_step=next_step)


def _denied(text: str, next_step: str = "", *, names: bool = False) -> Meaning:
    return Meaning(DatabaseReason.DENIED, text, next_step=next_step, names=names)


def _refused(text: str, next_step: str = "", *, names: bool = False) -> Meaning:
    return Meaning(DatabaseReason.REFUSED, text, next_step=next_step, names=names)


_CANNOT_CONNECT: Final = _passing("cannot connect to the database")
_LOST: Final = _passing("the connection to the database was lost")
_STOPPING: Final = _passing("the database is shutting down")
_NETWORK: Final = _passing("the network between the service and the database failed")
_FULL: Final = _passing("the database has no space left", DatabaseReason.FULL)
_TOO_MANY: Final = _passing(
    "the database has too many connections",
    next_step="raise max_connections of the database, or lower TECHAURA_SYNC_DATABASE_POOL_SIZE_MAX",
)
_TIME_LIMIT: Final = _passing(
    "a statement took longer than the database's time limit for statements",
    next_step="raise max_statement_time (MariaDB) or max_execution_time (MySQL) for the service's user",
)
_READ_ONLY: Final = _passing("the database is read-only", DatabaseReason.READ_ONLY)
_LOCK: Final = _passing("waited for a lock{on} that another connection holds", DatabaseReason.LOCKED)
_ACCESS: Final = _denied("the database refused access", _CREDENTIALS, names=True)
_PRIVILEGE: Final = _denied("the database user lacks a privilege", _GRANT, names=True)
_EXPIRED: Final = _denied(
    "the password of the database user has expired", "give the database user a password that is valid (ALTER USER)"
)
_LOCKED_OUT: Final = _denied(
    "the account of the database user is locked", "unlock the database user (ALTER USER ... ACCOUNT UNLOCK)"
)
_SCHEMA: Final = _refused("the database's tables are not as the service needs them", names=True)
_GENERATED: Final = _refused("a column that the service writes is a generated column{on}", names=True)
_AUTO_INCREMENT_END: Final = _refused(
    "the AUTO_INCREMENT column{on} is at its end", "make the column's type larger (BIGINT), then sync again"
)

MEANINGS: Final[dict[int, Meaning]] = {
    # ---- transient faults
    1040: _TOO_MANY,
    1203: _TOO_MANY,
    1226: _passing(
        "the database user has used up a limit of its account",
        next_step="raise the limits of the database user (ALTER USER ... WITH MAX_...), or wait until the hour is over",
    ),
    1042: _CANNOT_CONNECT,
    1043: _CANNOT_CONNECT,
    2002: _CANNOT_CONNECT,
    2003: _CANNOT_CONNECT,
    2005: _CANNOT_CONNECT,
    2006: _LOST,
    2013: _LOST,
    2014: _LOST,
    2055: _LOST,
    4031: _LOST,
    1053: _STOPPING,
    1077: _STOPPING,
    1079: _STOPPING,
    1152: _NETWORK,
    1158: _NETWORK,
    1159: _NETWORK,
    1160: _NETWORK,
    1161: _NETWORK,
    1184: _NETWORK,
    1317: _passing("a statement was ended by an administrator"),
    1927: _passing("the connection was ended by an administrator"),
    1047: _passing("this node of the database is not ready: it has left its cluster, or is joining it"),
    1180: _passing("the database could not commit a transaction"),
    1205: _LOCK,
    1213: _passing(
        "two transactions waited for each other{on}, and the database ended this one", DatabaseReason.LOCKED
    ),
    3058: _LOCK,
    3572: _LOCK,
    1020: _passing("a row was changed by another connection meanwhile", DatabaseReason.LOCKED),
    1062: _passing("another connection wrote a row with the same key meanwhile", DatabaseReason.LOCKED),
    1412: _passing("a table was altered meanwhile", DatabaseReason.LOCKED),
    1615: _passing("a table was altered meanwhile", DatabaseReason.LOCKED),
    1969: _TIME_LIMIT,
    3024: _TIME_LIMIT,
    1290: _READ_ONLY,
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    3: _FULL,
    28: _FULL,
    1021: _FULL,
    1114: _FULL,
    # ---- access denied
    1044: _PRIVILEGE,
    1045: _ACCESS,
    1130: _denied("the database lets nobody in from this host", names=True),
    1129: _denied("the database has blocked this host after too many failed connections", "run FLUSH HOSTS there"),
    1142: _PRIVILEGE,
    1143: _PRIVILEGE,
    1227: _PRIVILEGE,
    1370: _PRIVILEGE,
    1410: _PRIVILEGE,
    1698: _ACCESS,
    1251: _denied("the database wants a way of authentication that the driver does not know"),
    2059: _denied("the database wants a way of authentication that the driver does not know"),
    1820: _EXPIRED,
    1862: _EXPIRED,
    3118: _LOCKED_OUT,
    4151: _LOCKED_OUT,
    3159: _denied("the database lets only encrypted connections in", "add ssl=required to TECHAURA_SYNC_DATABASE_URL"),
    # ---- what does not fit
    1049: _refused("there is no such database", "create the database, or name another one in the URL", names=True),
    1054: _SCHEMA,
    1064: _refused("the database does not understand a statement of the service", "report it with the run's log"),
    1146: _SCHEMA,
    1347: _refused("a table that the service needs is a view", "rename the view, then start the service", names=True),
    1364: _refused("a column has no value and no default{on}", names=True),
    1906: _GENERATED,
    3105: _GENERATED,
    167: _AUTO_INCREMENT_END,
    1467: _AUTO_INCREMENT_END,
    1118: _refused("a row of the table would be too long for the storage engine{on}"),
    1071: _refused("an index would be too long for the storage engine{on}"),
    1153: _refused(
        "a statement is longer than the database takes", "raise max_allowed_packet of the database, then sync again"
    ),
    1148: _refused("the database forbids LOAD DATA LOCAL"),
    3948: _refused("the database forbids LOAD DATA LOCAL"),
    1267: _refused("columns of two collations were compared{on}", "report it with the run's log"),
    1271: _refused("columns of two collations were compared{on}", "report it with the run's log"),
    1665: _refused(
        "the binary log's format does not go with the service's transactions",
        "SET GLOBAL binlog_format = 'ROW' (or 'MIXED') on the database",
    ),
    3098: _refused(
        "the database's replication refuses a table{on}", "give the table a primary key and the InnoDB engine"
    ),
    3750: _refused("the database wants a primary key on every table{on}", "report it with the run's log"),
    4161: _refused("the database does not know a type of the service's", "use MySQL 8.0.19 or MariaDB 10.5 or newer"),
}
