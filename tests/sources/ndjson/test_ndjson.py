"""JSON lines as files: exact values, lines that cannot be read, and what is told."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.core.errors import InvalidRequestError
from tests.sources.csv.reading import Reading, context_for, read_bytes, read_path


def read_lines(folder: Path, *lines: str, options: dict[str, Any] | None = None, **limits: Any) -> Reading:
    return read_bytes(folder, "\n".join(lines).encode(), options, name="songs.ndjson", **limits)


def test_values_keep_the_text_of_the_file(tmp_path: Path) -> None:
    big = "12345678901234567890123456789.1200"
    first = f'{{"n": 10, "x": {big}, "t": " a ", "b": true, "none": null, "deep": {{"k": [1.50, "é"]}}}}'
    reading = read_lines(tmp_path, first, '{"t": "\\u00e9\\n", "n": -0.0e5, "later": ""}')
    assert reading.info.columns == ("n", "x", "t", "b", "none", "deep", "later")
    assert reading.values == [
        ("10", big, " a ", "true", None, '{"k":[1.50,"é"]}', None),
        ("-0.0e5", None, "é\n", None, None, None, ""),
    ]
    assert [(row.line, row.record_no, row.byte_offset) for row in reading.rows] == [
        (1, 1, 0),
        (2, 2, len(first.encode()) + 1),
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"a": 1, "a": 2}', "duplicate_key"),
        ("[1]", "not_an_object"),
        ('{"a": 1', "not_json"),
        ('{"a": NaN}', "not_a_number"),
        ('{"a": 1e999}', "out_of_range"),
        ('{"a": "\\ud800"}', "bad_encoding"),
        ('{"a": 1} {"a": 2}', "not_json"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "too_deep"),
    ],
)
def test_a_line_that_cannot_be_read_is_rejected_by_itself(tmp_path: Path, line: str, kind: str) -> None:
    reading = read_lines(tmp_path, '{"a": 1}', "", line, '{"a": 3}')
    assert [row.values for row in reading.rows] == [("1",), ("3",)]
    assert reading.faults == [(kind, 3, 10, None, line)]
    assert [row.record_no for row in reading.rows] == [1, 3]


def test_a_byte_that_is_no_utf8_rejects_its_line(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b'{"a": 1}\n{"a": "\xe9"}\n', name="songs.jsonl")
    assert [(fault[0], fault[1], fault[2]) for fault in reading.faults] == [("bad_encoding", 2, 9)]


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path) -> None:
    long = '{"a": "' + "x" * 5000 + '"}'
    reading = read_lines(tmp_path, '{"a": 1}', long, '{"a": 2}', csv_block_bytes=64, csv_record_bytes_max=2000)
    assert reading.values == [("1",), ("2",)]
    assert [(fault[0], fault[1], fault[4]) for fault in reading.faults] == [("record_too_long", 2, long)]


def test_keys_that_only_later_lines_have_are_told(tmp_path: Path) -> None:
    lines = ['{"a": 1}'] * 1000 + ['{"a": 2, "b": 3}', '{"c": 4}']
    reading = read_lines(tmp_path, *lines)
    assert reading.info.columns == ("a",)
    assert reading.values[-2:] == [("2",), (None,)]
    (notice,) = reading.notices
    assert notice.startswith("2 lines have keys that none of the first lines has (first: line 1001: b, c);")


@pytest.mark.parametrize("later", ["Artist", "ARTIST", "artíst", "art_ist"])
def test_a_key_in_another_spelling_is_the_same_column(tmp_path: Path, later: str) -> None:
    lines = ['{"title": "a", "artist": "x"}', f'{{"title": "b", "{later}": "y"}}', '{"title": "c"}']
    for reading in (read_lines(tmp_path, *lines), read_lines(tmp_path, *[lines[0]] * 1000, *lines[1:])):
        assert reading.info.columns == ("title", "artist")
        assert reading.values[-2:] == [("b", "y"), ("c", None)]
        (notice,) = reading.notices
        assert notice.startswith("a line writes a key otherwise than the first lines do") and later in notice


def test_keys_that_differ_in_spelling_within_one_object_are_two_columns(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, '{"a": 1, "A": 2}', '{"A": 3}', '{"a": 4}')
    assert reading.values == [("1", "2"), (None, "3"), ("4", None)]


def test_blank_lines_and_marks_are_left_out_and_told(tmp_path: Path) -> None:
    mark = "\ufeff"
    reading = read_lines(tmp_path, mark + '{"a": 1}', " \t", mark + '{"a": 2}\r', "")
    assert reading.values == [("1",), ("2",)]
    assert [notice.split(" (")[0] for notice in reading.notices] == [
        "a record of nothing but delimiters and blanks was left out",
        "a byte order mark inside the file was left out",
    ]


@pytest.mark.parametrize(
    ("option", "texts"),
    [
        (False, ["69.9000", "1000", "0.00001", "16.0"]),
        (True, ["69,9000", "1000", "0,00001", "16,0"]),
    ],
)
def test_a_number_reads_the_same_whatever_the_decimal_mark_of_texts(
    tmp_path: Path, option: bool, texts: list[str]
) -> None:
    lines = [f'{{"price": {number}, "note": {number}}}' for number in ("69.900", "1e3", "1E-5", "16.0")]
    reading = read_lines(tmp_path, *lines, options={"targetTable": "catalog_items", "decimalComma": option})
    assert [values[0] for values in reading.values] == texts
    assert [values[1] for values in reading.values] == ["69.900", "1e3", "1E-5", "16.0"]


@pytest.mark.parametrize("name", ["songs.csv", "songs.ndjson", "songs.jsonl.gz", "songs.ndjson.zst"])
def test_the_content_says_what_a_file_is(tmp_path: Path, name: str) -> None:
    content = b'{"a": 1}\n{"a": 2}\n'
    packed = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}.get(name.rsplit(".", 1)[1], bytes)
    reading = read_bytes(tmp_path, packed(content), name=name)
    assert reading.values == [("1",), ("2",)]
    assert reading.info.detected["format"] == "ndjson"


def test_a_name_says_it_where_the_first_line_is_broken(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, "{broken", '{"a": 2}')
    assert (reading.values, len(reading.rejects)) == ([("2",)], 1)


def test_a_song_that_begins_like_an_object_is_csv(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"title\n{Awesome}\n{}\n")
    assert reading.values == [("{Awesome}",), ("{}",)]


def test_format_wins_over_the_content(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b'title,a\n{"a": 1},2\n', {"format": "csv", "strayQuotes": "keep"}, name="a.jsonl")
    assert reading.info.columns == ("title", "a")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"delimiter": ";"}, "options.delimiter"),
        ({"hasHeader": False}, "options.hasHeader"),
        ({"encoding": "cp1252"}, "options.encoding"),
        ({"sheet": "Hoja1"}, "options.sheet"),
    ],
)
def test_an_option_that_says_nothing_about_lines_is_refused(
    tmp_path: Path, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_lines(tmp_path, '{"a": 1}', options=options)
    assert (caught.value.reason, caught.value.field) == ("INVALID_OPTION", field)


def test_an_option_that_was_set_to_its_default_is_not(tmp_path: Path) -> None:
    options = {"delimiter": ",", "encoding": "auto", "hasHeader": True, "missingFields": "empty"}
    assert read_lines(tmp_path, '{"a": 1}', options=options).values == [("1",)]


@pytest.mark.parametrize("content", [b"[1, 2]\n", b"1\n2\n", '{"a": 1}\n'.encode("utf-16")])
def test_a_file_without_an_object_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_bytes(tmp_path, content, name="songs.ndjson")
    assert caught.value.reason == "SOURCE_MALFORMED"


def test_a_folder_means_its_csv_files_and_a_pattern_may_name_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"a": 1}')
    (tmp_path / "in" / "b.jsonl").write_text('{"a": 2}')
    (tmp_path / "in" / "c.csv").write_text("a\n3\n")
    context = context_for(tmp_path)
    assert asyncio.run(read_path("in", context)).values == [("3",)]
    assert asyncio.run(read_path("in/*.jsonl", context)).values == [("1",), ("2",)]
    with pytest.raises(InvalidRequestError, match="one format"):
        asyncio.run(read_path("in/*", context))


JSON_VALUES = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    records=st.lists(st.fixed_dictionaries({"a": JSON_VALUES, "b": JSON_VALUES}), min_size=1, max_size=30),
    block_bytes=st.integers(1, 200),
)
def test_what_is_written_is_read_however_it_is_cut_into_blocks(
    tmp_path: Path, records: list[dict[str, Any]], block_bytes: int
) -> None:
    lines = [json.dumps({"a": record["a"], "b": record["b"]}, ensure_ascii=False) for record in records]
    whole = read_lines(tmp_path, *lines)
    cut = read_lines(tmp_path, *lines, csv_block_bytes=block_bytes)

    def text(value: Any) -> str | None:
        return value if value is None or isinstance(value, str) else json.dumps(value)

    assert whole.values == [(text(record["a"]), text(record["b"])) for record in records]
    assert (cut.rows, cut.rejects, cut.notices) == (whole.rows, whole.rejects, whole.notices)
