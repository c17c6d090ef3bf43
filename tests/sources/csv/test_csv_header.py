"""What the beginning of a file says: columns, preamble, delimiter, and headers that cannot be trusted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.core.errors import InvalidRequestError
from server.sources.csv.column_names import unique_names
from tests.sources.csv.reading import context_for, read_bytes, read_path

BODY = b"".join(b"%d,a,b\n" % number for number in range(10))


def test_without_a_header_columns_are_numbered(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"1,a\n2,b,c\n3,d\n", {"hasHeader": False})
    assert reading.info.columns == ("column_1", "column_2")
    assert [row.line for row in reading.rows] == [1, 3]
    assert reading.faults == [("too_many_columns", 2, 4, None, "2,b,c")]


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    for content in (b"", b"\n\r\n", b"\xef\xbb\xbf"):
        with pytest.raises(InvalidRequestError, match="is empty") as caught:
            read_bytes(tmp_path, content)
        assert caught.value.reason == "SOURCE_MALFORMED"


def test_an_empty_file_without_a_header_has_no_records(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"", {"hasHeader": False})
    assert (reading.info.columns, reading.batches) == ((), ())


def test_a_file_of_one_bad_record_rejects_it(tmp_path: Path) -> None:
    assert [fault[0] for fault in read_bytes(tmp_path, b'a"b', {"hasHeader": False}).faults] == ["stray_quote"]


def test_preamble_lines_are_left_out_whatever_they_hold(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b'Report "of today\r\n;;;\r\n' + b"a,b\r\n1,2\r\n", {"preambleLines": 2})
    assert reading.info.columns == ("a", "b")
    assert (reading.rows[0].line, reading.rows[0].byte_offset) == (4, 28)


def test_a_file_that_ends_in_its_preamble_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="header"):
        read_bytes(tmp_path, b"one\ntwo", {"preambleLines": 5})


def test_a_header_of_several_lines_joins_its_names(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"Song,,Year\nTitle,Artist,\n1,2,3\n", {"headerLines": 2})
    assert reading.info.columns == ("Song Title", "Artist", "Year")


def test_names_that_are_missing_or_the_same_are_numbered(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"a,,a, ,b\n1,2,3,4,5\n")
    assert reading.info.columns == ("a_1", "column_2", "a_2", "column_4", "b")
    assert any("numbered" in notice for notice in reading.notices)


def test_numbered_names_do_not_meet_names_that_are_there() -> None:
    assert unique_names(["a", "a_1", "a", "column_5", ""]) == ("a_2", "a_1", "a_3", "column_5", "column_6")


def test_a_header_with_a_name_too_few_names_no_column(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"id,titlegenre\n" + BODY)
    assert reading.info.columns == ("column_1", "column_2", "column_3")
    assert reading.faults == [("header_mismatch", 1, 0, None, "id,titlegenre")]
    assert len(reading.rows) == 10
    assert any("no name can be trusted" in notice for notice in reading.notices)


def test_a_header_with_an_empty_name_too_many_is_read_without_it(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"id,,title,genre\n" + BODY)
    assert reading.info.columns == ("id", "title", "genre")
    assert len(reading.rows) == 10


def test_a_header_with_another_delimiter_is_read_with_it(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, b"id;title;genre\n" + BODY).info.columns == ("id", "title", "genre")


def test_a_header_with_a_name_too_few_is_not_trusted_even_where_the_last_fields_are_empty(tmp_path: Path) -> None:
    """It may lack a delimiter in its middle just as well as one at its end."""
    body = b"".join(b"%d,t%d,\n" % (number, number) for number in range(10))
    assert read_bytes(tmp_path, b"id,title\n" + body).info.columns == ("column_1", "column_2", "column_3")


def test_a_few_ragged_records_do_not_make_the_header_wrong(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"id,title\n1,a,b\n2,c,d\n")
    assert reading.info.columns == ("id", "title")
    assert [fault[0] for fault in reading.faults] == ["too_many_columns"] * 2


@pytest.mark.parametrize("header", [b'"id,title,genre', b'id,"title,genre', b'id,title,"genre', b'id,ti"tle,genre'])
def test_a_stray_quote_in_the_header_stays_in_the_name(tmp_path: Path, header: bytes) -> None:
    reading = read_bytes(tmp_path, header + b"\n" + BODY)
    assert reading.info.columns == tuple(header.decode().split(","))
    assert len(reading.rows) == 10


def test_too_many_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="5000 columns"):
        read_bytes(tmp_path, b"a," * 4999 + b"\n")


def test_a_header_line_that_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_bytes(tmp_path, b"x" * 100_000, csv_record_bytes_max=2048, csv_block_bytes=1024)
    assert caught.value.reason == "SOURCE_MALFORMED"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    lines = [["name", "price", "note"], ["a", '"1,5"', "x; y | z"], ["b", '"2,5"', '"q"']]
    lines[1][2] = f'"{lines[1][2]}"'
    content = "\n".join(delimiter.join(fields) for fields in lines).encode()
    reading = read_bytes(tmp_path, content, {"delimiter": "auto"})
    assert reading.info.detected["delimiter"] == delimiter
    assert reading.info.detected["delimiterHow"] == "detected"
    assert reading.values == [("a", "1,5", "x; y | z"), ("b", "2,5", "q")]


@pytest.mark.parametrize("title", ["Ventas, enero 2026", "Informe; total", "uno | dos", "Export 2026-01-02"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_delimiter_is_that_of_the_records_whatever_the_title_above_them(
    tmp_path: Path, title: str, delimiter: str, quote: str
) -> None:
    lines = [["name", "price", "note"], ["a", "1", "x"], ["b", "2", "y"], ["c", "3", "z"]]
    records = "".join(delimiter.join(f"{quote}{field}{quote}" for field in fields) + "\n" for fields in lines)

    reading = read_bytes(tmp_path, f"{title}\n{records}".encode(), {"delimiter": "auto"})

    assert reading.info.detected["delimiter"] == delimiter


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
@pytest.mark.parametrize("options", [{}, {"delimiter": "auto"}])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_first_line_that_names_the_delimiter_is_believed(
    tmp_path: Path, first: str, options: dict[str, str], encoding: str
) -> None:
    content = f"{first}\r\nid;title\r\n1;a,b\r\n2;c\r\n".encode(encoding)
    reading = read_bytes(tmp_path, content, {**options, "encoding": encoding})
    assert reading.values == [("1", "a,b"), ("2", "c")]
    assert [row.line for row in reading.rows] == [3, 4]
    assert content[reading.rows[0].byte_offset :].startswith("1".encode(encoding).lstrip(b"\xff\xfe\xef\xbb\xbf"))
    detected = reading.info.detected
    assert (detected["delimiter"], detected["delimiterHow"], detected["headerLine"]) == (";", "named", 2)


def test_a_declared_delimiter_wins_over_the_one_that_the_file_names(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"sep=;\nid,title\n1,a;b\n", {"delimiter": ","})
    assert reading.values == [("1", "a;b")]


@pytest.mark.parametrize("content", [b"sep=a\n1\n", b"sep=\n1\n", b"sep=,b\n1,2\n", b"x,sep=;\n1,2\n"])
def test_a_header_that_only_looks_like_it_is_a_header(tmp_path: Path, content: bytes) -> None:
    reading = read_bytes(tmp_path, content)
    assert len(reading.rows) == 1
    assert reading.info.detected["headerLine"] == 1


def test_a_decimal_comma_does_not_pass_for_a_delimiter(tmp_path: Path) -> None:
    content = b"1,5;2,5\n3,5;4,5\n"
    reading = read_bytes(tmp_path, content, {"delimiter": "auto", "hasHeader": False})
    assert reading.values == [("1,5", "2,5"), ("3,5", "4,5")]


def test_a_delimiter_is_guessed_even_where_hardly_a_record_agrees(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"id;title\n" + b"one column only\n" * 190, {"delimiter": "auto"})
    assert reading.info.detected["delimiter"] == ";"
    assert [reject.kind for reject in reading.rejects] == ["header_mismatch"]


def test_a_file_of_one_column_has_no_delimiter_and_says_so(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"name\na\nb\n", {"delimiter": "auto"})
    assert reading.info.columns == ("name",)
    assert any("guessed" in notice for notice in reading.notices)


@pytest.mark.parametrize("name", ["*", "^.*$", "^a.*$", "^a$", "a*", "cs.all()"])
@pytest.mark.parametrize("files", [1, 2])
def test_a_name_that_is_a_pattern_elsewhere_is_a_name_here(tmp_path: Path, name: str, files: int) -> None:
    for number in range(files):
        (tmp_path / f"{number}.csv").write_text(f"a,{name},ab\n1,2,3\n")

    reading = asyncio.run(read_path("*.csv", context_for(tmp_path), {}))

    assert reading.info.columns == ("a", name, "ab")
    assert reading.values == [("1", "2", "3")] * files


def test_names_that_look_the_same_are_numbered_and_told_with_their_places() -> None:
    names = unique_names(["genre", "title", "gen\u200bre", "\ufeff"])
    assert names.repeated == {"genre": (1, 3)}
    assert names == ("genre_1", "title", "genre_2", "column_4")
