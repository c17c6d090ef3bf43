"""Workbooks as files: exact cells, errors, sheets and headers, and what is refused."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import InvalidRequestError
from tests.sources.csv.reading import Reading, context_for, read_path
from tests.support.workbooks import ODS_TYPE, ods_row, write_ods, write_parts, write_xlsx, xlsx_row


def read(path: Path, options: dict[str, Any] | None = None, **limits: Any) -> Reading:
    return asyncio.run(read_path(path.name, context_for(path.parent, **limits), options))


def refusal(path: Path, options: dict[str, Any] | None = None, **limits: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        read(path, options, **limits)
    return caught.value


def xlsx_values(folder: Path, *cells: str, **parts: Any) -> Reading:
    """A sheet with a column for each cell."""
    names = [f"c{n}" for n in range(len(cells))]
    return read(
        write_xlsx(folder / "a.xlsx", {"S": xlsx_row(1, names) + f'<row r="2">{"".join(cells)}</row>'}, **parts)
    )


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("16", "16"),
        ("16.0", "16"),
        ("-0", "0"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("0.1", "0.1"),
        ("69.900000000000006", "69.9"),
        ("1E-7", "0.0000001"),
        ("1.5E+20", "150000000000000000000"),
        ("12345678901234567", "12345678901234568"),
    ],
)
def test_a_number_is_the_shortest_text_that_is_the_stored_double(tmp_path: Path, stored: str, text: str) -> None:
    assert xlsx_values(tmp_path, f'<c r="A2"><v>{stored}</v></c>').values == [(text,)]


@pytest.mark.parametrize(
    ("number", "code", "stored", "text"),
    [
        (14, None, "46024", "2026-01-02"),
        (22, None, "46024.127835648", "2026-01-02T03:04:05"),
        (164, "dd/mm/yyyy", "46024.5", "2026-01-02T12:00:00"),
        (164, "[$-40A]d mmm yyyy;@", "1", "1900-01-01"),
        (164, "yyyy", "61", "1900-03-01"),
        (20, None, "0.25", "06:00:00"),
        (164, "hh:mm:ss.000", "0.1278356481", "03:04:05"),
        (46, None, "1.25", "30:00:00"),
        (164, '0.00 "days"', "3.5", "3.5"),
        (164, '[Red]#,##0.00 "kr"', "3.5", "3.5"),
        (164, "mmm", "46024", "2026-01-02"),
        (164, "General", "46024", "46024"),
    ],
)
def test_a_number_that_is_shown_as_a_moment_is_iso_8601(
    tmp_path: Path, number: int, code: str | None, stored: str, text: str
) -> None:
    cell = f'<c r="A2" s="1"><v>{stored}</v></c>'
    assert xlsx_values(tmp_path, cell, formats=[(number, code)]).values == [(text,)]


def test_dates_count_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    cell = '<c r="A2" s="1"><v>44562</v></c>'
    found = xlsx_values(tmp_path, cell, formats=[(14, None)], properties='date1904="1"')
    assert found.values == [("2026-01-02",)]


def test_texts_booleans_and_formulas_by_their_stored_values(tmp_path: Path) -> None:
    reading = xlsx_values(
        tmp_path,
        '<c r="A2" t="s"><v>0</v></c>',
        '<c r="B2" t="s"><v>1</v></c>',
        '<c r="C2" t="b"><v>1</v></c>',
        '<c r="D2"><f>A1+1</f><v>7</v></c>',
        '<c r="E2" t="str"><f>T(1)</f><v></v></c>',
        '<c r="G2" t="inlineStr"><is><r><t>a</t></r><r><t xml:space="preserve"> b</t></r></is></c>',
        shared=["<t>007</t>", "<r><t>Can</t></r><r><t>ción_x000D_</t></r><rPh><t>x</t></rPh>"],
    )
    # The header has a name for each of six columns, and the last cell stands beyond them.
    assert [(fault[0], fault[1]) for fault in reading.faults] == [("too_many_columns", 2)]
    reading = xlsx_values(
        tmp_path,
        '<c r="A2" t="s"><v>0</v></c>',
        '<c r="B2" t="s"><v>1</v></c>',
        '<c r="C2" t="b"><v>1</v></c>',
        '<c r="D2"><f>A1+1</f><v>7</v></c>',
        '<c r="E2" t="str"><f>T(1)</f><v></v></c>',
        '<c r="F2" t="inlineStr"><is><r><t>a</t></r><r><t xml:space="preserve"> b</t></r></is></c>',
        shared=["<t>007</t>", "<r><t>Can</t></r><r><t>ción_x000D_</t></r><rPh><t>x</t></rPh>"],
    )
    assert reading.values == [("007", "Canción\r", "true", "7", "", "a b")]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('<c r="B3" t="e"><v>#N/A</v></c>', "cell B3 holds the error #N/A"),
        ('<c r="B3"><f>SUM(A1)</f></c>', "cell B3 is a formula whose value is not stored"),
        ('<c r="B3" s="1"><v>60</v></c>', "cell B3 holds the error 1900-02-29"),
        ('<c r="B3" s="1"><v>-5</v></c>', "cell B3 holds the error a date that is none"),
        ('<c r="B3" t="s"><v>9</v></c>', "cell B3 holds the error a text that the workbook lacks"),
    ],
)
def test_a_cell_without_a_value_that_could_be_loaded_rejects_its_row(tmp_path: Path, cell: str, said: str) -> None:
    rows = xlsx_row(1, ["a", "b"]) + f'<row r="3"><c r="A3"><v>1</v></c>{cell}</row>' + xlsx_row(4, ["x", "y"])
    reading = read(write_xlsx(tmp_path / "a.xlsx", {"S": rows}, formats=[(14, None)]))
    (reject,) = reading.rejects
    assert (reject.kind, reject.line, reject.column) == ("cell_error", 3, "b")
    assert reject.message.startswith(said)
    assert [(row.values, row.line, row.record_no) for row in reading.rows] == [(("x", "y"), 4, 2)]
    assert reading.notices == ("a record of nothing but delimiters and blanks was left out (line 2)",)


def test_typed_cells_of_a_spreadsheet(tmp_path: Path) -> None:
    def cell(attributes: str, text: str = "") -> str:
        return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"

    noted = (
        '<table:table-cell office:value-type="string"><office:annotation><text:p>no</text:p></office:annotation>'
        "<text:p>yes</text:p></table:table-cell>"
    )
    typed = [
        cell('office:value-type="float" office:value="16"', "16,0"),
        cell('office:value-type="currency" office:value="69.9"', "$ 70"),
        cell('office:value-type="date" office:date-value="2026-01-02"', "2.1."),
        cell('office:value-type="date" office:date-value="2026-01-02T03:04:05.500000000"'),
        cell('office:value-type="time" office:time-value="PT30H00M00S"'),
        cell('office:value-type="boolean" office:boolean-value="true"', "WAHR"),
        cell('office:value-type="string"', 'a<text:s text:c="2"/>b</text:p><text:p>c<text:tab/>d'),
        noted,
    ]
    names = [f"c{n}" for n in range(len(typed))]
    reading = read(write_ods(tmp_path / "a.ods", {"S": ods_row(names) + ods_row(typed)}))
    assert reading.values == [
        ("16", "69.9", "2026-01-02", "2026-01-02T03:04:05.5", "30:00:00", "true", "a  b\nc\td", "yes")
    ]


def test_repeated_cells_and_rows_of_a_spreadsheet(tmp_path: Path) -> None:
    twice = '<table:table-cell table:number-columns-repeated="2" office:value-type="string"><text:p>x</text:p></table:table-cell>'
    wide = '<table:table-cell table:number-columns-repeated="16380"/>'
    rows = (
        ods_row(["a", "b", wide])
        + ods_row([twice, wide], 'table:number-rows-repeated="2"')
        + ods_row([wide], 'table:number-rows-repeated="3"')
        + ods_row(["y", "z"])
        + ods_row([wide], 'table:number-rows-repeated="1048000"')
    )
    reading = read(write_ods(tmp_path / "a.ods", {"S": rows}))
    assert [(row.values, row.line) for row in reading.rows] == [(("x", "x"), 2), (("x", "x"), 3), (("y", "z"), 7)]
    assert reading.notices == ("3 records of nothing but delimiters and blanks were left out (first: line 4)",)


def test_an_error_of_a_spreadsheet_rejects_its_row(tmp_path: Path) -> None:
    broken = '<table:table-cell table:formula="of:=1/0" office:value-type="string" calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>'
    reading = read(write_ods(tmp_path / "a.ods", {"S": ods_row(["a"]) + ods_row([broken])}))
    assert [(reject.kind, reject.message) for reject in reading.rejects] == [
        ("cell_error", "cell A2 holds the error #DIV/0!")
    ]


def two_sheets(folder: Path) -> Path:
    sheets = {
        "Notas": "",
        "Precios": xlsx_row(1, ["a"]) + xlsx_row(2, ["1"]),
        "2": xlsx_row(1, ["b"]) + xlsx_row(2, ["2"]),
    }
    return write_xlsx(folder / "a.xlsx", sheets)


@pytest.mark.parametrize(
    ("sheet", "columns"),
    [(None, ("a",)), ("Precios", ("a",)), ("precios", ("a",)), ("2", ("b",)), ("3", ("b",))],
)
def test_a_sheet_by_name_or_number_or_the_first_with_cells(
    tmp_path: Path, sheet: str | None, columns: tuple[str, ...]
) -> None:
    assert read(two_sheets(tmp_path), {} if sheet is None else {"sheet": sheet}).info.columns == columns


def test_a_sheet_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    error = refusal(two_sheets(tmp_path), {"sheet": "Hoja1"})
    assert (error.reason, error.field) == ("INVALID_OPTION", "options.sheet")
    assert "it has 'Notas', 'Precios', '2'" in error.message


def test_a_sheet_that_can_be_seen_comes_before_a_hidden_one(tmp_path: Path) -> None:
    sheets = {"Listas": xlsx_row(1, ["x"]), "Datos": xlsx_row(1, ["a"]) + xlsx_row(2, ["1"])}
    path = write_xlsx(tmp_path / "a.xlsx", sheets, states={"Listas": "hidden"})
    assert read(path).info.columns == ("a",)


def test_a_title_above_the_header_is_refused_with_the_option_that_reads_it(tmp_path: Path) -> None:
    rows = (
        xlsx_row(1, ["Lista de precios"]) + xlsx_row(3, ["a", "b"]) + xlsx_row(4, ["1", "2"]) + xlsx_row(5, ["3", "4"])
    )
    path = write_xlsx(tmp_path / "a.xlsx", {"S": rows})
    assert refusal(path).message.endswith(
        "so it is a title and no header; set options.preambleLines to 2 (--preamble-lines 2)"
    )
    assert read(path, {"preambleLines": 2}).values == [("1", "2"), ("3", "4")]


def test_a_header_that_is_repeated_is_no_row(tmp_path: Path) -> None:
    rows = [["title", "artist"], ["A", "B"], ["Title", "Artist"], ["C", "D"]]
    sheet = "".join(xlsx_row(number, cells) for number, cells in enumerate(rows, 1))
    reading = read(write_xlsx(tmp_path / "a.xlsx", {"S": sheet}))
    assert reading.values == [("A", "B"), ("C", "D")]
    assert [(reject.kind, reject.line) for reject in reading.rejects] == [("repeated_header", 3)]


def test_headers_of_several_rows_and_none(tmp_path: Path) -> None:
    rows = xlsx_row(1, ["Precio", None, "Nota"]) + xlsx_row(2, ["neto", "bruto"]) + xlsx_row(3, ["1", "2", "3"])
    path = write_xlsx(tmp_path / "a.xlsx", {"S": rows})
    assert read(path, {"headerLines": 2}).info.columns == ("Precio neto", "bruto", "Nota")
    assert read(path, {"hasHeader": False}).values == [
        ("Precio", None, "Nota"),
        ("neto", "bruto", None),
        ("1", "2", "3"),
    ]


def test_a_number_reads_the_same_whatever_the_decimal_mark_of_texts(tmp_path: Path) -> None:
    rows = xlsx_row(1, ["price", "note"]) + '<row r="2"><c r="A2"><v>69.125</v></c><c r="B2"><v>69.125</v></c></row>'
    path = write_xlsx(tmp_path / "a.xlsx", {"S": rows})
    target = {"targetTable": "catalog_items"}
    assert read(path, target).values == [("69.1250", "69.125")]
    assert read(path, target | {"decimalComma": True}).values == [("69,1250", "69.125")]


def test_long_numbers_are_told(tmp_path: Path) -> None:
    reading = xlsx_values(tmp_path, '<c r="A2"><v>1234567890123456</v></c>')
    assert reading.notices == (
        "a whole number has more than 15 digits (line 2: A2): a workbook keeps 15; store such ids as text",
    )


def test_a_workbook_is_known_by_its_content(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.csv", {"S": xlsx_row(1, ["a"]) + xlsx_row(2, ["1"])})
    assert read(path).info.detected["format"] == "xlsx"
    assert "is an Excel workbook, not a CSV file" in refusal(path, {"format": "csv"}).message
    assert refusal(path, {"delimiter": ";"}).field == "options.delimiter"


def test_a_csv_file_is_no_workbook(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    assert "is no workbook" in refusal(tmp_path / "a.csv", {"format": "xlsx"}).message


def test_a_row_far_below_costs_nothing(tmp_path: Path) -> None:
    rows = xlsx_row(1, ["a"]) + '<row r="1048576"><c r="A1048576"><v>1</v></c></row>'
    assert [(row.values, row.line) for row in read(write_xlsx(tmp_path / "a.xlsx", {"S": rows})).rows] == [
        (("1",), 1048576)
    ]


def test_bombs_are_refused(tmp_path: Path) -> None:
    rows = xlsx_row(1, ["a"]) + xlsx_row(2, ["x" * 8_000_000])
    grown = write_xlsx(tmp_path / "grown.xlsx", {"S": rows})
    assert "grows to more than 250 times its size" in refusal(grown).message
    assert "which is refused" in refusal(grown, csv_decompressed_bytes_max=1024).message
    doctype = write_parts(
        tmp_path / "entities.xlsx",
        {
            "xl/workbook.xml": '<!DOCTYPE w [<!ENTITY a "aaaa">]><workbook>&a;</workbook>',
            "xl/_rels/workbook.xml.rels": "<r/>",
        },
    )
    assert "with a document type in it" in refusal(doctype).message
    many = write_xlsx(tmp_path / "many.xlsx", {"S": "".join(xlsx_row(n, ["x"]) for n in range(1, 60))})
    with pytest.raises(Exception, match="TECHAURA_SYNC_WORKBOOK_CELLS_MAX"):
        read(many, workbook_cells_max=20)
    shared = write_xlsx(tmp_path / "shared.xlsx", {"S": xlsx_row(1, ["a"])}, shared=["<t>abcdef</t>"])
    assert "TECHAURA_SYNC_WORKBOOK_TEXT_CHARS_MAX" in refusal(shared, workbook_text_chars_max=3).message


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    locked = write_ods(tmp_path / "locked.ods", {"S": ods_row(["a"])}, manifest="<encryption-data/>")
    assert "is an OpenDocument file (such as an .ods spreadsheet) with a password" in refusal(locked).message
    binary = write_parts(tmp_path / "a.xlsx", {"xl/workbook.bin": "x"})
    assert ".xlsb" in refusal(binary).message
    (tmp_path / "old.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert "old form (.xls)" in refusal(tmp_path / "old.xlsx").message
    sealed = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    (tmp_path / "sealed.xlsx").write_bytes(sealed)
    assert "with a password" in refusal(tmp_path / "sealed.xlsx").message
    empty = write_xlsx(tmp_path / "empty.xlsx", {"S": ""})
    assert "without any cell" in refusal(empty).message
    no_xml = write_parts(tmp_path / "damaged.ods", {"mimetype": ODS_TYPE, "content.xml": "<a><b></a>"})
    assert "damaged or cut off" in refusal(no_xml).message


@pytest.mark.parametrize("write", [write_xlsx, write_ods])
def test_a_reading_goes_on_in_the_middle(tmp_path: Path, write: Any) -> None:
    numbers = range(2, 42)
    rows = (
        xlsx_row(1, ["a"]) + "".join(xlsx_row(n, [str(n)]) for n in numbers)
        if write is write_xlsx
        else ods_row(["a"]) + "".join(ods_row([str(n)]) for n in numbers)
    )
    path: Path = write(tmp_path / "a.xlsx", {"S": rows})
    context = context_for(tmp_path, batch_rows_max=7)
    whole = asyncio.run(read_path(path.name, context))
    assert len(whole.batches) == 6
    for index, batch in enumerate(whole.batches):
        rest = asyncio.run(read_path(path.name, context, after=batch.position))
        assert rest.rows == tuple(whole.rows[7 * (index + 1) :])


def test_a_part_that_is_damaged_ends_the_reading_with_an_error(tmp_path: Path) -> None:
    rows = xlsx_row(1, ["a"]) + "".join(xlsx_row(n, [f"{n * 7919}"]) for n in range(2, 9000))
    path = write_xlsx(tmp_path / "a.xlsx", {"S": rows})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("xl/worksheets/sheet1.xml")
    content = bytearray(path.read_bytes())
    middle = info.header_offset + info.compress_size // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(Exception, match="damaged or cut off"):
        read(path)
