"""Records whose quotes or line breaks are not in order: what is kept, what is rejected, and which option the text names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sources.csv.reading import Reading, read_bytes

HEAD = b"title,artist,genre\n"
SONGS = b"".join(b"Song %d,Artist %d,Salsa\n" % (number, number) for number in range(1, 13))
TITLES = [f"Song {number}" for number in range(1, 13)]


def titles(reading: Reading) -> list[str]:
    return [values[0] for values in reading.values]


KEEPING: list[dict[str, Any]] = [{"strayQuotes": "keep"}, {"escape": ""}]


@pytest.mark.parametrize("options", KEEPING)
@pytest.mark.parametrize("block_bytes", [16, 200, 1 << 20])
@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b'"Heroes" - 2017 Remaster,David Bowie,Rock', ('"Heroes" - 2017 Remaster', "David Bowie", "Rock")),
        (b'Heroes,"David" Bowie,Rock', ("Heroes", '"David" Bowie', "Rock")),
        (b'Heroes,David Bowie,"Art" Rock', ("Heroes", "David Bowie", '"Art" Rock')),
        (b'"Heroes" (live),"Bowie, David",Rock', ('"Heroes" (live)', "Bowie, David", "Rock")),
        (b'"Heroes" (live),"Bowie","Art" Rock', ('"Heroes" (live)', "Bowie", '"Art" Rock')),
    ],
)
def test_a_quote_that_is_kept_holds_no_lines_together(
    tmp_path: Path, line: bytes, values: tuple[str, ...], options: dict[str, Any], block_bytes: int
) -> None:
    content = HEAD + line + b'\n"Low",David Bowie,Rock\n' + SONGS + line + b'\n"Lodger",David Bowie,"Rock"\n'
    reading = read_bytes(tmp_path, content, options, csv_block_bytes=block_bytes)
    assert reading.rejects == ()
    assert reading.values[0] == values
    assert titles(reading)[1:] == ["Low", *TITLES, values[0], "Lodger"]


@pytest.mark.parametrize("options", KEEPING)
def test_a_value_of_several_lines_stays_one_where_quotes_are_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    content = HEAD + b'"A\nB","C, D\r\nE",F\n' + b'"He said "hi" and\nleft",G,H\n' + SONGS
    reading = read_bytes(tmp_path, content, options)
    assert reading.values[:2] == [("A\nB", "C, D\r\nE", "F"), ('He said "hi" and\nleft', "G", "H")]
    assert titles(reading)[2:] == TITLES


@pytest.mark.parametrize("block_bytes", [32, 1 << 20])
def test_a_value_that_holds_records_is_told_with_its_line_and_their_number(tmp_path: Path, block_bytes: int) -> None:
    two = SONGS[: SONGS.index(b"Song 3")]
    content = HEAD + two + b'"Heroes,Bowie,Rock\n' + SONGS + b'Blue Monday 12",New Order,Synth\n'
    reading = read_bytes(tmp_path, content, csv_block_bytes=block_bytes)
    assert (len(reading.rows), reading.rejects) == (3, ())
    (notice,) = reading.notices
    assert "12 would be a record by itself (line 4)" in notice


@pytest.mark.parametrize(
    "value",
    [
        b'"Calle 5\nBogota\nColombia"',
        b'"first verse, with a comma\nsecond verse\n\nthird verse"',
        b'"a, b\nc, d, e, f\ng"',
        b'"one\ntwo"',
    ],
)
def test_a_value_of_several_lines_that_are_no_records_is_not_told(tmp_path: Path, value: bytes) -> None:
    reading = read_bytes(tmp_path, HEAD + SONGS + value + b",A,B\n" + SONGS)
    assert (len(reading.rows), reading.rejects, reading.notices) == (25, (), ())


def test_in_two_columns_an_address_is_not_told_and_swallowed_records_are(tmp_path: Path) -> None:
    address = b'name,address\nAna,"Calle 5, Bogota\nCasa 3\nColombia"\n'
    assert read_bytes(tmp_path, address).notices == ()
    swallowed = b'name,address\nAna,"Calle 5\nBeto,Calle 6\nCarla,Calle 7\nDora,Calle 8"\n'
    (notice,) = read_bytes(tmp_path, swallowed).notices
    assert "2 would be a record by itself (line 2)" in notice


CUT: dict[str, tuple[bytes, bytes, list[str]]] = {
    "the second piece is right": (b"So\rng,E,F", b"So\rng,E,F", []),
    "the first piece is right": (b"Song,E,F\rx", b"Song,E,F\rx", []),
    "no piece is right": (b"So\rn\rg,E", b"So\rn\rg,E", []),
    "one of three is not right": (b"A,B,C\rD,E,F\rx", b"A,B,C\rD,E,F\rx", []),
    "all pieces are right": (b"D,E,F\rG,H,I", b"", ["D", "G"]),
    "a second CR before the line break": (b"D,E,F\r", b"", ["D"]),
    "in quotes": (b'"So\rng",E,F', b"", ["So\rng"]),
}


@pytest.mark.parametrize("case", CUT)
@pytest.mark.parametrize("line_break", [b"\r\n", b"\n"])
@pytest.mark.parametrize("block_bytes", [4, 24, 1 << 20])
@pytest.mark.parametrize("is_last", [False, True])
def test_a_lone_cr_ends_a_record_only_where_all_pieces_are_right(
    tmp_path: Path, case: str, line_break: bytes, block_bytes: int, is_last: bool
) -> None:
    line, rejected, stored = CUT[case]
    songs = SONGS.replace(b"\n", line_break)
    content = HEAD.replace(b"\n", line_break) + b"A,B,C" + line_break + line
    reading = read_bytes(tmp_path, content if is_last else content + line_break + songs, csv_block_bytes=block_bytes)
    assert titles(reading) == ["A", *stored, *([] if is_last else TITLES)]
    faults = [("stray_line_break", 3, rejected.decode())] if rejected else []
    assert [(kind, number, raw) for kind, number, _offset, _column, raw in reading.faults] == faults


def test_in_a_file_whose_lines_end_in_cr_each_piece_is_a_record_of_its_own(tmp_path: Path) -> None:
    content = (HEAD + SONGS).replace(b"\n", b"\r") + b"short\rLast,A,B\r\n"
    reading = read_bytes(tmp_path, content)
    assert titles(reading) == [*TITLES, "Last"]
    assert [reject.kind for reject in reading.rejects] == ["missing_columns"]


def test_a_file_without_lf_behind_its_beginning_is_read_to_its_end(tmp_path: Path) -> None:
    content = HEAD + SONGS * 600 + b"A,B,C\r" * 4000 + b"short\r" + b"D,E,F\r" * 400
    reading = read_bytes(tmp_path, content, csv_block_bytes=1024, csv_record_bytes_max=2048)
    assert len(reading.rows) + sum(max(1, reject.raw.count("\r") + 1) for reject in reading.rejects) >= 12 * 600 + 4401
    assert len(reading.rows) > 12 * 600 + 4000


ADVICE: dict[str, tuple[bytes, str, dict[str, Any], str]] = {
    "a backslash": (b'"Say \\"Hi\\"",B,C', "options.escape to \\", {"escape": "\\"}, 'Say "Hi"'),
    "a backslash in the middle": (b'A,"B \\"b\\" b",C', "options.escape to \\", {"escape": "\\"}, "A"),
    "a blank before": (b'"A", "B", "C, c"', 'options.delimiter to ", "', {}, ""),
    "a blank behind": (b'"A" ,"B" ,"C"', 'options.delimiter to " ,"', {}, ""),
    "blanks on both sides": (b'"A" , "B" , "C"', 'options.delimiter to " , "', {}, ""),
    "a blank at the end": (b'"A","B","C" ', "which no option passes over", {}, ""),
    "a blank at the beginning": (b' "A","B","C"', "which no option passes over", {}, ""),
    "a line in quotes": (b'"A,B,C"', "the whole line stands in quotes", {}, ""),
    "a line in quotes with marks": (b'"A,""B, b"",C";;', "the whole line stands in quotes", {}, ""),
    "a formula": (b'A,="0123",C', "formula", {}, ""),
    "an inch": (
        b'Blue Monday 12" mix,B,C',
        "options.strayQuotes to keep",
        {"strayQuotes": "keep"},
        'Blue Monday 12" mix',
    ),
    "words in quotes": (b'"Heroes" live,B,C', "options.strayQuotes to keep", {"strayQuotes": "keep"}, '"Heroes" live'),
}


@pytest.mark.parametrize("case", ADVICE)
def test_the_text_of_a_stray_quote_names_the_option_that_reads_it(tmp_path: Path, case: str) -> None:
    line, words, cure, title = ADVICE[case]
    (reject,) = read_bytes(tmp_path, HEAD + line + b"\n" + SONGS).rejects
    assert words in reject.message
    assert ("strayQuotes" in reject.message) == ("strayQuotes" in words)
    if cure:
        assert titles(read_bytes(tmp_path, HEAD + line + b"\n" + SONGS, cure)) == [title, *TITLES]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_delimiter_that_is_named_reads_the_file(tmp_path: Path, delimiter: str) -> None:
    content = f'title{delimiter} artist{delimiter} genre\n"A"{delimiter} "B"{delimiter} "C{delimiter} c"\n'.encode()
    (reject,) = read_bytes(tmp_path, content, {"delimiter": delimiter}).rejects
    named = reject.message.partition('options.delimiter to "')[2].rstrip('"').replace("\\t", "\t")
    assert named == f"{delimiter} "
    reading = read_bytes(tmp_path, content, {"delimiter": named})
    assert (reading.info.columns, reading.values) == (("title", "artist", "genre"), [("A", "B", f"C{named}c")])


@pytest.mark.parametrize("block_bytes", [16, 1 << 20])
@pytest.mark.parametrize("extra", [{}, {"quote": ""}, {"strayQuotes": "keep"}, {"delimiter": "||"}])
def test_fields_that_are_missing_at_the_end_are_empty_on_request(
    tmp_path: Path, block_bytes: int, extra: dict[str, Any]
) -> None:
    content = (
        b"title,artist,genre,note\nS1,A,G,\nS2,A,G\nS3\n" + b"".join(b"T%d,A,B,C\n" % n for n in range(9))
    ).replace(b",", str(extra.get("delimiter", ",")).encode())
    rejected = read_bytes(tmp_path, content, extra, csv_block_bytes=block_bytes)
    assert [reject.kind for reject in rejected.rejects] == ["missing_columns"] * 2
    assert all("options.missingFields to empty" in reject.message for reject in rejected.rejects)
    reading = read_bytes(tmp_path, content, extra | {"missingFields": "empty"}, csv_block_bytes=block_bytes)
    assert reading.rejects == ()
    assert reading.values[:3] == [("S1", "A", "G", ""), ("S2", "A", "G", ""), ("S3", "", "", "")]
    assert any(text.startswith("2 records end early") and "first: line 3" in text for text in reading.notices)


def test_more_fields_than_columns_are_rejected_whatever_is_missing_elsewhere(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b"A,B,C,D\nE\n", {"missingFields": "empty"})
    assert ([fault[0] for fault in reading.faults], reading.values) == (["too_many_columns"], [("E", "", "")])


@pytest.mark.parametrize("sequence", ["\\n", "\\t", "\\r", "\\0"])
def test_a_sequence_that_others_read_as_a_line_break_is_kept_and_told(tmp_path: Path, sequence: str) -> None:
    content = HEAD.replace(b",", b"\t") + f"A\tB\tC\nLine{sequence}break\tB\\\\n\t\\N\n".encode()
    options = {"delimiter": "\t", "quote": "", "escape": "\\", "nullTokens": ["\\N"]}
    reading = read_bytes(tmp_path, content, options)
    assert reading.values[1][:2] == (f"Line{sequence}break", "B\\n")
    (notice,) = reading.notices
    assert sequence in notice and "line 3" in notice


def test_an_escape_that_escapes_itself_is_not_told(tmp_path: Path) -> None:
    content = HEAD + b'"A\\\\n","say \\"no\\"",C\n'
    assert read_bytes(tmp_path, content, {"escape": "\\"}).notices == ()


@pytest.mark.parametrize(
    ("record", "delimiter", "said"),
    [
        ("Uno\\, dos,Ana", ",", "a backslash stands before a delimiter: set options.escape"),
        ("Uno\\; dos;Ana", ";", "a backslash stands before a delimiter: set options.escape"),
        ("Uno,69,90", ",", "a number with a decimal comma outside quotes would be two fields"),
        ("$ 69,90,Uno", ",", "a number with a decimal comma outside quotes would be two fields"),
        ("Uno,Ana,Eva", ",", ""),
        ("3,Uno,Ana", ",", ""),
        ("69;90;Ana", ";", ""),
    ],
)
def test_a_record_with_too_many_fields_says_what_may_have_made_them(
    tmp_path: Path, record: str, delimiter: str, said: str
) -> None:
    content = f"title{delimiter}artist\n{record}\nRight{delimiter}One\n".encode()
    (reject,) = read_bytes(tmp_path, content, {"delimiter": delimiter}).rejects
    assert reject.kind == "too_many_columns"
    assert said in reject.message
    assert said or reject.message == "the record has 3 fields, 2 are expected"
