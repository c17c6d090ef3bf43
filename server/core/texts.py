r"""Names and texts from outside, as a person is to read them: what cannot be seen is escaped, what is a name is quoted.

An escape is Python's and JSON's: `\x1b`, `\u200b`. Invisible is what has category Cc, Cf, Cs, Co, Cn, Zl or Zp in
Unicode: controls, byte order marks, zero-width spaces, marks of direction.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

NAMES_LISTED_MAX: Final = 20
_NAME_CHARS_MAX: Final = 64
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# They belong to a letter or a picture before them and change neither the word nor how it is compared.
_SELECTORS: Final = frozenset({"\u034f", *map(chr, range(0xFE00, 0xFE10))})


def visible(name: str) -> str:
    """The name without invisible formatting: what two names that look alike have in common."""
    if name.isascii():
        return name
    return "".join(char for char in name if unicodedata.category(char) != "Cf" and char not in _SELECTORS)


def folded(name: str) -> str:
    """The name without case, accents, invisible characters, white space and underscores; may be empty."""
    if name.isascii():
        return "".join(name.casefold().replace("_", "").split())
    decomposed = unicodedata.normalize("NFKD", visible(name))
    kept = (char for char in decomposed if not unicodedata.combining(char) and char != "_" and not char.isspace())
    return "".join(kept).casefold()


def escaped(text: str) -> str:
    """A sentence that may hold text from outside, fit for a terminal or a log; line feeds stay."""
    if text.isprintable():
        return text
    return "".join(_escape(char) for char in text)


def quoted(name: str) -> str:
    """One name from outside, in quotes, escaped, cut at 64 characters."""
    return repr(name if len(name) <= _NAME_CHARS_MAX else name[:_NAME_CHARS_MAX] + "…")


def listed(names: Iterable[str], *, names_max: int = NAMES_LISTED_MAX) -> str:
    """Names for a message, each quoted: 20 of them, or `names_max`; `none` without any."""
    every = tuple(names)
    text = ", ".join(map(quoted, every[:names_max])) or "none"
    rest = len(every) - names_max
    return f"{text} and {rest} more" if rest > 0 else text


def _escape(char: str) -> str:
    if char == "\n" or unicodedata.category(char) not in _INVISIBLE:
        return char
    return repr(char)[1:-1]
