"""What a file is by its first bytes: other kinds are refused by their name, packed ones are read, songs stay songs."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from server.core.errors import InvalidRequestError
from tests.sources.csv.reading import read_bytes

HEADER = b"title,artist,genre\n"
ROWS = b"".join(b"Song %d,Artist %d,Salsa\n" % (number, number) for number in range(1, 13))
HEADLESS = {"hasHeader": False, "columnMapping": {"title": "column_1"}}


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


WORKBOOK = zipped(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>"))
OLD_WORKBOOK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
SPREADSHEET = zipped(("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", b"<x/>"))


def refusal(folder: Path, content: bytes, options: dict[str, Any] | None = None, name: str = "songs.csv") -> str:
    with pytest.raises(InvalidRequestError) as caught:
        read_bytes(folder, content, options, name=name)
    assert caught.value.reason == "SOURCE_MALFORMED"
    assert caught.value.message.isprintable()
    return caught.value.message


KINDS: list[tuple[bytes, str]] = [
    (b"+----+-------+\n| id | title |\n+----+-------+\n| 1  | Uno   |\n", "a table drawn with lines"),
    (b"\n id | title \n----+-------\n  1 | Uno\n(1 row)\n", "a table drawn with lines"),
    (b"| title | artist |\r\n|:---|---:|\r\n| A | B |\r\n", "a table drawn with lines"),
    (b"+=====+=====+\n| t | a |\n", "a table drawn with lines"),
    (b"<!DOCTYPE html>\n<html>\n<body>Error 404</body>\n</html>\n", "an HTML page"),
    (b"\xef\xbb\xbf \r\n\t<HTML lang=es><head>", "an HTML page"),
    (b"<!-- saved from x -->\n<table border=1><tr><td>title", "an HTML page"),
    (b"<head><title>Login</title></head>", "an HTML page"),
    (b"<body>\nx", "an HTML page"),
    (b'<?xml version="1.0"?>\n<html xmlns="x"><body/></html>', "an HTML page"),
    ("<!doctype html><p>Iniciar sesión".encode("utf-16"), "an HTML page"),
    ("<!doctype html><p>Iniciar sesi\xf3n".encode("cp1252"), "an HTML page"),
    (b'<?xml version="1.0"?>\n<songs><song title="a"/></songs>\n', "an XML document"),
    (b"\n<songs>\n <song>A</song>\n <song>B</song>\n</songs>\n", "an XML document"),
    (b'[{"title": "A", "artist": "B"}]', "a JSON document"),
    (b' \n{"data": [{"title": "A"}]}\n', "a JSON document"),
    (b'[["title", "artist"], ["A", "B"]]', "a JSON document"),
    (b'["title", "artist"]\n["A", "B"]\n', "a JSON document"),
    (b'{"title": "cut o', "a JSON document"),
    (b'[{"title": "' + b"x" * 100_000, "a JSON document"),
    (b"\xef\xbb\xbf" + b'[\n  {\n    "title": "A"', "a JSON document"),
    (OLD_WORKBOOK, "an Excel workbook"),
    (zipped(("word/document.xml", b"<x/>"), ("[Content_Types].xml", b"")), "a Word document"),
    (zipped(("Index/Document.iwa", b"x"), ("preview.jpg", b"x")), "an Apple Numbers document"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "a PDF document"),
    (b"{\\rtf1\\ansi title,artist}", "an RTF document"),
    (b"SQLite format 3\0\x10\0\x01\x01", "an SQLite database"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image"),
    (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7-Zip archive"),
    (b"BZh91AY&SY\x01\x02", "a bzip2 file"),
    (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
    (b"songs.csv" + b"\0" * 248 + b"ustar\x0000", "a tar archive"),
    (b"\0\x05\x16\x07" + b"\0" * 40, "what macOS keeps"),
    (b"\0" * 300, "binary data"),
    (bytes(range(256)) * 8, "binary data"),
    (bytes(range(1, 255)) * 8, "binary data"),
]


# Formats that are read, unless the request says that the file is CSV.
OTHER_FORMATS: list[tuple[bytes, str]] = [
    (b"PAR1\x15\x04\x15\x20" + b"x" * 50 + b"PAR1", "a Parquet file"),
    (WORKBOOK, "an Excel workbook"),
    (SPREADSHEET, "an OpenDocument file"),
]


@pytest.mark.parametrize("options", [{}, HEADLESS, {"encoding": "auto", "delimiter": "auto"}], ids=range(3))
@pytest.mark.parametrize(("content", "word"), OTHER_FORMATS, ids=range(len(OTHER_FORMATS)))
def test_another_format_is_refused_by_its_name_where_csv_is_asked_for(
    tmp_path: Path, content: bytes, word: str, options: dict[str, Any]
) -> None:
    message = refusal(tmp_path, content, options | {"format": "csv"})
    assert message.startswith(f"'songs.csv' is {word}")
    assert "not a CSV file; " in message


@pytest.mark.parametrize("options", [{}, HEADLESS, {"encoding": "auto", "delimiter": "auto"}], ids=range(3))
@pytest.mark.parametrize(("content", "word"), KINDS, ids=range(len(KINDS)))
def test_other_content_is_refused_by_its_name(
    tmp_path: Path, content: bytes, word: str, options: dict[str, Any]
) -> None:
    message = refusal(tmp_path, content, options)
    assert message.startswith(f"'songs.csv' is {word}")
    assert "not a CSV file; " in message


@pytest.mark.parametrize("content", [WORKBOOK, OLD_WORKBOOK, SPREADSHEET], ids=["xlsx", "xls", "ods"])
def test_a_workbook_is_seen_inside_of_what_packs_it(tmp_path: Path, content: bytes) -> None:
    for name, packed in (
        ("a.zip", zipped(("libro.xlsx", content))),
        ("a.csv", zipped(("libro.csv", content))),
        ("a.csv", gzip.compress(content)),
        ("a.csv.zst", zstandard.ZstdCompressor().compress(content)),
    ):
        message = refusal(tmp_path, packed, name=name)
        assert message.startswith(f"{name!r} holds ")
        assert any(word in message for word in ("Excel", "OpenDocument", "zip archive"))


def test_what_is_packed_twice_is_refused(tmp_path: Path) -> None:
    assert "a gzip file" in refusal(tmp_path, gzip.compress(gzip.compress(HEADER + ROWS)))
    assert "a tar archive" in refusal(tmp_path, gzip.compress(b"x" * 257 + b"ustar\0"), name="a.csv.gz")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.zip"])
def test_packed_content_is_read_whatever_its_name_says(tmp_path: Path, name: str) -> None:
    content = HEADER + ROWS
    for packed, word in (
        (gzip.compress(content), "gzip"),
        (zstandard.ZstdCompressor().compress(content), "zstd"),
        (zipped(("x.csv", content)), "zip"),
    ):
        reading = read_bytes(tmp_path, packed, name=name)
        assert (len(reading.rows), reading.info.detected["compression"]) == (12, word)


def test_a_page_under_the_name_of_a_packed_file_is_refused_as_a_page(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "a.csv.zst", "a.zip"):
        assert "an HTML page" in refusal(tmp_path, b"<!doctype html><p>no", name=name)
        assert "an Excel workbook" in refusal(tmp_path, OLD_WORKBOOK, name=name)


@pytest.mark.parametrize(
    "title",
    [
        *("[Intro]", "<3", "{Awesome}", "<Intro>", "[1999]", "{}", "<>", "[]", "[Intro", "{", "<b>Hits</b> 2017"),
        *(
            "PAR1",
            "PK",
            "ORC",
            "BZh",
            "Obj",
            "ID3",
            "GIF",
            "MM",
            "II*",
            "%PDF",
            "<headline>",
            "<bodyguard>",
            "<tables>",
        ),
        *("%!", "RIFF", "7z", "Rar!", "sftypo", "version", "<3 <3 <3", "<a></a> b", "[1, 2", "{x: 1}"),
    ],
)
def test_songs_that_begin_like_something_else_are_songs(tmp_path: Path, title: str) -> None:
    for options in (HEADLESS, {"hasHeader": False, "encoding": "auto"}):
        line = f"{title.replace(',', '.')},Artist,Genre\n".encode()
        reading = read_bytes(tmp_path, line + b"B,C,D\n", options)
        assert [row[0] for row in reading.values] == [title.replace(",", "."), "B"]
    assert len(read_bytes(tmp_path, HEADER + line + ROWS).rows) == 13


def test_a_column_of_json_is_no_json_document(tmp_path: Path) -> None:
    options = {"hasHeader": False, "delimiter": "\t", "quote": ""}
    reading = read_bytes(tmp_path, b'{"id": 1}\tA\n{"id": 2}\tB\n', options)
    assert reading.values == [('{"id": 1}', "A"), ('{"id": 2}', "B")]
    assert len(read_bytes(tmp_path, b'["a", "b"]\tA\n', options).rows) == 1


def test_control_characters_that_divide_fields_are_no_sign_of_binary_data(tmp_path: Path) -> None:
    for delimiter in ("\x01", "\x1f", "\x1e"):
        content = f"a{delimiter}b\n1{delimiter}2\n".encode()
        assert read_bytes(tmp_path, content, {"delimiter": delimiter}).values == [("1", "2")]
    nul = b"id,b\nz1,nul\0nul\nz2,\0\nz3,a\x1b[0m\x07\n"
    assert len(read_bytes(tmp_path, nul).rows) == 3


def test_what_a_mac_or_a_file_manager_adds_to_a_zip_is_no_member(tmp_path: Path) -> None:
    fork = b"\0\5\x16\7" + b"\0" * 40
    for extra in (
        "__MACOSX/._catalogo.csv",
        "._catalogo.csv",
        "folder/._x",
        ".DS_Store",
        "folder/.DS_Store",
        "Thumbs.db",
        "THUMBS.DB",
        "desktop.ini",
        "__MACOSX/folder/catalogo.csv",
    ):
        packed = zipped(("folder/catalogo.csv", HEADER + ROWS), (extra, fork))
        assert len(read_bytes(tmp_path, packed, name="m.zip").rows) == 12
        packed = zipped((extra, fork), ("catalogo.txt", HEADER + ROWS))
        assert len(read_bytes(tmp_path, packed, name="m.zip").rows) == 12


def test_the_only_csv_of_a_zip_is_taken(tmp_path: Path) -> None:
    packed = zipped(("readme.txt", b"x"), ("data/SONGS.CSV", HEADER + ROWS), ("cover.jpg", b"\xff\xd8\xff"))
    assert len(read_bytes(tmp_path, packed, name="m.zip").rows) == 12


def test_a_zip_of_several_files_is_refused_with_their_names(tmp_path: Path) -> None:
    packed = zipped(("a.csv", ROWS), ("b\x1b[31m.csv", ROWS), ("c.txt", b""), ("__MACOSX/._a.csv", b""))
    message = refusal(tmp_path, packed, name="m.zip")
    assert message.startswith(r"'m.zip' holds 3 files: 'a.csv', 'b\x1b[31m.csv', 'c.txt', and 2 of them end in .csv;")
    many = zipped(*((f"{number}.csv", b"") for number in range(200)))
    assert "'19.csv' and 180 more" in refusal(tmp_path, many, name="m.zip")
    assert "holds 0 files; a zip must hold exactly one" in refusal(tmp_path, zipped((".DS_Store", b"")), name="m.zip")


def test_a_damaged_zip_under_a_csv_name_is_refused(tmp_path: Path) -> None:
    assert "not a zip file that can be read" in refusal(tmp_path, WORKBOOK[:60])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text", [HEADER.decode() + ROWS.decode(), "título;género\n歌曲;Песня\n", "歌曲,歌手\n春天,王菲\n夏天,朴树\n"]
)
@pytest.mark.parametrize("options", [{}, {"encoding": "cp1252"}, {"encoding": "utf-8", "hasHeader": False}])
def test_wide_text_without_a_mark_is_named(tmp_path: Path, encoding: str, text: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_bytes(tmp_path, text.encode(encoding), options)
    assert (caught.value.reason, caught.value.field) == ("INVALID_OPTION", "options.encoding")
    assert (
        f"looks like {encoding.upper()} without a byte order mark; set options.encoding to {encoding}"
        in caught.value.message
    )
    assert "\0" not in caught.value.message
    for right in (encoding, "auto"):
        reading = read_bytes(tmp_path, text.encode(encoding), options | {"encoding": right})
        assert len(reading.rows) == text.count("\n") - options.get("hasHeader", True)


@pytest.mark.parametrize("declared", ["utf-16", "utf-16-be", "utf-32"])
def test_text_that_is_not_as_wide_as_declared_is_named(tmp_path: Path, declared: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"set options\.encoding to utf-8 or to auto"):
        read_bytes(tmp_path, HEADER + ROWS, {"encoding": declared})
