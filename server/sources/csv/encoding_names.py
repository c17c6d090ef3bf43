"""Encodings by the names that office programs and databases give them, beside those that Python's codecs know."""

from __future__ import annotations

import difflib
import re
from typing import Final

from server.sources.csv.encodings import canonical_encoding

# A mark at the beginning wins over the option anyway, so that saying it has one changes nothing.
_MARK_WORDS: Final = re.compile(r"\b(?:with(?:out)?|mit|ohne|con|sin|avec|sans|no|bom|sig|signature)\b")
_WORDS: Final = re.compile(r"[a-z]+|\d+")
_CODE_PAGE: Final = re.compile(r"(?:ms|win|windows|cp|code page|codepage|ibm|dos|oem)? ?(\d{3,5})")
_OTHER_NAMES: Final = {
    "utf 8 mb 4": "utf-8",
    "utf 8 mb 3": "utf-8",
    "iso latin 1": "iso8859-1",
    "iso 88591": "iso8859-1",
    "mac": "mac-roman",
    "mac os": "mac-roman",
    "mac os roman": "mac-roman",
    "western mac os roman": "mac-roman",
}
# Names that stand for another encoding in each region, or for several.
_REGIONAL: Final = (
    "stands for another encoding in each region: cp1252 in Western Europe and the Americas, cp1250 in Central Europe, cp1251 for "
    "Cyrillic; name it, or set auto"
)
_DOS: Final = (
    "stands for another encoding in each region: cp850 in Western Europe, cp437 in the United States, cp852 in Central Europe; "
    "name it, or set auto"
)
_AMBIGUOUS: Final = {
    "unicode": "stands for several encodings: utf-16 is what Windows calls so, utf-8 what is usual; name it, or set auto",
    "ansi": _REGIONAL,
    "windows": _REGIONAL,
    "win": _REGIONAL,
    "excel": _REGIONAL,
    "western": _REGIONAL,
    "latin": _REGIONAL,
    "dos": _DOS,
    "oem": _DOS,
}
_USUAL: Final = (
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1250",
    "cp1251",
    "cp1252",
    "cp850",
    "latin-1",
)


def encoding_of_name(name: str) -> str:
    """The canonical name of an encoding that a person has named.

    Raises:
        LookupError: it is unknown; the text says what may be meant.
    """
    try:
        return canonical_encoding(name)
    except LookupError:
        pass
    words = " ".join(_WORDS.findall(_MARK_WORDS.sub(" ", " ".join(_WORDS.findall(name.lower())))))
    page = _CODE_PAGE.fullmatch(words)
    for meant in (_OTHER_NAMES.get(words), f"cp{page[1]}" if page else None, words):
        try:
            if meant:
                return canonical_encoding(meant)
        except LookupError:
            continue
    raise LookupError(_suggestion(words))


def _suggestion(words: str) -> str:
    for word in words.split():
        if word in _AMBIGUOUS:
            return f"{word} {_AMBIGUOUS[word]}"
    near = difflib.get_close_matches(words.replace(" ", "-"), _USUAL, n=1)
    hint = f"did you mean {near[0]}?" if near else f"usual are {', '.join(_USUAL)}; auto finds it out"
    return f"names no text encoding that can be read; {hint}"
