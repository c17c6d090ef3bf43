"""The marks of a row: one number per column, for the value that the last sync left there.

They come with the rows (server/pipeline/hashing.py: 32 bits of the column's share of the row hash), as one text
`number,number,...` in the order of LoadSpec.marked_columns, with `-` for a column that the sync does not fill. A column was
edited since then when its value has another mark now. That an edit goes unnoticed happens once in 2^32 edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Numeric, Table

UNMARKED: Final = "-"


def canonical(target: Table, name: str, value: Any) -> str | None:
    """A value of the table, read as text, as the pipeline writes it: decimals with all their digits."""
    if value is None:
        return None
    column = target.c[name].type
    if isinstance(column, Numeric) and column.scale is not None:
        return f"{Decimal(str(value)):.{column.scale}f}"
    return str(value)


def parse_marks(text: str | None, names: Sequence[str]) -> dict[str, str]:
    """Marks by column; none for a row that was never synced, or whose marks are of another form."""
    parts = (text or "").split(",")
    return dict(zip(names, parts, strict=True)) if len(parts) == len(names) else {}
