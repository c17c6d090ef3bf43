"""Input drill 4: files of every encoding, line break and size, and what the table holds then, byte by byte."""

from __future__ import annotations

import json

import pytest

from tests.e2e.test_csv_to_table import rows
from tests.support.service import Service

WESTERN = [
    ("k1", "Rebelión", "Joe Arroyo", "Salsa"),
    ("k2", "¿Quién? «sí», 50 %", 'Los "Ñ"', "Cumbia; Vallenato"),
    ("k3", "Ångström\tßtraße", "l'été", ""),
    ("k4", 'coma, y comillas ""', "back\\slash", "\\N"),
    ("k5", "aña", "Zoë", "ÿ"),
]
WIDE = [*WESTERN, ("k6", "🎵 música 日本語", "Ελλάδα", "Русский"), ("k7", "cafe\u0301\u200b", "\U0010ffff", "عربى")]
Table = list[tuple[str, str, str, str]]


def text_of(table: Table, line_break: str = "\n", delimiter: str = ",") -> str:
    """The table in plain CSV, all values in quotes."""
    lines = [delimiter.join(("external_id", "title", "artist", "genre"))]
    lines += [delimiter.join('"' + value.replace('"', '""') + '"' for value in row) for row in table]
    return line_break.join(lines) + line_break


SHAPES: dict[str, tuple[Table, bytes, dict[str, object]]] = {
    "utf-8": (WIDE, text_of(WIDE).encode(), {}),
    "utf-8 with a mark": (WIDE, text_of(WIDE).encode("utf-8-sig"), {}),
    "utf-8 with a mark, declared otherwise": (WIDE, text_of(WIDE).encode("utf-8-sig"), {"encoding": "cp1252"}),
    "utf-16-le with a mark": (WIDE, b"\xff\xfe" + text_of(WIDE).encode("utf-16-le"), {}),
    "utf-16-be with a mark": (WIDE, b"\xfe\xff" + text_of(WIDE).encode("utf-16-be"), {}),
    "utf-16 without a mark": (WESTERN, text_of(WESTERN).encode("utf-16-le"), {"encoding": "auto"}),
    "utf-32": (WIDE, text_of(WIDE).encode("utf-32"), {}),
    "cp1252": (WESTERN, text_of(WESTERN).encode("cp1252"), {"encoding": "cp1252"}),
    "cp1252, found out": (WESTERN, text_of(WESTERN).encode("cp1252"), {"encoding": "auto"}),
    "latin-1": (WESTERN, text_of(WESTERN).encode("latin-1"), {"encoding": "latin-1"}),
    "CR LF and semicolons": (WIDE, text_of(WIDE, "\r\n", ";").encode(), {"delimiter": "auto"}),
    "CR alone": (WIDE, text_of(WIDE, "\r").encode(), {}),
    "CR LF in UTF-16": (WIDE, text_of(WIDE, "\r\n").encode("utf-16"), {}),
    "no final line break": (WIDE, text_of(WIDE).encode().rstrip(b"\n"), {}),
    "blank lines": (WIDE, text_of(WIDE, "\n\n").encode(), {}),
    "line breaks in values": (
        [("n1", "two\nlines", "three\r\nlines", "cr\ralone")],
        text_of([("n1", "two\nlines", "three\r\nlines", "cr\ralone")]).encode(),
        {},
    ),
    "NUL in values": ([("z1", "nul\x00nul", "a\x00", "b")], text_of([("z1", "nul\x00nul", "a\x00", "b")]).encode(), {}),
}


def stored(service: Service, name: str) -> list[tuple[str, ...]]:
    """What the table holds of a file, as the hexadecimal digits of its bytes; no value is empty text here."""
    return [
        tuple(value or "" for value in row)
        for row in rows(
            service,
            "SELECT HEX(external_id), HEX(title), HEX(artist), HEX(genre) FROM content_index "
            "WHERE source_identifier = :name ORDER BY external_id",
            name=name,
        )
    ]


def file_name(case: str) -> str:
    """A file name for a case."""
    return "shape-" + "".join(char if char.isalnum() else "-" for char in case) + ".csv"


@pytest.mark.parametrize("shape", SHAPES)
def test_the_table_holds_the_file_byte_for_byte(service: Service, shape: str) -> None:
    table, content, options = SHAPES[shape]
    name = file_name(shape)
    (service.data_root / name).write_bytes(content)
    run = service.run("csv", name, options)
    assert (run["status"], run["ledger"]["inserted"], run["ledger"]["rowsRead"]) == (
        "completed", len(table), len(table),
    )  # fmt: skip
    assert stored(service, name) == [tuple(value.encode().hex().upper() for value in row) for row in table]


def test_a_field_of_ten_megabytes_is_stored_whole(service: Service) -> None:
    big = "".join(f"{n:07d}ñ," for n in range(1_000_000))
    assert len(big.encode()) == 10_000_000
    (service.data_root / "big.csv").write_text(f'external_id,title,lyrics\nb1,Una,"{big}"\nb2,Otra,short\n')
    run = service.run("csv", "big.csv")
    assert (run["status"], run["ledger"]["inserted"]) == ("completed", 2), run
    # Not sorted there: MySQL's sort buffer does not hold such a row.
    query = "SELECT external_id, metadata FROM content_index WHERE source_identifier = 'big.csv'"
    stored = {external_id: json.loads(value) for external_id, value in rows(service, query)}
    assert stored == {"b1": {"lyrics": big}, "b2": {"lyrics": "short"}}


def test_a_thousand_columns_are_stored_each_under_its_name(service: Service) -> None:
    names = [f"columna {n}" for n in range(997)]
    values = [f"valor {n} ñ" for n in range(997)]
    lines = [",".join(["external_id", "title", "artist", *names]), ",".join(["w1", "Una", "Alguien", *values])]
    (service.data_root / "wide.csv").write_text("\n".join(lines))
    assert service.run("csv", "wide.csv")["ledger"]["inserted"] == 1
    ((found,),) = rows(service, "SELECT metadata FROM content_index WHERE source_identifier = 'wide.csv'")
    assert json.loads(found) == dict(zip(names, values, strict=True))


@pytest.mark.parametrize(
    "content", [b"external_id,title\n", b"external_id,title", b"\xef\xbb\xbfexternal_id,title\r\n\r\n"]
)
def test_a_header_alone_completes_with_nothing(service: Service, content: bytes) -> None:
    name = f"header-{len(content)}.csv"
    (service.data_root / name).write_bytes(content)
    run = service.run("csv", name)
    assert (run["status"], run["ledger"]["rowsRead"]) == ("completed", 0)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused_with_its_reason_and_stores_nothing(service: Service, content: bytes) -> None:
    name = f"empty-{len(content)}.csv"
    (service.data_root / name).write_bytes(content)
    body = {"sourceType": "csv", "sourceIdentifier": name}
    before = service.get("/v1/sync/stats")[1]["data"]["total"]
    status, answer = service.post("/v1/sync/trigger", body)
    assert (status, answer["success"]) == (400, False)
    assert "is empty" in answer["error"]
    assert service.get("/v1/sync/stats")[1]["data"]["total"] == before


def test_many_rows_over_several_batches_stand_in_the_table_as_in_the_file(service: Service) -> None:
    table: Table = [(f"m{n:06d}", f"Canción {n} 🎵", f"Artista {n % 97}", "Pop") for n in range(14_000)]
    (service.data_root / "many.csv").write_text(text_of(table))
    run = service.run("csv", "many.csv")
    assert (run["status"], run["ledger"]["inserted"]) == ("completed", len(table))
    found = rows(
        service,
        "SELECT external_id, title, artist, genre FROM content_index WHERE source_identifier = 'many.csv' ORDER BY external_id",
    )
    assert found == table
