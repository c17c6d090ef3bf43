"""Turns cleaned text into the canonical text of a column's kind, exactly, and says which rows it cannot turn.

Nothing is rounded, wrapped or guessed: a value is either kept whole or its row is faulty. The kinds with a module of
their own are numbers (numeric), timestamps and JSON (json_text).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from server.core.number_format import NumberOptions
from server.core.reject_kinds import RejectKind
from server.pipeline.checks import Cast, Check
from server.pipeline.json_text import invalid_json, unstorable_json
from server.pipeline.numeric import cast_decimal, cast_integer
from server.pipeline.timestamps import cast_timestamp
from server.targets.base import TargetColumn

# The accented word stands here in both of its Unicode forms; spreadsheets in Spanish write VERDADERO and FALSO.
_TRUE_WORDS: Final = ("true", "t", "1", "yes", "y", "si", "s\u00ed", "si\u0301", "s", "verdadero")
_FALSE_WORDS: Final = ("false", "f", "0", "no", "n", "falso")
_BOOLEANS: Final = {**dict.fromkeys(_TRUE_WORDS, "1"), **dict.fromkeys(_FALSE_WORDS, "0")}


def cast_column(column: TargetColumn, *, numbers: NumberOptions, is_checked: bool = False) -> Cast:
    """The cast of one column, over a frame whose column of that name holds cleaned text.

    Args:
        numbers: see MappingPlan.
        is_checked: see MappingPlan.checked_json.

    Raises:
        ValueError: a decimal column asks for more digits than exact arithmetic holds.
    """
    match column.kind:
        case "text":
            return _cast_text(column)
        case "integer":
            return cast_integer(column, numbers=numbers)
        case "decimal":
            return cast_decimal(column, numbers=numbers)
        case "boolean":
            return _cast_boolean(column)
        case "timestamp":
            return cast_timestamp(column)
        case "json":
            return _cast_json(column, is_checked=is_checked)


def _cast_text(column: TargetColumn) -> Cast:
    name = column.name
    value = pl.col(name)
    checks = []
    if column.choices:
        value = value.str.to_lowercase()
        message = f"{name} is none of {', '.join(column.choices)}"
        checks.append(Check(RejectKind.BAD_CAST, name, message, ~value.is_in(column.choices)))
    if column.length_max is not None:
        # Characters are code points, as MySQL counts them.
        message = f"{name} is longer than {column.length_max} characters"
        checks.append(Check(RejectKind.TOO_LONG, name, message, value.str.len_chars() > column.length_max))
    return Cast(value, tuple(checks))


def _cast_boolean(column: TargetColumn) -> Cast:
    name = column.name
    value = pl.col(name).str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.String)
    message = f"{name} is none of true, false, 1, 0, yes, no, si, sí"
    return Cast(value, (Check(RejectKind.BAD_CAST, name, message, pl.col(name).is_not_null() & value.is_null()),))


def _cast_json(column: TargetColumn, *, is_checked: bool) -> Cast:
    judge = unstorable_json if is_checked else invalid_json
    mask = pl.col(column.name).map_batches(judge, return_dtype=pl.Boolean, is_elementwise=True)
    return Cast(
        pl.col(column.name),
        (Check(RejectKind.BAD_CAST, column.name, f"{column.name} is not JSON that the database can hold", mask),),
    )
