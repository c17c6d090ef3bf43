"""Files as people have them, through the service: what they are, how they begin, and what a refusal advises."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.support.service import Service

HEADER = b"title,artist,genre\n"
ROWS = b"".join(b"Song %d,Artist %d,Salsa\n" % (number, number) for number in range(1, 13))
SONGS = [(f"Song {number}", f"Artist {number}", "Salsa") for number in range(1, 13)]
Case = tuple[str, bytes, dict[str, Any]]


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


PAGE = b"<!DOCTYPE html>\n<html>\n<body>Error 404</body>\n</html>\n"
WORKBOOK = zipped(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>"))
MAC_ZIP = zipped(("catalogo.csv", HEADER + ROWS), ("__MACOSX/._catalogo.csv", b"\0\5\x16\7" + b"\0" * 40))
MAC_SONGS = [
    ("Corazón", "Maná", "Rock"),
    ("Llorarás", "Oscar D’León", "Salsa"),
    ("Niña Bonita", "Chino", "Pop"),
    ("Rebelión", "Joe Arroyo", "Salsa"),
]
MAC_TEXT = "\r".join(["title;artist;genre", *(";".join(row) for row in MAC_SONGS), ""])

REFUSED: list[tuple[Case, tuple[str, ...]]] = [
    (
        ("page.csv", PAGE, {"hasHeader": False, "columnMapping": {"title": "column_1"}}),
        ("is an HTML page, not a CSV file",),
    ),
    (("page2.csv", PAGE, {}), ("is an HTML page, not a CSV file",)),
    (("libro.csv", WORKBOOK, {}), ("is an Excel workbook that is damaged", "save it again")),
    (("wide.csv", (HEADER + ROWS).decode().encode("utf-16-le"), {}), ("looks like UTF-16", "options.encoding to utf-16-le")),
    (("two.zip", zipped(("a.csv", ROWS), ("b.csv", ROWS)), {}), ("holds 2 files: 'a.csv', 'b.csv'",)),
    (
        ("semicolon.csv", b"title;artist;genre\nA;B;C\n", {}),
        ("one column", "with ';' there are 3, 'title'", "set options.delimiter to ';' (--delimiter ';')"),
    ),
    (
        ("report.csv", "Catálogo TechAura 2026\n\n".encode() + HEADER + ROWS, {}),
        ("the names stand in line 3", "set options.preambleLines to 2 (--preamble-lines 2)"),
    ),
    (
        ("spanish.csv", "Título,Artista,Género\nA,B,C\n".encode(), {}),
        ('options.columnMapping to {"title": "Título", "artist": "Artista", "genre": "Género"}',),
    ),
]  # fmt: skip
READ: list[tuple[Case, list[tuple[str, str, str]], str]] = [
    (("m.zip", MAC_ZIP, {}), SONGS, ""),
    (("packed.csv", zipped(("x.csv", HEADER + ROWS)), {}), SONGS, ""),
    (("mac.csv", MAC_TEXT.encode("mac_roman"), {"encoding": "auto", "delimiter": "auto"}), MAC_SONGS, ""),
    (
        ("declared.csv", HEADER + "Canción,Maná,Rock\n".encode(), {"encoding": "cp1252"}),
        [("CanciÃ³n", "ManÃ¡", "Rock")],
        "set options.encoding to utf-8",
    ),
    (("tab.csv", b"title\tartist\tgenre\nA\tB\tC\n", {"delimiter": "\\t"}), [("A", "B", "C")], ""),
    (
        ("header-end.csv", b"title,artist,genre,\n" + b"".join(b"S%d,A,B\n" % number for number in range(7)), {}),
        [(f"S{number}", "A", "B") for number in range(7)],
        "an empty name, which is left out",
    ),
    (
        ("row-end.csv", HEADER + b"".join(b"S%d,A,B,\n" % number for number in range(7)), {}),
        [(f"S{number}", "A", "B") for number in range(7)],
        "the records end in a delimiter",
    ),
    (("report2.csv", b"Report\n\n" + HEADER + ROWS, {"preambleLines": 2}), SONGS, ""),
]  # fmt: skip


@pytest.mark.parametrize(("case", "said"), REFUSED, ids=[case[0] for case, _ in REFUSED])
def test_a_file_that_cannot_be_read_so_is_refused_with_what_to_do(
    service: Service, case: Case, said: tuple[str, ...]
) -> None:
    name, content, options = case
    (service.data_root / name).write_bytes(content)
    request = {"sourceType": "csv", "sourceIdentifier": name, "options": options}
    before = service.get("/v1/sync/stats")[1]["data"]["total"]
    status, answer = service.post("/v1/sync/trigger", request)
    assert (status, answer["success"]) == (400, False)
    assert answer["error"].isprintable()
    assert all(text in answer["error"] for text in said), answer["error"]
    tested = service.post("/v1/sync/test", request)
    assert (tested[0], tested[1]["error"]) == (400, answer["error"])
    assert service.get("/v1/sync/stats")[1]["data"]["total"] == before


@pytest.mark.parametrize(("case", "songs", "notice"), READ, ids=[case[0] for case, _, _ in READ])
def test_a_file_as_people_have_it_is_stored_as_it_is_meant(
    service: Service, case: Case, songs: list[tuple[str, str, str]], notice: str
) -> None:
    name, content, options = case
    (service.data_root / name).write_bytes(content)
    run = service.run("csv", name, options)
    assert (run["status"], run["ledger"]["rejected"]) == ("completed", 0)
    stored = rows(service, "SELECT title, artist, genre FROM content_index WHERE source_identifier = :name", name=name)
    assert sorted(map(tuple, stored)) == sorted(songs)
    assert len(run["notices"]) == bool(notice)
    assert notice in " ".join(run["notices"])
