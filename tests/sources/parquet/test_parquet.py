"""Parquet files: exact values of each type, row groups, and what cannot be read."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from server.core.errors import InvalidRequestError
from tests.sources.csv.reading import Reading, context_for, read_path


def read(folder: Path, frame: pl.DataFrame, options: dict[str, Any] | None = None, **limits: Any) -> Reading:
    frame.write_parquet(folder / "a.parquet", row_group_size=limits.pop("row_group_size", None))
    return asyncio.run(read_path("a.parquet", context_for(folder, **limits), options))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pl.Int64, -(2**63), "-9223372036854775808"),
        (pl.UInt64, 2**64 - 1, "18446744073709551615"),
        (pl.Float64, 0.1 + 0.2, "0.30000000000000004"),
        (pl.Float32, 0.1, "0.1"),
        (pl.Decimal(38, 4), Decimal("1234567890123456789012345678901234.5600"), "1234567890123456789012345678901234.5600"),
        (pl.Boolean, True, "true"),
        (pl.String, " 007 ", " 007 "),
        (pl.Binary, "ñ".encode(), "ñ"),
        (pl.Date, date(2026, 1, 2), "2026-01-02"),
        (pl.Datetime("us"), datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC).replace(tzinfo=None), "2026-01-02T03:04:05.600"),
        (pl.Datetime("ms", "UTC"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (pl.Time, time(3, 4, 5), "03:04:05"),
        (pl.Duration("us"), timedelta(hours=30), "P1DT6H"),
        (pl.Categorical, "salsa", "salsa"),
        (pl.List(pl.Int64), [1, None, 3], "[1,null,3]"),
        (pl.Struct({"a": pl.Decimal(9, 2), "b": pl.Date}), {"a": Decimal("1.50"), "b": date(2026, 1, 2)}, '{"a":1.50,"b":"2026-01-02"}'),
    ],
)  # fmt: skip
def test_a_value_is_its_exact_text(tmp_path: Path, kind: pl.DataType, value: object, text: str) -> None:
    frame = pl.DataFrame({"v": pl.Series([value, None], dtype=kind)})
    assert read(tmp_path, frame).values == [(text,), (None,)]


def test_a_number_reads_the_same_whatever_the_decimal_mark_of_texts(tmp_path: Path) -> None:
    price = pl.Series([Decimal("69.900")], dtype=pl.Decimal(12, 3))
    frame = pl.DataFrame({"price": price, "note": price, "content_count": [1e20]})
    target = {"targetTable": "catalog_items"}
    assert read(tmp_path, frame, target).values == [("69.9000", "69.900", "100000000000000000000")]
    assert read(tmp_path, frame, target | {"decimalComma": True}).values == [
        ("69,9000", "69.900", "100000000000000000000")
    ]


def test_bytes_that_are_no_text_reject_their_row(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": ["x", "y", "z"], "b": [b"1", b"\xff", b"3"]})
    reading = read(tmp_path, frame)
    assert reading.values == [("x", "1"), ("z", "3")]
    assert reading.faults == [("bad_encoding", 2, None, "b", '["y", "\\\\xff"]')]


@pytest.mark.parametrize("rows", [1, 7, 30, 100])
def test_a_reading_goes_on_in_the_middle_of_row_groups(tmp_path: Path, rows: int) -> None:
    frame = pl.DataFrame({"n": range(95)})
    whole = read(tmp_path, frame, batch_rows_max=rows, row_group_size=30)
    assert whole.values == [(str(n),) for n in range(95)]
    context = context_for(tmp_path, batch_rows_max=rows)
    batch = whole.batches[len(whole.batches) // 2]
    rest = asyncio.run(read_path("a.parquet", context, after=batch.position))
    assert rest.rows == whole.rows[int(batch.record_nos[-1]) :]


def test_a_file_without_rows_has_columns(tmp_path: Path) -> None:
    reading = read(tmp_path, pl.DataFrame({"a": []}, schema={"a": pl.Int64}))
    assert (reading.info.columns, reading.rows, reading.rejects) == (("a",), (), ())


def test_what_says_nothing_about_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(tmp_path, pl.DataFrame({"a": [1]}), {"hasHeader": False})
    assert caught.value.field == "options.hasHeader"


@pytest.mark.parametrize("content", [b"PAR1\x15\x04\x15\x20" + b"x" * 50 + b"PAR1", b"PAR1\x00PAR1", b"a,b\n"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InvalidRequestError, match="no Parquet file that can be read"):
        asyncio.run(read_path("a.parquet", context_for(tmp_path), {"format": "parquet"}))
