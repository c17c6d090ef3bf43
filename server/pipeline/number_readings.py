"""Which other number formats would read a text, and as what; nothing here decides what is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from server.core.currencies import is_magnitude, is_sure_currency
from server.core.number_format import DECIMAL_COMMA, PLAIN, NumberFormat, NumberOptions, is_currency
from server.pipeline.number_forms import BLANKS, plain_number

# Decimal mark and grouping of formats that people use, the commonest first; before commas, which take an apostrophe too, the
# apostrophe alone.
MARKS: Final = (
    (",", "."),
    (".", ""),
    (".", "'"),
    (".", ","),
    (",", " "),
    (".", " "),
    (",", "'"),
    (".", "_"),
    (",", "_"),
)
# A longer text is no number that anyone wrote.
_CHARS_MAX: Final = 60
_READINGS_MAX: Final = 3
# Ways to write a minus that are not read: other dashes, one behind the digits, parentheses.
_MINUS: Final = re.compile("[-(\u2010-\u2015\u2212\ufe63\uff0d]")


@dataclass(frozen=True, slots=True)
class NumberParts:
    """A text, taken apart.

    Args:
        text: all of it, without blanks around it.
        number: from its first digit to its last, with the sign and the mark before the first; empty without digits.
        around: what else stands before and behind the number, without blanks; none of it empty.
    """

    text: str
    number: str
    around: tuple[str, ...]

    def is_money(self, declared: Collection[str] = ()) -> bool:
        """Whether what stands around the number is surely a currency or declared as one, and no two codes."""
        codes = {one for one in self.around if one.isalpha()}
        return bool(self.around) and all(map(self._is_known(declared), self.around)) and len(codes) < 2

    def word(self, declared: Collection[str] = ()) -> str:
        """What stands around the number and may be a multiple or a unit; empty for none."""
        is_known = self._is_known(declared)
        words = (one for one in self.around if any(map(str.isalpha, one)) or is_magnitude(one))
        return next((one for one in words if not is_known(one)), "")

    @staticmethod
    def _is_known(declared: Collection[str]) -> Callable[[str], bool]:
        return lambda one: one in declared or is_sure_currency(one)

    @property
    def is_negative(self) -> bool:
        """Whether it has a minus that is written in another way than before the number."""
        return _MINUS.search("".join(self.around)) is not None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text would be with other options.

    Args:
        settings: each option with its value, as `options.decimalComma to true`.
        number: digits with a sign and a point.
    """

    settings: tuple[str, ...]
    number: str


def parts_of(text: str) -> NumberParts:
    """Take a text apart."""
    text = text.strip()[: 2 * _CHARS_MAX]
    found = re.fullmatch(r"([^0-9]*)([0-9](?:.*[0-9])?)([^0-9]*)", text, re.DOTALL)
    if found is None:
        return NumberParts(text, "", ())
    before, number, behind = found.groups()
    sign = ""
    # A sign stands before the currency or behind it; a blank between it and what it belongs to is one too many.
    if re.match(rf"[+-](?![{BLANKS}+-]|$)", before):
        sign, before = before[0], before[1:]
    elif re.search(r"[+-]$", before):
        sign, before = before[-1], before[:-1]
    before = before.strip(BLANKS)
    if before[-1:] in (".", ",") and not is_currency(before):
        number, before = before[-1] + number, before[:-1].rstrip(BLANKS)
    behind = re.sub(rf"^[.,]?[{BLANKS}]*", "", behind)
    return NumberParts(text, sign + number, tuple(part for part in (before, behind) if part))


def readings_of(parts: NumberParts, numbers: NumberOptions, *, is_whole: bool) -> tuple[Reading, ...]:
    """The other formats that read a text, those with the fewest settings first, each number once.

    What stands around the number and can be no currency is left out of the text. Empty where the declared format reads it,
    and where a word stands there, which may make it another number.
    """
    declared = numbers.format.currency
    if not numbers.has_format or len(parts.text) > _CHARS_MAX or parts.word(declared):
        return ()
    is_money = parts.is_money(declared) and not is_whole
    text = parts.text if is_money or not parts.around else parts.number
    if parts.is_negative and text == parts.number:
        text = f"-{text.lstrip('+-')}"
    if plain_number(text, numbers.format, is_whole=is_whole) is not None:
        # It is what stands around the number, or how its minus is written, that is in the way.
        return ()
    currency = declared
    if is_money:
        currency += tuple(sorted(set(parts.around) - set(currency)))
    marks = ((numbers.format.decimal, numbers.format.grouping), *MARKS)
    found = [
        Reading(tuple(_settings(wanted, numbers)), number)
        for wanted in dict.fromkeys(NumberFormat(decimal, grouping, currency) for decimal, grouping in marks)
        if (number := plain_number(text, wanted, is_whole=is_whole)) is not None
    ]
    best: dict[str, Reading] = {}
    for reading in sorted(found, key=lambda one: len(one.settings)):
        best.setdefault(reading.number, reading)
    return tuple(best.values())[:_READINGS_MAX]


def as_fraction(bare: str, mark: str) -> str:
    """A number whose decimal mark is this one, without zeros that say nothing."""
    return plain_number(f"{bare}0", NumberFormat(mark, "'"), is_whole=False) or ""


def _settings(wanted: NumberFormat, numbers: NumberOptions) -> Iterator[str]:
    now = numbers.format
    if (wanted.decimal, wanted.grouping) != (now.decimal, now.grouping):
        if numbers.decimal_comma is False and replace(wanted, currency=()) == DECIMAL_COMMA:
            yield "options.decimalComma to true"
            now = wanted
        elif numbers.decimal_comma:
            yield "options.decimalComma to false"
            now = PLAIN
        # Where grouping is named and decimal is not, decimal follows from it.
        if wanted.decimal != now.decimal or (wanted.decimal == "," and wanted.grouping != now.grouping):
            yield f"options.numberFormat.decimal to {json.dumps(wanted.decimal)}"
        if wanted.grouping != now.grouping:
            yield f"options.numberFormat.grouping to {json.dumps(wanted.grouping)}"
    if wanted.currency != numbers.format.currency:
        yield f"options.numberFormat.currency to {json.dumps(wanted.currency, ensure_ascii=False)}"
