"""Stable digests: of a key, to find a row again, and of a row's content, to see whether it changed.

Both are stored, so neither may ever change; tests hold frozen values. They rest on XXH3 (github.com/Cyan4973/xxHash),
whose output is fixed since version 0.8, never on Polars' own hash, which differs from version to version.

- key digest: XXH3-128, seed 0, of the fields written as 0x0D, their number, then each field as 0x00 for null or else
  0x05, its length in UTF-8 bytes and those bytes; numbers as LEB128. So ("ab", "c") differs from ("a", "bc"), and null
  from "".
- row hash: XOR over the columns of XXH3-64 of the value, seeded by the column's name; a null counts as a constant made
  from the name. So a value under another name, or a further column, gives another hash.

XXH3 does not withstand someone who builds collisions. What that gains them is what a repeated key in their own source
gains them already: a record that takes an ordinal or replaces an earlier one of the same source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
import polars_hash as plh
from polars_hash import NonCryptographicHashingNameSpace

KEY_COLUMNS: Final = ("key_high", "key_low")
_ENCODING_VERSION: Final = 1


def digest_expr(fields: Sequence[pl.Expr]) -> pl.Expr:
    """The key digest as 16 bytes, most significant first, of String expressions in the given order."""
    named = [field.alias(f"field:{index}") for index, field in enumerate(fields)]
    encoded = plh.hash_rows(named, version=_ENCODING_VERSION)
    return NonCryptographicHashingNameSpace(encoded).xxh3_128(return_binary=True, byte_order="big")


def digest_halves(digest: pl.Expr) -> list[pl.Expr]:
    """`key_high` and `key_low` (UInt64) of 16-byte digests."""
    return [
        digest.bin.slice(offset, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big").alias(name)
        for offset, name in zip((0, 8), KEY_COLUMNS, strict=True)
    ]


def digest_text(digest: pl.Expr) -> pl.Expr:
    """The digest as 32 lower-case hexadecimal digits; no two differ only by what a collation ignores."""
    return digest.bin.encode("hex")


def row_hash_expr(columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """The row hash (Int64) of named String expressions; their order does not matter."""
    total = pl.lit(0, dtype=pl.UInt64)
    for name, value in columns.items():
        total = total ^ _column_hash_expr(name, value)
    return total.reinterpret(signed=True)


def marks_expr(names: Sequence[str], columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """The marks of rows: a number for each of `names`, `-` for one that `columns` lacks; see db/loaders/column_hashes.py."""
    marks = [_mark_expr(name, columns[name]) if name in columns else pl.lit("-") for name in names]
    return pl.concat_str(marks, separator=",")


def mark_values(name: str, values: pl.Series) -> list[str]:
    """The marks of String values of one column."""
    return values.to_frame("value").select(_mark_expr(name, pl.col("value"))).to_series().to_list()


def _mark_expr(name: str, value: pl.Expr) -> pl.Expr:
    return (_column_hash_expr(name, value) & 0xFFFFFFFF).cast(pl.String)


def _column_hash_expr(name: str, value: pl.Expr) -> pl.Expr:
    hashed = NonCryptographicHashingNameSpace(value).xxh3_64(seed=_seed("value", name))
    return hashed.fill_null(pl.lit(_seed("null", name), dtype=pl.UInt64))


def _seed(purpose: str, name: str) -> int:
    digest = hashlib.blake2b(f"{purpose}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
