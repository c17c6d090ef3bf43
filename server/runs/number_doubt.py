"""Whether the numbers of a source tell by themselves what their points and commas mean, and which format reads most of them.

`69.900` may be 69900 or 69.9. Where another number of the source can be read in one way alone (`69.900,50`, `1.234.567`), that
settles it; where none can, a person has to say which is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from server.core.number_format import DECIMAL_COMMA, NumberFormat, NumberOptions
from server.core.reject_kinds import RejectKind
from server.core.texts import listed, quoted
from server.pipeline.number_forms import is_thousands, plain_number, without_currency
from server.pipeline.number_readings import MARKS, as_fraction, parts_of
from server.runs.look import Look
from server.sources.header_advice import Variants

NUMBER_OPTION: Final = "numberFormat"
_OF_NUMBERS: Final = frozenset({RejectKind.BAD_CAST, RejectKind.OUT_OF_RANGE})
_DECIMAL_COMMA: Final = "decimalComma"
_FORMATS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class _Number:
    """A text of a column of numbers.

    Args:
        column: as the source calls it.
        text: without blanks around it.
        is_whole: whether the column takes whole numbers alone.
    """

    column: str
    text: str
    is_whole: bool

    def read(self, number_format: NumberFormat) -> str | None:
        """The number that it is; None for none."""
        return plain_number(self.text, number_format, is_whole=self.is_whole)


def number_variants(look: Look) -> tuple[Variants, ...]:
    """The formats that read more of the numbers than the one in use, where some are rejected."""
    options = look.plan.numbers
    columns = set(_number_columns(look))
    if not options.has_format or not any(one.kind in _OF_NUMBERS and one.column in columns for one in look.rejects):
        return ()
    numbers = list(_numbers(look))
    currencies = [options.format.currency]
    if not several_currencies(look):
        # What is declared and met nowhere is none of the file's.
        currencies += [texts for of in _money(look).values() for texts in of.values()][:1]
    marks = ((options.format.decimal, options.format.grouping), *MARKS)
    wanted = dict.fromkeys(NumberFormat(*pair, currency) for currency in currencies for pair in marks)
    by_numbers: dict[tuple[str | None, ...], NumberFormat] = {}
    # Of those that read the same, the one of fewest settings, so that nothing is proposed that no number needs.
    for number_format in sorted(wanted, key=lambda one: _setting_count(one, options)):
        by_numbers.setdefault(tuple(one.read(number_format) for one in numbers), number_format)
    most = max(map(_count, by_numbers))
    if most <= _count(tuple(one.read(options.format) for one in numbers)):
        return ()
    best = [number_format for read, number_format in by_numbers.items() if _count(read) == most][:_FORMATS_MAX]
    doubt = "the numbers have no one format: each of these reads as many of them" if len(best) > 1 else ""
    asked = bool(look.options.get(NUMBER_OPTION))
    return (Variants(NUMBER_OPTION, tuple(_changes(one, options, is_asked=asked) for one in best), doubt),)


def several_currencies(look: Look) -> str:
    """That the amounts of a source have more than one currency, as a sentence; empty where they have not.

    `$ 69.900 COP` is one, where each amount is written so. Those that are declared are one by a person's word.
    """
    found = _money(look)
    groups = {group: texts for of in found.values() for group, texts in of.items()}
    every = dict.fromkeys(text for texts in groups.values() for text in texts)
    if len(groups) < 2 or set(every) <= set(look.plan.numbers.format.currency):
        return ""
    return (
        f"{listed(found)} {'holds' if len(found) == 1 else 'hold'} several currencies ({listed(every)}), and the table has no column "
        "that says which: nothing is converted, so no option is proposed that reads them as one money; give each currency a source "
        "of its own, or have the source convert them"
    )


def number_doubt(look: Look) -> str:
    """What is open of a reading that groups digits by points or commas, as a clause; empty where the numbers settle it."""
    number_format = look.plan.numbers.format
    mark = number_format.grouping
    if mark not in (".", ","):
        return ""
    numbers = [
        replace(one, text=without_currency(one.text, number_format))
        for one in _numbers(look)
        if one.read(number_format) is not None
    ]
    if any(number_format.decimal in one.text or one.text.count(mark) > 1 for one in numbers):
        return ""
    first = next((one for one in numbers if is_thousands(one.text, NumberFormat(mark))), None)
    if first is None:
        return ""
    whole, fraction = first.read(number_format), as_fraction(first.text, mark)
    called = "point" if mark == "." else "comma"
    return (
        f"{quoted(first.text)} in {quoted(first.column)} may be {whole} or {fraction}: where its {called} groups digits it is "
        f"{whole}, and no option reads it as {fraction}"
    )


def _count(read: tuple[str | None, ...]) -> int:
    return sum(number is not None for number in read)


def _money(look: Look) -> dict[str, dict[frozenset[str], tuple[str, ...]]]:
    """For each column with amounts of money, the currencies beside them: all that stand beside one amount together."""
    declared = look.plan.numbers.format.currency
    found: dict[str, dict[frozenset[str], tuple[str, ...]]] = {}
    for one in _numbers(look):
        parts = parts_of(one.text)
        if not one.is_whole and parts.is_money(declared):
            found.setdefault(one.column, {}).setdefault(frozenset(parts.around), tuple(dict.fromkeys(parts.around)))
    return found


def _setting_count(wanted: NumberFormat, now: NumberOptions) -> int:
    """How many settings a format changes."""
    count = int(wanted.currency != now.format.currency)
    if (wanted.decimal, wanted.grouping) == (now.format.decimal, now.format.grouping):
        return count
    changes = _changes(replace(wanted, currency=()), now, is_asked=False)
    return count + len([name for name in changes if name != NUMBER_OPTION]) + len(changes.get(NUMBER_OPTION, ()))


def _changes(wanted: NumberFormat, now: NumberOptions, *, is_asked: bool) -> Mapping[str, Any]:
    """The options of a format, in the form of the contract's JSON.

    Args:
        is_asked: whether options.numberFormat is set now, so that an empty one is to take its place.
    """
    currency = {"currency": list(wanted.currency)} if wanted.currency else {}
    if replace(wanted, currency=()) == DECIMAL_COMMA and now.decimal_comma is not None:
        return {_DECIMAL_COMMA: True, **({NUMBER_OPTION: currency} if currency else {})}
    # Where grouping is named and decimal is not, decimal follows from it.
    decimal = {} if wanted.decimal == ("," if wanted.grouping == "." else ".") else {"decimal": wanted.decimal}
    grouping = {"grouping": wanted.grouping} if wanted.grouping else {}
    off = {_DECIMAL_COMMA: False} if now.decimal_comma else {}
    number_format = {**decimal, **grouping, **currency}
    return {**off, **({NUMBER_OPTION: number_format} if number_format or is_asked else {})}


def _number_columns(look: Look) -> dict[str, bool]:
    """The source columns that fill columns of numbers, with whether these are whole."""
    plan = look.plan
    return {
        plan.source_columns[column.name]: column.kind == "integer"
        for column in plan.target.columns
        if column.kind in ("integer", "decimal") and column.name in plan.source_columns
    }


def _numbers(look: Look) -> Iterator[_Number]:
    batch = look.preview.batch
    if batch is None:
        return
    for column, is_whole in _number_columns(look).items():
        for text in batch.frame[column].drop_nulls().str.strip_chars().unique(maintain_order=True).to_list():
            if text:
                yield _Number(column, text, is_whole)
