"""What a person is told of a text that is no number: the form that is read, what is in the way, and which options read it.

Each is told with the number that it would be. Other formats are tried on the text (`number_readings`); none is taken. The text itself, which may be any length and hold
anything, is never repeated, only numbers that it may be, and a short word beside the digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from server.core.currencies import is_magnitude
from server.core.number_format import NumberFormat, NumberOptions, is_currency
from server.core.texts import quoted
from server.pipeline.number_forms import BLANKS, is_thousands
from server.pipeline.number_readings import NumberParts, Reading, as_fraction, parts_of, readings_of

_EXPONENT: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+")
_PER_CENT: Final = re.compile("[%\u2030\u066a\ufe6a\uff05]")
_APART: Final = re.compile(rf"[0-9][.,'\u2019_{BLANKS}]+[0-9]")
_FRACTION: Final = re.compile(r"[+-]?[0-9]*[.,][0-9]+")
# A mark that may group thousands or begin decimals.
_DOUBTFUL: Final = re.compile(r"[+-]?[0-9]{1,3}([.,])[0-9]{3}")

# A longer word beside a number is not repeated, unless it is known.
_WORD_CHARS_MAX: Final = 5


def integer_fault(name: str, text: str, *, numbers: NumberOptions) -> str:
    """What is wrong with a text that is to be a whole number.

    Args:
        name: the target column.
        numbers: how numbers are written.
    """
    return f"{name} is not a whole number{_rest(text, numbers, scale=None)}"


def decimal_fault(name: str, text: str, *, scale: int, numbers: NumberOptions) -> str:
    """The same of a text that is to be a decimal number with so many decimals."""
    what = "has three decimals" if is_thousands(text, numbers.format) else "is not a decimal number"
    return f"{name} {what}{_rest(text, numbers, scale=scale)}"


def _rest(text: str, numbers: NumberOptions, *, scale: int | None) -> str:
    """Args: scale: decimals of the column, None for whole numbers."""
    hints = [f": read is {_read(numbers, is_whole=scale is None)}"]
    parts = parts_of(text)
    if _EXPONENT.fullmatch(text):
        hints.append("it has an exponent, as spreadsheets shorten long numbers: give the column all its digits there")
    elif not parts.number:
        other = any(char.isdecimal() for char in text)
        hints.append("its digits are none of 0 to 9: write them so" if other else "there is no digit in it")
    else:
        hints += _hints(parts, numbers, scale)
    return "; ".join(hints)


def _hints(parts: NumberParts, numbers: NumberOptions, scale: int | None) -> Iterator[str]:
    declared = numbers.format.currency
    is_money = parts.is_money(declared) and scale is not None and numbers.has_format
    if _PER_CENT.search("".join(parts.around)):
        yield "a percentage is read by no option: write the number that is meant"
        return
    if word := parts.word(declared):
        yield _multiple(word, may_be_declared=scale is not None and numbers.has_format)
        return
    if parts.is_negative:
        yield "write a negative number with - before its first digit, and nothing else around the digits"
    elif parts.around and not is_money:
        yield "leave out what stands around the digits"
    elif is_money and parts.number[0] in ".,":
        yield "write a 0 before its decimal mark"
    if is_money and declared and not set(parts.around) <= set(declared):
        yield (
            "its currency is none that options.numberFormat.currency lists, and nothing is converted: only if it is the same money "
            "by another name, list it too"
        )
    readings = readings_of(parts, numbers, is_whole=scale is None)
    doubtful = _DOUBTFUL.fullmatch(parts.number)
    if doubtful and (doubtful[1] != numbers.format.grouping or parts.number.lstrip("+-").startswith("0")):
        number = f"-{parts.number.lstrip('+-')}" if parts.is_negative else parts.number
        yield _doubt(number, doubtful[1], readings, numbers.format, scale)
    elif readings:
        yield _ways(readings)
    elif numbers.has_format and _APART.search(parts.number) and not _FRACTION.fullmatch(parts.number):
        yield "no option reads it: groups have exactly three digits, the first one no 0 in front, and one mark divides decimals"


def _multiple(word: str, *, may_be_declared: bool) -> str:
    is_shown = len(word) <= _WORD_CHARS_MAX or is_magnitude(word)
    text = (
        f"{quoted(word) if is_shown else 'a word'} is in the way, which may be a multiple (thousands, millions, hundredths) or a unit "
        "and is read by no option: write the number with all its digits, and leave out what stands around them"
    )
    if may_be_declared and is_currency(word) and not is_magnitude(word):
        text += "; if it is a currency, list it in options.numberFormat.currency"
    return text


def _doubt(
    number: str, mark: str, readings: tuple[Reading, ...], number_format: NumberFormat, scale: int | None
) -> str:
    fraction = as_fraction(number, mark)
    decimals = len(fraction.partition(".")[2])
    if scale is None:
        rest = f"write {fraction}" if not decimals else "it is no whole number"
    elif decimals > scale:
        rest = f"it has more than {scale} decimals"
    else:
        point = "." if scale and not decimals else ""
        rest = f"write {fraction}{point}{'0' * (scale - decimals)}".replace(".", number_format.decimal)
    ways = _ways(readings) if readings else "write its digits without it"
    called = "point" if mark == "." else "comma"
    return f"its {called} may mean thousands: if it does, {ways}; if it is {fraction}, {rest}"


def _ways(readings: tuple[Reading, ...]) -> str:
    return "set " + ", or ".join(f"{' and '.join(one.settings)} to read it as {one.number}" for one in readings)


def _read(numbers: NumberOptions, *, is_whole: bool) -> str:
    number_format = numbers.format
    is_plain = number_format.decimal == "." and not number_format.grouping
    thousands = f"69{number_format.grouping}900"
    if is_plain:
        form = "digits such as 69900" if is_whole else "digits and a point such as 69900.50"
    else:
        form = f"digits such as {thousands}" if is_whole else f"digits such as {thousands}{number_format.decimal}50"
    if is_whole or not number_format.currency:
        form += ", no currency"
    else:
        form += f", also with {' or '.join(number_format.currency[:3])}"
    form += ", no other grouping" if number_format.grouping else ", no grouping"
    if numbers.decimal_comma is False:
        form += f" (with options.decimalComma true {'69.900' if is_whole else '69.900,50'})"
    return form
