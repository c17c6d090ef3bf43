"""Bytes to UTF-8: which encodings can be read, which one a file has, and where a byte stands in the original.

Structure (delimiters, quotes, line breaks) is found on the *original* bytes wherever the encoding leaves ASCII bytes
alone, so that offsets need no translation; only UTF-16 and UTF-32 are turned into UTF-8 first. Nothing is ever
replaced: what does not decode stays recognisable as invalid UTF-8, and its record is rejected.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from charset_normalizer import from_bytes

# Longest first: the mark of UTF-32-LE begins with that of UTF-16-LE.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MARK_BYTES_MAX: Final = 4

_UNIT_BYTES: Final = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
# Without a mark these mean little-endian: that is what the spreadsheets that leave the mark out write.
_WITHOUT_MARK: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8", "ascii": "ascii"}
# Multi-byte encodings whose later bytes are digits (gb18030) or above 0x3F, so that `,` `;` tab and `"` mean themselves.
_MULTI_BYTE: Final = frozenset(
    {"gb2312", "gbk", "gb18030", "big5", "big5hkscs", "cp932", "cp949", "cp950", "shift_jis", "euc_jp", "euc_kr"}
)
# Text codecs of Python that are ways to write text in ASCII rather than encodings of files.
_NOT_CHARACTER_SETS: Final = frozenset({"unicode-escape", "raw-unicode-escape", "idna", "punycode"})
_HIGH_UNIT: Final = 0xD800
_LOW_UNIT: Final = 0xDC00
_CODE_POINT_MAX: Final = 0x10FFFF

_WESTERN: Final = "cp1252"
# What files are really written in; the detector knows many more, and takes a short text for the oddest of them.
_LIKELY: Final = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("cp437", "cp850", "cp852", "cp866", "koi8_r", "koi8_u", "mac_roman", "mac_cyrillic"),
    *("cp932", "euc_jp", "cp949", "gb18030", "big5"),
)
# Matches that differ by less are equally likely.
_CHAOS_TOLERANCE: Final = 0.05
_COHERENCE_TOLERANCE: Final = 0.1
_CONFIDENCE_OF_EQUALS: Final = 0.7
_SYMBOL_IN_WORD: Final = re.compile(
    r"(?<=[^\W\d_])[^\w\s\x00-\x7f\u2010-\u2019](?=[^\W\d_])|(?<=[^\W\d_])[\xb2\xb3\xb9](?=[^\W\d_])"
)

Offsets = npt.NDArray[np.int64]


def canonical_encoding(name: str) -> str:
    """The one name under which this module knows an encoding.

    Raises:
        LookupError: it is unknown, or no encoding in which a CSV file can be read.
    """
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError) as error:
        raise LookupError(name) from error
    if found in _UNIT_BYTES or found in _WITHOUT_MARK or found == "utf-8" or found in _MULTI_BYTE:
        return found
    if _is_ascii_superset(found):
        return found
    raise LookupError(name)


def may_be_trail_byte(code: int) -> bool:
    """Whether an ASCII character's byte can be part of another character in an encoding of `_MULTI_BYTE`."""
    return 0x30 <= code <= 0x39 or code >= 0x40


def _is_ascii_superset(name: str) -> bool:
    """Whether each byte is one character at the most, and the ASCII bytes are themselves."""
    if name in _NOT_CHARACTER_SETS:
        return False
    try:
        low = bytes(range(128)).decode(name)
        high = bytes(range(128, 256)).decode(name, "replace")
    except (LookupError, ValueError, TypeError):
        # A codec of bytes to bytes (base64, zlib) or one that Python refuses for text.
        return False
    return low == "".join(map(chr, range(128))) and len(high) == 128


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of one file.

    Args:
        name: canonical name.
        mark_bytes: length of the byte order mark.
        confidence: 0 to 1; 1 when it was declared or marked.
        how: declared, mark, or detected.
    """

    name: str
    mark_bytes: int = 0
    confidence: float = 1.0
    how: str = "declared"

    @property
    def unit_bytes(self) -> int:
        """Bytes of a code unit: 1, 2 or 4."""
        return _UNIT_BYTES.get(self.name, 1)

    @property
    def working_name(self) -> str:
        """Encoding of the bytes that `to_working` makes, in which structure is looked for."""
        return "utf-8" if self.unit_bytes > 1 else self.name

    @property
    def tells_ascii_apart(self) -> bool:
        """Whether an ASCII byte is never part of another character."""
        return self.name not in _MULTI_BYTE or self.name.startswith("euc_")

    def to_working(self, raw: bytes, at_end: bool) -> bytes:
        """The bytes in which structure is looked for; an incomplete character at the end waits for the next read.

        What does not decode becomes bytes that are no UTF-8 either: a lone surrogate, or 0xFF for half a unit.
        """
        if self.unit_bytes == 1:
            return raw
        whole = len(raw) - len(raw) % self.unit_bytes
        rest = b"\xff" if at_end and whole < len(raw) else b""
        units = _readable_units(raw[:whole], self.name)
        if not at_end and self.unit_bytes == 2 and units.size and units[-1] & 0xFC00 == _HIGH_UNIT:
            units = units[:-1]
        text = units.tobytes().decode(f"utf-{8 * self.unit_bytes}-le", "surrogatepass")
        return text.encode("utf-8", "surrogatepass") + rest

    def raw_offsets(self, working: bytes, offsets: Offsets) -> Offsets:
        """Where offsets into `to_working(raw)` stand in `raw`."""
        if self.unit_bytes == 1:
            return offsets
        data = np.frombuffer(working, np.uint8)
        # Each byte that begins a character is a unit, and a character of four bytes is two units of UTF-16.
        units = offsets - np.searchsorted(np.flatnonzero((data & 0xC0) == 0x80), offsets)
        if self.unit_bytes == 2:
            units += np.searchsorted(np.flatnonzero((data >= 0xF0) & (data < 0xFF)), offsets)
        return units * self.unit_bytes

    def encode(self, text: str) -> bytes:
        """A dialect's character in working bytes.

        Raises:
            UnicodeEncodeError: the encoding cannot write it.
        """
        return text.encode(self.working_name)

    def show(self, working: bytes) -> str:
        """Working bytes as text for a person; what does not decode is shown by its number."""
        return working.decode(self.working_name, "backslashreplace")


def _readable_units(raw: bytes, name: str) -> npt.NDArray[np.unsignedinteger]:
    """Code units in little-endian order; a UTF-32 unit that is no code point becomes a lone surrogate."""
    order = "<" if name.endswith("le") else ">"
    if name.startswith("utf-16"):
        return np.frombuffer(raw, f"{order}u2").astype("<u2", copy=False)
    units = np.frombuffer(raw, f"{order}u4").astype("<u4", copy=False)
    if units.size and int(units.max()) > _CODE_POINT_MAX:
        units = np.where(units > _CODE_POINT_MAX, np.uint32(_LOW_UNIT), units).astype("<u4", copy=False)
    return units


def declared_encoding(head: bytes, declared: str) -> Encoding:
    """The encoding of a file that begins with `head`, when the options declare one. A byte order mark wins."""
    marked = marked_encoding(head)
    if marked is not None:
        return marked
    return Encoding(_WITHOUT_MARK.get(declared, declared))


def marked_encoding(head: bytes) -> Encoding | None:
    """What the byte order mark says, or None when there is none."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, len(mark), how="mark")
    return None


def detected_encoding(head: bytes, sample: bytes) -> Encoding:
    """The likeliest encoding of a file without a mark.

    UTF-16 and UTF-32 are told by where their zero bytes stand, UTF-8 by being valid (text in another encoding
    that is valid UTF-8 by chance is very rare), the rest by charset-normalizer.

    Args:
        head: how the file begins.
        sample: lines of it that hold bytes which are not ASCII, if there are any.
    """
    wide = _wide_encoding(head)
    if wide is not None:
        return wide
    try:
        codecs.utf_8_decode(sample, "strict", False)
    except UnicodeDecodeError:
        pass
    else:
        return Encoding("utf-8", confidence=1.0 if not sample.isascii() else 0.9, how="detected")
    return _legacy_encoding(sample)


def _legacy_encoding(sample: bytes) -> Encoding:
    """The likeliest one of the older encodings.

    charset-normalizer often finds several that read well and differ in a letter (`ñ` in cp1252 is `ń` in cp1250). Of such
    equals the Western European one is taken, with less confidence, because most such files are.
    """
    matches = list(from_bytes(sample, cp_isolation=list(_LIKELY)))
    if matches:
        best = matches[0]
        equals = [
            match
            for match in matches
            if match.chaos <= best.chaos + _CHAOS_TOLERANCE and match.coherence >= best.coherence - _COHERENCE_TOLERANCE
        ]
        western = next((match for match in equals if _WESTERN in match.could_be_from_charset), None)
        name = best.encoding if western is None else _WESTERN
        doubt = 1.0 if len({str(match) for match in equals}) == 1 else _CONFIDENCE_OF_EQUALS
        confidence = round(max(0.0, 1.0 - (western or best).chaos) * doubt, 3)
        return Encoding(canonical_encoding(name), confidence=confidence, how="detected")
    return min(
        (Encoding(name, confidence=0.3, how="detected") for name in (_WESTERN, "cp1250")),
        key=lambda encoding: _symbols_inside_words(sample, encoding.name),
    )


def _symbols_inside_words(sample: bytes, name: str) -> int:
    """How often text in a wrong encoding shows: a symbol such as the superscript three between two letters."""
    return len(_SYMBOL_IN_WORD.findall(sample.decode(name, "replace")))


def _wide_encoding(sample: bytes) -> Encoding | None:
    """UTF-16 or UTF-32 when the sample's zero bytes stand where those of mostly Latin text would."""
    data = np.frombuffer(sample[: len(sample) - len(sample) % 4], np.uint8)
    if data.size < 8:
        return None
    zero = (data.reshape(-1, 4) == 0).mean(axis=0)
    if zero[2] > 0.9 and zero[3] > 0.9 and zero[0] < 0.5:
        return Encoding("utf-32-le", confidence=round(float(min(zero[2:])), 3), how="detected")
    if zero[0] > 0.9 and zero[1] > 0.9 and zero[3] < 0.5:
        return Encoding("utf-32-be", confidence=round(float(min(zero[:2])), 3), how="detected")
    even, odd = float(zero[[0, 2]].mean()), float(zero[[1, 3]].mean())
    if odd > 0.5 and even < 0.2:
        return Encoding("utf-16-le", confidence=round(odd, 3), how="detected")
    if even > 0.5 and odd < 0.2:
        return Encoding("utf-16-be", confidence=round(even, 3), how="detected")
    return None
