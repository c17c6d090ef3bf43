"""Casts of whole numbers and decimals, exact to the last digit.

A number is digits with an optional sign, nothing else: no exponent, no currency, no white space inside, no grouping
unless the source uses the decimal comma (then 1.234.567,50). Arithmetic is done in 128-bit integers, so that 2^63 or a
number of forty digits is out of range and never wraps; a decimal with more digits than its column is refused, not
rounded.

One to three digits, the decimal mark and exactly three digits are never a fraction: 69.900 is 69900 to most who write it
so. Only a column that holds three decimals takes them. `number_texts` says of a refused text what would be read.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final

import polars as pl

from server.core.reject_kinds import RejectKind
from server.pipeline import number_texts
from server.pipeline.checks import Cast, Check
from server.targets.base import TargetColumn

# 128-bit integers hold any number of this many digits.
DIGITS_MAX: Final = 38

# The decimals of a column in which three of them are no thousands.
_DECIMALS_OF_THOUSANDS: Final = 3


def cast_integer(column: TargetColumn, *, decimal_comma: bool | None) -> Cast:
    """Whole numbers within the column's bounds; without bounds, within 64 signed bits. `+007` and `7.0` become `7`."""
    name = column.name
    text, number = pl.col(name), pl.col(f"{name}:number")
    low = int(column.minimum) if column.minimum is not None else -(2**63)
    high = int(column.maximum) if column.maximum is not None else 2**63 - 1
    form = number_texts.whole_form(decimal_comma=bool(decimal_comma))
    thousands = number_texts.thousands_form(decimal_comma=bool(decimal_comma))
    explain = partial(number_texts.integer_fault, name, decimal_comma=decimal_comma)
    checks = (
        Check(
            RejectKind.BAD_CAST,
            name,
            f"{name} is not a whole number",
            ~text.str.contains(form) | text.str.contains(thousands),
            explain,
        ),
        Check(RejectKind.OUT_OF_RANGE, name, f"{name} is outside {low} to {high}", _outside(text, number, low, high)),
    )
    # Zeros behind the decimal mark say nothing; where something else stands there, the first check refuses it.
    plain = _with_point(text, decimal_comma=bool(decimal_comma)).str.replace(r"\.0*$", "")
    steps = (
        pl.when(plain == "").then(pl.lit("0")).otherwise(plain).cast(pl.Int128, strict=False).alias(f"{name}:number"),
    )
    return Cast(number.cast(pl.String), checks, steps, number)


def cast_decimal(column: TargetColumn, *, decimal_comma: bool | None) -> Cast:
    """Decimals within the column's precision, scale and bounds, written with exactly `scale` digits after the point.

    Raises:
        ValueError: the column has no precision or scale, or more digits than 128 bits hold.
    """
    name, precision, scale = column.name, column.precision, column.scale
    if precision is None or scale is None or not 0 <= scale <= precision <= DIGITS_MAX:
        raise ValueError(f"{name} needs a precision of at most {DIGITS_MAX} and a scale within it")
    text, number = pl.col(name), pl.col(f"{name}:number")
    whole, fraction = pl.col(f"{name}:whole"), pl.col(f"{name}:fraction")
    plain = _with_point(text, decimal_comma=bool(decimal_comma))
    padded = fraction.str.head(scale).str.pad_end(scale, "0")
    sign = pl.when(text.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    steps = (
        plain.str.extract(r"^[+-]?0*([0-9]*)", 1).alias(f"{name}:whole"),
        # Zeros at the end say nothing, so they are no decimals too many.
        plain.str.extract(r"\.([0-9]*?)0*$", 1).fill_null("").alias(f"{name}:fraction"),
        pl.concat_str([sign, pl.lit("0"), whole, padded]).cast(pl.Int128, strict=False).alias(f"{name}:number"),
    )
    low, high = _decimal_bounds(column, precision, scale)
    range_text = f"{_plain_decimal(low, scale)} to {_plain_decimal(high, scale)}"
    form = number_texts.decimal_form(decimal_comma=bool(decimal_comma))
    explain = partial(number_texts.decimal_fault, name, decimal_comma=decimal_comma)
    thousands: tuple[Check, ...] = ()
    if scale < _DECIMALS_OF_THOUSANDS:
        mask = text.str.contains(number_texts.thousands_form(decimal_comma=bool(decimal_comma)))
        thousands = (Check(RejectKind.OUT_OF_RANGE, name, f"{name} may mean thousands", mask, explain),)
    checks = (
        Check(RejectKind.BAD_CAST, name, f"{name} is not a decimal number", ~text.str.contains(form), explain),
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


def _with_point(text: pl.Expr, *, decimal_comma: bool) -> pl.Expr:
    if not decimal_comma:
        return text
    return text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)


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
