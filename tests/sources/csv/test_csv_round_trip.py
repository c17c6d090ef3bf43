"""Any table, written by any dialect and damaged anywhere: what is loaded is right, and every record is accounted for."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.core.errors import InvalidRequestError
from tests.sources.csv.reading import read_bytes

# Characters that mean something to some dialect come up more often than chance would have it.
text = st.text(
    # Ctrl-Z at the end of a file is its end, not a value's.
    st.sampled_from(list("\"',;|\t\n\r\\# aé€😀\x00\ufeff\x85\u2028"))
    | st.characters(exclude_categories=["Cs"], exclude_characters="\x1a"),
    max_size=12,
)
blocks = st.sampled_from([1, 5, 64, 1 << 20])
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(1, 5))
    return draw(st.lists(st.lists(text, min_size=width, max_size=width), min_size=1, max_size=12))


dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|", " ", "a"]),
        "quotechar": st.sampled_from(['"', "'"]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for every table: each is written over the one before."""
    return tmp_path_factory.mktemp("tables")


def written(table: list[list[str]], dialect: dict[str, Any]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, **dialect).writerows(table)
    return buffer.getvalue()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables(), dialects, encodings, blocks)
def test_any_table_comes_back_the_same(
    folder: Path, table: list[list[str]], dialect: dict[str, Any], encoding: str, block_bytes: int
) -> None:
    names = [f"c{number}" for number in range(len(table[0]))]
    if dialect["quoting"] == csv.QUOTE_MINIMAL:
        # The standard library's writer leaves the line breaks that are not its own unquoted.
        # A mark that begins a line without a quote is no text.
        table = [[value.translate({10: "LF", 13: "CR", 0xFEFF: "mark"}) for value in row] for row in table]
    content = written([names, *table], dialect).encode(encoding)
    options = {"delimiter": dialect["delimiter"], "quote": dialect["quotechar"], "encoding": encoding}
    reading = read_bytes(folder, content, options, csv_block_bytes=block_bytes)
    # The standard library's writer puts a single empty value into quotes in any case.
    if dialect["quoting"] == csv.QUOTE_MINIMAL:
        table = [row for row in table if row == [""] or loaded([row], quoted=False)]
    assert reading.values == loaded(table)
    assert reading.rejects == ()
    assert reading.info.columns == tuple(names)


line_breaks = st.sampled_from(["\n", "\r\n", "\r"])
long_delimiters = st.sampled_from([",", ", ", "||", "§", "\t", "aa", "::,::", "😀"])


BLANKS = set(" \t\v\f\r\n\u00a0\u2007\u202f\u3000")


def loaded(table: list[list[str]], *, quoted: bool = True) -> list[tuple[str, ...]]:
    """The rows that are records: one that says nothing is a blank line, but for a single value in quotes."""
    return [tuple(row) for row in table if not BLANKS.issuperset("".join(row)) or (quoted and len(row) == 1)]


def header_of(table: list[list[str]]) -> list[str]:
    return [f"c{number}" for number in range(len(table[0]))]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables(), long_delimiters, st.sampled_from(['"', "'"]), line_breaks, encodings, blocks)
def test_any_table_with_any_delimiter_comes_back_the_same(
    folder: Path, table: list[list[str]], delimiter: str, quote: str, line_break: str, encoding: str, block_bytes: int
) -> None:
    def field(value: str) -> str:
        return quote + value.replace(quote, quote + quote) + quote

    lines = [delimiter.join(map(field, row)) for row in [header_of(table), *table]]
    content = line_break.join(lines).encode(encoding)
    options = {"delimiter": delimiter, "quote": quote, "encoding": encoding}
    reading = read_bytes(folder, content, options, csv_block_bytes=block_bytes)
    assert reading.values == loaded(table)
    assert reading.rejects == ()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables(), long_delimiters, st.sampled_from(["\\", "^"]), line_breaks, encodings, blocks)
def test_any_table_with_escapes_comes_back_the_same(
    folder: Path, table: list[list[str]], delimiter: str, escape: str, line_break: str, encoding: str, block_bytes: int
) -> None:
    def field(value: str) -> str:
        return '"' + value.replace(escape, escape * 2).replace('"', escape + '"') + '"'

    lines = [delimiter.join(header_of(table)), *(delimiter.join(map(field, row)) for row in table)]
    content = line_break.join(lines).encode(encoding)
    options = {"delimiter": delimiter, "escape": escape, "encoding": encoding}
    reading = read_bytes(folder, content, options, csv_block_bytes=block_bytes)
    assert reading.values == loaded(table)
    assert reading.rejects == ()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.sampled_from([",", ";", "\t", "||", "§"]), line_breaks, encodings, blocks)
def test_any_table_without_quotes_comes_back_the_same_or_as_rejects(
    folder: Path, table: list[list[str]], delimiter: str, line_break: str, encoding: str, block_bytes: int
) -> None:
    """Without a quote character no value can hold a line break; one that holds a delimiter makes its row a bad one."""
    # A byte order mark at the start of a line is no text; quotes are.
    plain = [[value.translate({10: "LF", 13: "CR", 0xFEFF: "mark"}) for value in row] for row in table]
    plain = [row if len(row) > 1 else [row[0] + "."] for row in plain]
    # Zero bytes at the end of a file are its padding, not a value's.
    plain[-1][-1] = plain[-1][-1].rstrip("\0")
    content = line_break.join([delimiter.join(row) for row in [header_of(plain), *plain]]).encode(encoding)
    options = {"delimiter": delimiter, "quote": "", "encoding": encoding}
    reading = read_bytes(folder, content, options, csv_block_bytes=block_bytes)
    if all(delimiter.join(row).split(delimiter) == row for row in plain):
        assert reading.values == loaded(plain, quoted=False)
    # A header that most rows disagree with is a reject of its own.
    bad = [reject for reject in reading.rejects if reject.kind != "header_mismatch"]
    blank = [row for row in plain if BLANKS.issuperset("".join(delimiter.join(row).split(delimiter)))]
    assert len(reading.values) + len(bad) == len(plain) - len(blank)


@given(
    st.sampled_from(["cp1252", "latin-1", "iso8859-15", "cp1251", "mac_roman", "koi8_r", "gb18030", "shift_jis"]),
    st.data(),
)
def test_any_table_in_an_older_encoding_comes_back_the_same(folder: Path, encoding: str, data: st.DataObject) -> None:
    def written_in(value: str) -> str:
        return value.encode(encoding, "ignore").decode(encoding)

    table = [[written_in(value) for value in row] for row in data.draw(tables())]
    delimiter = data.draw(st.sampled_from([",", ";", "\t"]))
    block_bytes = data.draw(blocks)
    dialect = {"delimiter": delimiter, "quoting": csv.QUOTE_ALL, "lineterminator": data.draw(line_breaks)}
    content = written([header_of(table), *table], dialect).encode(encoding)
    reading = read_bytes(folder, content, {"delimiter": delimiter, "encoding": encoding}, csv_block_bytes=block_bytes)
    assert reading.values == loaded(table)
    assert reading.rejects == ()


@given(tables(), st.data())
def test_a_damaged_byte_never_loses_a_record_beside_it(
    folder: Path, table: list[list[str]], data: st.DataObject
) -> None:
    """One line is damaged; every other one-line record is loaded as it was, or stands in a reject."""
    plain = [[value.translate({10: " ", 13: " "}) for value in row] for row in table]
    dialect = {"lineterminator": "\n", "quoting": csv.QUOTE_ALL}
    lines = written(plain, dialect).encode().split(b"\n")[:-1]
    at = data.draw(st.integers(0, len(lines) - 1))
    damage = data.draw(st.sampled_from([b"", b'"', b",", b'x"y', b'","', b"\xff", b'"a","b', b'a,"']))
    lines[at] = damage
    names = ",".join(f"c{number}" for number in range(len(table[0]))).encode()
    content = b"\n".join([names, *lines, b""])
    reading = read_bytes(folder, content, {})
    raw = "\n".join(reject.raw for reject in reading.rejects)
    values = set(reading.values)
    for number, row in enumerate(plain):
        if number != at:
            assert tuple(row) in {*values, *set(map(tuple, plain)) - set(loaded(plain))} or all(
                value.replace('"', '""') in raw for value in row
            )


noise = st.lists(
    st.sampled_from(
        [
            b'"',
            b",",
            b"\n",
            b"\r",
            b"\r\n",
            b"a",
            b"1,2\n",
            b'"q","r"\n',
            b'""',
            b',"',
            b'",',
            b"\\",
            b"#",
            b"\xff",
            b"\xc3\xa9",
        ]
    ),
    max_size=60,
).map(b"".join)
noisy_options = st.fixed_dictionaries(
    {},
    optional={
        "escape": st.sampled_from(["\\", "", "'"]),
        "strayQuotes": st.just("keep"),
        "commentPrefix": st.sampled_from(["#", "a"]),
        "quote": st.sampled_from(["'", ""]),
        "delimiter": st.sampled_from(["a", "1,", "é", ",,"]),
        "hasHeader": st.just(False),
        "encoding": st.sampled_from(["cp1252", "utf-16-le", "shift_jis"]),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(noise, noisy_options, st.sampled_from([1, 4, 13, 40]), st.sampled_from([12, 30, 1 << 20]))
def test_where_blocks_end_never_changes_what_is_read(
    folder: Path, body: bytes, options: dict[str, Any], block_bytes: int, record_bytes_max: int
) -> None:
    content = b"a,b\n" + body
    try:
        whole = read_bytes(folder, content, options, csv_record_bytes_max=record_bytes_max)
    except InvalidRequestError as refused:
        assert refused.reason in {"SOURCE_MALFORMED", "INVALID_OPTION"}
        return
    small = read_bytes(folder, content, options, csv_record_bytes_max=record_bytes_max, csv_block_bytes=block_bytes)
    assert (small.rows, small.rejects) == (whole.rows, whole.rejects)
    numbers = [row.record_no for row in whole.rows]
    assert numbers == sorted(set(numbers))
    assert not numbers or numbers[-1] <= len(whole.rows) + len(whole.rejects)
