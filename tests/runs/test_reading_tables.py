"""What a test of a workbook proposes: the sheet that is read comes before others, and a name that stands twice is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.runs.test_readings import seen
from tests.support.workbooks import ods_row, write_ods, write_xlsx, xlsx_row


def book(folder: Path, ending: str, sheets: dict[str, list[list[str]]]) -> str:
    """A workbook of rows of texts; gives its name."""
    name = f"songs.{ending}"
    if ending == "xlsx":
        made = {
            sheet: "".join(xlsx_row(line, cells) for line, cells in enumerate(rows, 1))
            for sheet, rows in sheets.items()
        }
        write_xlsx(folder / name, made)
    else:
        write_ods(folder / name, {sheet: "".join(ods_row(cells) for cells in rows) for sheet, rows in sheets.items()})
    return name


SPANISH = [["Título", "Artista"], ["Uno", "Ana"], ["Dos", "Eva"]]
ENGLISH = [["title", "artist"], ["X", "Y"]]


@pytest.mark.parametrize("ending", ["xlsx", "ods"])
@pytest.mark.parametrize("asked", [{}, {"sheet": "Canciones"}])
def test_the_sheet_that_is_read_is_proposed_before_one_with_the_exact_names(
    tmp_path: Path, ending: str, asked: dict[str, Any]
) -> None:
    name = book(tmp_path, ending, {"Canciones": SPANISH, "Data": ENGLISH})
    found = seen(tmp_path, name, asked)
    assert found.found.proposed == asked | {"columnMapping": {"title": "Título", "artist": "Artista"}}
    again = seen(tmp_path, name, dict(found.found.proposed or {}))
    assert [(row["title"], row["artist"]) for row in again.rows] == [("Uno", "Ana"), ("Dos", "Eva")]


@pytest.mark.parametrize("ending", ["xlsx", "ods"])
@pytest.mark.parametrize("asked", [{}, {"sheet": "Portada"}])
def test_another_sheet_is_proposed_where_the_one_that_is_read_has_no_such_names(
    tmp_path: Path, ending: str, asked: dict[str, Any]
) -> None:
    name = book(tmp_path, ending, {"Portada": [["Catálogo", "2026"], ["x", "y"]], "Data": ENGLISH})
    assert seen(tmp_path, name, asked).found.proposed == {"sheet": "Data"}


@pytest.mark.parametrize("ending", ["xlsx", "ods"])
def test_a_name_that_stands_twice_in_a_sheet_is_told_with_its_places(tmp_path: Path, ending: str) -> None:
    name = book(tmp_path, ending, {"S": [["title", "artist", "title"], ["Uno", "Ana", "Otro"]]})
    refusal = seen(tmp_path, name).refusal
    assert refusal is not None
    assert "'title' stands twice in the header (columns 1 and 3" in refusal.message
