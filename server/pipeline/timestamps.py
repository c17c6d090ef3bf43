"""Cast of timestamps: ISO 8601 date and time to `YYYY-MM-DD HH:MM:SS[.ffffff]` in UTC.

Accepted is the extended form: a date, or a date and a time of day (minutes or seconds, the latter with a fraction)
separated by `T` or one space, with `Z`, an offset of hours and optional minutes, or nothing, which means UTC. A date
alone is its midnight. Leap seconds, 24:00 and dates that no calendar has are refused, and so is a moment that a
MySQL TIMESTAMP cannot hold.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import polars as pl

from server.core.reject_kinds import RejectKind
from server.pipeline.checks import Cast, Check
from server.targets.base import TargetColumn

FRACTION_DIGITS_MAX: Final = 6
# Polars compares moments without a zone here; all of them are UTC.
EARLIEST: Final = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC).replace(tzinfo=None)
LATEST: Final = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC).replace(tzinfo=None)

_FORM: Final = (
    r"^(?<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?<minute>(?:[01][0-9]|2[0-3]):[0-5][0-9])"
    r"(?::(?<second>[0-5][0-9])(?:[.,](?<fraction>[0-9]+))?)?"
    r"(?:[Zz]|(?<sign>[+-])(?<hours>0[0-9]|1[0-4])(?::?(?<minutes>[0-5][0-9]))?)?)?$"
)


def cast_timestamp(column: TargetColumn) -> Cast:
    """Moments that a TIMESTAMP column holds, with at most six digits of a second."""
    name = column.name
    text, instant, fraction = pl.col(name), pl.col(f"{name}:instant"), pl.col(f"{name}:fraction")
    parts = pl.col(f"{name}:parts").struct
    local = pl.concat_str(
        [
            parts.field("date"),
            pl.lit(" "),
            parts.field("minute").fill_null("00:00"),
            pl.lit(":"),
            parts.field("second").fill_null("00"),
        ]
    ).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    offset_minutes = _number(parts.field("hours")) * 60 + _number(parts.field("minutes"))
    ahead_minutes = pl.when(parts.field("sign") == "-").then(-offset_minutes).otherwise(offset_minutes)
    steps = (
        text.str.extract_groups(_FORM).alias(f"{name}:parts"),
        parts.field("fraction").fill_null("").str.strip_chars_end("0").alias(f"{name}:fraction"),
        (local - pl.duration(minutes=ahead_minutes)).alias(f"{name}:instant"),
    )
    checks = (
        Check(
            RejectKind.BAD_CAST,
            name,
            f"{name} is not a date and time such as 2026-01-31T23:59:59Z",
            text.is_not_null() & instant.is_null(),
        ),
        Check(
            RejectKind.OUT_OF_RANGE,
            name,
            f"{name} has more than {FRACTION_DIGITS_MAX} decimals of a second",
            fraction.str.len_bytes() > FRACTION_DIGITS_MAX,
        ),
        Check(
            RejectKind.OUT_OF_RANGE,
            name,
            f"{name} is outside {EARLIEST} to {LATEST} UTC",
            (instant < pl.lit(EARLIEST)) | (instant > pl.lit(LATEST)),
        ),
    )
    shown_fraction = (
        pl.when(fraction == "").then(pl.lit("")).otherwise(pl.lit(".") + fraction.str.pad_end(FRACTION_DIGITS_MAX, "0"))
    )
    return Cast(pl.concat_str([instant.dt.strftime("%Y-%m-%d %H:%M:%S"), shown_fraction]), checks, steps)


def _number(digits: pl.Expr) -> pl.Expr:
    return digits.fill_null("0").cast(pl.Int64, strict=False)
