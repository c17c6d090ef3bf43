"""What is no record: rows of nothing, marks of files that were put together, what old programs leave at the end, comments."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import FatalError
from tests.sources.csv.reading import Reading, context_for, read_bytes, read_path

HEAD = b"title,artist,genre\n"
SONGS = b"".join(b"Song %d,Artist %d,Salsa\n" % (number, number) for number in range(1, 13))
MARK = b"\xef\xbb\xbf"


def titles(reading: Reading) -> list[str]:
    return [values[0] for values in reading.values]


def notice(reading: Reading, words: str) -> str:
    (found,) = [text for text in reading.notices if words in text]
    return found


SAYS_NOTHING: dict[str, tuple[bytes, dict[str, Any]]] = {
    "commas": (b",,", {}),
    "commas in another number": (b",,,,,", {}),
    "one comma": (b",", {}),
    "blanks between": (b" , \t,", {}),
    "white space alone": (b" \t ", {}),
    "quotes": (b'"","",""', {}),
    "quoted blanks": (b'" ",,"\t"', {}),
    "quoted line breaks": (b'"\n","\r\n",', {}),
    "semicolons": (b";;", {"delimiter": ";"}),
    "tabs": (b"\t\t", {"delimiter": "\t"}),
    "a long delimiter": (b"||||", {"delimiter": "||"}),
    "a delimiter that begins with a blank": (b" |  | ", {"delimiter": " | "}),
    "no-break spaces": ("\u00a0,\u3000,\u202f".encode(), {}),
    "single quotes": (b"'',,''", {"quote": "'"}),
}


@pytest.mark.parametrize("case", SAYS_NOTHING)
@pytest.mark.parametrize("at", ["above the header", "first", "in the middle", "last", "last without a line break"])
def test_a_record_that_says_nothing_is_left_out_and_counted(tmp_path: Path, case: str, at: str) -> None:
    nothing, options = SAYS_NOTHING[case]
    delimiter = str(options.get("delimiter", ",")).encode()
    head, songs = HEAD.replace(b",", delimiter), SONGS.replace(b",", delimiter)
    if at == "above the header" and (b'"' in nothing or b"'" in nothing):
        pytest.skip("names of columns may be empty in quotes")
    lines = (nothing + b"\n") * 3
    half = songs.index(b"Song 6")
    content = {
        "above the header": lines + head + songs,
        "first": head + lines + songs,
        "in the middle": head + songs[:half] + lines + songs[half:],
        "last": head + songs + lines,
        "last without a line break": head + songs + lines.removesuffix(b"\n"),
    }[at]
    for block_bytes in (1 << 20, 32):
        reading = read_bytes(tmp_path, content, options, csv_block_bytes=block_bytes)
        assert (titles(reading), reading.rejects) == ([f"Song {number}" for number in range(1, 13)], ())
        assert notice(reading, "nothing but delimiters").startswith("3 records")
        assert [row.record_no for row in reading.rows] == list(range(1, 13))


@pytest.mark.parametrize("record", [b",,Rock", b'"""",,', b"-,,", b'",",,', b"\\,,"])
def test_a_record_that_says_anything_stays(tmp_path: Path, record: bytes) -> None:
    reading = read_bytes(tmp_path, HEAD + record + b"\n" + SONGS)
    assert (len(reading.rows), reading.notices) == (13, ())


def test_an_empty_value_in_quotes_in_a_single_column_is_a_record(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b'title\nA\n""\n  \nB\n')
    assert reading.values == [("A",), ("",), ("B",)]


def test_lines_are_counted_over_records_that_are_left_out(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b",,\n" * 4 + b"A,B,C\n")
    assert [row.line for row in reading.rows] == [6]
    assert "first: line 2" in notice(reading, "nothing but")


@pytest.mark.parametrize("marks", [1, 2, 3])
@pytest.mark.parametrize("block_bytes", [16, 1 << 20])
def test_files_that_were_put_together_are_read_as_one(tmp_path: Path, marks: int, block_bytes: int) -> None:
    content = MARK + HEAD + SONGS + MARK * marks + HEAD + b"Last,A,B\n" + MARK + b'"Very last",A,B\n'
    reading = read_bytes(tmp_path, content, csv_block_bytes=block_bytes)
    assert titles(reading) == [*(f"Song {number}" for number in range(1, 13)), "Last", "Very last"]
    assert [(reject.kind, reject.line) for reject in reading.rejects] == [("repeated_header", 14)]
    assert notice(reading, "byte order mark").startswith(f"{marks + 1} byte order marks inside the file were left out")


def test_a_mark_inside_a_file_in_utf_16_is_no_text(tmp_path: Path) -> None:
    text = ("\ufeff" + (HEAD + b"A,B,C\n").decode()) * 2
    reading = read_bytes(tmp_path, text.encode("utf-16-le"))
    assert (titles(reading), reading.faults[0][0]) == (["A", "A"], "repeated_header")


@pytest.mark.parametrize("padding", [b"\x1a", b"\0", b"\0" * 700, b"\x1a" + b"\0" * 100, b"\x1a\x1a"])
@pytest.mark.parametrize("block_bytes", [16, 64, 1 << 20])
@pytest.mark.parametrize("line_break", [b"\n", b"\r\n", b"\r"])
def test_what_old_programs_leave_at_the_end_is_no_record(
    tmp_path: Path, padding: bytes, block_bytes: int, line_break: bytes
) -> None:
    content = (HEAD + SONGS).replace(b"\n", line_break) + padding
    reading = read_bytes(tmp_path, content, csv_block_bytes=block_bytes, csv_record_bytes_max=256)
    assert (len(reading.rows), reading.rejects) == (12, ())
    count = "a byte" if len(padding) == 1 else f"{len(padding)} bytes"
    assert notice(reading, "Ctrl-Z").startswith(count)


@pytest.mark.parametrize("padding", [b"\x1a", b"\0\0\0", b"\x1a\0"])
@pytest.mark.parametrize("last", [b"A,B,Salsa", b'A,B,"Salsa"', b"A,B,Sal\x1asa"])
def test_what_stands_right_behind_the_last_record_is_not_part_of_it(
    tmp_path: Path, padding: bytes, last: bytes
) -> None:
    for block_bytes in (16, 1 << 20):
        reading = read_bytes(tmp_path, HEAD + SONGS + last + padding, csv_block_bytes=block_bytes)
        assert (titles(reading)[-1], reading.values[-1][2].replace("\x1a", "")) == ("A", "Salsa")
        assert reading.rejects == ()
        assert notice(reading, "Ctrl-Z").startswith("a byte" if len(padding) == 1 else f"{len(padding)} bytes")


HEADERS_AGAIN = [
    "Title,Artist,GENRE",
    '"title","artist","genre"',
    " title , artist,genre",
    "\ufefftitle,\u200bartist,genré",
]


@pytest.mark.parametrize("again", HEADERS_AGAIN)
def test_a_header_that_is_spelled_otherwise_is_the_header_again(tmp_path: Path, again: str) -> None:
    reading = read_bytes(tmp_path, HEAD + SONGS + again.encode() + b"\nLast,A,B\n")
    assert [(reject.kind, reject.line) for reject in reading.rejects] == [("repeated_header", 14)]
    assert titles(reading)[-1] == "Last"


@pytest.mark.parametrize("again", ["artist,title,genre", "Genre,Title,Artist", '"title","genre","artist"'])
def test_a_header_in_another_order_ends_the_reading(tmp_path: Path, again: str) -> None:
    with pytest.raises(FatalError, match="line 14 repeats the header with its columns in another order") as caught:
        read_bytes(tmp_path, HEAD + SONGS + again.encode() + b"\nA,Last,B\n")
    assert caught.value.reason == "SOURCE_MALFORMED"


@pytest.mark.parametrize("record", ["title,artist,Salsa", "artist,artist,genre", "Title,x,genre"])
def test_a_record_with_some_of_the_names_is_a_record(tmp_path: Path, record: str) -> None:
    reading = read_bytes(tmp_path, HEAD + record.encode() + b"\n" + SONGS)
    assert (len(reading.rows), reading.rejects) == (13, ())


def test_a_mark_inside_a_record_is_told(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, MARK + b"title,artist\nA,B" + MARK + b"title,artist\nC," + MARK + b"D\n")
    assert notice(reading, "byte order mark").startswith("a byte order mark inside a record is kept (line 3)")


def test_zero_bytes_and_ctrl_z_inside_values_are_text(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b"\0a,\x1a,x\x1a\nB,C,D")
    assert reading.values == [("\0a", "\x1a", "x\x1a"), ("B", "C", "D")]


def test_what_stands_behind_an_escaped_line_break_or_in_open_quotes_is_text(tmp_path: Path) -> None:
    for block_bytes in (8, 1 << 20):
        reading = read_bytes(tmp_path, HEAD + b"A,B,C\\\n\0\x1a", {"escape": "\\"}, csv_block_bytes=block_bytes)
        assert (reading.values, reading.notices) == ([("A", "B", "C\n\0\x1a")], ())
        reading = read_bytes(tmp_path, HEAD + b'A,B,"C\n\0\0', csv_block_bytes=block_bytes)
        assert ([fault[0] for fault in reading.faults], reading.rows) == (["unclosed_quote"], ())


def test_zero_bytes_between_records_are_a_record(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b"A,B,C\n" + b"\0" * 40 + b"\nD,E,F\n", csv_block_bytes=16)
    assert (titles(reading), [reject.line for reject in reading.rejects]) == (["A", "D"], [3])


@pytest.mark.parametrize("block_bytes", [24, 1 << 20])
def test_comments_are_counted_and_those_behind_the_header_told(tmp_path: Path, block_bytes: int) -> None:
    content = b"# generated\n#\n" + HEAD + b"#1 Crush,Garbage,Rock\n" + SONGS + b"#last\n"
    reading = read_bytes(tmp_path, content, {"commentPrefix": "#"}, csv_block_bytes=block_bytes)
    assert len(reading.rows) == 12
    assert notice(reading, "as comments (first: line 1)").startswith("4 lines")
    behind = notice(reading, "behind the header")
    assert behind.startswith("2 of the lines") and "first: line 4" in behind and "options.commentPrefix" in behind


def test_a_reading_that_goes_on_tells_the_whole(tmp_path: Path) -> None:
    content = HEAD + b",,\n" + SONGS + b",,\n" + SONGS + b",,\n"
    (tmp_path / "songs.csv").write_bytes(content)
    context = context_for(tmp_path, csv_block_bytes=64)
    whole = asyncio.run(read_path("songs.csv", context))
    assert len(whole.batches) > 4
    for batch in whole.batches:
        rest = asyncio.run(read_path("songs.csv", context, after=batch.position))
        assert rest.notices == whole.notices


def test_with_several_files_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEAD + SONGS)
    (tmp_path / "b.csv").write_bytes(HEAD + b"A,B,C\n,,\n")
    (tmp_path / "c.csv").write_bytes(HEAD + b",,\n" + SONGS)
    reading = asyncio.run(read_path("*.csv", context_for(tmp_path)))
    assert "2 records" in notice(reading, "nothing but") and "first: b.csv, line 3" in notice(reading, "nothing but")
