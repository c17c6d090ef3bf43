"""UTF-8 of which a few lines are damaged stays UTF-8: its other rows are right, and no other encoding is advised."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources.csv.reading import read_bytes

HEAD = b"title;artist;genre\n"
ASCII = b"".join(b"Song %d;Artist %d;Pop\n" % (number, number) for number in range(12))
AUTO = {"encoding": "auto", "delimiter": ";"}
UTF8 = {"delimiter": ";"}
SPANISH = "Canción;José;Música\n".encode()
# Some hundred kilobytes, so that what is behind them is beyond the first look.
LONG = ASCII * 2000


@pytest.mark.parametrize(
    ("content", "damaged", "good"),
    [
        (SPANISH * 5 + b"Ni\xc3a;Jos\xc3\xa9;x\n", 1, ("Canción", "José", "Música")),
        (b"Canci\xc3\xb3n;a;b\nCanci\xf3n2;a;b\n" + ASCII, 1, ("Canción", "a", "b")),
        (b"Canci\xf3n2;a;b\n" + LONG + SPANISH * 3, 1, ("Canción", "José", "Música")),
        ("Любовь;Алла;Поп\n".encode() * 4 + b"\xcb\xfe\xe1\xee\xe2\xfc;x;y\n", 1, ("Любовь", "Алла", "Поп")),
        ("歌曲;歌手;流行\n".encode() * 4 + b"\xe6\xad;x;y\n", 1, ("歌曲", "歌手", "流行")),
        ("Don’t – “stop”;a;20 €\n".encode() * 3 + b"Don\x92t;x;y\n", 1, ("Don’t – “stop”", "a", "20 €")),
        (SPANISH * 6 + "Rebelión;Ñejo;Salsa\n".encode("cp1252") * 4, 4, ("Canción", "José", "Música")),
    ],
    ids=["cut character", "one of two", "the first by far", "cyrillic", "cjk", "punctuation", "joined files"],
)
@pytest.mark.parametrize("options", [AUTO, UTF8], ids=["auto", "utf-8"])
def test_the_good_rows_are_right_and_the_damaged_ones_are_rejects(
    tmp_path: Path, content: bytes, damaged: int, good: tuple[str, ...], options: dict[str, str]
) -> None:
    reading = read_bytes(tmp_path, HEAD + content, options)
    assert reading.info.detected["encoding"] == "utf-8"
    assert good in reading.values
    assert [reject.kind for reject in reading.rejects] == ["bad_encoding"] * damaged
    message = reading.rejects[0].message
    assert "the text is UTF-8 elsewhere: this line is damaged" in message
    assert "options." not in message
    assert "cp1252" not in message


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("L’été;Zaz;Pop\n", "mac_roman"),
        ("Ñ;Maná;x\n", "cp1252"),
        ("Катюша;Кино;Рок\n", "cp1251"),
        ("Катюша;Кино;Рок\n", "cp866"),
        ("Катюша;Кино;Рок\n", "koi8_r"),
        ("歌曲;歌手;流行\n", "gb18030"),
    ],
)
def test_other_encodings_are_not_taken_for_damaged_utf8(tmp_path: Path, text: str, encoding: str) -> None:
    reading = read_bytes(tmp_path, HEAD + text.encode(encoding) + ASCII, AUTO)
    assert reading.info.detected["encoding"] != "utf-8"
    assert reading.rejects == ()


def test_a_lone_word_in_utf8_makes_no_file_utf8(tmp_path: Path) -> None:
    content = "Canción;a;b\n".encode() + LONG + "Corazón;José;Niña\n".encode("cp1252") * 3
    reading = read_bytes(tmp_path, HEAD + content, AUTO)
    assert reading.info.detected["encoding"] == "cp1252"
    assert reading.values[-1] == ("Corazón", "José", "Niña")


@pytest.mark.parametrize(
    ("encoding", "content", "advice"),
    [
        ("utf-8", b"Canci\xf3n;a;b\n", "set options.encoding to the file's own, such as cp1252, or to auto"),
        ("cp1252", b"Canci\x81n;a;b\n", "set options.encoding to the file's own, or to auto"),
        ("cp1253", b"Canci\xd2n;a;b\n", "set options.encoding to the file's own, such as cp1252, or to auto"),
    ],
)
def test_the_advice_names_no_encoding_that_is_in_use(
    tmp_path: Path, encoding: str, content: bytes, advice: str
) -> None:
    (reject,) = read_bytes(tmp_path, HEAD + ASCII + content, {"encoding": encoding, "delimiter": ";"}).rejects
    assert reject.message == f"a byte does not decode as {encoding}; {advice}"


def test_a_declared_encoding_of_damaged_utf8_is_told(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, HEAD + SPANISH * 5 + b"Ni\xc3a;x;y\n", {"encoding": "cp1252", "delimiter": ";"})
    (notice,) = reading.notices
    assert (
        "most of the bytes above 0x7F are valid UTF-8, and some lines are damaged: set options.encoding to utf-8"
        in notice
    )
