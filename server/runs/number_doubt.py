"""Whether the numbers of a source tell by themselves what their points and commas mean.

`69.900` may be 69900 or 69.9. Where another number of the source can be read in one way alone (`69.900,50`, `1.234.567`), that
settles it; where none can, a person has to say which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from server.core.reject_kinds import RejectKind
from server.core.texts import quoted
from server.pipeline.number_forms import without_currency
from server.runs.look import Look
from server.sources.header_advice import Variants

_OF_NUMBERS: Final = frozenset({RejectKind.BAD_CAST, RejectKind.OUT_OF_RANGE})
NUMBER_OPTION: Final = "decimalComma"
# A point between groups of three digits, which may as well be a decimal point.
_OPEN: Final = re.compile(r"[+-]?[0-9]{1,3}\.[0-9]{3}")
_GROUPS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3}){2,}(?:,[0-9]*)?|[+-]?[0-9.]*,[0-9]+")
_FRACTION: Final = re.compile(r"[+-]?[0-9]*\.(?:[0-9]{1,2}|[0-9]{4,})|[+-]?[0-9]{4,}\.[0-9]{3}")


@dataclass(frozen=True, slots=True)
class _Number:
    """A text of a column of numbers without its currency, and the column as the source calls it."""

    column: str
    text: str


def number_variants(look: Look) -> tuple[Variants, ...]:
    """The other decimal mark, where numbers are rejected as they are read now and none of them contradicts it."""
    now = look.plan.numbers.decimal_comma
    names = set(_number_columns(look).values())
    if now is None or not any(one.kind in _OF_NUMBERS and one.column in names for one in look.rejects):
        return ()
    numbers = list(_numbers(look))
    if not now and any(_FRACTION.fullmatch(one.text) for one in numbers):
        return ()
    return (Variants(NUMBER_OPTION, ({NUMBER_OPTION: not now},)),)


def number_doubt(look: Look) -> str:
    """What is open of a reading with a decimal comma, as a clause; empty where the numbers settle it."""
    if not look.plan.numbers.decimal_comma:
        return ""
    numbers = list(_numbers(look))
    if any(_GROUPS.fullmatch(one.text) for one in numbers):
        return ""
    first = next((one for one in numbers if _OPEN.fullmatch(one.text)), None)
    if first is None:
        return ""
    whole, fraction = first.text.replace(".", ""), first.text.rstrip("0").rstrip(".")
    return (
        f"{quoted(first.text)} in {quoted(first.column)} may be {whole} or {fraction}: with a decimal comma it is {whole}, and "
        f"no option reads it as {fraction}"
    )


def _number_columns(look: Look) -> dict[str, str]:
    """Target columns of numbers -> the source columns that fill them."""
    return {
        column.name: look.plan.source_columns[column.name]
        for column in look.plan.target.columns
        if column.kind in ("integer", "decimal") and column.name in look.plan.source_columns
    }


def _numbers(look: Look) -> Iterator[_Number]:
    batch = look.preview.batch
    if batch is None:
        return
    for column in _number_columns(look).values():
        for text in batch.frame[column].drop_nulls().str.strip_chars().unique(maintain_order=True).to_list():
            yield _Number(column, without_currency(text, look.plan.numbers.format))
