"""What a workbook holds beside the rows that are loaded: other sheets, hidden rows, formulas that were never worked out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources.workbook.test_workbook import read, xlsx_values
from tests.support.workbooks import ods_row, write_ods, write_xlsx, xlsx_row

SONGS = ["title", "artist"]


def xlsx_sheet(*rows: list[str], hidden: tuple[int, ...] = ()) -> str:
    made = "".join(xlsx_row(number, cells) for number, cells in enumerate([SONGS, *rows], 1))
    for number in hidden:
        made = made.replace(f'<row r="{number}">', f'<row r="{number}" hidden="1">')
    return made


def ods_sheet(*rows: list[str], hidden: str = "") -> str:
    return ods_row(SONGS) + "".join(ods_row(cells, hidden) for cells in rows)


def test_other_sheets_with_cells_are_named_until_one_is_chosen(tmp_path: Path) -> None:
    empty = '<row r="1"><c r="A1" s="0"/></row><row r="2"/>'
    sheets = {
        "Cover": empty,
        "Songs": xlsx_sheet(["A", "B"]),
        "More": xlsx_sheet(["C", "D"]),
        "Lists": xlsx_row(9, ["x"]),
    }
    path = write_xlsx(tmp_path / "a.xlsx", sheets, states={"Lists": "veryHidden"})
    (notice,) = read(path).notices
    assert (
        "the sheet 'Songs' was read; other sheets have cells too: 'More', 'Lists' (hidden); set options.sheet" in notice
    )
    assert read(path, {"sheet": "Songs"}).notices == ()


def test_other_sheets_of_a_spreadsheet_are_named(tmp_path: Path) -> None:
    note = "<table:table-cell><office:annotation><text:p>a note</text:p></office:annotation></table:table-cell>"
    number = '<table:table-cell office:value-type="float" office:value="3"/>'
    sheets = {
        "S": ods_sheet(["A", "B"]),
        "Notes": ods_row([note]),
        "Blank": ods_row([None]),
        "Sum": ods_row([None, number]),
    }
    (notice,) = read(write_ods(tmp_path / "a.ods", sheets)).notices
    assert "other sheets have cells too: 'Sum'; set options.sheet" in notice


@pytest.mark.parametrize("suffix", ["xlsx", "ods"])
def test_few_sheets_of_many_are_named(tmp_path: Path, suffix: str) -> None:
    sheet, write = (xlsx_sheet, write_xlsx) if suffix == "xlsx" else (ods_sheet, write_ods)
    path = write(tmp_path / f"a.{suffix}", {f"S{number}": sheet(["A", "B"]) for number in range(9)})
    (notice,) = read(path).notices
    assert "too: 'S1', 'S2', 'S3', 'S4', 'S5' and 3 more; set" in notice


def test_a_damaged_sheet_beside_the_one_that_is_read_hinders_nothing(tmp_path: Path) -> None:
    reading = read(write_xlsx(tmp_path / "a.xlsx", {"S": xlsx_sheet(["A", "B"]), "T": "<row r='1'><c"}))
    assert (reading.values, reading.notices) == ([("A", "B")], ())


def test_hidden_rows_are_loaded_and_counted(tmp_path: Path) -> None:
    rows = [["A", "B"], ["C", "D"], ["E", "F"]]
    xlsx = read(write_xlsx(tmp_path / "a.xlsx", {"S": xlsx_sheet(*rows, hidden=(1, 3, 4))}))
    assert xlsx.values == [tuple(row) for row in rows]
    assert xlsx.notices == ("2 rows that the sheet hides, by hand or by a filter, were loaded (first: line 3)",)
    hidden = 'table:visibility="filter" table:number-rows-repeated="4"'
    ods = read(write_ods(tmp_path / "a.ods", {"S": ods_sheet(["A", "B"], hidden=hidden)}), batch_rows_max=3)
    assert len(ods.values) == 4
    assert ods.notices == ("4 rows that the sheet hides, by hand or by a filter, were loaded (first: line 2)",)


@pytest.mark.parametrize("kind", ["", 't="n"', 't="b"', 't="s"', 't="d"'])
@pytest.mark.parametrize("value", ["", "<v></v>", "<v/>"])
def test_a_formula_without_a_stored_value_rejects_its_row(tmp_path: Path, kind: str, value: str) -> None:
    reading = xlsx_values(tmp_path, f'<c r="A2" {kind}><f>SUM(B1:B9)</f>{value}</c>')
    (reject,) = reading.rejects
    assert (reading.values, reject.kind) == ([], "cell_error")
    assert "cell A2 is a formula whose value is not stored" in reject.message


def test_a_formula_of_a_spreadsheet_without_a_stored_value_rejects_its_row(tmp_path: Path) -> None:
    formula = '<table:table-cell table:formula="of:=SUM([.B1])"/>'
    empty = '<table:table-cell table:formula="of:=&quot;&quot;" office:value-type="string" office:string-value=""/>'
    reading = read(
        write_ods(tmp_path / "a.ods", {"S": ods_row(["a", "b"]) + ods_row(["x", formula]) + ods_row(["y", empty])})
    )
    assert [(reject.kind, reject.line) for reject in reading.rejects] == [("cell_error", 2)]
    assert reading.values == [("y", "")]
