"""What a file is by its first bytes, whatever it is called.

A kind is told only by what no CSV file begins with. Text is looked at once it is decoded: a page, XML and JSON begin
the same in every encoding. Songs called `<3`, `[Intro]` or `{Awesome}` are none of them.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.core.texts import quoted

# How much of a file's beginning is looked at.
LOOK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of content that is no CSV: what it is called, and what to do about it."""

    what: str
    next_step: str


_SAVE_AS: Final = "open it and save it as CSV"
_EXPORT: Final = "export its rows as CSV"
_UNPACK: Final = "unpack it and give the CSV file inside"
_DOWNLOAD: Final = (
    "fetch the CSV file itself: a page like this is often a login or an error that was saved in its place"
)

EXCEL: Final = Kind("an Excel workbook", _SAVE_AS)
OLD_EXCEL: Final = Kind("an Excel workbook of the old form (.xls) or another old Office file", _SAVE_AS)
LOCKED_EXCEL: Final = Kind("an Excel workbook with a password", "save it without one")
OPEN_DOCUMENT: Final = Kind("an OpenDocument file (such as an .ods spreadsheet)", _SAVE_AS)
NUMBERS: Final = Kind("an Apple Numbers document", "export it as CSV")
WORD: Final = Kind("a Word document", "save its table as CSV")
POWERPOINT: Final = Kind("a PowerPoint document", "save its table as CSV")
HTML: Final = Kind("an HTML page", _DOWNLOAD)
XML: Final = Kind("an XML document", _EXPORT)
JSON: Final = Kind("a JSON document", _EXPORT)
DRAWN: Final = Kind(
    "a table drawn with lines for a terminal or a page",
    "export it as CSV, with psql by \\copy ... with csv header, with mysql by --batch and options.delimiter tab",
)
PARQUET: Final = Kind("a Parquet file", _EXPORT)
BINARY: Final = Kind("binary data and no text", _EXPORT)

# What compressed streams are read as.
_COMPRESSIONS: Final = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
)
_PACKED_WORDS: Final = {"gzip": "a gzip file", "zstd": "a Zstandard file", "zip": "a zip archive"}
_MAGIC: Final = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLD_EXCEL),
    (b"\x09\x08\x10\x00\x00\x06", OLD_EXCEL),
    (b"\x09\x08\x08\x00\x00\x05", OLD_EXCEL),
    (b"\x09\x04\x06\x00", OLD_EXCEL),
    (b"\x09\x02\x06\x00", OLD_EXCEL),
    (b"%PDF-", Kind("a PDF document", "get the table as CSV from whoever made it")),
    (b"{\\rtf", Kind("an RTF document", "save its table as CSV")),
    (b"ARROW1\0\0", Kind("an Arrow file", _EXPORT)),
    (b"FEA1\0", Kind("a Feather file", _EXPORT)),
    (b"Obj\x01", Kind("an Avro file", _EXPORT)),
    (b"SQLite format 3\0", Kind("an SQLite database", _EXPORT)),
    (b"\0\x01\0\0Standard ", Kind("an Access database", _EXPORT)),
    (b"BZh", Kind("a bzip2 file", _UNPACK)),
    (b"\xfd7zXZ\0", Kind("an xz file", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", Kind("a RAR archive", _UNPACK)),
    (b"\x04\x22\x4d\x18", Kind("an LZ4 file", _UNPACK)),
    (b"\x89PNG\r\n\x1a\n", Kind("a PNG image", _EXPORT)),
    (b"\xff\xd8\xff", Kind("a JPEG image", _EXPORT)),
    (b"GIF87a", Kind("a GIF image", _EXPORT)),
    (b"GIF89a", Kind("a GIF image", _EXPORT)),
    (b"II*\0", Kind("a TIFF image", _EXPORT)),
    (b"MM\0*", Kind("a TIFF image", _EXPORT)),
    (b"\x7fELF", Kind("a program", _EXPORT)),
    (b"bplist00", Kind("a binary property list", _EXPORT)),
    (b"\0\x05\x16\x07", Kind("what macOS keeps beside a file (a name that begins with ._)", "give the file itself")),
    (b"version https://git-lfs.github.com/spec/", Kind("a pointer of Git LFS", "fetch the file with `git lfs pull`")),
)
_BZIP2: Final = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_NO_CONTROLS: Final = bytes(byte for byte in range(256) if byte >= 0x20 or byte in b"\0\t\n\v\f\r\x1a\x1b")
# Office keeps what it encrypts in a container of the old form, under this name.
_LOCKED: Final = "EncryptedPackage".encode("utf-16-le")
_TAR: Final = slice(257, 262)

_COMMENTS: Final = re.compile(r"(?:\s*<!--.*?-->)*\s*", re.DOTALL)
_HTML: Final = re.compile(r"<(?:!doctype\s+html|html|head|body|table|meta|script)(?=[\s>/])", re.IGNORECASE)
_XML: Final = re.compile(r"<\?xml[\s?]|<!doctype\s+[a-z_]", re.IGNORECASE)
# What is not closed goes on to the end: each byte is gone through once.
_XML_NOISE: Final = re.compile(r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)", re.DOTALL)
_TAG: Final = re.compile(r"<(/?)([A-Za-z_][\w:.-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(/?)>")
_JSON_BEGINNING: Final = re.compile(
    r"""\{\s*"(?:[^"\\\r\n]|\\.)*"\s*:          # an object of named values
      | \[\s*\{\s*(?:"(?:[^"\\\r\n]|\\.)*"\s*:|\}) # an array of them
      | \[\s*\[\s*["\d\[{tfn-]                  # an array of arrays
    """,
    re.VERBOSE,
)


def compression_of(head: bytes) -> str | None:
    """How content that begins with `head` is compressed: gzip, zstd or zip; None when it is none of them."""
    return next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)


def compression_by_content(name: str, compression: str, head: bytes) -> str:
    """How a file is compressed: what its bytes say wins over what its name says.

    Args:
        name: the file's.
        compression: what its name says.
        head: how it begins.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED; its name is that of a compressed file, and it is something else.
    """
    packed = compression_of(head)
    if packed is None and compression != "none":
        kind = binary_kind(head) or text_kind(head.decode("utf-8", "replace"), is_whole=len(head) < LOOK_BYTES)
        if kind is not None:
            raise refused(name, kind)
    return packed or compression


def binary_kind(head: bytes) -> Kind | None:
    """The kind of content that is no text in any encoding; None when it may be text."""
    packed = compression_of(head)
    if packed is not None:
        # A workbook is a zip archive too.
        workbook = " or a workbook" if packed == "zip" else ""
        return Kind(f"{_PACKED_WORDS[packed]}{workbook} inside of another archive", _UNPACK)
    for magic, kind in _MAGIC:
        if kind is OLD_EXCEL and head.startswith(magic) and _LOCKED in head:
            return LOCKED_EXCEL
        if head.startswith(magic) and (magic != b"BZh" or _BZIP2.match(head)):
            return kind
    if head[_TAR] == b"ustar":
        return Kind("a tar archive", _UNPACK)
    if head.startswith(b"RIFF") and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return Kind("an image, sound or film", _EXPORT)
    if head[:3] == b"ID3" and head[3:4] in (b"\2", b"\3", b"\4"):
        return Kind("an MP3 file", _EXPORT)
    if head[:3] == b"\0\0\0" and head[4:8] == b"ftyp":
        return Kind("a film or sound file (MP4)", _EXPORT)
    if head.startswith(b"PAR1") and _CONTROL.search(head, 4, 16):
        return PARQUET
    return None


def looks_binary(head: bytes) -> bool:
    """Whether these bytes are no text: they begin with NUL, or control characters of many kinds stand in the first line.

    Single NULs and control characters stand in good files too, and some are used as delimiters.
    """
    if head.startswith(b"\0"):
        return True
    first_line = re.split(rb"[\r\n]", head.lstrip(b"\r\n"), maxsplit=1)[0]
    controls = head.translate(None, _NO_CONTROLS)
    try:
        codecs.utf_8_decode(head, "strict", False)
    except UnicodeDecodeError:
        is_rich = len(set(controls)) >= 5 and len(controls) > 0.03 * len(head)
        return is_rich and _CONTROL.search(first_line) is not None
    return False


# MySQL draws `+----+` above the names, psql `----+----` below them, Markdown `|---|---|`. A ruler whose pieces stand between
# delimiters is a record that sqlcmd writes into what is CSV otherwise.
_DRAWN: Final = re.compile(
    r"\+(?:[-=]{3,}\+){1,200}[ \t]*\r?\n"
    r"|[^\n]{0,4000}\|[^\n]{0,4000}\n[ \t]*-{2,}(?:\+-{2,}){1,200}[ \t]*\r?\n"
    r"|\|[^\n]{0,4000}\|[ \t]*\r?\n\|(?:[ \t]*:?-{3,}:?[ \t]*\|){1,200}[ \t]*\r?\n"
)


def text_kind(text: str, *, is_whole: bool) -> Kind | None:
    """What a text is when it is a page, XML or JSON; None when it may be CSV.

    Args:
        text: how the content begins, decoded.
        is_whole: whether the content ends there.
    """
    begun = text.lstrip("\ufeff \t\r\n\v\f\xa0\u200b")
    if _DRAWN.match(begun):
        return DRAWN
    if begun.startswith("<"):
        behind = begun[_end_of(_COMMENTS, begun) :]
        if _HTML.match(behind):
            return HTML
        if _XML.match(begun):
            root = _TAG.search(begun)
            is_page = root is not None and root[2].lower() == "html"
            return HTML if is_page else XML
        return XML if _is_xml(behind, is_whole=is_whole) else None
    return JSON if begun[:1] in ("{", "[") and _is_json(begun, is_whole=is_whole) else None


def _end_of(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return 0 if found is None else found.end()


def _is_xml(text: str, *, is_whole: bool) -> bool:
    """Whether a text without a declaration is one element with elements in it, closed in order as far as it goes."""
    plain = _XML_NOISE.sub("", text)
    stack: list[str] = []
    closed = end = 0
    for tag in _TAG.finditer(plain):
        if not stack and end:
            return False
        if tag[1]:
            if not stack or stack.pop() != tag[2]:
                return False
            closed += 1
        elif tag[4]:
            closed += 1
        else:
            stack.append(tag[2])
        end = tag.end()
    if is_whole:
        return not stack and closed > 0 and not plain[end:].strip() and plain.startswith("<")
    return bool(stack) and closed > 1


def _is_json(text: str, *, is_whole: bool) -> bool:
    """Whether a text begins with a JSON value that is no field of a record: nothing follows it in its line."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except RecursionError:
        return True
    except ValueError:
        return _JSON_BEGINNING.match(text) is not None
    line, _, following = text[end:].replace("\r", "\n").partition("\n")
    if line.strip() not in ("", ","):
        return False
    if isinstance(value, dict) or any(isinstance(one, dict | list) for one in value):
        return True
    following = following.lstrip()
    return len(value) > 1 and (following.startswith("[") or (is_whole and not following))


def refused(name: str, kind: Kind, *, inside: bool = False) -> InvalidRequestError:
    """The refusal of a file that is no CSV.

    Args:
        name: the file's.
        inside: whether the content was unpacked from that file.
    """
    verb = "holds" if inside else "is"
    return InvalidRequestError(
        Reason.SOURCE_MALFORMED,
        f"{quoted(name)} {verb} {kind.what}, not a CSV file; {kind.next_step}",
        field="sourceIdentifier",
    )
