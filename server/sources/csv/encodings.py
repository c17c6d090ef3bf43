"""Bytes to UTF-8: which encodings can be read, and where a byte stands in the original.

Structure (delimiters, quotes, line breaks) is found on the *original* bytes wherever the encoding leaves ASCII bytes
alone, so that offsets need no translation; only UTF-16 and UTF-32 are turned into UTF-8 first. Nothing is ever
replaced: what does not decode stays recognisable as invalid UTF-8, and its record is rejected.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_UNIT_BYTES: Final = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
# Without a mark these mean little-endian: that is what the spreadsheets that leave the mark out write.
WITHOUT_MARK: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8", "ascii": "ascii"}
# Multi-byte encodings whose later bytes are digits (gb18030) or above 0x3F, so that `,` `;` tab and `"` mean themselves.
_MULTI_BYTE: Final = frozenset(
    {"gb2312", "gbk", "gb18030", "big5", "big5hkscs", "cp932", "cp949", "cp950", "shift_jis", "euc_jp", "euc_kr"}
)
# Text codecs of Python that are ways to write text in ASCII rather than encodings of files.
_NOT_CHARACTER_SETS: Final = frozenset({"unicode-escape", "raw-unicode-escape", "idna", "punycode"})
_HIGH_UNIT: Final = 0xD800
_LOW_UNIT: Final = 0xDC00
_CODE_POINT_MAX: Final = 0x10FFFF

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
    if found in _UNIT_BYTES or found in WITHOUT_MARK or found == "utf-8" or found in _MULTI_BYTE:
        return found
    if _is_ascii_superset(found):
        return found
    raise LookupError(name)


def is_multi_byte(name: str) -> bool:
    """Whether an encoding writes some characters in several bytes, and is none of Unicode's."""
    return name in _MULTI_BYTE


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
        is_seen: whether the file's own bytes show it, though it is declared.
    """

    name: str
    mark_bytes: int = 0
    confidence: float = 1.0
    how: str = "declared"
    is_seen: bool = False

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
