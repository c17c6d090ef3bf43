"""Understands a delimiter as people write it where they cannot type it: in words, or as an escape."""

from __future__ import annotations

import re
from typing import Final

_TAB: Final = re.compile(
    r"""(?:\\+t | \\+0?11 | \^i | %09 | \&(?:tab|\#x?0*9); | (?:u\+|0x|\\+x)0*9 | cha?r\(0*9\)   # escapes
      | [<{\[(]?tab(?:s|ulator|ulador|ulaci[oó]n|ulation)?[>}\])]?)                                # words
    """,
    re.VERBOSE | re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"""\$?(['"])(.*)\1""", re.DOTALL)
_BY_NUMBER: Final = re.compile(r"\\+(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))")


def understood_delimiter(text: str) -> str:
    r"""The delimiter that is meant: a tab for `\t`, `tab` and the like, a character for its number (`\x1f`, `\u00a6`)."""
    inside = _QUOTED.fullmatch(text)
    if _TAB.fullmatch(inside[2] if inside else text):
        return "\t"
    return _BY_NUMBER.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
