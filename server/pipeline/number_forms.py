r"""The patterns of a declared number format, for Polars and for Python alike, and the number that a single text is.

| format | whole number | decimal |
|---|---|---|
| point, no grouping (no option) | 69900, 16.0 | 69900, 69900.50 |
| comma, points group | 69900, 69.900, 1'299.900, 16,0 | 69900,50, 69.900,50 |
| comma, spaces group, currency € | 69 900 | 69900,50, 69 900,50 €, € 69 900 |

Groups have exactly three digits, the first one to three of them and no 0 in front: `0.900` is hardly 900. A currency stands
beside amounts of money alone, so a whole number has none; behind it a number begins with a digit, for in `Rs.50` the point
belongs to the currency. The sign stands before the digits or before the currency.

One to three digits, the decimal mark and exactly three digits are never a fraction (`thousands`); nor are they behind digits that
an apostrophe groups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from server.core.number_format import NumberFormat

_FORMATS_KEPT_MAX: Final = 128
# Blanks that people and programs put between a number's parts: space, tab, no-break, figure, thin and narrow no-break.
BLANKS: Final = " \t\u00a0\u2007\u2009\u202f"
_SPACE: Final = "[ \u00a0\u2007\u2009\u202f]"
_APOSTROPHE: Final = "['\u2019]"
_MARKS: Final = {".": r"\.", ",": ",", " ": _SPACE, "'": _APOSTROPHE, "_": "_"}
# In Spanish an apostrophe marks the millions where points or commas group thousands: 1'299.900.
_GROUPINGS: Final = _MARKS | {".": "[.'\u2019]", ",": "[,'\u2019]"}
# What may stand before a mark that groups thousands: 1.299, 1'299.900.
_BEFORE_THOUSANDS: Final = f"(?:[0-9]{{1,3}}|[1-9][0-9]{{0,2}}(?:{_APOSTROPHE}[0-9]{{3}})+)"


@dataclass(frozen=True, slots=True)
class NumberForms:
    """Patterns that Rust's regex and Python's re read alike.

    Args:
        whole: whole numbers, with nothing but zeros behind the decimal mark.
        decimal: decimal numbers, with their currency.
        thousands: numbers without their currency whose decimal mark may as well group thousands.
        before: a currency before a number, with the signs around it as two groups; empty without a currency.
        behind: a currency behind a number; empty without a currency.
        grouping: what stands between groups; empty for nothing.
    """

    whole: str
    decimal: str
    thousands: str
    before: str
    behind: str
    grouping: str


@lru_cache(maxsize=_FORMATS_KEPT_MAX)
def forms_of(number_format: NumberFormat) -> NumberForms:
    """The patterns of a format."""
    mark = _MARKS[number_format.decimal]
    grouping = _GROUPINGS[number_format.grouping] if number_format.grouping else ""
    digits = f"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{grouping}[0-9]{{3}})+)" if grouping else "[0-9]+"
    bare = f"[+-]?(?:{digits}(?:{mark}[0-9]*)?|{mark}[0-9]+)"
    decimal, before, behind = bare, "", ""
    if number_format.currency:
        names = _names(number_format)
        gap = f"[{BLANKS}]*"
        before, behind = f"^([+-]?)(?:{names}){gap}([+-]?)", f"{gap}(?:{names})$"
        front = f"(?:[+-]?(?:{names}){gap}|(?:{names}){gap}[+-])"
        decimal = f"(?:{bare}|{front}{digits}(?:{mark}[0-9]*)?)(?:{gap}(?:{names}))?"
    return NumberForms(
        whole=f"^[+-]?(?:{digits}(?:{mark}0*)?|{mark}0+)$",
        decimal=f"^{decimal}$",
        thousands=f"^[+-]?{_BEFORE_THOUSANDS}{mark}[0-9]{{3}}$",
        before=before,
        behind=behind,
        grouping=grouping,
    )


def currency_patterns(number_format: NumberFormat) -> tuple[str, str]:
    """What finds the currency before a number of the format and the one behind it, as a group; the format has a currency."""
    names = _names(number_format)
    return f"^[+-]?({names})", f"({names})$"


def _names(number_format: NumberFormat) -> str:
    # The longest first, so that the point of `Rs.` is never left to the number.
    return "|".join(re.escape(text) for text in sorted(number_format.currency, key=len, reverse=True))


def without_currency(text: str, number_format: NumberFormat) -> str:
    """A text without the currency beside its number."""
    forms = forms_of(number_format)
    if not forms.before:
        return text
    return re.sub(forms.behind, "", re.sub(forms.before, r"\1\2", text))


def is_thousands(text: str, number_format: NumberFormat) -> bool:
    """Whether the decimal mark of a text may as well group thousands."""
    return re.fullmatch(forms_of(number_format).thousands, without_currency(text, number_format)) is not None


def plain_number(text: str, number_format: NumberFormat, *, is_whole: bool) -> str | None:
    """The number that a text is, as digits with a sign and a point and nothing that says nothing; None for no number.

    Args:
        is_whole: only whole numbers count, which have no currency.
    """
    forms = forms_of(number_format)
    if not re.fullmatch(forms.whole if is_whole else forms.decimal, text) or is_thousands(text, number_format):
        return None
    bare = text if is_whole else without_currency(text, number_format)
    if forms.grouping:
        bare = re.sub(forms.grouping, "", bare)
    whole, _, fraction = bare.replace(number_format.decimal, ".").partition(".")
    fraction = fraction.rstrip("0")
    digits = (whole.lstrip("+-").lstrip("0") or "0") + (f".{fraction}" if fraction else "")
    return f"-{digits}" if whole.startswith("-") and digits != "0" else digits
