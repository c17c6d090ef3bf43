"""Keeps the source columns that nothing else takes, as one compact JSON object per row.

Names are in source order, characters outside ASCII stand as they are, columns without a value are left out, and a row
with none has no object. The row hash covers the text, so it must be the same in every version: tests hold the two ways
of writing it against each other and against frozen texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

# RFC 8259, section 7: what must be escaped, in its short form where it has one.
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPES: Final = {**{chr(code): f"\\u{code:04x}" for code in range(32)}, **_SHORT}

# A column as it is called in the working frame, and in the object.
Named = tuple[str, str]


def extras_series(frame: pl.DataFrame, columns: Sequence[Named]) -> pl.Series:
    """The JSON object of each row of the frame, over the given columns, or null where none has a value."""
    if any(frame.get_column(working_name).null_count() for working_name, _ in columns):
        return frame.select(sparse_object(columns)).to_series()
    return frame.select(full_object(columns)).to_series()


def full_object(columns: Sequence[Named]) -> pl.Expr:
    """The objects where every column has a value: Polars' encoder, which takes a third of the time."""
    return pl.struct([pl.col(working_name).alias(name) for working_name, name in columns]).struct.json_encode()


def sparse_object(columns: Sequence[Named]) -> pl.Expr:
    """The objects where some columns have no value; the encoder would write those as null."""
    members = []
    for working_name, name in columns:
        escaped = pl.col(working_name).str.replace_many(_ESCAPES)
        members.append(pl.concat_str([pl.lit(f',"{_escape(name)}":"'), escaped, pl.lit('"')]))
    joined = pl.concat_str(members, ignore_nulls=True)
    # Each member brings its comma; the first one's is cut off.
    return pl.when(joined != "").then(pl.concat_str([pl.lit("{"), joined.str.slice(1), pl.lit("}")]))


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(char, char) for char in text)
