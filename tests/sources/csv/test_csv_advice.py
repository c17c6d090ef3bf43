"""A header without the wanted names: the refusal says which options would bring them, and with those it is read rightly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import InvalidRequestError
from server.execution.advised_plan import advised_plan
from server.sources.csv.source import CsvSource
from tests.sources.csv.reading import context_for, read_bytes

HEADER = b"title,artist,genre\n"
ROWS = b"".join(b"Song %d,Artist %d,Salsa\n" % (number, number) for number in range(1, 13))
PRICES = b"category_id;capacity;capacity_gb;price;content_count;content_unit\nm;1GB;1;10;3;u\n"
CATALOG = {"targetTable": "catalog_items"}


def refusal(folder: Path, content: bytes, options: dict[str, Any] | None = None) -> InvalidRequestError:
    """What is said of a file whose header does not fit."""
    (folder / "f.csv").write_bytes(content)
    with pytest.raises(InvalidRequestError) as caught:
        plan(folder, options or {})
    assert caught.value.message.isprintable()
    return caught.value


def plan(folder: Path, options: dict[str, Any]) -> dict[str, str]:
    async def planned() -> dict[str, str]:
        source, context = CsvSource.load("f.csv", options), context_for(folder)
        columns = await source.check(context)
        assert columns is not None
        made = await advised_plan(source, columns, context, source_type="csv", source_identifier="f.csv")
        return dict(made.source_columns)

    return asyncio.run(planned())


@pytest.mark.parametrize("delimiter", [";", "\t", "|", "^", "~", "::", "||", " | ", ":", "¦", "§", "; ", "#"])
@pytest.mark.parametrize("rows", [1, 20])
def test_another_delimiter_is_named(tmp_path: Path, delimiter: str, rows: int) -> None:
    lines = [["title", "artist", "genre"], *([f"S{number}", "A", "B"] for number in range(rows))]
    content = "".join(delimiter.join(line) + "\n" for line in lines).encode()
    said = refusal(tmp_path, content)
    assert (said.reason, said.field) == ("INVALID_OPTION", "options.delimiter")
    assert f"with {delimiter!r} there are 3, 'title', 'artist', 'genre' among them" in said.message
    assert "--delimiter '" in said.message
    assert plan(tmp_path, {"delimiter": delimiter}) != {}
    reading = read_bytes(tmp_path, content, {"delimiter": delimiter})
    assert reading.values == [(f"S{n}", "A", "B") for n in range(rows)]


@pytest.mark.parametrize("mark", ["|", ";", ":"])
def test_a_blank_is_no_delimiter_where_another_one_brings_the_names(tmp_path: Path, mark: str) -> None:
    lines = [["title", "artist", "genre"], ["S1", "A", "B"], ["S2", "A", "B"]]
    content = "".join(f"{mark} {f' {mark} '.join(line)} {mark}\n" for line in lines).encode()

    said = refusal(tmp_path, content)

    assert f"set options.delimiter to {mark!r}" in said.message
    assert plan(tmp_path, {"delimiter": mark}).keys() == {"title", "artist", "genre"}


def test_the_example_of_a_left_out_delimiter(tmp_path: Path) -> None:
    said = refusal(tmp_path, b"title;artist;genre\nA;B;C\n")
    assert said.message == (
        "'f.csv': read with ',' there is one column, with ';' there are 3, 'title', 'artist', 'genre' among them; "
        "set options.delimiter to ';' (--delimiter ';')"
    )
    said = refusal(tmp_path, b"title\tartist\nA\tB\n")
    assert r"set options.delimiter to '\t' (--delimiter '\t')" in said.message
    assert plan(tmp_path, {"delimiter": r"\t"}) == {"title": "title", "artist": "artist"}
    said = refusal(tmp_path, b"title,artist\nA,B\n", {"delimiter": ";"})
    assert "set options.delimiter to ','" in said.message
    said = refusal(tmp_path, PRICES, CATALOG)
    assert "with ';' there are 6, 'category_id'" in said.message
    said = refusal(tmp_path, b"Lied;Band\nA;B\n", {"columnMapping": {"title": "Lied"}})
    assert "with ';' there are 2, 'Lied' among them; set options.delimiter to ';'" in said.message
    said = refusal(tmp_path, b"Lied;Band\nA;B\n", {"columnAliases": {"title": ["Song", "LIED"]}})
    assert "set options.delimiter to ';'" in said.message


@pytest.mark.parametrize(
    ("above", "preamble_lines"),
    [
        ("Catálogo TechAura 2026\n\n", 2),
        ("Catálogo TechAura 2026\n", 1),
        ("Catálogo,,\n,,\n", 2),
        ('Reporte "x\n;;;\n\n\nHecho por: Ana, Luis\n', 5),
        ("Informe,2026,\nTotal,12,\n", 2),
        ("\n\nCatálogo\n", 3),
        ("a,b,c,d,e\n", 1),
    ],
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_above_the_header_are_counted(
    tmp_path: Path, above: str, preamble_lines: int, line_break: str, encoding: str
) -> None:
    content = (above + HEADER.decode() + ROWS.decode()).replace("\n", line_break).encode(encoding)
    said = refusal(tmp_path, content)
    assert (said.reason, said.field) == ("INVALID_OPTION", "options.preambleLines")
    assert said.message == (
        f"'f.csv': the names stand in line {preamble_lines + 1}, not in line {3 if above.startswith(chr(10)) else 1};"
        f" set options.preambleLines to {preamble_lines} (--preamble-lines {preamble_lines})"
    )
    assert len(read_bytes(tmp_path, content, {"preambleLines": preamble_lines}).rows) == 12
    assert plan(tmp_path, {"preambleLines": preamble_lines})["title"] == "title"


@pytest.mark.parametrize("mark", ["#", "//", "--", "%"])
def test_comment_lines_above_the_header_are_told_as_such(tmp_path: Path, mark: str) -> None:
    above = f"{mark} generado\n{mark} por x, y\n".encode()
    said = refusal(tmp_path, above + HEADER + ROWS)
    assert f"set options.preambleLines to 2 (--preamble-lines 2), or options.commentPrefix to {mark!r}" in said.message
    assert len(read_bytes(tmp_path, above + HEADER + ROWS, {"commentPrefix": mark}).rows) == 12
    song = f"{mark}1 Crush,Garbage,Rock\n".encode()
    assert "commentPrefix" not in refusal(tmp_path, above + HEADER + song + ROWS).message
    between = f"{mark} part 2\n".encode()
    said = refusal(tmp_path, above + HEADER + ROWS + between + ROWS)
    assert f"set options.commentPrefix to {mark!r} (--comment-prefix '{mark}')" in said.message
    assert "preambleLines" not in said.message


def test_both_lines_and_a_delimiter(tmp_path: Path) -> None:
    content = b"Precios 2026\n\n" + PRICES
    said = refusal(tmp_path, content, CATALOG)
    assert (
        "set options.preambleLines to 2 (--preamble-lines 2) and options.delimiter to ';' (--delimiter ';')"
        in said.message
    )
    assert len(plan(tmp_path, CATALOG | {"preambleLines": 2, "delimiter": ";"})) == 6
    assert "set options.preambleLines to 0" in refusal(tmp_path, HEADER + ROWS, {"preambleLines": 2}).message


def test_names_in_another_language_are_proposed_as_a_mapping(tmp_path: Path) -> None:
    said = refusal(tmp_path, "Título,Artista,Género,Año\nA,B,C,1\n".encode())
    assert (said.reason, said.field) == ("INVALID_MAPPING", "options.columnMapping")
    assert "the required column title of content_index is mapped from no source column" in said.message
    mapping = {"title": "Título", "artist": "Artista", "genre": "Género"}
    assert 'options.columnMapping to {"title": "Título", "artist": "Artista", "genre": "Género"}' in said.message
    assert "(--map 'title=Título' --map artist=Artista --map 'genre=Género')" in said.message
    assert plan(tmp_path, {"columnMapping": mapping}) == mapping
    spanish = "Categoría;Capacidad;GB;Precio;Cantidad;Unidad\nm;1GB;1;10;3;u\n".encode()
    said = refusal(tmp_path, spanish, CATALOG)
    assert "set options.delimiter to ';' (--delimiter ';') and options.columnMapping to {" in said.message
    for pair in ('"category_id": "Categoría"', '"capacity_gb": "GB"', '"price": "Precio"', '"content_unit": "Unidad"'):
        assert pair in said.message
    said = refusal(tmp_path, "Catálogo\n\nTítulo,Artista\nA,B\n".encode())
    assert "set options.preambleLines to 2 (--preamble-lines 2) and options.columnMapping to" in said.message
    said = refusal(tmp_path, b"#title,artist\nA,B\n")
    assert '{"title": "#title"}' in said.message
    said = refusal(tmp_path, b"Titel,Interpret\nA,B\n", {"columnMapping": {"artist": "Interpret"}})
    assert '{"artist": "Interpret", "title": "Titel"}' in said.message


def test_other_quotes_encodings_and_headers_are_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, b"'title','artist'\n'A, b','B'\n")
    assert """set options.quote to "'" (--quote ''"'"'')""" in said.message
    said = refusal(tmp_path, "Canción,Maná\nA,B\n".encode("cp1252"), {"columnMapping": {"title": "Canción"}})
    assert "set options.encoding to cp1252 (--encoding cp1252)" in said.message
    said = refusal(tmp_path, b"A,B\nC,D\n", {"columnMapping": {"title": "column_1"}})
    assert "set options.hasHeader to false (--no-header)" in said.message
    said = refusal(tmp_path, HEADER + ROWS, {"hasHeader": False})
    assert "set options.hasHeader to true" in said.message


def test_a_header_that_does_not_fit_its_records_is_refused_with_the_numbers(tmp_path: Path) -> None:
    said = refusal(tmp_path, HEADER + b"A,B,C,D\n" * 20)
    assert "the header has 3 names, but the records have 4 fields" in said.message
    assert "options.preambleLines to 1 (--preamble-lines 1)" in said.message


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"alpha;beta\nA;B\n", {}),
        (b"alpha,beta\nA,B\n", {}),
        (b"alpha\n", {}),
        (b"alpha,beta\nTema,x\nTitulo,y\n", {}),
        (HEADER + ROWS, {"columnMapping": {"title": "nowhere"}}),
        (HEADER + ROWS, {"columnMapping": {"colour": "title"}}),
        (b"alpha,\x1b[31mbeta\nA,B\n", {}),
    ],
)
def test_without_a_reading_that_fits_the_mapping_is_refused(
    tmp_path: Path, content: bytes, options: dict[str, Any]
) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(InvalidRequestError) as caught:
        plan(tmp_path, options)
    assert (caught.value.reason, caught.value.field) == ("INVALID_MAPPING", "options.columnMapping")
    assert "; set options." not in caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        b'"title,artist"\r\n"A,B"\r\n',
        b'"title;artist"\n"A;""B"""\n',
        b'"title\tartist",\n"A\tB",\n',
        b'"T\xc3\xadtulo|Artista"\n"A|B"\n',
        b'"title,artist,genre";;\r\n"A,B,C";;\r\n',
        b'"Titulo,Artista" ;\n"A,B" ;\n',
    ],
)
def test_a_file_whose_lines_stand_in_quotes_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    said = refusal(tmp_path, content)
    assert "whole lines stand in quotes" in said.message
    assert "set options" not in said.message
    assert "the required column title" in said.message


def test_a_mapping_that_fits_asks_for_no_advice(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(HEADER + b"Titulo;x,b,c\n")
    assert plan(tmp_path, {}) == {"title": "title", "artist": "artist", "genre": "genre"}
