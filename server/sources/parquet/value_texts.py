"""The values of a Parquet column as text, exactly: decimals by their digits, moments in ISO 8601, nested values as JSON."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from server.sources.exact_json.json_values import NumberText, to_text

_MOMENT: Final = "%Y-%m-%dT%H:%M:%S%.f"


def texts_of(column: pl.Series) -> pl.Series:
    """A column of String; a value of bytes that are no UTF-8 becomes None (`undecodable` tells which)."""
    kind = column.dtype
    if isinstance(kind, pl.List | pl.Array | pl.Struct):
        texts = [None if value is None else to_text(_plain(value)) for value in column.to_list()]
        return pl.Series(column.name, texts, pl.String)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            return column.dt.convert_time_zone("UTC").dt.strftime(f"{_MOMENT}Z")
        return column.dt.strftime(_MOMENT)
    if isinstance(kind, pl.Time):
        return column.dt.strftime("%H:%M:%S%.f")
    if isinstance(kind, pl.Duration):
        return column.dt.to_string("iso")
    if isinstance(kind, pl.Binary):
        return pl.Series(column.name, list(map(_decoded, column.to_list())), pl.String)
    return column.cast(pl.String)


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def undecodable(column: pl.Series, texts: pl.Series) -> list[int]:
    """The rows that have a value whose text could not be made."""
    return (column.is_not_null() & texts.is_null()).arg_true().to_list()


def _plain(value: Any) -> Any:
    """A nested value as JSON knows it."""
    if isinstance(value, pl.Series):
        value = value.to_list()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return NumberText(format(value, "f"))
    if isinstance(value, float):
        return NumberText(repr(value)) if math.isfinite(value) else repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
