"""What a test of a file proposes, or does not, where quotes, apostrophes and pieces of text may be taken for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs.test_readings import ENGLISH, ITEM_NAMES, ITEMS, seen


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_single_quotes_are_tried_where_a_delimiter_stands_in_them(
    tmp_path: Path, delimiter: str, is_declared: bool
) -> None:
    lines = [
        ENGLISH,
        (f"'Uno{delimiter} dos'", "Maná", "Rock"),
        ("La Niña", "'Vives'", "Vallenato"),
        ("Qué", f"'a{delimiter}b'", "x"),
    ]
    (tmp_path / "songs.csv").write_text("".join(delimiter.join(line) + "\n" for line in lines))
    asked = {"delimiter": delimiter if is_declared else "auto"}
    found = seen(tmp_path, "songs.csv", asked)
    assert len(found.rejects) == 2
    assert found.found.proposed == asked | {"quote": "'"}
    again = seen(tmp_path, "songs.csv", dict(found.found.proposed))
    assert [(row["title"], row["artist"]) for row in again.rows] == [
        (f"Uno{delimiter} dos", "Maná"),
        ("La Niña", "Vives"),
        ("Qué", f"a{delimiter}b"),
    ]


def test_an_apostrophe_is_no_quote(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("title,artist\n'Til dawn,x\nRock 'n' roll, a, b\n'74-'75,Connells\n")
    found = seen(tmp_path, "songs.csv")
    assert (len(found.rejects), found.found.proposed) == (1, None)
    assert found.notices == ()


@pytest.mark.parametrize(
    ("titles", "told"),
    [
        (["'A'", "'B'", "'it''s'"], ["'title' holds texts in single quotes in 3 rows, first on line 2"]),
        (["'A'", "B", "C"], []),
        (["'", "'A", "B'"], []),
    ],
)
def test_texts_that_stand_in_single_quotes_are_told_where_most_do(
    tmp_path: Path, titles: list[str], told: list[str]
) -> None:
    (tmp_path / "songs.csv").write_text("title,artist\n" + "".join(f"{title},x\n" for title in titles))
    notices = seen(tmp_path, "songs.csv").notices
    assert [notice.partition(":")[0] for notice in notices] == told
    assert all("set options.quote to '" in notice for notice in notices)


@pytest.mark.parametrize(
    ("prices", "first", "doubt"),
    [
        (["$ 1'299.900", "$ 1’069.900"], "1299900.00", "\"1'299.900\" in 'price' may be 1299900 or 1299.9"),
        (["$ 1'299.900", "$ 69.900"], "1299900.00", "may be"),
        (["$ 1'299.900,50", "$ 69.900"], "1299900.50", ""),
        (["$ 12'345.678", "$ 1.299.900"], "12345678.00", ""),
        (["$ 1'299,900.50", "$ 69,900.00"], "1299900.50", ""),
        (["$ 1'299.90", "$ 69.50"], "1299.90", ""),
    ],
)
def test_an_apostrophe_may_mark_the_millions(tmp_path: Path, prices: list[str], first: str, doubt: str) -> None:
    rows = "".join(f"m{n};1GB;1;{price};10;u\n" for n, price in enumerate(prices))
    (tmp_path / "items.csv").write_text(ITEM_NAMES + rows)
    found = seen(tmp_path, "items.csv", ITEMS | {"delimiter": ";"}).found
    assert (found.proposed is None) is bool(doubt)
    assert doubt in " ".join(found.findings)
    shown = found.readings[0]
    assert (shown.rejected_count, str((shown.records[0].row or {}).get("price"))) == (0, first)
    # Declared as Swiss, three digits behind the point are still no fraction.
    swiss = ITEMS | {"delimiter": ";", "numberFormat": {"grouping": "'", "currency": ["$"]}}
    stored = {str(row["price"]) for row in seen(tmp_path, "items.csv", swiss).rows}
    assert stored == ({"1299.90", "69.50"} if first == "1299.90" else stored & {"69900.00"})


@pytest.mark.parametrize(
    "content",
    [
        '"title\n(obligatorio)";artist;genre\n' + "Canción 1;Artista 1;Salsa\n" * 40,
        "Tema de Amor,Joe Arroyo,Salsa\nLa Gota Fría,Carlos Vives,Vallenato\nEl Gran Varón,Willie,Salsa\n",
        "- title: A\n  artist: B\n- title: C\n  artist: D\n",
        "[songs]\ntitle=A\nartist=B\n",
        'title,artist,genre\nA,B,"Rock\nE,F,Pop\nG,H,Salsa\n',
        "“title”,“artist”\n“A, la”,“B”\n",
        "«title»;«artist»\n«A»;«B»\n",
    ],
    ids=["line break in a name", "no header", "YAML", "INI", "lost quote", "typographic quotes", "guillemets"],
)
def test_nothing_is_proposed_that_takes_pieces_of_the_text_for_names_or_values(tmp_path: Path, content: str) -> None:
    (tmp_path / "songs.csv").write_text(content)
    found = seen(tmp_path, "songs.csv")
    assert found.found.proposed is None
    refusal = "" if found.refusal is None else found.refusal.message
    for piece in ('title="title', "options.delimiter to ' '", "columnMapping.title to '\"title'", "“"):
        assert f"set {piece}" not in refusal
    assert "whole lines stand in quotes" not in refusal


@pytest.mark.parametrize("name", ["~$catalogo.csv", "~$catalogo.xlsx", ".catalogo.csv"])
def test_what_an_office_puts_beside_an_open_file_is_no_part_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "catalogo.csv").write_text("title,artist\nA,B\n")
    (tmp_path / "g" / name).write_bytes(b"\x0fMaria" + b" " * 150)
    for identifier in ("g", "g/*"):
        assert [row["title"] for row in seen(tmp_path, identifier).rows] == ["A"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_an_escape_is_tried_where_a_backslash_stands_before_delimiters(tmp_path: Path, delimiter: str) -> None:
    lines = [f"title{delimiter}artist", f"Uno\\{delimiter} dos{delimiter}Ana", f"Tres{delimiter}Eva"]
    (tmp_path / "songs.csv").write_text("\n".join(lines) + "\n")
    asked = {"delimiter": delimiter}
    found = seen(tmp_path, "songs.csv", asked)
    assert (len(found.rejects), found.found.proposed) == (1, asked | {"escape": "\\"})
    again = seen(tmp_path, "songs.csv", dict(found.found.proposed or {}))
    assert [(row["title"], row["artist"]) for row in again.rows] == [(f"Uno{delimiter} dos", "Ana"), ("Tres", "Eva")]


@pytest.mark.parametrize(
    ("first", "is_record"),
    [
        ("1,Canción de cuna,Maná", True),
        ("Uno,Ana,2024-01-01", True),
        ("Uno,Ana,$ 69.900", True),
        ("uno,dos,tres", False),
    ],
)
def test_a_first_line_that_looks_like_a_record_is_named(tmp_path: Path, first: str, is_record: bool) -> None:
    (tmp_path / "songs.csv").write_text(f"{first}\n2,Niño,José\n")
    refusal = seen(tmp_path, "songs.csv").refusal
    assert refusal is not None
    assert ("set options.hasHeader to false (--no-header)" in refusal.message) == is_record


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'[{"title": "Uno"},\n {"title": "Dos"}]\n', "it is a JSON array"),
        ('{"title": "Canción"}\n'.encode("cp1252"), "it is not UTF-8"),
        (b"title,artist\nUno,Ana\n", "each line must be one"),
    ],
)
def test_what_is_no_json_lines_says_what_it_is(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "songs.ndjson").write_bytes(content)
    refusal = seen(tmp_path, "songs.ndjson").refusal
    assert refusal is not None and word in refusal.message
