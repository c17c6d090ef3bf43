"""What the database can do wrong, translated from the drivers in one place.

    DatabaseError
      TransientDatabaseError   the same transaction may succeed if it is tried again
      RefusedDatabaseError     the statement or the data is wrong; trying again cannot help

Texts never hold statements or parameters, and the driver's own error is not chained: both may hold row content
(«Duplicate entry '...'»). What a number means stands in error_numbers.py; the log gets number, kind of statement and table.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db.error_numbers import MEANINGS, DatabaseReason, Meaning

_SQLITE_NAMING: Final = ("no such table", "no such column", "readonly database", "unable to open database file")
_SQLITE_TRANSIENT: Final = ("database is locked", "database table is locked", "disk i/o error")
_SQLITE_FULL: Final = "database or disk is full"
# «Error writing file ... (OS errno 28 - No space left on device)», under several numbers.
_NO_SPACE: Final = re.compile(r"errno: 28\b|errno 28\b|error 28\b|no space left", re.IGNORECASE)
_VERB: Final = re.compile(r"\s*(\w+)")
_TABLE: Final = re.compile(
    r"\b(?:INTO(?: TABLE)?|UPDATE|FROM|TABLE(?: IF (?:NOT )?EXISTS)?)\s+[`\"]?(\w+)", re.IGNORECASE
)
# «The MySQL server is running with the --read-only option so it cannot execute this statement», or with another option.
_OPTION_CODE: Final = 1290
_READ_ONLY: Final = re.compile(r"read[-_]only", re.IGNORECASE)
_OPTION: Final = Meaning(DatabaseReason.REFUSED, "an option of the database forbids a statement", names=True)
# A statement's head tells what it is; behind it there may be row content.
_HEAD_CHARACTERS: Final = 2000


class DatabaseError(Exception):
    """Base of all database faults.

    Args:
        message: what happened, without statement or parameters.
        code: the server's error number, or 0.
        reason: what is wrong with the database; None takes the class's own.
        next_step: what a person does about it; empty takes that of the reason.
        statement: kind of statement and table, such as «INSERT content_index»; empty when unknown.
    """

    default_reason = DatabaseReason.REFUSED

    def __init__(
        self,
        message: str,
        code: int = 0,
        reason: DatabaseReason | None = None,
        *,
        next_step: str = "",
        statement: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason or self.default_reason
        self.next_step = next_step
        self.statement = statement

    @property
    def facts(self) -> dict[str, object]:
        """Its fields in the log."""
        return {"reason": self.reason, "error": self.message, "code": self.code, "statement": self.statement}

    def of(self, message: str) -> Self:
        """The same fault with another text."""
        return type(self)(message, self.code, self.reason, next_step=self.next_step, statement=self.statement)


class TransientDatabaseError(DatabaseError):
    """Retrying the whole transaction may succeed."""

    default_reason = DatabaseReason.UNAVAILABLE


class RefusedDatabaseError(DatabaseError):
    """Retrying cannot succeed."""


class ReplacedDatabaseError(RefusedDatabaseError):
    """The file of an embedded database is gone, or another one stands in its place: what is written now would be lost."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"the database file {file} was deleted or replaced while the service had it open; nothing is written any more",
            next_step="put the file back, or decide for the new one, and start the service again",
        )


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
        raise TransientDatabaseError(f"the connection to the database failed ({type(error).__name__})") from error


def translate(error: SQLAlchemyError) -> DatabaseError:
    """The fault that a driver error stands for."""
    if isinstance(error, PoolTimeoutError):
        return TransientDatabaseError("all database connections are in use")
    if not isinstance(error, DBAPIError):
        return RefusedDatabaseError(f"the database layer failed ({type(error).__name__})")
    statement = statement_of(error.statement)
    arguments: tuple[object, ...] = getattr(error.orig, "args", ())
    if arguments and isinstance(arguments[0], int):
        return _of_server(arguments[0], str(arguments[1]) if len(arguments) > 1 else "", statement, error)
    return _of_sqlite(str(error.orig), statement, error)


def statement_of(sql: str | None) -> str:
    """Kind and table of a statement, such as «INSERT content_index»: nothing else of it."""
    head = (sql or "")[:_HEAD_CHARACTERS]
    found = (_VERB.match(head), _TABLE.search(head))
    verb, table = (match[1] if match else "" for match in found)
    return f"{verb.upper()} {table}".strip()


def _of_server(code: int, said: str, statement: str, error: DBAPIError) -> DatabaseError:
    meaning = MEANINGS.get(code)
    if code == _OPTION_CODE and not _READ_ONLY.search(said):
        meaning = _OPTION
    if _NO_SPACE.search(said):
        meaning = MEANINGS[1021]
    if meaning is None:
        if error.connection_invalidated:
            return TransientDatabaseError(f"{MEANINGS[2013].text} (error {code})", code, statement=statement)
        return RefusedDatabaseError(
            f"the database refused a statement ({type(error.orig).__name__}, error {code})", code, statement=statement
        )
    table = statement.partition(" ")[2]
    text = meaning.text.format(on=f" on {table}" if table else "")
    text += f": {said}" if meaning.names and said else f" (error {code})"
    kind = TransientDatabaseError if meaning.is_transient else RefusedDatabaseError
    return kind(text, code, meaning.reason, next_step=meaning.next_step, statement=statement)


def _of_sqlite(said: str, statement: str, error: DBAPIError) -> DatabaseError:
    lowered = said.lower()
    if _SQLITE_FULL in lowered:
        return TransientDatabaseError("the disk of the database is full", 0, DatabaseReason.FULL, statement=statement)
    if any(part in lowered for part in _SQLITE_TRANSIENT):
        text = "the database file is locked by another writer"
        return TransientDatabaseError(text, 0, DatabaseReason.LOCKED, statement=statement)
    if error.connection_invalidated:
        return TransientDatabaseError(MEANINGS[2013].text, statement=statement)
    detail = f": {said}" if any(part in lowered for part in _SQLITE_NAMING) else f" ({type(error.orig).__name__})"
    reason = DatabaseReason.DENIED if "readonly database" in lowered else None
    return RefusedDatabaseError(f"the database refused a statement{detail}", 0, reason, statement=statement)
