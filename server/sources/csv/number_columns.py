"""How a number that its format knows to be one is written for the column that it goes to.

A mapping reads numbers as people write them, so that 69.900 may be 69900 and is refused. A number of JSON, a workbook or
Parquet leaves no such doubt: where its column fills a column of numbers it is written as the mapping reads it, without
exponent, with the decimal mark of the options and never with just three decimals. Everywhere else it keeps its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from server.core.texts import folded
from server.sources.csv.options import CsvOptions
from server.targets.registry import TARGETS

# A double has no more digits before its point, or zeros behind it.
_EXPONENT_MAX: Final = 400


def number_columns(options: CsvOptions, columns: Sequence[str]) -> frozenset[str]:
    """The source columns that may fill a column of numbers, by any name that the mapping could find them by."""
    numbers = [column.name for column in TARGETS[options.target_table].columns if column.kind in ("integer", "decimal")]
    mapped = {folded(target): source for target, source in options.column_mapping.items()}
    aliases = {folded(target): names for target, names in options.column_aliases.items()}
    wanted: set[str] = set()
    for name in numbers:
        source = mapped.get(folded(name))
        names = (name, *aliases.get(folded(name), ())) if source is None else (source,)
        wanted.update(map(folded, names))
    return frozenset(column for column in columns if folded(column) in wanted)


def number_text(text: str, decimal: str) -> str:
    """A number as a column of numbers reads it: the same value.

    Args:
        text: digits and a point, or with an exponent.
        decimal: the mark before the decimals that the options declare.
    """
    if "e" in text or "E" in text:
        number = Decimal(text)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or abs(exponent) > _EXPONENT_MAX:
            return text
        text = format(number, "f")
    if text[-4:-3] == ".":
        text += "0"
    return text.replace(".", decimal)
