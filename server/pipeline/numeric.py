"""Casts of whole numbers and decimals, exact to the last digit.

A number is digits with an optional sign and what the source's number format declares (`number_forms`), nothing else: no
exponent, no other currency, grouping or white space. Arithmetic is done in 128-bit integers, so that 2^63 or a number of
forty digits is out of range and never wraps; a decimal with more digits than its column is refused, not rounded.

One to three digits, the decimal mark and exactly three digits are never a fraction: 69.900 is 69900 to most who write it
so. Only a column that holds three decimals takes them. `number_texts` says of a refused text what would be read.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final

import polars as pl

from server.core.number_format import NumberFormat, NumberOptions
from server.core.reject_kinds import RejectKind
from server.pipeline import number_texts
from server.pipeline.checks import Cast, Check
from server.pipeline.number_forms import forms_of
from server.targets.base import TargetColumn

# 128-bit integers hold any number of this many digits.
DIGITS_MAX: Final = 38

# The decimals of a column in which three of them are no thousands.
_DECIMALS_OF_THOUSANDS: Final = 3


def cast_integer(column: TargetColumn, *, numbers: NumberOptions) -> Cast:
    """Whole numbers within the column's bounds; without bounds, within 64 signed bits. `+007` and `7.0` become `7`."""
    name = column.name
    text, number = pl.col(name), pl.col(f"{name}:number")
    low = int(column.minimum) if column.minimum is not None else -(2**63)
    high = int(column.maximum) if column.maximum is not None else 2**63 - 1
    forms = forms_of(numbers.format)
    explain = partial(number_texts.integer_fault, name, numbers=numbers)
    checks = (
        Check(
            RejectKind.BAD_CAST,
            name,
            f"{name} is not a whole number",
            ~text.str.contains(forms.whole) | text.str.contains(forms.thousands),
            explain,
        ),
        Check(RejectKind.OUT_OF_RANGE, name, f"{name} is outside {low} to {high}", _outside(text, number, low, high)),
    )
    # Zeros behind the decimal mark say nothing; where something else stands there, the first check refuses it. Of `.0` and
    # `-.0` no digit is left.
    plain = _with_point(text, numbers.format).str.replace(r"\.0*$", "")
    steps = (
        pl.when(plain.is_in(["", "-", "+"]))
        .then(pl.lit("0"))
        .otherwise(plain)
        .cast(pl.Int128, strict=False)
        .alias(f"{name}:number"),
    )
    return Cast(number.cast(pl.String), checks, steps, number)


def cast_decimal(column: TargetColumn, *, numbers: NumberOptions) -> Cast:
    """Decimals within the column's precision, scale and bounds, written with exactly `scale` digits after the point.

    Raises:
        ValueError: the column has no precision or scale, or more digits than 128 bits hold.
    """
    name, precision, scale = column.name, column.precision, column.scale
    if precision is None or scale is None or not 0 <= scale <= precision <= DIGITS_MAX:
        raise ValueError(f"{name} needs a precision of at most {DIGITS_MAX} and a scale within it")
    text, number = pl.col(name), pl.col(f"{name}:number")
    whole, fraction = pl.col(f"{name}:whole"), pl.col(f"{name}:fraction")
    forms = forms_of(numbers.format)
    bare, bare_steps = (pl.col(f"{name}:bare"), _bare_steps(name, numbers.format)) if forms.before else (text, ())
    plain = _with_point(bare, numbers.format)
    padded = fraction.str.head(scale).str.pad_end(scale, "0")
    sign = pl.when(bare.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    steps = (
        *bare_steps,
        plain.str.extract(r"^[+-]?0*([0-9]*)", 1).alias(f"{name}:whole"),
        # Zeros at the end say nothing, so they are no decimals too many.
        plain.str.extract(r"\.([0-9]*?)0*$", 1).fill_null("").alias(f"{name}:fraction"),
        pl.concat_str([sign, pl.lit("0"), whole, padded]).cast(pl.Int128, strict=False).alias(f"{name}:number"),
    )
    low, high = _decimal_bounds(column, precision, scale)
    range_text = f"{_plain_decimal(low, scale)} to {_plain_decimal(high, scale)}"
    explain = partial(number_texts.decimal_fault, name, scale=scale, numbers=numbers)
    thousands: tuple[Check, ...] = ()
    if scale < _DECIMALS_OF_THOUSANDS:
        mask = bare.str.contains(forms.thousands)
        thousands = (Check(RejectKind.OUT_OF_RANGE, name, f"{name} may mean thousands", mask, explain),)
    checks = (
        Check(RejectKind.BAD_CAST, name, f"{name} is not a decimal number", ~text.str.contains(forms.decimal), explain),
        *thousands,
        Check(
            RejectKind.OUT_OF_RANGE, name, f"{name} has more than {scale} decimals", fraction.str.len_bytes() > scale
        ),
        Check(RejectKind.OUT_OF_RANGE, name, f"{name} is outside {range_text}", _outside(text, number, low, high)),
    )
    # There is no negative zero in a table, so its sign goes.
    shown_sign = pl.when(number < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    shown_whole = pl.when(whole == "").then(pl.lit("0")).otherwise(whole)
    point = [pl.lit("."), padded] if scale else []
    return Cast(pl.concat_str([shown_sign, shown_whole, *point]), checks, steps, number, scale)


def _bare_steps(name: str, number_format: NumberFormat) -> tuple[pl.Expr, ...]:
    """The number without the currency beside it, in a column of its own; anything where there is no number."""
    forms = forms_of(number_format)
    bare = pl.col(name).str.replace(forms.before, "${1}${2}").str.replace(forms.behind, "")
    return (bare.alias(f"{name}:bare"),)


def _with_point(bare: pl.Expr, number_format: NumberFormat) -> pl.Expr:
    forms = forms_of(number_format)
    if forms.grouping:
        bare = bare.str.replace_all(forms.grouping, "")
    return bare if number_format.decimal == "." else bare.str.replace(number_format.decimal, ".", literal=True)


def _outside(text: pl.Expr, number: pl.Expr, low: int, high: int) -> pl.Expr:
    # A number too long for 128 bits is null; the check before this one has seen to it that it is a number.
    bounds = (number < pl.lit(low, dtype=pl.Int128)) | (number > pl.lit(high, dtype=pl.Int128))
    return text.is_not_null() & (number.is_null() | bounds)


def _decimal_bounds(column: TargetColumn, precision: int, scale: int) -> tuple[int, int]:
    limit = 10**precision - 1
    low = -limit if column.minimum is None else _in_last_digits(column.minimum, scale)
    high = limit if column.maximum is None else _in_last_digits(column.maximum, scale)
    return max(low, -limit), min(high, limit)


def _in_last_digits(text: str, scale: int) -> int:
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int) or exponent < -scale:
        raise ValueError(f"the bound {text} has more than {scale} decimals")
    number = int("".join(map(str, digits)) + "0" * (exponent + scale))
    return -number if sign else number


def _plain_decimal(number: int, scale: int) -> str:
    digits = str(abs(number)).zfill(scale + 1)
    whole, fraction = (digits[:-scale], digits[-scale:]) if scale else (digits, "")
    text = f"{whole}.{fraction}" if fraction.strip("0") else whole
    return f"-{text}" if number < 0 else text
