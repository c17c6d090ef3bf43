"""Digests are stored, so these values may never change. They were computed with the reference xxhash library."""

from __future__ import annotations

import polars as pl
import polars_hash as plh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pipeline.hashing import digest_expr, row_hash_expr

FROZEN_DIGESTS = [
    (("music", "La Tierra del Olvido", "Carlos Vives"), "d7d285443ca6966a2668c42ea99ddd15"),
    (("music", "La Tierra del Olvido", None), "e3c1aa5b80d0941be07aa985e762b043"),
    (("ab", "c"), "1390c98ed2d5c9e3aca4e7911ab14ec7"),
    (("a", "bc"), "7b4094690581c0f57526a0ccc185ae8f"),
    (("",), "a958cfab7409def4dc8ad909da2e7354"),
    ((None,), "667959605dc1c6d76a60f121142890fc"),
    (("ñ🎵\x00\x1f" * 100, "x"), "0bcc71a42701255947835170bbd2d46b"),
]
FROZEN_ROW_HASHES = [
    ({"title": "La Tierra del Olvido", "artist": "Carlos Vives"}, 6044339178770913210),
    ({"title": "Carlos Vives", "artist": "La Tierra del Olvido"}, 2728910272564871487),
    ({"title": "x", "artist": None}, 4030855116931754633),
    ({"title": "x"}, -5586290251569143775),
    ({"title": ""}, 1754579699930897339),
    ({"metadata": '{"a":"' + "ñ🎵" * 200 + '"}'}, -2605950489900010964),
]
FIELDS = st.lists(st.none() | st.text(max_size=300), min_size=1, max_size=4)


def literal(value: str | None) -> pl.Expr:
    return pl.lit(value, dtype=pl.String)


def digest(fields: tuple[str | None, ...]) -> bytes:
    made = pl.select(digest_expr([literal(field) for field in fields])).item()
    assert isinstance(made, bytes)
    return made


def row_hash(values: dict[str, str | None]) -> object:
    return pl.select(row_hash_expr({name: literal(value) for name, value in values.items()})).item()


def leb128(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


@pytest.mark.parametrize(("fields", "expected"), FROZEN_DIGESTS)
def test_a_key_digest_never_changes(fields: tuple[str | None, ...], expected: str) -> None:
    assert digest(fields).hex() == expected


@pytest.mark.parametrize(("values", "expected"), FROZEN_ROW_HASHES)
def test_a_row_hash_never_changes(values: dict[str, str | None], expected: int) -> None:
    assert row_hash(values) == expected


def test_the_order_of_columns_does_not_change_a_row_hash() -> None:
    assert row_hash({"a": "1", "b": None}) == row_hash({"b": None, "a": "1"})


@given(FIELDS)
def test_the_encoding_under_a_digest_is_the_documented_one(fields: list[str | None]) -> None:
    expected = b"\r" + leb128(len(fields))
    for field in fields:
        data = (field or "").encode()
        expected += b"\x00" if field is None else b"\x05" + leb128(len(data)) + data
    named = [literal(field).alias(str(index)) for index, field in enumerate(fields)]
    assert pl.select(plh.hash_rows(named, version=1)).item() == expected


@given(FIELDS, FIELDS)
def test_other_fields_have_another_digest(one: list[str | None], other: list[str | None]) -> None:
    assert (digest(tuple(one)) == digest(tuple(other))) == (one == other)
