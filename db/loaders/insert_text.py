"""Rows as the text of INSERT statements, for MySQL and MariaDB.

Values are escaped as the driver's own binding does it, but for a whole column at once: a backslash is doubled and a
quote written as two. That is complete under the session's pinned character set (utf8mb4, in which no other character
holds those bytes) and sql_mode (without NO_BACKSLASH_ESCAPES). Statements are run without parameters, so that the driver
leaves the percent signs of the values alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

# A statement's text at most, if the server takes as much.
_STATEMENT_BYTES_MAX: Final = 768 * 1024
# Of a packet, beside the text of the rows.
_PACKET_HEAD_BYTES: Final = 8 * 1024


def row_bytes_max(packet_bytes_max: int) -> int:
    """The text of one row at most, where the server takes packets of that length."""
    return packet_bytes_max - _PACKET_HEAD_BYTES


def statement_bytes_max(packet_bytes_max: int) -> int:
    """The text of a statement's rows at most, where the server takes packets of that length."""
    return min(_STATEMENT_BYTES_MAX, row_bytes_max(packet_bytes_max))


def row_texts(texts: Sequence[str], numbers: Sequence[str], tail: str = "") -> pl.Expr:
    """A row as the text of its values.

    Args:
        texts, numbers: columns, those of text first.
        tail: values that every row has, as SQL.
    """
    values = [escaped(pl.col(name)) for name in texts]
    values += [pl.col(name).cast(pl.String).fill_null("NULL") for name in numbers]
    parts: list[pl.Expr] = [pl.lit("(")]
    for index, value in enumerate(values):
        parts += [pl.lit(","), value] if index else [value]
    return pl.concat_str([*parts, pl.lit(f",{tail})" if tail else ")")])


def runs(texts: pl.Series, bytes_max: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the rows that one statement takes each; a row that is longer alone stands alone."""
    ends = np.cumsum(sizes(texts))
    start = 0
    while start < len(texts):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + bytes_max, side="right")))
        yield start, end
        start = end


def text_bytes(rows: pl.DataFrame) -> pl.Series:
    """The bytes of each row's text columns together. Escaped, a text is at most twice as long."""
    texts = [name for name, kind in rows.schema.items() if kind == pl.String]
    return rows.select(pl.sum_horizontal(pl.col(texts).str.len_bytes().cast(pl.Int64).fill_null(0))).to_series()


def sizes(texts: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The bytes of each row's text, with a comma."""
    return texts.str.len_bytes().to_numpy().astype(np.int64) + 1


def escaped(value: pl.Expr) -> pl.Expr:
    """A column of text as SQL literals."""
    doubled = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all("'", "''", literal=True)
    return pl.concat_str([pl.lit("'"), doubled, pl.lit("'")]).fill_null("NULL")


def escaped_text(value: str) -> str:
    """A text as a SQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
