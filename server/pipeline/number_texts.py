"""The forms in which numbers are read, and what a person is told of a text that has none of them.

| column | without a decimal comma | with one |
|---|---|---|
| whole number | 69900, 16.0 | 69900, 69.900, 16,0 |
| decimal | 69900, 69900.50 | 69900,50, 69.900,50 |

A sentence tells the form, what is seen in the text that the form lacks, and the option that reads it if there is one. It
never repeats the text, which may be any length and hold anything.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_GROUPED: Final = r"[0-9]{1,3}(?:\.[0-9]{3})+"
# What stands around a number with a unit or a currency, such as "$ 69.900" or "16 GB".
_AROUND: Final = re.compile(r"^[^0-9.,]*|[^0-9.,]*$")
_BLANKS: Final = re.compile(r"[0-9][\s'’_]+[0-9]")
_COMMA_GROUPS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")

_EXPONENT: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+")
# Ways to write a minus that are not read: other dashes, one behind the digits, parentheses.
_MINUS: Final = re.compile("[-(\u2010-\u2015\u2212\ufe63\uff0d]")

_DECIMAL_OPTION: Final = "options.decimalComma"


@lru_cache(maxsize=2)
def whole_form(*, decimal_comma: bool) -> str:
    """A pattern of whole numbers, with nothing but zeros behind the decimal mark."""
    if decimal_comma:
        return rf"^[+-]?(?:(?:[0-9]+|{_GROUPED})(?:,0*)?|,0+)$"
    return r"^[+-]?(?:[0-9]+(?:\.0*)?|\.0+)$"


@lru_cache(maxsize=2)
def decimal_form(*, decimal_comma: bool) -> str:
    """A pattern of decimal numbers."""
    if decimal_comma:
        return rf"^[+-]?(?:(?:[0-9]+|{_GROUPED})(?:,[0-9]*)?|,[0-9]+)$"
    return r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$"


@lru_cache(maxsize=2)
def thousands_form(*, decimal_comma: bool) -> str:
    """A pattern of numbers whose decimal mark may as well group thousands."""
    mark = "," if decimal_comma else r"\."
    return rf"^[+-]?[0-9]{{1,3}}{mark}[0-9]{{3}}$"


def integer_fault(name: str, text: str, *, decimal_comma: bool | None) -> str:
    """What is wrong with a text that is to be a whole number.

    Args:
        name: the target column.
        decimal_comma: see MappingPlan.
    """
    return f"{name} is not a whole number{_rest(text, decimal_comma=decimal_comma, is_whole=True)}"


def decimal_fault(name: str, text: str, *, decimal_comma: bool | None) -> str:
    """The same of a text that is to be a decimal number."""
    if re.search(thousands_form(decimal_comma=bool(decimal_comma)), text):
        return f"{name} has three decimals{_rest(text, decimal_comma=decimal_comma, is_whole=False)}"
    return f"{name} is not a decimal number{_rest(text, decimal_comma=decimal_comma, is_whole=False)}"


def _rest(text: str, *, decimal_comma: bool | None, is_whole: bool) -> str:
    number = _AROUND.sub("", text)
    hints = [f": read is {_read(decimal_comma=decimal_comma, is_whole=is_whole)}"]
    if _EXPONENT.fullmatch(text):
        hints.append("it has an exponent, as spreadsheets shorten long numbers: give the column all its digits there")
    elif not number:
        hints.append("there is no digit in it")
    else:
        hints += _around(text)
        if advice := _advice(number, decimal_comma=decimal_comma, is_whole=is_whole):
            hints.append(advice)
    return "; ".join(hints)


def _around(text: str) -> list[str]:
    unsigned = text.removeprefix("+").removeprefix("-")
    number = _AROUND.sub("", unsigned)
    if number == unsigned:
        return []
    if _MINUS.search(unsigned.replace(number, "", 1)):
        return ["write a negative number with - before its first digit, and nothing else around the digits"]
    return ["leave out what stands around the digits"]


def _read(*, decimal_comma: bool | None, is_whole: bool) -> str:
    plain = "digits such as 69900" if is_whole else "digits and a point such as 69900.50"
    comma = "69.900" if is_whole else "69.900,50"
    if decimal_comma is None:
        return f"{plain}, no currency, no grouping"
    if decimal_comma:
        return f"digits such as {comma}, no currency, no other grouping (with {_DECIMAL_OPTION} false {plain})"
    return f"{plain}, no currency, no grouping (with {_DECIMAL_OPTION} true {comma})"


def _advice(number: str, *, decimal_comma: bool | None, is_whole: bool) -> str:
    """What reads a number without what stands around it; empty where nothing more is to be said."""
    short = "69900" if is_whole else "69.90" if not decimal_comma else "69,90"
    if re.search(thousands_form(decimal_comma=bool(decimal_comma)), number):
        if decimal_comma is False:
            return (
                f"its point may mean thousands: if it does, set {_DECIMAL_OPTION} to true, which reads 69.900 as 69900; "
                f"if not, write {short}"
            )
        mark = "comma" if decimal_comma else "point"
        return f"its {mark} may mean thousands, which no option reads: write {'69900' if is_whole else f'69900 or {short}'}"
    if _fits(number, decimal_comma=bool(decimal_comma), is_whole=is_whole):
        return ""
    if decimal_comma is not None and _fits(number, decimal_comma=not decimal_comma, is_whole=is_whole):
        seen = "its points group digits" if number.count(".") > 1 else "it has a decimal comma"
        if decimal_comma:
            seen = "it has a decimal point"
        return f"{seen}: set {_DECIMAL_OPTION} to {'false' if decimal_comma else 'true'}"
    if _BLANKS.search(number):
        return "grouping by blanks or apostrophes is read by no option: write the digits without them"
    if _COMMA_GROUPS.fullmatch(number):
        return "grouping by commas is read by no option: write the digits without them"
    return ""


def _fits(number: str, *, decimal_comma: bool, is_whole: bool) -> bool:
    form = whole_form if is_whole else decimal_form
    return (
        re.search(form(decimal_comma=decimal_comma), number) is not None
        and re.search(thousands_form(decimal_comma=decimal_comma), number) is None
    )
