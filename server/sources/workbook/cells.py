"""What a cell holds, as text that knows what it is, and how the numbers of a workbook become text.

A workbook stores doubles: a number becomes the shortest digits that are that double, without exponent and without `.0`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

_DAY_MS: Final = 86_400_000
# 9999-12-31 and the day behind it.
_SERIAL_END: Final = 2_958_466
_SERIAL_NO_DAY: Final = 60
_EPOCH: Final = date(1899, 12, 30)
_EPOCH_1904: Final = date(1904, 1, 1)
_LITERALS: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|am/pm|a/p|\[(?!h+\]|m+\]|s+\])[^\]]*\]')
_BUILT_IN: Final = {
    **dict.fromkeys((*range(14, 18), *range(27, 32), 36, *range(50, 55), 57, 58), "date"),
    **dict.fromkeys((*range(18, 22), 32, 33, 34, 35, 45, 47, 55, 56), "time"),
    22: "datetime",
    46: "elapsed",
}
NO_VALUE: Final = "no stored value"


class Number(str):
    """A number's digits."""

    __slots__ = ()


class Fault(str):
    """Why a cell has no value that could be loaded: its error, such as #N/A."""

    __slots__ = ()


Cell = str | None


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row of a sheet.

    Args:
        number: as the program shows it, from 1.
        cells: up to the last one that holds something.
        repeat: how many rows from here on are the same.
        is_hidden: whether the program hides it, by hand or by a filter.
    """

    number: int
    cells: tuple[Cell, ...]
    repeat: int = 1
    is_hidden: bool = False


def has_value(row: SheetRow) -> bool:
    """Whether a cell of it holds more than blanks."""
    return any(cell is not None and cell.strip() for cell in row.cells)


def number_of(text: str) -> Cell:
    """A stored number."""
    try:
        value = float(text)
    except ValueError:
        return Fault("a number that is none")
    if not math.isfinite(value):
        return Fault("a number that is none")
    plain = format(Decimal(repr(value)), "f").removesuffix(".0")
    return Number("0" if plain == "-0" else plain)


def moment_kind(format_id: int, code: str | None) -> str | None:
    """What a number format shows: date, time, datetime, elapsed (hours beyond a day); None for a number."""
    if code is None:
        return _BUILT_IN.get(format_id)
    shown = _LITERALS.sub("", code.lower()).split(";", 1)[0]
    if "general" in shown:
        return None
    if "[" in shown:
        return "elapsed"
    has_time = "h" in shown or "s" in shown
    has_date = "y" in shown or "d" in shown or ("m" in shown and not has_time)
    if has_date:
        return "datetime" if has_time else "date"
    return "time" if has_time else None


def moment_of(text: str, kind: str, *, from_1904: bool) -> Cell:
    """A number that counts days, in ISO 8601: the whole of what is stored, also where the format shows less."""
    try:
        value = float(text)
    except ValueError:
        return Fault("a date that is none")
    if not 0 <= value < _SERIAL_END:
        return Fault("a date that is none")
    total_ms = round(value * _DAY_MS)
    days, rest_ms = divmod(total_ms, _DAY_MS)
    if kind == "elapsed" or (kind == "time" and days):
        return clock_text(total_ms)
    if kind == "time" or (not days and not from_1904):
        return clock_text(rest_ms)
    if from_1904:
        day = _EPOCH_1904 + timedelta(days=days)
    elif days == _SERIAL_NO_DAY:
        return Fault("1900-02-29, a day that never was")
    else:
        day = _EPOCH + timedelta(days=days + (days < _SERIAL_NO_DAY))
    return day.isoformat() if kind == "date" and not rest_ms else f"{day.isoformat()}T{clock_text(rest_ms)}"


def clock_text(total_ms: int) -> str:
    """Hours, minutes and seconds; milliseconds where there are any."""
    seconds, ms = divmod(total_ms, 1000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{ms:03}".rstrip("0") if ms else text


def cell_name(column: int, row: int) -> str:
    """A cell as people call it, such as B7; columns from 0."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"
