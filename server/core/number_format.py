"""How the numbers of a source are written, as its options declare it.

Nothing is guessed: a number that is not written so is no number. `pipeline/number_forms.py` reads by it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

CURRENCY_CHARS_MAX: Final = 16
# What a currency of letters may have behind its first one: `Rs.`, `S/.`.
_INNER_MARKS: Final = "./"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How numbers are written.

    Args:
        decimal: the mark before the decimals, `.` or `,`.
        grouping: what stands between groups of three digits: `.`, `,`, ` `, `'` or `_`; empty for none. Never `decimal`.
        currency: texts that may stand before or behind an amount of money, each as `is_currency` has it.
    """

    decimal: str = "."
    grouping: str = ""
    currency: tuple[str, ...] = ()


PLAIN: Final = NumberFormat()
# What options.decimalComma stands for.
DECIMAL_COMMA: Final = NumberFormat(",", ".")


@dataclass(frozen=True, slots=True)
class NumberOptions:
    """A number format, and the options that it comes from.

    Args:
        format: the format.
        decimal_comma: what options.decimalComma says; None where it says nothing: a source that has no such option, or
            marks that options.numberFormat names.
        has_format: whether the source has options.numberFormat.
    """

    format: NumberFormat = PLAIN
    decimal_comma: bool | None = None
    has_format: bool = False


NO_NUMBER_OPTIONS: Final = NumberOptions()


def is_currency(text: str) -> bool:
    """Whether a text can be a currency's: letters and currency signs, behind a first letter also `.` and `/`.

    Digits, blanks, signs, brackets and per cent are none of it: they would change what the number is. So would the point of
    `$.50`.
    """
    kinds = [unicodedata.category(char) for char in text[: CURRENCY_CHARS_MAX + 1]]
    if not 0 < len(kinds) <= CURRENCY_CHARS_MAX or not (kinds[0] == "Sc" or kinds[0].startswith("L")):
        return False
    marks = "" if "Sc" in kinds else _INNER_MARKS
    return all(
        kind in ("Sc", "Mn", "Mc") or kind.startswith("L") or char in marks
        for char, kind in zip(text, kinds, strict=True)
    )
