"""The marks of a row: one number per column, telling what the last sync left there.

They are the CRC-32 of each value in the table's own form, taken by the database itself when it writes the row (so JSON
and decimals need no translation), kept as one text: `crc,crc,...` in the order of LoadSpec.marked_columns; empty for NULL,
`-` for a column that the sync did not write. A column was edited since then when its value has another number now. That an
edit goes unnoticed happens once in 2^32 edits.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Numeric, String, Table, cast
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON

UNMARKED: Final = "-"
SQLITE_FUNCTION: Final = "sync_marks"


class marks(FunctionElement[str]):  # noqa: N801 - a SQL function, named like one
    """The marks of the given values, in order."""

    type = String()
    inherit_cache = True


@compiles(marks)
def _marks_mysql(element: marks, compiler: SQLCompiler, **kw: Any) -> str:
    values = [compiler.process(clause, **kw) for clause in element.clauses]
    numbers = [f"'{UNMARKED}'" if value == f"'{UNMARKED}'" else f"IFNULL(CRC32({value}), '')" for value in values]
    return f"CONCAT_WS(',', {', '.join(numbers)})"


@compiles(marks, "sqlite")
def _marks_sqlite(element: marks, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{SQLITE_FUNCTION}({', '.join(compiler.process(clause, **kw) for clause in element.clauses)})"


def sqlite_marks(*values: Any) -> str:
    """What SQLite calls: it has no CRC-32 of its own."""
    return ",".join(
        ""
        if value is None
        else UNMARKED
        if value == UNMARKED
        else str(zlib.crc32(str(value).encode("utf-8", "replace")))
        for value in values
    )


def marked_value(target: Table, name: str, value: ColumnElement[Any], *, is_sqlite: bool) -> ColumnElement[Any]:
    """A value in the form in which the table holds it: on SQLite a number bound as text is not yet one."""
    is_text = isinstance(target.c[name].type, String | JSON)
    return cast(value, Numeric()) if is_sqlite and not is_text else value


def parse_marks(text: str | None, names: Sequence[str]) -> dict[str, str]:
    """Marks by column; none for a row that was never synced, or whose marks are of another form."""
    parts = (text or "").split(",")
    return dict(zip(names, parts, strict=True)) if len(parts) == len(names) else {}
