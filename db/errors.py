"""What the database can do wrong, translated from the drivers in one place.

    DatabaseError
      TransientDatabaseError   the same transaction may succeed if it is tried again
      RefusedDatabaseError     the statement or the data is wrong; trying again cannot help

Texts never hold statements or parameters, and the driver's own error is not chained: both may carry row content
(«Duplicate entry '...'»). The server's words are kept only for codes whose words hold names, not values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Codes of MySQL and MariaDB after which the whole transaction is tried again. 1062: another writer was faster with the
# same key; the second look finds its row. 1020: MariaDB's snapshot conflict. 1412: table definition changed.
_TRANSIENT_CODES: Final = frozenset(
    {1020, 1040, 1042, 1043, 1053, 1062, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1290, 1412}
    | {1927, 2002, 2003, 2006, 2013, 2014, 2055, 3024, 1047, 4031}
)
_DISK_FULL_CODES: Final = frozenset({1021, 1114, 3, 28})
# Access, unknown database, table or column, syntax: the words name objects of the schema.
_NAMING_CODES: Final = frozenset({1044, 1045, 1049, 1054, 1064, 1142, 1143, 1146, 1227, 1347, 1364, 1698, 3948})
_DENIED_CODES: Final = frozenset({1044, 1045, 1130, 1142, 1143, 1227, 1698})
_SQLITE_NAMING: Final = ("no such table", "no such column", "readonly database", "unable to open database file")
_SQLITE_TRANSIENT: Final = ("database is locked", "database table is locked", "disk i/o error")
_SQLITE_FULL: Final = "database or disk is full"


class DatabaseError(Exception):
    """Base of all database faults.

    Args:
        message: what happened, without statement or parameters.
        code: the server's error number, or 0.
        reason: DATABASE_UNAVAILABLE, DATABASE_FULL, DATABASE_DENIED or DATABASE_REFUSED; empty takes the class's own.
    """

    default_reason = "DATABASE_REFUSED"

    def __init__(self, message: str, code: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason or self.default_reason


class TransientDatabaseError(DatabaseError):
    """Trying the whole transaction again may help."""

    default_reason = "DATABASE_UNAVAILABLE"


class RefusedDatabaseError(DatabaseError):
    """Trying again cannot help."""


class DatabaseUrlError(ValueError):
    """The database URL cannot be used.

    Its text begins with a verb, to stand behind the name of the setting, and shows nothing that may be secret.
    """


@contextmanager
def translated() -> Iterator[None]:
    """Turn driver errors raised inside into `DatabaseError`s.

    Raises:
        TransientDatabaseError, RefusedDatabaseError
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error) from None
    except (OSError, EOFError, asyncio.IncompleteReadError) as error:
        # aiomysql lets socket errors through while it connects; a timeout is an OSError too.
        raise TransientDatabaseError(f"the database connection failed ({type(error).__name__})") from error


def translate(error: SQLAlchemyError) -> DatabaseError:
    """The fault that a driver error stands for."""
    if isinstance(error, PoolTimeoutError):
        return TransientDatabaseError("all database connections are in use")
    if not isinstance(error, DBAPIError):
        return RefusedDatabaseError(f"the database layer failed ({type(error).__name__})")
    cause = error.orig
    arguments: tuple[object, ...] = getattr(cause, "args", ())
    code = arguments[0] if arguments and isinstance(arguments[0], int) else 0
    if code in _DISK_FULL_CODES:
        return TransientDatabaseError(f"the database has no space left (error {code})", code, "DATABASE_FULL")
    if code in _TRANSIENT_CODES or error.connection_invalidated:
        return TransientDatabaseError(f"the database could not finish a transaction (error {code})", code)
    text = str(cause).lower()
    if _SQLITE_FULL in text:
        return TransientDatabaseError("the disk of the database is full", reason="DATABASE_FULL")
    if any(part in text for part in _SQLITE_TRANSIENT):
        return TransientDatabaseError("the database file is locked by another writer")
    said = str(arguments[1]) if code in _NAMING_CODES and len(arguments) > 1 else ""
    if any(part in text for part in _SQLITE_NAMING):
        said = str(cause)
    detail = f": {said}" if said else f" ({type(cause).__name__}, error {code})"
    reason = "DATABASE_DENIED" if code in _DENIED_CODES or "readonly database" in text else ""
    return RefusedDatabaseError(f"the database refused a statement{detail}", code, reason)
