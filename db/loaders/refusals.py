"""What counts as a table's refusal of a row, and what may be reported of it.

A row is refused by what its values are: an error of a statement that writes rows is a refusal only where its number speaks
of values, or of what a trigger's owner chose. Any other number is a fault of the database, and no row is blamed for it:
one that passes is waited for, and one that stays ends the run (db/errors.py).

The server's own words may hold values («Duplicate entry '...'»), so only names are taken from them. What a trigger raises
is the table owner's text: it goes into the reject of the row, cut, and nowhere else.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.error_numbers import DatabaseReason
from db.errors import RefusedDatabaseError

_OWNERS_TEXT_MAX: Final = 200
_DUPLICATE: Final = 1062
# No value for AUTO_INCREMENT: on MySQL because there is no further one, and on both because of the lock that gives them out.
NO_NUMBER: Final = 1467
# No further value for AUTO_INCREMENT, on MySQL and on MariaDB.
_EXHAUSTED: Final = frozenset({NO_NUMBER, 167})
_PACKET: Final = 1301
_SIGNAL: Final = 1644
# What a SIGNAL may choose freely: no server gives these to an error of its own.
_OWNERS_NUMBERS: Final = (range(1000, 1004), range(2100, 3000), range(7000, 65536))
# What a server says of the values of a row, by the class of its SQLSTATE, which the driver does not hand on.
_OF_A_ROW: Final = frozenset(
    # 23, integrity: duplicate, NULL, foreign keys, checks; 44 and partitions: no place for such a row.
    {1022, 1048, 1062, 1169, 1216, 1217, 1369, 1451, 1452, 1526, 1557, 1586, 1748, 1761, 1762, 1859, 3819, 4025}
    # 22, data: too long, out of range, no number, no time, division by zero, no text of that character set.
    | {1263, 1264, 1265, 1292, 1300, 1301, 1365, 1366, 1367, 1406, 1411, 1416, 1441, 1690, 3037, 3055, 3156, 3157}
    | set(range(3140, 3156))  # JSON on MySQL
    | set(range(4035, 4046))  # and on MariaDB
    # 21 and regular expressions: what a trigger or a generated column computes of the row.
    | {1139, 1172, 1242, 1329}
    | set(range(3685, 3701))
    # A column without a value, one that computes its own, and no further number.
    | {1364, 1467, 1644, 1906, 3105, 167}
)

_CHECK: Final = frozenset({3819, 4025})
_FOREIGN_KEY: Final = frozenset({1216, 1217, 1451, 1452})
_CONSTRAINT: Final = re.compile(r"constraint [`']([^`']+)[`']", re.IGNORECASE)
_CHILD_COLUMN: Final = re.compile(r"FOREIGN KEY \(`([^`]+)`\)")
_KEY: Final = re.compile(r"for key [`']([^`']+)[`']$")
# At the end of the text, so that no value can be taken for a name.
_COLUMN_AT_ROW: Final = re.compile(r"column [^ ]*?[`']([^`'.]+)[`'] at row \d+$")
_NAMED_COLUMN: Final = {
    1048: re.compile(r"^Column '([^']+)' cannot be null"),
    1364: re.compile(r"^Field '([^']+)' doesn't have"),
    1906: re.compile(r"generated column [`']([^`']+)[`'] in table"),
    3105: re.compile(r"generated column [`']([^`']+)[`'] in table"),
}

_SQLITE_OF_A_ROW: Final = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}
)
_SQLITE_OF_THE_SCHEMA: Final = ("no such", "near ", "cannot ", "unrecognized", "table ", "unable ")
_SQLITE_DUPLICATE: Final = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the target does not take a row. Two rows are refused alike when these are equal.

    Args:
        name: the rule that refuses it, by names of the schema only; fit for any text.
        number: the server's error number, or 0.
        column: the column at fault, where it is known.
        said: what the table's owner lets a trigger say; for the reject only.
        kind: the error code of the reject.
    """

    name: str
    number: int = 0
    column: str = ""
    said: str = ""
    kind: Literal["refused_by_table", "row_too_large"] = "refused_by_table"
    is_collision: bool = False

    @property
    def is_exhaustion(self) -> bool:
        """Whether the table has no number left for a new row."""
        return self.number in _EXHAUSTED

    @property
    def is_of_primary_key(self) -> bool:
        """Whether the number of the new row, or another table's key, is there already."""
        return self.is_collision and self.name.endswith("PRIMARY")

    @property
    def text(self) -> str:
        """The text of the row's reject: what happened, and what to do about it."""
        if self.kind == "row_too_large":
            return f"{self.name}; raise max_allowed_packet on the server, or shorten the row"
        why = f"{self.name} said: {self.said}" if self.said else self.name
        return f"the table refused this row ({why}); the other rows are written. Mend the row, or change that rule"


class TargetRefusedError(RefusedDatabaseError):
    """The table would refuse every row alike, or so many that they are not told apart: the run ends, in words.

    Args:
        message: what refuses, by names of the schema only.
        next_step: what a person does about it.
    """

    default_reason = DatabaseReason.TARGET_REFUSED

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


class RowsRefusedError(Exception):
    """The table refused some row of a load that was not made with care; everything of it must be rolled back."""


def refusal_of(error: DBAPIError) -> Refusal | None:
    """The refusal of a row that an error of a writing statement stands for; None when it is no such thing."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _on_sqlite(cause)
    arguments: tuple[object, ...] = getattr(cause, "args", ())
    number = arguments[0] if arguments and isinstance(arguments[0], int) else 0
    text = str(arguments[1]) if len(arguments) > 1 else ""
    if error.connection_invalidated or not _is_of_a_row(number):
        return None
    return _on_mysql(number, text)


async def raise_if_ended(connection: AsyncConnection, table: str) -> None:
    """Make sure that a refusal has left the transaction standing: what follows would be committed bit by bit.

    Raises:
        TargetRefusedError: a trigger on SQLite has undone it whole.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if connection.dialect.name == "sqlite" and not driver.in_transaction:
        raise TargetRefusedError(
            f"a trigger of {table} ends the whole transaction, RAISE(ROLLBACK), in place of refusing its row; nothing of "
            "this batch was written",
            "let the trigger say RAISE(ABORT, ...); then sync again",
        )


def too_large(size_bytes: int, packet_bytes_max: int) -> Refusal:
    """The refusal of a row that is longer than the server takes."""
    name = f"the row has {size_bytes} bytes, and the server's max_allowed_packet is {packet_bytes_max}"
    return Refusal(name, kind="row_too_large")


def _is_of_a_row(number: int) -> bool:
    return number in _OF_A_ROW or any(number in numbers for numbers in _OWNERS_NUMBERS)


def _on_mysql(number: int, text: str) -> Refusal:
    if number == _SIGNAL or any(number in numbers for numbers in _OWNERS_NUMBERS):
        return Refusal(f"a trigger, error {number}", number, said=text[:_OWNERS_TEXT_MAX])
    if number == _PACKET:
        limit = re.search(r"max_allowed_packet \((\d+)\)", text)
        value = f", which is {limit[1]}" if limit else ""
        return Refusal(f"a value of the row is longer than max_allowed_packet{value}", number, kind="row_too_large")
    if number == _DUPLICATE:
        return Refusal(f"unique key {_found(_KEY, text)}", number, is_collision=True)
    if number in _CHECK:
        return Refusal(f"CHECK constraint {_found(_CONSTRAINT, text)}", number)
    if number in _FOREIGN_KEY:
        return Refusal(f"foreign key {_found(_CONSTRAINT, text)}", number, _found(_CHILD_COLUMN, text, ""))
    column = _found(_NAMED_COLUMN.get(number, _COLUMN_AT_ROW), text, "")
    what = {1048: "cannot be NULL", 1364: "has no default and is not filled"}.get(number, f"error {number}")
    return Refusal(f"column {column}: {what}" if column else f"error {number}", number, column)


def _on_sqlite(cause: sqlite3.Error) -> Refusal | None:
    code: int = getattr(cause, "sqlite_errorcode", 0)
    kind: str = getattr(cause, "sqlite_errorname", "")
    text = str(cause)
    primary = code & 0xFF
    if primary not in _SQLITE_OF_A_ROW:
        return None
    if primary == sqlite3.SQLITE_ERROR:
        is_of_the_schema = text.startswith(_SQLITE_OF_THE_SCHEMA)
        return None if is_of_the_schema else Refusal("a function in a trigger or a generated column", code)
    name = text.partition("failed: ")[2] or "(not named)"
    match kind:
        case "SQLITE_CONSTRAINT_TRIGGER":
            return Refusal("a trigger", code, said=text[:_OWNERS_TEXT_MAX])
        case "SQLITE_CONSTRAINT_CHECK":
            return Refusal(f"CHECK constraint {name}", code)
        case "SQLITE_CONSTRAINT_FOREIGNKEY":
            return Refusal("a foreign key", code)
        case "SQLITE_CONSTRAINT_NOTNULL":
            column = name.rpartition(".")[2]
            return Refusal(f"column {column}: cannot be NULL", code, column)
        case _:
            is_collision = kind in _SQLITE_DUPLICATE
            return Refusal(f"unique key on {name}" if is_collision else kind, code, is_collision=is_collision)


def _found(pattern: re.Pattern[str], text: str, otherwise: str = "(not named)") -> str:
    match = pattern.search(text)
    return match[1] if match else otherwise
