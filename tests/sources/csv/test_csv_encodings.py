"""Encodings: marked, declared, found out; offsets always count the original bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.core.errors import InvalidRequestError
from tests.sources.csv.reading import read_bytes

SPANISH = "título,género\nCorazón,balada\nAño nuevo,cumbia — «viva»\nNiño,rock en español\n" * 3
ROWS = [tuple(line.split(",")) for line in SPANISH.splitlines()]


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp1252", "UTF8"],
)
def test_a_declared_encoding_is_read_exactly(tmp_path: Path, encoding: str) -> None:
    reading = read_bytes(tmp_path, SPANISH.encode(encoding), {"encoding": encoding})
    assert [*reading.values, reading.info.columns].count(ROWS[0]) == 1
    assert reading.values == [row for row in ROWS if row != ROWS[0]]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "é,ñ"),
        ("iso-8859-15", "€,œ"),
        ("cp1251", "Привет,мир"),
        ("koi8-r", "Привет,мир"),
        ("cp850", "é,ñ"),
        ("mac_roman", "é,ñ"),
        ("shift_jis", "表示,ソ"),
        ("cp932", "表示,ソ"),
        ("gbk", "歌曲,艺术家"),
        ("gb18030", "歌曲,𠀀"),
        ("big5", "歌曲,功"),
        ("euc_jp", "日本,語"),
        ("euc_kr", "한국,어"),
    ],
)
def test_other_encodings_are_read_exactly(tmp_path: Path, encoding: str, text: str) -> None:
    content = f'a,b\n{text}\n"x, {text[0]}",y\n'.encode(encoding)
    reading = read_bytes(tmp_path, content, {"encoding": encoding})
    assert reading.values == [tuple(text.split(",")), (f"x, {text[0]}", "y")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("declared", ["utf-8", "auto", "cp1252", "utf-16"])
def test_a_byte_order_mark_wins(tmp_path: Path, encoding: str, declared: str) -> None:
    reading = read_bytes(tmp_path, SPANISH.encode(encoding), {"encoding": declared})
    assert reading.info.columns == ROWS[0]
    assert reading.info.detected["encodingHow"] == "mark"


@pytest.mark.parametrize(
    ("encoding", "known_as"),
    [
        ("utf-8", {"utf-8"}),
        ("utf-16-le", {"utf-16-le"}),
        ("utf-16-be", {"utf-16-be"}),
        ("utf-32-le", {"utf-32-le"}),
        ("utf-32-be", {"utf-32-be"}),
        ("cp1252", {"cp1252"}),
    ],
)
def test_an_encoding_is_found_out_with_its_confidence(tmp_path: Path, encoding: str, known_as: set[str]) -> None:
    reading = read_bytes(tmp_path, SPANISH.encode(encoding), {"encoding": "auto"})
    assert reading.info.columns == ROWS[0]
    assert reading.info.detected["encoding"] in known_as
    assert reading.info.detected["encodingHow"] == "detected"
    assert 0 < reading.info.detected["encodingConfidence"] <= 1


def test_an_encoding_is_found_out_behind_a_long_ascii_beginning(tmp_path: Path) -> None:
    content = b"a,b\n" + b"plain,text\n" * 60_000 + "Corazón,año\nNiño,canción\n".encode("cp1252") * 20
    reading = read_bytes(tmp_path, content, {"encoding": "auto"})
    assert reading.values[-1] == ("Niño", "canción")
    assert reading.rejects == ()


def test_offsets_count_original_bytes(tmp_path: Path) -> None:
    text = "a,b\n😀é,x\nbad\nñ,y\n"
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-16", "utf-8-sig"):
        content = text.encode(encoding)
        reading = read_bytes(tmp_path, content, {"encoding": encoding})
        mark = len(content) - len(
            text.encode(
                encoding.replace("-sig", "")
                .replace("utf-16", "utf-16-le")
                .replace("-le-le", "-le")
                .replace("-le-be", "-be")
            )
        )
        plain = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
        found = [row.byte_offset for row in reading.rows] + [reject.byte_offset for reject in reading.rejects]
        wanted = [mark + len(text[: text.index(start)].encode(plain)) for start in ("😀", "ñ", "bad")]
        assert found == wanted


@pytest.mark.parametrize(
    ("encoding", "bad"),
    [
        ("utf-16-le", b"\x00\xd8"),
        ("utf-16-be", b"\xdc\x00"),
        ("utf-32-le", b"\xff\xff\xff\xff"),
        ("utf-32-be", b"\x00\x00\xd8\x00"),
        ("cp1252", b"\x81"),
        ("ascii", b"\xe9"),
        ("gbk", b"\xff"),
        ("shift_jis", b"\x81"),
    ],
)
def test_what_does_not_decode_rejects_its_record_only(tmp_path: Path, encoding: str, bad: bytes) -> None:
    def text(value: str) -> bytes:
        return value.encode(encoding)

    content = text("a,b\n1,x\n2,") + bad + text("\n3,z\n")
    reading = read_bytes(tmp_path, content, {"encoding": encoding})
    assert reading.values == [("1", "x"), ("3", "z")]
    assert [(reject.kind, reject.line, reject.byte_offset, reject.column) for reject in reading.rejects] == [
        ("bad_encoding", 3, len(text("a,b\n1,x\n")), "b")
    ]
    assert "\ufffd" not in reading.rejects[0].raw


def test_half_a_character_at_the_end_of_the_file_is_rejected(tmp_path: Path) -> None:
    for encoding, cut in (("utf-16-le", 1), ("utf-32-be", 3), ("utf-8", 1)):
        content = "a,b\n1,x\n2,é".encode(encoding)[:-cut]
        reading = read_bytes(tmp_path, content, {"encoding": encoding})
        assert reading.values == [("1", "x")]
        assert [reject.kind for reject in reading.rejects] == ["bad_encoding"]


def test_a_delimiter_that_the_encoding_cannot_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_bytes(tmp_path, b"a\n", {"encoding": "cp1252", "delimiter": "→"})
    assert (caught.value.reason, caught.value.field) == ("INVALID_OPTION", "options.delimiter")


def test_a_delimiter_that_may_be_part_of_a_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_bytes(tmp_path, b"a|b\n", {"encoding": "shift_jis", "delimiter": "|"})
    assert caught.value.field == "options.delimiter"


def test_a_delimiter_of_the_upper_half_of_a_code_page(tmp_path: Path) -> None:
    content = 'a§b\n1§"é§2"\n'.encode("cp1252")
    reading = read_bytes(tmp_path, content, {"encoding": "cp1252", "delimiter": "§"})
    assert reading.values == [("1", "é§2")]


def test_header_bytes_that_do_not_decode_are_shown_and_told(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, b"caf\xe9,b\n1,2\n")
    assert reading.info.columns == ("caf\\xe9", "b")
    assert any("not utf-8" in notice for notice in reading.notices)
