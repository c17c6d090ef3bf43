"""One delimiter too many at the line's end: in the header alone, in the records alone, in few records and many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sources.csv.reading import Reading, read_bytes

COUNTS = [1, 2, 7, 8, 9, 60, 5000]
NAMES = ("title", "artist", "genre")


def songs(count: int, end: str = "") -> str:
    return "".join(f"S{number},A,B{end}\n" for number in range(count))


def read(folder: Path, text: str, delimiter: str = ",", options: dict[str, Any] | None = None) -> Reading:
    content = text.replace(",", delimiter).encode()
    return read_bytes(folder, content, {"delimiter": delimiter, **(options or {})}, csv_block_bytes=2000)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "||"])
@pytest.mark.parametrize(
    ("header_end", "row_end"), [(",", ""), ("", ","), (",,", ""), (", ", ""), ("", ", "), ("", ',""')]
)
def test_a_surplus_field_that_is_empty_is_left_out(
    tmp_path: Path, count: int, delimiter: str, header_end: str, row_end: str
) -> None:
    reading = read(tmp_path, f"title,artist,genre{header_end}\n" + songs(count, row_end), delimiter)
    assert reading.info.columns == NAMES
    assert reading.values == [(f"S{number}", "A", "B") for number in range(count)]
    assert reading.rejects == ()
    assert len(reading.notices) == 1


@pytest.mark.parametrize("count", [3, 7, 8, 40])
def test_a_longer_record_among_right_ones_stays_wrong(tmp_path: Path, count: int) -> None:
    reading = read(tmp_path, "title,artist,genre\n" + songs(count) + "X,A,B,\n" + songs(count))
    assert [(reject.kind, reject.line) for reject in reading.rejects] == [("too_many_columns", count + 2)]
    assert reading.info.columns == NAMES
    assert len(reading.rows) == 2 * count
    assert reading.notices == ()


@pytest.mark.parametrize("count", [5, 7, 8, 40, 5000])
def test_a_surplus_field_with_a_value_stays_wrong(tmp_path: Path, count: int) -> None:
    reading = read(tmp_path, "title,artist,genre\n" + songs(count, ",") + "X,A,B,C\nY,A\nZ,A,B\nW,A,B,,\n")
    assert [(reject.kind, reject.line) for reject in reading.rejects] == [
        ("too_many_columns", count + 2), ("missing_columns", count + 3), ("too_many_columns", count + 5)
    ]  # fmt: skip
    assert reading.rejects[0].message == "the record has 4 fields, 3 are expected"
    assert len(reading.rows) == count + 1
    assert reading.values[-1] == ("Z", "A", "B")
    assert not any("missingFields" in notice for notice in reading.notices)


def test_short_records_are_filled_on_request_beside_a_surplus_field(tmp_path: Path) -> None:
    text = "title,artist,genre\n" + songs(9, ",") + "Y,A\n"
    reading = read(tmp_path, text, options={"missingFields": "empty"})
    assert reading.values[-1] == ("Y", "A", "")
    assert any("a record ends early" in notice for notice in reading.notices)


@pytest.mark.parametrize(
    ("header", "is_trusted"),
    [
        ("title,artist,genre,note", True),
        ("Título,Artista,Género", True),
        ("Lied des Tages,artist,title", True),
        ("titleartist,genre,note", False),
        ("title,artistGenre,note", False),
        ("id,title", False),
        ("title,artist,ReleaseDate", False),
    ],
)
@pytest.mark.parametrize("count", [8, 60])
def test_records_that_end_in_a_delimiter_are_trusted_where_no_names_can_have_run_together(
    tmp_path: Path, header: str, is_trusted: bool, count: int
) -> None:
    names = header.split(",")
    row = ",".join("x" for _ in names) + ",\n"
    reading = read(tmp_path, header + "\n" + row * count, options={"columnAliases": {"genre": ["lied des tages"]}})
    positions = tuple(f"column_{number}" for number in range(1, len(names) + 2))
    assert reading.info.columns == (tuple(names) if is_trusted else positions)


def test_quoted_records_with_a_surplus_field(tmp_path: Path) -> None:
    text = 'title,artist,genre\n"A\nB","x, y",z,\n"C ""D""",e,f,\ntitle,artist,genre\n'
    reading = read(tmp_path, text)
    assert reading.values == [("A\nB", "x, y", "z"), ('C "D"', "e", "f")]
    assert [reject.kind for reject in reading.rejects] == ["repeated_header"]


def test_a_header_that_does_not_fit_is_told_with_the_numbers(tmp_path: Path) -> None:
    reading = read(tmp_path, "title,artist,genre\n" + songs(20, ",C"))
    assert reading.rejects[0].message == "the header has 3 names, but the records have 4 fields"
    assert reading.info.columns == ("column_1", "column_2", "column_3", "column_4")


def test_a_column_without_a_name_that_has_values_stays(tmp_path: Path) -> None:
    reading = read(tmp_path, "title,artist,genre,\n" + songs(7, ",C"))
    assert reading.info.columns == (*NAMES, "column_4")
    reading = read(tmp_path, "title,artist,genre,\nS,A,B,\nT,A,B,C\n")
    assert reading.values == [("S", "A", "B", ""), ("T", "A", "B", "C")]
