"""The server's warnings about values that it could not store as they are, after a statement that continued regardless.

LOAD DATA LOCAL and INSERT IGNORE cut or replace such a value with no more than a warning, and keep only so many warnings
(max_error_count, which may be 0). The count of all warnings is kept whatever that limit is: where the list is shorter, it
is not known which rows are damaged, and the caller puts fewer rows into one statement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

# A note, and no warning, even in strict mode: digits after the point were cut.
_CUT_DIGITS_CODE: Final = 1265
_ROW: Final = re.compile(r"at row (\d+)\s*$")
_COLUMN: Final = re.compile(r"for column [^ ]*?`?'?(\w+)[`']* at row")


class UnlistedDamageError(Exception):
    """Some row of the statement is damaged, and the server does not say which."""


async def damaged_rows(connection: AsyncConnection) -> dict[int, str]:
    """The rows of the statement just run, by index, that are not stored as they are, each with the column at fault.

    Raises:
        UnlistedDamageError: there are more warnings than the server lists, or one of them names no row.
    """
    listed: Sequence[Any] = (await connection.exec_driver_sql("SHOW WARNINGS")).all()
    count = int((await connection.exec_driver_sql("SHOW COUNT(*) WARNINGS")).scalar_one())
    if count > len(listed):
        raise UnlistedDamageError
    damaged: dict[int, str] = {}
    for level, code, message in listed:
        if level == "Note" and code != _CUT_DIGITS_CODE:
            continue
        row = _ROW.search(message)
        if row is None:
            raise UnlistedDamageError
        column = _COLUMN.search(message)
        damaged.setdefault(int(row[1]) - 1, column[1] if column else "")
    return damaged
