"""Which old encoding a file has, by what its text looks like; and declared encodings that the bytes contradict."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.core.errors import InvalidRequestError
from tests.sources.csv.reading import Reading, read_bytes

AUTO = {"encoding": "auto", "delimiter": "auto"}
SPANISH = [
    ("Rebelión", "Joe Arroyo", "Salsa"),
    ("Llorarás", "Oscar D’León", "Salsa"),
    ("Corazón", "Maná", "Rock"),
    ("Niña Bonita", "Chino", "Pop"),
]
PORTUGUESE = [("Coração", "João", "Fado"), ("Você é linda", "Caetano", "MPB"), ("Não", "Simão", "Axé")]
FRENCH = [("L’été indien", "Joe Dassin", "Variété"), ("Forêt", "Noël", "Français"), ("Où vas-tu", "Zazie", "cœur")]
GERMAN = [("Für Elise", "Müller", "Klassik"), ("Über sieben Brücken", "Jürgen", "Schön"), ("Straße", "Größe", "x")]
WORLD = [("Mötley Crüe", "Björk", "Rock"), ("Sigur Rós", "Céline", "Pop"), ("Año", "Ñejo", "Señorita")]
POLISH = [("Żółć", "Kayah", "Pop"), ("Małgośka", "Maryla", "Pieśń"), ("Dziewczyna o perłowych włosach", "Ślązak", "x")]
CZECH = [("Příliš žluťoučký kůň", "Gott", "Pop"), ("Děti", "Zagorová", "Šanson"), ("Štědrý večer", "Čechomor", "x")]
TURKISH = [("Şımarık", "Tarkan", "Pop"), ("Gülümse", "Sezen", "Türkü"), ("Dağlar", "Barış", "Müzik")]
DAMAGED = "Canción".encode("cp1252")
ENGLISH = [("Rock—pop, “live”", "Beyoncé", "R&B"), ("Don’t stop", "Café Tacvba", "Rock")]


def read(folder: Path, rows: list[tuple[str, str, str]], encoding: str, line_break: str) -> Reading:
    lines = ["title;artist;genre", *(";".join(row) for row in rows), ""]
    return read_bytes(folder, line_break.join(lines).encode(encoding), AUTO)


@pytest.mark.parametrize("line_break", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize(
    ("rows", "encoding"),
    [
        *((rows, name) for rows in (SPANISH, PORTUGUESE, FRENCH, GERMAN, WORLD) for name in ("cp1252", "mac_roman")),
        *((rows, "cp850") for rows in (PORTUGUESE, GERMAN, WORLD)),
        *((rows, name) for rows in (POLISH, CZECH) for name in ("cp1250", "cp852")),
        (TURKISH, "cp1254"),
        (ENGLISH, "cp1252"),
    ],
)
def test_the_encoding_is_the_one_whose_words_make_sense(
    tmp_path: Path, rows: list[tuple[str, str, str]], encoding: str, line_break: str
) -> None:
    reading = read(tmp_path, rows, encoding, line_break)
    assert reading.values == rows
    assert reading.notices == ()


def test_mac_roman_is_called_by_its_name(tmp_path: Path) -> None:
    assert read(tmp_path, SPANISH, "mac_roman", "\r").info.detected["encoding"] == "mac-roman"


@pytest.mark.parametrize("rows", [[("Ñ", "x", "aña")], [("Jesteś", "Łzy", "x")]])
def test_a_doubtful_guess_says_how_to_settle_it(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    reading = read(tmp_path, rows, "cp1250", "\n") if "ś" in rows[0][0] else read(tmp_path, rows, "cp1252", "\n")
    name = reading.info.detected["encoding"]
    (notice,) = reading.notices
    assert f"the encoding {name} was guessed from few signs; set options.encoding to {name}" in notice


@pytest.mark.parametrize(
    "declared", ["cp1252", "latin-1", "cp850", "mac_roman", "cp1250", "iso-8859-15", "ascii", "gbk"]
)
def test_utf8_that_is_declared_otherwise_is_told(tmp_path: Path, declared: str) -> None:
    content = "title,artist,genre\nCanción,Maná,Rock\nNiño,Björk,Pop\nÁ,É,Í\n".encode()
    notices = read_bytes(tmp_path, b"x,y,z\n" * 60_000 + content, {"encoding": declared}).notices
    assert len(notices) == 1
    assert "the bytes above 0x7F are valid UTF-8: set options.encoding to utf-8" in notices[0]


# Where the letters of a short text become letters that another language has.
ALIKE = {
    *((language, "cp1252", "cp1250") for language in ("Spanish", "French", "Portuguese", "Swedish")),
    *((language, "mac_roman", "cp850") for language in ("Portuguese", "Swedish")),
}
LANGUAGES = {
    "Spanish": "Canción del mar,Maná\nNiño,José\nCANCIÓN,AÑO\n",
    "French": "Éléphant çà et là,Hélène\nNoël,Été\n",
    "German": "Grüße aus Österreich,Die Ärzte\n",
    "Portuguese": "Coração,Não São João\nVocê,Ação\n",
    "Polish": "Żółć gęślą jaźń,Łódź\n",
    "Swedish": "Från här,Björk\nÄlg,Å\n",
}


def can_be_written(text: str, encoding: str) -> bool:
    return "?" not in text.encode(encoding, "replace").decode(encoding)


@pytest.mark.parametrize(
    ("language", "written"),
    [
        (language, encoding)
        for language, text in LANGUAGES.items()
        for encoding in ("cp1252", "cp1250", "cp850", "cp852", "mac_roman")
        if can_be_written(text, encoding)
    ],
)
@pytest.mark.parametrize("declared", ["cp1252", "cp1250", "latin-1", "iso-8859-15", "cp850", "mac_roman"])
def test_a_declared_encoding_in_which_the_text_makes_no_sense_is_told(
    tmp_path: Path, language: str, written: str, declared: str
) -> None:
    content = ("title,artist\n" + LANGUAGES[language]).encode(written)
    reading = read_bytes(tmp_path, content, {"encoding": declared})
    told = [notice for notice in reading.notices if "as options.encoding says" in notice]
    text = "".join(",".join(row) + "\n" for row in reading.values)
    if told:
        right = told[0].split("set options.encoding to ")[1].split(" ")[0]
        assert text != LANGUAGES[language] == content.decode(right).removeprefix("title,artist\n")
    else:
        assert (text != LANGUAGES[language]) == ((language, written, declared) in ALIKE)


@pytest.mark.parametrize("declared", ["latin-1", "iso-8859-15", "iso-8859-2"])
def test_controls_where_cp1252_has_quotes_are_told(tmp_path: Path, declared: str) -> None:
    content = "title,artist\n“Don’t stop” – live,Maná\n".encode("cp1252")
    (notice,) = read_bytes(tmp_path, content, {"encoding": declared}).notices
    assert "4 control characters (U+0080 to U+009F) stand where cp1252 has quotes and dashes" in notice
    assert "set options.encoding to cp1252" in notice


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("cp1252", "Canción – “viva”,Maná\n"),
        ("latin-1", "Canción,Maná\n"),
        ("mac_roman", "Canción – “viva”,Maná\n"),
        ("cp850", "Canción,Maná\n"),
        ("cp1252", "plain,text\n"),
        ("cp1251", "Катюша,Кино\n"),
        ("gbk", "歌曲,艺术家\n"),
        ("cp1252", "x,Café"),
    ],
)
def test_a_declared_encoding_that_fits_is_not_spoken_of(tmp_path: Path, declared: str, text: str) -> None:
    assert read_bytes(tmp_path, ("title,artist\n" + text).encode(declared), {"encoding": declared}).notices == ()


def test_a_single_letter_at_the_end_of_the_file_is_not_taken_for_utf8(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, "title,artist\nx,Café".encode("cp1252"), {"encoding": "auto"})
    assert reading.values == [("x", "Café")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_declared_wide_encoding_that_reads_every_byte_is_text(tmp_path: Path, encoding: str) -> None:
    """The bytes alone look like binary data: many scripts make many control characters, and one value holds a NUL."""
    rows = [("Αθήνα", "1"), ("Ōsaka\0", "2"), ("קפה", "3"), ("قهوة", "4"), ("Մարիա", "5"), ("ɣeto", "6"), ("कॉफ़ी", "7")]
    content = "".join(f"{name};{price}\n" for name, price in [("имя", "цена"), *rows]).encode(encoding)
    assert read_bytes(tmp_path, content, {"encoding": encoding, "delimiter": ";"}).values == rows


@pytest.mark.parametrize("encoding", ["auto", "utf-8"])
@pytest.mark.parametrize(
    "text", ["c0§c1§c2\n\0§§", "título;año\n\0;\0\nb\0;1\n", "título\r\0\0\0", "标题;歌手\n\0;爱\n"]
)
def test_a_first_line_of_utf8_is_no_wide_text_whatever_nuls_follow(tmp_path: Path, text: str, encoding: str) -> None:
    options = {"encoding": encoding, "delimiter": "§" if "§" in text else ";"}
    assert read_bytes(tmp_path, text.encode(), options).info.detected["encoding"] == "utf-8"


def test_binary_data_is_none_whatever_wide_encoding_is_declared(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="binary data"):
        read_bytes(tmp_path, bytes(range(1, 255)) * 8, {"encoding": "utf-16-le"})


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([DAMAGED, b"x", "Canción".encode(), "Niñez".encode()], "the text is UTF-8 elsewhere"),
        ([b"x"] * 50 + ["Canción".encode(), "Niñez".encode(), DAMAGED], "the text is UTF-8 elsewhere"),
        ([DAMAGED, b"x", DAMAGED], "set options.encoding to the file's own, such as cp1252"),
    ],
)
def test_what_is_told_of_a_damaged_line_rests_on_the_file_and_not_on_where_blocks_end(
    tmp_path: Path, lines: list[bytes], told: str, block_bytes: int
) -> None:
    reading = read_bytes(tmp_path, b"\n".join([b"title", *lines, b""]), {}, csv_block_bytes=block_bytes)
    assert len(reading.rejects) == lines.count(DAMAGED)
    assert [reject.message for reject in reading.rejects if told not in reject.message] == []


FALSE_MARK = "\ufeff".encode() + "título,artista\nCanción,Maná\nNiño,José\n".encode("cp1252")


@pytest.mark.parametrize(("declared", "used"), [("cp1252", "cp1252"), ("latin-1", "iso8859-1"), ("auto", "cp1252")])
def test_a_mark_of_utf8_before_other_text_is_no_obstacle(tmp_path: Path, declared: str, used: str) -> None:
    reading = read_bytes(tmp_path, FALSE_MARK, {"encoding": declared})
    assert reading.info.columns == ("título", "artista")
    assert reading.values == [("Canción", "Maná"), ("Niño", "José")]
    assert (reading.info.detected["encoding"], reading.rejects) == (used, ())
    (notice,) = reading.notices
    assert f"begins with the mark of UTF-8, and what follows is none: it is read as {used}" in notice


def test_text_behind_a_false_mark_is_rejected_as_utf8_with_what_it_may_be(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, FALSE_MARK, {})
    assert len(reading.rejects) == 2
    assert "such as cp1252" in reading.rejects[0].message


@pytest.mark.parametrize("declared", ["cp1252", "auto", "utf-8"])
@pytest.mark.parametrize("text", ["título,artista\nNiño,José\n", "title,artist\nNiño,José\n", "title\nCanción\n"])
def test_a_mark_of_utf8_before_such_text_is_believed(tmp_path: Path, text: str, declared: str) -> None:
    content = text.encode("utf-8-sig") + b"bad \xf3\n" * ("," not in text)
    reading = read_bytes(tmp_path, content, {"encoding": declared})
    assert reading.info.detected["encoding"] == "utf-8"
    assert len(reading.rejects) == ("," not in text)
