"""Which records are loaded, and which are rejected with what: kind, line, byte offset, column, raw text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sources.csv.reading import read_bytes

HEAD = b"id,title,genre\n"


def faults(folder: Path, body: bytes, **settings: Any) -> list[tuple[str, int, int | None, str | None, str]]:
    return read_bytes(folder, HEAD + body, **settings).faults


def test_a_record_with_too_few_fields_names_the_first_missing_column(tmp_path: Path) -> None:
    assert faults(tmp_path, b"1,a,b\n2,c\n3,d,e\n") == [("missing_columns", 3, 21, "genre", "2,c")]


def test_a_record_with_too_many_fields_is_rejected_whole(tmp_path: Path) -> None:
    assert faults(tmp_path, b"1,a,b\n2,c,d,e\n") == [("too_many_columns", 3, 21, None, "2,c,d,e")]


@pytest.mark.parametrize(
    ("record", "column"),
    [
        (b'1,"a"b,c', "title"),
        (b'1,"a" ,c', "title"),
        (b'1,a"b,c', "title"),
        (b'1,a,b"', "genre"),
        (b'1, "a",b', "title"),
        (b'""1,a,b', "id"),
        (b'1,""a,b', "title"),
        (b'1,"a,b,"c"', "title"),
    ],
)
def test_a_stray_quote_rejects_its_record_and_no_other(tmp_path: Path, record: bytes, column: str) -> None:
    reading = read_bytes(tmp_path, HEAD + b'0,"x, y",z\n' + record + b'\n9,"x, y",z\n')
    assert reading.faults == [("stray_quote", 3, 26, column, record.decode())]
    assert reading.values == [("0", "x, y", "z"), ("9", "x, y", "z")]


def test_stray_quotes_can_be_kept_as_text(tmp_path: Path) -> None:
    content = HEAD + b'1,12" mix,b\n2,"say "yes" now",b\n3,"a ""b""",c\n4,"x\n"'
    reading = read_bytes(tmp_path, content, {"strayQuotes": "keep"})
    assert reading.values == [("1", '12" mix', "b"), ("2", 'say "yes" now', "b"), ("3", 'a "b"', "c")]
    assert [fault[0] for fault in reading.faults] == ["missing_columns"]


def test_an_unclosed_quote_does_not_swallow_the_records_after_it(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b'1,"open,b\n2,c,d\n3,e,f\n4,"g, h",i\n')
    assert reading.faults == [("unclosed_quote", 2, 15, "title", '1,"open,b')]
    assert [values[0] for values in reading.values] == ["2", "3", "4"]


def test_an_unclosed_quote_in_a_file_without_other_quotes_rejects_one_record(tmp_path: Path) -> None:
    body = b"".join(b"%d,a,b\n" % number for number in range(5000))
    reading = read_bytes(tmp_path, HEAD + body + b'x,"open,b\n' + body, csv_block_bytes=1024, csv_record_bytes_max=9000)
    assert [fault[0] for fault in reading.faults] == ["unclosed_quote"]
    assert len(reading.rows) == 10_000


def test_a_quote_that_is_closed_only_at_another_record_is_blamed_on_its_own_line(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b'1,a,"\n2,b,c\n3,"d"\n4,e,f\n')
    assert reading.faults == [
        ("unclosed_quote", 2, 15, "genre", '1,a,"'),
        ("missing_columns", 4, 27, "genre", '3,"d"'),
    ]
    assert reading.values == [("2", "b", "c"), ("4", "e", "f")]


def test_an_unclosed_quote_on_the_last_line_is_rejected(tmp_path: Path) -> None:
    assert faults(tmp_path, b'1,a,b\n2,c,"d') == [("unclosed_quote", 3, 21, "genre", '2,c,"d')]


def test_a_bad_record_of_several_lines_is_one_reject(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b'1,"several\nlines"\n2,c,d\n')
    assert reading.faults == [("missing_columns", 2, 15, "genre", '1,"several\nlines"')]
    assert reading.rows[0].line == 4


def test_an_undecodable_byte_rejects_its_record_only(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + "1,é,b\n".encode() + b"2,caf\xe9,d\n" + "3,ñ\ufffd,f\n".encode())
    assert reading.faults == [("bad_encoding", 3, 22, "title", "2,caf\\xe9,d")]
    assert reading.values == [("1", "é", "b"), ("3", "ñ\ufffd", "f")]


def test_many_undecodable_records_are_each_rejected(tmp_path: Path) -> None:
    body = b"".join(b"%d,\xff,b\n%d,ok,b\n" % (number, number) for number in range(300))
    reading = read_bytes(tmp_path, HEAD + body)
    assert [(fault[0], fault[1]) for fault in reading.faults] == [("bad_encoding", 2 + 2 * n) for n in range(300)]
    assert len(reading.rows) == 300


def test_a_record_that_is_too_long_is_rejected_and_passed_over(tmp_path: Path) -> None:
    long = b"2," + b"x" * 5000 + b",d"
    reading = read_bytes(
        tmp_path, HEAD + b"1,a,b\n" + long + b"\r\n3,e,f\n", csv_block_bytes=1024, csv_record_bytes_max=2048
    )
    assert reading.faults == [("record_too_long", 3, 21, None, long.decode())]
    assert reading.values == [("1", "a", "b"), ("3", "e", "f")]
    assert (reading.rows[1].line, reading.rows[1].byte_offset) == (4, 21 + len(long) + 2)


def test_the_longest_record_may_end_the_file_with_a_carriage_return(tmp_path: Path) -> None:
    record = b'1,a,"' + b"x" * 2041 + b'"\r'
    assert len(record) == 2048
    reading = read_bytes(tmp_path, HEAD + b'"\n' + record, csv_record_bytes_max=2048)
    assert len(reading.rows) == 1


def test_a_comment_may_be_longer_than_a_record(tmp_path: Path) -> None:
    content = b"a,b\n1,2\n#" + b"x" * 5000 + b"\n3,4\n"
    for block_bytes in (1024, 1 << 20):
        reading = read_bytes(
            tmp_path, content, {"commentPrefix": "#"}, csv_block_bytes=block_bytes, csv_record_bytes_max=2048
        )
        assert ([row.line for row in reading.rows], reading.rejects) == ([2, 4], ())


def test_a_record_just_below_the_limit_is_loaded(tmp_path: Path) -> None:
    record = b"1,a," + b"x" * 2043
    reading = read_bytes(tmp_path, HEAD + record + b"\n", csv_block_bytes=1024, csv_record_bytes_max=2048)
    assert len(reading.values[0][2]) == 2043
    assert faults(tmp_path, record + b"x\n", csv_record_bytes_max=2048)[0][0] == "record_too_long"


def test_raw_text_is_cut_where_the_protocol_says(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b"1," + "é".encode() * 100_000 + b"\n")
    assert len(reading.rejects[0].raw) == 64 * 1024


def test_blank_lines_are_no_records_but_count_as_lines(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"\r\n\n" + HEAD + b"\n\n1,a,b\n\r\n\n2,c,d\n\n")
    assert [(row.values[0], row.line, row.record_no) for row in reading.rows] == [("1", 6, 1), ("2", 9, 2)]
    assert reading.rejects == ()


def test_a_header_that_is_repeated_is_rejected(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b"1,a,b\n" + HEAD + b"2,id,title\n")
    assert reading.faults == [("repeated_header", 3, 21, None, "id,title,genre")]
    assert len(reading.rows) == 2


def test_raw_text_of_a_good_row_is_the_record_as_it_stands(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b'x\n1,"a ""b""\nc",d\r\n2,e,f\n')
    assert [reading.batches[0].raw_text(row) for row in range(2)] == ['1,"a ""b""\nc",d', "2,e,f"]


def test_record_numbers_count_rejected_records_too(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b"1,a,b\nbad\n2,c,d\n")
    assert [row.record_no for row in reading.rows] == [1, 3]


def test_rejects_stand_in_source_order_and_say_what_is_wrong_without_the_value(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + b'secret\n1,secret"x,b\n1,2,3,4\n2,\xff,secret\n"secret\n')
    assert [reject.line for reject in reading.rejects] == [2, 3, 4, 5, 6]
    assert {reject.category for reject in reading.rejects} == {"parsing"}
    assert not any("secret" in reject.message for reject in reading.rejects)


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("final", [True, False])
def test_every_line_break_is_read_with_and_without_a_final_one(tmp_path: Path, line_break: bytes, final: bool) -> None:
    lines = [b"a,b", b'1,"x\ny"', b"2,z", b'"3",""']
    content = line_break.join(lines) + (line_break if final else b"")
    assert read_bytes(tmp_path, content).values == [("1", "x\ny"), ("2", "z"), ("3", "")]


def test_line_breaks_may_be_mixed(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b'a,b\r1,2\n3,4\r\n5,6\r\r\n7,8\n\r9,"\r"')
    assert reading.values == [("1", "2"), ("3", "4"), ("5", "6"), ("7", "8"), ("9", "\r")]
    assert [row.line for row in reading.rows] == [2, 3, 4, 6, 8]
    assert reading.info.detected["lineBreak"] == "mixed"


def test_values_are_exact(tmp_path: Path) -> None:
    hard = [
        "007",
        " x ",
        "\t",
        "9223372036854775808",
        "1e999",
        "NaN",
        "NULL",
        "\\N",
        "\x00",
        "\x1a",
        "x\ufeff",
        "😀",
        "-0",
    ]
    content = b"a,b\n" + b"".join(f"{value},x\n".encode() for value in hard)
    assert [values[0] for values in read_bytes(tmp_path, content).values] == hard


def test_a_byte_order_mark_inside_a_record_is_text(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfa,b\n" + '1,\ufeff\n"\ufeff2",x\n'.encode()
    assert read_bytes(tmp_path, content).values == [("1", "\ufeff"), ("\ufeff2", "x")]


def test_a_field_of_ten_megabytes_is_loaded(tmp_path: Path) -> None:
    value = 'line with a "quote"\n' * 500_000
    content = f'a,b\n1,"{value.replace(chr(34), chr(34) * 2)}"\n2,x\n'.encode()
    reading = read_bytes(tmp_path, content, csv_block_bytes=65_536)
    assert reading.values == [("1", value), ("2", "x")]


def test_a_thousand_columns_are_loaded(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(1000)]
    content = (",".join(names) + "\n" + ",".join("x" * 1000) + "\n" + "," * 999 + "y\n").encode()
    reading = read_bytes(tmp_path, content)
    assert reading.info.columns == tuple(names)
    assert reading.values == [("x",) * 1000, ("",) * 999 + ("y",)]


def test_a_single_column_may_hold_empty_values_in_quotes(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, b'a\n""\n\nx\n""""\n').values == [("",), ("x",), ('"',)]


def test_a_header_alone_has_no_records(tmp_path: Path) -> None:
    for content in (b"a,b", b"a,b\n", b"a,b\r\n\r\n"):
        reading = read_bytes(tmp_path, content)
        assert (reading.info.columns, reading.batches) == (("a", "b"), ())


@pytest.mark.parametrize(
    ("delimiter", "escape", "record", "values"),
    [
        (";", None, '1;"a;b"', ("1", "a;b")),
        ("\t", None, '1\t"a\tb"', ("1", "a\tb")),
        (", ", None, '1, "a, b"', ("1", "a, b")),
        ("||", None, "1||a|b", ("1", "a|b")),
        ("||", None, '"1||""2"||a', ('1||"2', "a")),
        ("§", None, '1§"a§b"', ("1", "a§b")),
        (",", "\\", '1,"a\\"b"', ("1", 'a"b')),
        (",", "\\", "1,a\\,b", ("1", "a,b")),
        (",", "\\", '1,"a\\\\"', ("1", "a\\")),
        (",", "\\", '1,"C:\\temp"', ("1", "C:\\temp")),
        (",", "\\", "1,a\\\nb", ("1", "a\nb")),
        (",", "", '1,"a "b" c"', ("1", 'a "b" c')),
    ],
)
def test_dialects(tmp_path: Path, delimiter: str, escape: str | None, record: str, values: tuple[str, ...]) -> None:
    content = f"x{delimiter}y\n{record}\n3{delimiter}4\n".encode()
    reading = read_bytes(tmp_path, content, {"delimiter": delimiter, "escape": escape})
    assert reading.values == [values, ("3", "4")]


def test_without_a_quote_character_quotes_are_text(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, b'a,b\n"1,2"\n', {"quote": ""}).values == [('"1', '2"')]


def test_comment_lines_are_left_out_unless_they_stand_inside_quotes(tmp_path: Path) -> None:
    content = b'# exported "today"\na,b\n#1,2\n3,"x\n#y"\n4,#5\n#"'
    reading = read_bytes(tmp_path, content, {"commentPrefix": "#"})
    assert reading.values == [("3", "x\n#y"), ("4", "#5")]
    assert reading.rejects == ()


@pytest.mark.parametrize(("line", "rows"), [(b'x,"y" z\n', 20_000), (b'"x,y\n', 0)])
def test_many_broken_lines_take_time_in_proportion_to_their_number(tmp_path: Path, line: bytes, rows: int) -> None:
    """Each line's field was once followed to the end of the window: minutes for this file, hours for a block of such lines."""
    reading = read_bytes(tmp_path, b"a,b\n" + line * 20_000, {"strayQuotes": "keep"})

    assert len(reading.rows) == rows
    assert bool(reading.rejects) == (not rows)
