"""Other readings of a file that does not fit its options: what is proposed loads exactly the rows that the file means."""

from __future__ import annotations

import asyncio
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from server.core.config import Settings
from server.runs.source_test import Preview, Previews
from server.sources.contract import InMemorySourceState
from server.sources.throttle.host_pace import HostPaces
from tests.sources.csv.reading import StillClock
from tests.support.workbooks import ods_row, write_ods, write_xlsx, xlsx_row

SONGS = [
    ("Corazón espinado", "Maná", "Rock"),
    ("La Niña", "Carlos Vives", "Vallenato"),
    ("Qué será", "José Feliciano", "Bolero"),
] * 4
ENGLISH = ("title", "artist", "genre")
SPANISH = ("Título", "Artista", "Género")
ITEMS = {"targetTable": "catalog_items"}
ITEM_NAMES = "category_id;capacity;capacity_gb;price;content_count;content_unit\n"


def seen(folder: Path, name: str, options: dict[str, Any] | None = None, **settings: Any) -> Preview:
    """What a test of a file says."""
    given = Settings(data_roots=str(folder), csv_settle_seconds=0, **settings)
    previews = Previews(given, StillClock(), lambda secret, _url: secret.text, InMemorySourceState(), HostPaces())
    return asyncio.run(previews.test("csv", name, options or {}, answer_refusal=True))


def text_of(header: tuple[str, ...], delimiter: str, above: int) -> str:
    lines = [f"Catálogo TechAura {number}" for number in range(above)]
    return "\n".join([*lines, *(delimiter.join(row) for row in [header, *SONGS]), ""])


SHAPES = list(product((";", "\t", "|"), ("utf-8", "cp1252", "utf-16-le"), (0, 1, 3), (ENGLISH, SPANISH)))


@pytest.mark.parametrize(("delimiter", "encoding", "above", "header"), SHAPES)
def test_what_is_proposed_reads_the_file_as_it_is_meant(
    tmp_path: Path, delimiter: str, encoding: str, above: int, header: tuple[str, ...]
) -> None:
    (tmp_path / "songs.csv").write_bytes(text_of(header, delimiter, above).encode(encoding))
    found = seen(tmp_path, "songs.csv").found
    assert found.proposed is not None, found.findings
    assert found.readings[0].options == found.proposed
    again = seen(tmp_path, "songs.csv", dict(found.proposed))
    assert (again.refusal, again.rejects, again.item_count) == (None, (), len(SONGS))
    assert [tuple(row[name] for name in ENGLISH) for row in again.rows] == SONGS[:5]
    assert (again.found.readings, again.found.findings) == ((), ())


@pytest.mark.parametrize(
    ("prices", "options", "first", "doubt"),
    [
        (["69.900", "129.950"], {"decimalComma": True}, "69900.00", "'69.900' in 'price' may be 69900 or 69.9"),
        (["69.900", "1.129.950"], {"decimalComma": True}, "69900.00", ""),
        (["69.900", "129.950,50"], {"decimalComma": True}, "69900.00", ""),
        (["69,90", "70,50"], {"decimalComma": True}, "69.90", ""),
        (["69,900"], {"numberFormat": {"grouping": ","}}, "69900.00", "'69,900' in 'price' may be 69900 or 69.9"),
        (["69,900", "1,299.50"], {"numberFormat": {"grouping": ","}}, "69900.00", ""),
        (["1 299 900", "69 900,50"], {"numberFormat": {"decimal": ",", "grouping": " "}}, "1299900.00", ""),
        (["$ 69.900,00"], {"decimalComma": True, "numberFormat": {"currency": ["$"]}}, "69900.00", ""),
        (["$1,299.50"], {"numberFormat": {"grouping": ",", "currency": ["$"]}}, "1299.50", ""),
        (["69.900", "70.5"], None, "", ""),
    ],
)
def test_a_number_format_is_proposed_where_the_file_settles_it(
    tmp_path: Path, prices: list[str], options: dict[str, Any] | None, first: str, doubt: str
) -> None:
    lines = [f"music;{number}GB;{number};{price};10;u\n" for number, price in enumerate(prices, 1)]
    (tmp_path / "prices.csv").write_text(ITEM_NAMES + "".join(lines))
    asked = ITEMS | {"delimiter": ";"}
    found = seen(tmp_path, "prices.csv", asked).found
    assert [one.options for one in found.readings] == ([asked | options] if options else [])
    assert found.proposed == (asked | options if options and not doubt else None)
    assert doubt in found.findings[0]
    for reading in found.readings:
        assert reading.records[0].row is not None
        assert (reading.records[0].row["price"], reading.rejected_count) == (first, 0)


def priced(folder: Path, prices: list[str], **options: Any) -> Preview:
    """What a test of a file of these prices says."""
    lines = [f"music;{number}GB;{number};{price};10;u\n" for number, price in enumerate(prices, 1)]
    (folder / "prices.csv").write_text(ITEM_NAMES + "".join(lines))
    return seen(folder, "prices.csv", {**ITEMS, "delimiter": ";", **options})


MULTIPLES = [
    "61 mil", "61k", "61.9 K", "$ 1,11 M", "61 cts", "2 millones", "3 MM", "1.5 Mio", "10 lakh", "1 docena", "61¢", "1,5 M€", "k€ 61", "2 MUSD",
    "7 Cr.", "4 тыс", "5万", "1,5 Mrd. €", "3 miles", "61 mil COP", "9 pence", "4 xyz", "12 kg",
]  # fmt: skip


@pytest.mark.parametrize("price", MULTIPLES)
def test_a_word_that_may_multiply_is_no_currency(tmp_path: Path, price: str) -> None:
    preview = priced(tmp_path, [price] * 3)
    assert (preview.found.readings, preview.found.proposed, len(preview.rejects)) == ((), None, 3)
    assert "may be a multiple" in preview.rejects[0].message
    assert "to read it as" not in preview.rejects[0].message


@pytest.mark.parametrize(
    "currency", ["$", "€", "₡", "US$", "R$", "S/", "Bs.", "Kč", "zł", "kr", "Fr.", "UYU", "COP$", "M.N."]
)
def test_a_sure_currency_is_proposed_and_nothing_that_no_number_needs(tmp_path: Path, currency: str) -> None:
    for prices in (["61", "62"], ["61.50", "62.5"]):
        found = priced(tmp_path, [f"{currency} {price}" for price in prices]).found
        assert found.proposed == ITEMS | {"delimiter": ";", "numberFormat": {"currency": [currency]}}
    # The currency of an amount that no format reads is of no use.
    assert priced(tmp_path, ["69,90"] * 20 + [f"{currency} 1.2.3"]).found.proposed == ITEMS | {
        "delimiter": ";", "decimalComma": True,
    }  # fmt: skip


def test_a_setting_that_only_a_faulty_row_needs_is_not_proposed(tmp_path: Path) -> None:
    lines = [f"music;{number}GB;{number};USD {number};10;u\n" for number in range(1, 20)]
    (tmp_path / "prices.csv").write_text(ITEM_NAMES + "".join(lines) + "music;;x;USD 1,5;10;u\n")
    found = seen(tmp_path, "prices.csv", ITEMS | {"delimiter": ";"}).found
    assert found.proposed == ITEMS | {"delimiter": ";", "numberFormat": {"currency": ["USD"]}}


@pytest.mark.parametrize(
    ("prices", "options"),
    [
        (["USD 62.50", "COP 63.50"], {}),
        (["$ 62,50", "62,50 €"], {}),
        (["S/ 62"] * 30 + ["US$ 1"], {}),
        (["USD 62", "EUR 5"], {"numberFormat": {"currency": ["USD"]}}),
    ],
)
def test_several_currencies_are_never_proposed(tmp_path: Path, prices: list[str], options: dict[str, Any]) -> None:
    found = priced(tmp_path, prices, **options).found
    assert (found.readings, found.proposed) == ((), None)
    assert "'price' holds several currencies" in found.findings[-1]
    refused = seen(tmp_path, "prices.csv", ITEMS | options)
    assert refused.refusal is not None and "'price' holds several currencies" in refused.found.findings[-1]


def test_one_currency_written_on_both_sides_is_one(tmp_path: Path) -> None:
    found = priced(tmp_path, ["$ 62.50 COP", "$1.00 COP"]).found
    assert found.proposed == ITEMS | {"delimiter": ";", "numberFormat": {"currency": ["$", "COP"]}}


def test_a_reading_with_a_point_is_named(tmp_path: Path) -> None:
    (reading,) = priced(tmp_path, ["69.90", "70.5"], decimalComma=True).found.readings
    assert (reading.name, reading.options) == (
        "numbers with a decimal point", ITEMS | {"delimiter": ";", "decimalComma": False},
    )  # fmt: skip
    asked = {"numberFormat": {"decimal": ",", "grouping": "."}}
    (reading,) = priced(tmp_path, ["69.90", "1234.5"], **asked).found.readings
    assert reading.name == "numbers such as 1234.50"


def test_numbers_of_two_formats_stand_side_by_side(tmp_path: Path) -> None:
    lines = [f"music;{number}GB;{number};{price};10;u\n" for number, price in enumerate(["1.234.567", "1,234,567"], 1)]
    (tmp_path / "prices.csv").write_text(ITEM_NAMES + "".join(lines))
    found = seen(tmp_path, "prices.csv", ITEMS | {"delimiter": ";"}).found
    assert [(one.item_count, one.rejected_count) for one in found.readings] == [(2, 1), (2, 1)]
    assert found.proposed is None
    assert "the numbers have no one format" in found.findings[0]


def test_what_is_declared_is_not_doubted(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(ITEM_NAMES + "music;1GB;1;69.900;10;u\n")
    found = seen(tmp_path, "prices.csv", ITEMS | {"delimiter": ";", "decimalComma": True}).found
    assert (found.readings, found.findings) == ((), ())
    (tmp_path / "songs.csv").write_bytes("title,artist\nUno – Dos,X\n".encode("cp1252"))
    found = seen(tmp_path, "songs.csv", {"encoding": "cp1252"}).found
    assert (found.readings, found.findings) == ((), ())


def test_an_encoding_that_few_signs_speak_for_is_not_proposed(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_bytes("title,artist\n恋,星野源\n".encode("cp932"))
    found = seen(tmp_path, "songs.csv").found
    assert found.readings
    assert found.proposed is None
    assert "songs.csv" in found.findings[0]


def test_of_two_lines_the_header_is_that_of_more_names(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("Canciones;;\n" + text_of(SPANISH, ";", 0))
    proposed = seen(tmp_path, "songs.csv").found.proposed
    assert proposed is not None
    assert (proposed["preambleLines"], proposed["columnMapping"]["title"]) == (1, "Título")


def test_a_reading_that_rejects_too_much_is_shown_and_not_proposed(tmp_path: Path) -> None:
    rows = "".join(f"Song {n};A;B\n" if n % 2 else f"Song {n};A;B;C;D\n" for n in range(1, 12))
    (tmp_path / "half.csv").write_text(f"title;artist;genre\n{rows}")
    found = seen(tmp_path, "half.csv").found
    assert found.proposed is None
    assert [(one.item_count, one.rejected_count) for one in found.readings] == [(11, 5)]
    assert "6 of the first 11 records, which are too few to propose it" in found.findings[0]


def test_no_more_readings_are_tried_than_the_setting_allows(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("title;artist\nA;B\n")
    found = seen(tmp_path, "songs.csv", source_test_readings_max=0).found
    assert (found.readings, found.proposed) == ((), None)
    assert "TECHAURA_SYNC_SOURCE_TEST_READINGS_MAX" in found.findings[-1]
    assert seen(tmp_path, "songs.csv", source_test_readings_max=1).found.proposed == {"delimiter": ";"}


def test_values_are_cut_and_what_cannot_be_seen_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text(f"title;artist\n{'x' * 100};a\u200bb\x1b[31m\n")
    (record,) = seen(tmp_path, "songs.csv").found.readings[0].records
    assert record.row is not None
    assert record.row["title"] == "x" * 59 + "…"
    assert record.row["artist"] == "a\\u200bb\\x1b[31m"


@pytest.mark.parametrize("is_xlsx", [True, False])
def test_the_sheet_and_the_row_of_a_workbook_are_proposed(tmp_path: Path, is_xlsx: bool) -> None:
    cover, table = [["Informe de ventas", "2026"]], [["Catálogo", "TechAura"], list(SPANISH), *map(list, SONGS)]
    name = "book.xlsx" if is_xlsx else "book.ods"
    sheets = {"Portada": cover, "Canciones": table}
    if is_xlsx:
        xml = {key: "".join(xlsx_row(n, cells) for n, cells in enumerate(rows, 1)) for key, rows in sheets.items()}
        write_xlsx(tmp_path / name, xml)
    else:
        write_ods(tmp_path / name, {key: "".join(map(ods_row, rows)) for key, rows in sheets.items()})
    preview = seen(tmp_path, name)
    assert preview.refusal is not None
    assert "--sheet Canciones" in preview.refusal.message
    assert preview.found.proposed is not None
    assert (preview.found.proposed["sheet"], preview.found.proposed["preambleLines"]) == ("Canciones", 1)
    again = seen(tmp_path, name, dict(preview.found.proposed))
    assert (again.item_count, again.rejects) == (len(SONGS), ())
    assert again.rows[0]["title"] == "Corazón espinado"


def test_keys_of_json_lines_are_proposed_as_a_mapping(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"titulo": title, "artista": artist}) + "\n" for title, artist, _ in SONGS)
    (tmp_path / "songs.ndjson").write_text(lines)
    preview = seen(tmp_path, "songs.ndjson")
    assert preview.found.proposed == {"columnMapping": {"title": "titulo", "artist": "artista"}}
    assert preview.refusal is not None
    assert "--map title=titulo" in preview.refusal.message


def test_a_file_full_of_open_quotes_is_answered(tmp_path: Path) -> None:
    (tmp_path / "open.csv").write_text("title|x\n" + f'a|"b|c{"d" * 200}\n' * 3000)
    found = seen(tmp_path, "open.csv", {"delimiter": "|"}).found
    assert (found.readings, found.proposed) == ((), None)
    (tmp_path / "vinyl.csv").write_text("title|x\n" + '5" disc|12" vinyl\n' * 1000)
    assert seen(tmp_path, "vinyl.csv").found.proposed == {"delimiter": "|", "strayQuotes": "keep"}


BLANKS, LINES, FORMULAS = (
    "blanks stand around",
    "whole lines of the file stand in quotes",
    "export these columns as plain text",
)
ENCLOSED = {
    "blanks at the end of lines": ("title,artist\n" + '"A, 1","B"  \n' * 3, {}, BLANKS),
    "a tab at the end of lines": ("title;artist\n" + '"A; 1";"B"\t\n' * 3, {"delimiter": ";"}, BLANKS),
    "blanks at the beginning of lines": ("title,artist\n" + ' "A","B, 1"\n' * 3, {}, BLANKS),
    "blanks before delimiters": ("title;artist;genre\n" + '"A" ;"B" ;"C"\n' * 3, {"delimiter": ";"}, BLANKS),
    "blanks behind tabs": ("title\tartist\n" + '"A"\t "B"\n' * 3, {"delimiter": "\t"}, BLANKS),
    "blanks in a few lines": ("title,artist\n" + '"A","B"\n' * 20 + '"C" ,"D"\n', {}, BLANKS),
    "lines in quotes": ('"title,artist,genre";;\r\n"A,B,C";;\r\n', {}, LINES),
    "lines in quotes and a blank": ('"title,artist" ;\n"A,B" ;\n"D,E" ;\n', {}, LINES),
    "formulas": ('external_id;title\n="00123";A\n="00124";B\n', {"delimiter": ";"}, FORMULAS),
    "formulas in a column that is kept": ('title,code\nA,="00123"\nB,="00124"\n', {}, FORMULAS),
}


@pytest.mark.parametrize("case", ENCLOSED)
def test_a_reading_that_keeps_quotes_around_values_is_told_and_not_proposed(tmp_path: Path, case: str) -> None:
    text, options, form = ENCLOSED[case]
    (tmp_path / "quotes.csv").write_bytes(text.encode())
    found = seen(tmp_path, "quotes.csv", options).found
    assert found.proposed is None
    assert found.readings[0].options["strayQuotes"] == "keep"
    assert "reading 1 is not proposed" in found.findings[0]
    assert found.findings[1].startswith("reading 1 keeps quotes that only enclose values") and form in found.findings[1]


@pytest.mark.parametrize(
    "text", ["title,x\n" + '7","B"\n' * 3, 'title,x\nBest "of" 1,B\n"Hi" she said,C\nThe "x" y,D\n']
)
def test_quotes_that_are_text_are_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / "quotes.csv").write_text(text)
    assert seen(tmp_path, "quotes.csv").found.proposed == {"strayQuotes": "keep"}


def test_a_delimiter_with_a_blank_is_proposed_where_it_reads_the_header_too(tmp_path: Path) -> None:
    (tmp_path / "quotes.csv").write_text("title, artist, genre\n" + '"A", "B", "C, c"\n' * 3)
    found = seen(tmp_path, "quotes.csv").found
    assert found.proposed == {"delimiter": ", "}
    assert found.readings[0].records[0].row is not None
    assert found.readings[0].records[0].row["artist"] == "B"
