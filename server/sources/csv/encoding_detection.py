"""Which encoding a file has: by its mark, by where its zero bytes stand, by being valid UTF-8, by what its text looks like."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from charset_normalizer import CharsetMatch, from_bytes

from server.sources.csv.encodings import WITHOUT_MARK, Encoding, canonical_encoding, is_multi_byte
from server.sources.csv.latin_text import faults_of, is_latin
from server.sources.csv.utf8_damage import utf8_signs

# Longest first: the mark of UTF-32-LE begins with that of UTF-16-LE.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MARK_BYTES_MAX: Final = 4
EQUALS_MAX: Final = 3
_WESTERN: Final = "cp1252"
# Latin script, the usual one first: of those that read equally well the first one wins.
_LATIN: Final = ("cp1252", "cp1250", "mac_roman", "cp850", "cp852", "cp437", "cp1254", "cp1257")
_LATIN_NAMES: Final = frozenset(
    map(canonical_encoding, (*_LATIN, *(f"iso8859-{part}" for part in (1, 2, 3, 4, 9, 10, 13, 14, 15, 16)), "cp858"))
)
# Faults per character beyond ASCII, and characters at least, by which a declared encoding is contradicted.
_FAULTS_OF_SENSE_MAX: Final = 0.1
_FAULTS_OF_NONSENSE_MIN: Final = 0.2
_SENSE_COUNT_MIN: Final = 2
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
# Of UTF-8 with damaged lines, where most lines show it and where few do.
_CONFIDENCE_OF_DAMAGED: Final = 0.95
_CONFIDENCE_OF_FEW: Final = 0.6
# Faults of a text, per character beyond ASCII: two encodings this close are equals, and a text with more makes no sense.
_ASIDE_MAX: Final = 0.02
_SENSE_MIN: Final = 0.5
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_CONTROLS_OF_LATIN1: Final = re.compile("[\x80-\x9f]")
# A first line of printable UTF-8 without a NUL: no text of two or four bytes a character, whatever NULs its values hold.
_FIRST_LINE: Final = re.compile(rb"([\t\x20-\x7e\x80-\xff]+)[\r\n]")
_STRUCTURE: Final = frozenset("\n\r,;\t|")


def declared_encoding(head: bytes, declared: str) -> Encoding:
    """The encoding of a file that begins with `head`, when the options declare one. A byte order mark wins."""
    marked = marked_encoding(head)
    if marked is not None:
        return marked
    return Encoding(WITHOUT_MARK.get(declared, declared))


def marked_encoding(head: bytes) -> Encoding | None:
    """What the byte order mark says, or None when there is none."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, len(mark), how="mark")
    return None


def detected_encoding(head: bytes, sample: bytes) -> Encoding:
    """The likeliest encoding of a file without a mark.

    UTF-16 and UTF-32 are told by where their zero bytes stand, UTF-8 by being valid, wholly or for the most part (text
    in another encoding that is valid UTF-8 by chance is very rare), Latin script by what reads best, the rest by
    charset-normalizer.

    Args:
        head: how the file begins.
        sample: lines of it that hold bytes which are not ASCII, if there are any.
    """
    wide = wide_encoding(head)
    if wide is not None:
        return wide
    if is_utf8(sample):
        return Encoding("utf-8", confidence=1.0 if not sample.isascii() else 0.9, how="detected")
    signs = utf8_signs(sample)
    if signs.is_damaged_utf8:
        confidence = _CONFIDENCE_OF_DAMAGED if signs.is_clear else _CONFIDENCE_OF_FEW
        return Encoding("utf-8", confidence=confidence, how="detected")
    latin = _latin_encoding(sample) if is_latin(sample) else None
    return latin or _legacy_encoding(sample)


def is_utf8(sample: bytes) -> bool:
    """Whether a piece of a file is valid UTF-8; the character at its end may be cut off."""
    try:
        _, used = codecs.utf_8_decode(sample, "strict", False)
    except UnicodeDecodeError:
        return False
    # A last byte that begins a character is a cut one only in a text that has shown whole ones.
    return used == len(sample) or not sample[:used].isascii()


def better_encoding(sample: bytes, declared: str) -> tuple[str, str] | None:
    """The encoding that fits better than a declared one of one byte a character, and what shows it; None without a sign.

    Args:
        sample: a piece of the file that begins with a line.
        declared: canonical name.
    """
    if sample.isascii():
        return None
    if is_utf8(sample) and len(_NOT_ASCII.findall(sample)) >= (8 if is_multi_byte(declared) else 2):
        return "utf-8", "the bytes above 0x7F are valid UTF-8"
    signs = utf8_signs(sample)
    if signs.is_damaged_utf8 and signs.is_clear and not is_multi_byte(declared):
        return "utf-8", "most of the bytes above 0x7F are valid UTF-8, and some lines are damaged"
    sensible = _more_sensible(sample, declared)
    if sensible in (None, _WESTERN) and (found := _with_quotes_for_controls(sample, declared)):
        return found
    if sensible is None:
        return None
    return sensible, f"letters become symbols or letters of another language in it, and words in {sensible}"


def _with_quotes_for_controls(sample: bytes, declared: str) -> tuple[str, str] | None:
    controls = _CONTROLS_OF_LATIN1.findall(sample.decode(declared, "ignore"))
    if not controls or declared == _WESTERN:
        return None
    fitting = sample.decode(_WESTERN, "ignore")
    if _CONTROLS_OF_LATIN1.search(fitting) or faults_of(fitting) >= len(controls):
        return None
    return _WESTERN, f"{len(controls)} control characters (U+0080 to U+009F) stand where cp1252 has quotes and dashes"


def _more_sensible(sample: bytes, declared: str) -> str | None:
    """The encoding of Latin script in which a text makes sense that makes hardly any in the declared one; None without one."""
    count = len(_NOT_ASCII.findall(sample))
    if declared not in _LATIN_NAMES or count < _SENSE_COUNT_MIN:
        return None
    ranked = _Ranked.of(sample)
    makes_sense = ranked.faults[ranked.best] <= _FAULTS_OF_SENSE_MAX * count
    text = sample.decode(declared, "replace")
    is_senseless = faults_of(text) + 2 * text.count("\ufffd") > _FAULTS_OF_NONSENSE_MIN * count
    return canonical_encoding(ranked.best) if makes_sense and is_senseless else None


def likely_encodings(head: bytes, sample: bytes) -> tuple[Encoding, tuple[str, ...]]:
    """The encoding of a file without a mark as `detected_encoding` finds it, and others in which it makes as much sense.

    Args:
        head, sample: see `detected_encoding`.

    Returns:
        With fewer than EQUALS_MAX other names; no two encodings give the same text.
    """
    found = detected_encoding(head, sample)
    if found.name == "utf-8" or found.unit_bytes > 1:
        return found, ()
    if found.name in map(canonical_encoding, _LATIN):
        ranked = _Ranked.of(sample)
        texts = [(ranked.texts[name], name) for name in ranked.equals]
    else:
        texts = [(str(match), match.encoding) for match in _equal_matches(sample)]
    names: dict[str, str] = {sample.decode(found.name, "replace"): found.name}
    for text, name in texts:
        names.setdefault(text, canonical_encoding(name))
    return found, tuple(names.values())[1:EQUALS_MAX]


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Encodings of Latin script by how much sense a sample makes in them.

    Args:
        texts: encoding -> text.
        faults: encoding -> what speaks against it.
        best: that with the fewest faults, the usual one of equals.
        equals: others that give another text with hardly more faults, best first.
    """

    texts: dict[str, str]
    faults: dict[str, float]
    best: str
    equals: tuple[str, ...]

    @classmethod
    def of(cls, sample: bytes) -> _Ranked:
        texts = {name: sample.decode(name, "replace") for name in _LATIN}
        faults = {name: round(faults_of(text) + 2 * text.count("\ufffd"), 3) for name, text in texts.items()}
        best = min(_LATIN, key=lambda name: faults[name])
        margin = max(_ASIDE_MAX * len(_NOT_ASCII.findall(sample)), 0.01)
        equals = [name for name in _LATIN if faults[name] <= faults[best] + margin and texts[name] != texts[best]]
        return cls(texts, faults, best, tuple(sorted(equals, key=lambda name: faults[name])))


def _latin_encoding(sample: bytes) -> Encoding | None:
    """The encoding in which a text in Latin script makes most sense; of equals the usual one, with less confidence.

    Returns:
        None when it makes little sense in all of them, as the bytes of other scripts do.
    """
    ranked = _Ranked.of(sample)
    count = len(_NOT_ASCII.findall(sample))
    if ranked.faults[ranked.best] > _SENSE_MIN * count:
        return None
    doubt = _CONFIDENCE_OF_EQUALS if ranked.equals else 1.0
    confidence = round(max(0.1, 1.0 - ranked.faults[ranked.best] / (2 * count)) * doubt, 3)
    return Encoding(canonical_encoding(ranked.best), confidence=confidence, how="detected")


def _legacy_encoding(sample: bytes) -> Encoding:
    """The likeliest one of the older encodings, of any script.

    charset-normalizer often finds several that read well and differ in a letter (`ñ` in cp1252 is `ń` in cp1250). Of such
    equals the Western European one is taken, with less confidence, because most such files are.
    """
    equals = _equal_matches(sample)
    if equals:
        best = equals[0]
        western = next((match for match in equals if _WESTERN in match.could_be_from_charset), None)
        name = best.encoding if western is None else _WESTERN
        doubt = 1.0 if len({str(match) for match in equals}) == 1 else _CONFIDENCE_OF_EQUALS
        confidence = round(max(0.0, 1.0 - (western or best).chaos) * doubt, 3)
        return Encoding(canonical_encoding(name), confidence=confidence, how="detected")
    return min(
        (Encoding(name, confidence=0.3, how="detected") for name in (_WESTERN, "cp1250")),
        key=lambda encoding: faults_of(sample.decode(encoding.name, "replace")),
    )


def _equal_matches(sample: bytes) -> list[CharsetMatch]:
    """What charset-normalizer finds, the best one and those that read as well; empty for nothing."""
    matches = list(from_bytes(sample, cp_isolation=list(_LIKELY)))
    return [
        match
        for match in matches
        if match.chaos <= matches[0].chaos + _CHAOS_TOLERANCE
        and match.coherence >= matches[0].coherence - _COHERENCE_TOLERANCE
    ]


def wide_encoding(sample: bytes) -> Encoding | None:
    """UTF-16 or UTF-32 when the sample's zero bytes stand where those of such text would."""
    data = np.frombuffer(sample[: len(sample) - len(sample) % 4], np.uint8)
    first_line = _FIRST_LINE.match(sample)
    if data.size < 8 or (first_line and is_utf8(first_line[1])):
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
    if odd > 0 and even == 0 and _reads_as_wide(sample, "utf-16-le"):
        return Encoding("utf-16-le", confidence=0.9, how="detected")
    if even > 0 and odd == 0 and _reads_as_wide(sample, "utf-16-be"):
        return Encoding("utf-16-be", confidence=0.9, how="detected")
    return None


def has_structure(text: str) -> bool:
    """Whether a text has a line break or one of the usual delimiters."""
    return not _STRUCTURE.isdisjoint(text)


def _reads_as_wide(sample: bytes, name: str) -> bool:
    """Whether text in another script than Latin is seen: ASCII only where lines and fields are divided, or nearly so.

    Text of one byte a character that holds NULs gives units that are two ASCII characters each.
    """
    whole = sample[: len(sample) - len(sample) % 2]
    try:
        text = codecs.getincrementaldecoder(name)("strict").decode(whole)
    except UnicodeDecodeError:
        return False
    pairs = sum(1 for at in range(0, len(whole), 2) if 0x20 <= whole[at] < 0x7F and 0x20 <= whole[at + 1] < 0x7F)
    return has_structure(text) and pairs < 0.4 * len(text) and "\0" not in text
