"""A mirror switches nothing off where the source may be read otherwise than it is meant, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_mirror import available
from tests.support.service import Service
from tests.support.workbooks import write_xlsx, xlsx_row

MIRROR = {"mode": "mirror"}
NUMBERS = range(10)


def csv(numbers: Any, extra: str = "", title: str = "Title", encoding: str = "utf-8") -> bytes:
    return ("external_id,title\n" + "".join(f"{n},{title} {n}\n" for n in numbers) + extra).encode(encoding)


def book(path: Path, numbers: Any, sheets: dict[str, str]) -> None:
    rows = [["external_id", "title"], *([str(n), f"Title {n}"] for n in numbers)]
    songs = "".join(xlsx_row(line, cells) for line, cells in enumerate(rows, 1))
    write_xlsx(path, {"Songs": songs, **sheets})


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (csv(range(9), title="Canción"), {"encoding": "cp1252"}, "the bytes above 0x7F are valid UTF-8"),
        (csv(range(9), title="“x”", encoding="cp1252"), {"encoding": "latin-1"}, "where cp1252 has quotes and dashes"),
        (csv(range(9), "x,Ñ\n", encoding="cp1252"), {"encoding": "auto"}, "was guessed from few signs"),
        (csv(range(9), "#9,Title 9\n"), {"commentPrefix": "#"}, "stands behind the header (line 11)"),
        (csv(range(9), "external_id,title\nx,y\n"), {}, "1 records of the source were rejected"),
    ],
    ids=["utf-8", "controls", "guess", "comment", "repeated header"],
)
def test_a_doubtful_reading_switches_nothing_off(
    service: Service, request: pytest.FixtureRequest, content: bytes, options: dict[str, Any], said: str
) -> None:
    name = f"doubt-{request.node.callspec.id.replace(' ', '-')}.csv"
    (service.data_root / name).write_bytes(csv(NUMBERS))
    assert service.run("csv", name, MIRROR)["ledger"]["inserted"] == 10
    (service.data_root / name).write_bytes(content)
    run = service.run("csv", name, MIRROR | options)
    assert (run["status"], run["deactivated"]) == ("completed", 0), run
    assert any(said in notice and "nothing was switched off" in notice for notice in run["notices"]), run["notices"]
    assert "9" in available(service, name)


def test_another_sheet_with_cells_switches_nothing_off_until_one_is_chosen(service: Service) -> None:
    path = service.data_root / "doubt.xlsx"
    book(path, NUMBERS, {})
    assert service.run("csv", path.name, MIRROR)["ledger"]["inserted"] == 10
    book(path, range(9), {"New": xlsx_row(1, ["external_id", "title"]) + xlsx_row(2, ["9", "Title 9"])})
    run = service.run("csv", path.name, MIRROR)
    assert (run["status"], run["deactivated"]) == ("completed", 0)
    assert any("'doubt.xlsx' has other sheets with cells ('New')" in notice for notice in run["notices"])
    chosen = service.run("csv", path.name, MIRROR | {"sheet": "Songs"})
    assert (chosen["status"], chosen["deactivated"]) == ("completed", 1)


def test_a_header_in_another_order_switches_nothing_off(service: Service) -> None:
    (service.data_root / "order.csv").write_bytes(csv(NUMBERS))
    assert service.run("csv", "order.csv", MIRROR)["ledger"]["inserted"] == 10
    (service.data_root / "order.csv").write_bytes(csv(range(9), "Title,EXTERNAL_ID\nTitle 9,9\n"))
    run = service.run("csv", "order.csv", MIRROR)
    assert (run["status"], run["deactivated"]) == ("failed", 0)
    assert "9" in available(service, "order.csv")


SONGS = [
    ("Canción de cuna", "Maná"),
    ("Rock & Roll", "Björk"),
    ("Niño", "Té"),
    *((f"Title {n}", "Someone") for n in range(17)),
]


def songs(rows: Any, extra: str = "") -> bytes:
    """A file whose rows are known again by title and artist."""
    return ("title,artist\n" + "".join(f"{title},{artist}\n" for title, artist in rows) + extra).encode()


def replaced(old: str, new: str) -> bytes:
    return songs((title.replace(old, new), artist.replace(old, new)) for title, artist in SONGS)


DAMAGED = "look like rows of the source whose texts are damaged|looks like rows of the source whose texts are damaged"
NO_RECORD = "like a total, a page number, a message or another header"


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (replaced("ó", "Ã³"), {}, DAMAGED),
        (replaced("ñ", "\ufffd"), {}, DAMAGED),
        (replaced("ñ", "?"), {}, DAMAGED),
        (replaced("&", "&amp;"), {}, DAMAGED),
        (replaced("ó", "&oacute;"), {}, DAMAGED),
        (replaced("ó", "o\u0301"), {}, DAMAGED),
        (replaced("de cuna", "de\u200b cuna"), {}, DAMAGED),
        (replaced("Maná", "NULL"), {}, DAMAGED),
        (replaced("Maná", "#N/D"), {}, DAMAGED),
        (replaced("Niño", "(en blanco)"), {}, DAMAGED),
        (songs(SONGS[:-1], "Total: 20,\n"), {}, NO_RECORD),
        (songs(SONGS[:-1], "Página 1 de 2,\n"), {}, NO_RECORD),
        (songs(SONGS[:-1], "-----,\n"), {}, NO_RECORD),
        (songs(SONGS[:-1], "<br /><b>Fatal error</b>: Allowed memory exhausted,\n"), {}, NO_RECORD),
        (songs(SONGS[:-1], "Título,Intérprete\n"), {}, NO_RECORD),
        (songs(SONGS[:-1], "(19 filas afectadas)\n"), {"missingFields": "empty"}, NO_RECORD),
        (songs(SONGS[:-1], "Titl"), {"missingFields": "empty"}, "the last record ends early and without a line break"),
    ],
    ids=[
        *("twice decoded", "replaced", "asked", "entity", "accent entity", "decomposed", "unseen", "null", "not there"),
        *("blank", "total", "page", "ruler", "message", "header", "count", "cut"),
    ],
)
def test_rows_that_may_be_there_in_another_form_are_not_switched_off(
    service: Service, request: pytest.FixtureRequest, content: bytes, options: dict[str, Any], said: str
) -> None:
    name = f"form-{request.node.callspec.id.replace(' ', '-')}.csv"
    (service.data_root / name).write_bytes(songs(SONGS))
    assert service.run("csv", name, MIRROR)["ledger"]["inserted"] == len(SONGS)
    (service.data_root / name).write_bytes(content)
    run = service.run("csv", name, MIRROR | options)
    assert (run["status"], run["deactivated"]) == ("completed", 0), run
    told = [notice for notice in run["notices"] if "nothing was switched off" in notice]
    assert any(text in told[0] for text in said.split("|")), run["notices"]


def test_rows_that_differ_without_any_damage_are_different_rows(service: Service) -> None:
    """Two that are alike, of which one goes; damaged texts of rows that nothing is gone for; a total with an artist."""
    alike = [
        ("Cancion de cuna", "Mana"),
        ("Fish &amp; Chips", "N/A"),
        ("Total", "Los Totales"),
        ("Page 1 of 2", "A Band"),
    ]
    (service.data_root / "alike.csv").write_bytes(songs([*SONGS, *alike]))
    service.run("csv", "alike.csv", MIRROR)
    (service.data_root / "alike.csv").write_bytes(songs([*SONGS[1:-1], *alike]))
    run = service.run("csv", "alike.csv", MIRROR)
    assert (run["status"], run["deactivated"]) == ("completed", 2), run["notices"]
