r"""Damage that a text has taken before it came here, and what the text was before, as far as that can be told.

| damage | such as |
|---|---|
| decoded twice | `CanciÃ³n` |
| HTML entities | `Rock &amp; Roll`, `Canci&oacute;n` |
| lost characters | `Canci\ufffdn`, `Canci?n` |
| unseen characters | a zero-width space, an accent that is a character of its own |

The patterns are read by Polars and by Python alike.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

# UTF-8 of two or three bytes whose bytes were read as characters of Windows-1252 or Latin-1.
_FOLLOWING: Final = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
TWICE_DECODED: Final = f"[\u00c2-\u00df][{_FOLLOWING}]|[\u00e0-\u00ef][{_FOLLOWING}][{_FOLLOWING}]"
ENTITY: Final = "&(?:[A-Za-z][A-Za-z0-9]{1,24}|#[0-9]{2,6}|#[xX][0-9A-Fa-f]{2,5});"
# What stands for a character that was lost; a question mark between letters, of which the second is a small one: `Who?Me` is none.
REPLACED: Final = "\ufffd"
ASKED: Final = "[A-Za-z\u00c0-\u024f][?][a-z]"
# Soft hyphen, zero-width space, word joiner, byte order mark: what joins or turns letters of some scripts is not among
# them.
_INVISIBLE: Final = "[\u00ad\u200b\u2060\ufeff]"
# These, and an accent behind its letter.
UNSEEN: Final = f"{_INVISIBLE}|[A-Za-z][\u0300-\u036f]"

_SIGN: Final = re.compile(f"{TWICE_DECODED}|{ENTITY}|{REPLACED}|{ASKED}|{UNSEEN}")
# Windows-1252's characters at the places where Latin-1 has controls; it leaves five of these places empty.
_PLACES: Final = {ord(char): at for at in range(0x80, 0xA0) for char in bytes([at]).decode("cp1252", "ignore")}
# As few characters tell texts apart.
_TELLING_CHARS_MIN: Final = 3


def is_damaged(text: str) -> bool:
    """Whether a text shows a sign of damage."""
    return _SIGN.search(text) is not None


def decoded_once(text: str) -> str | None:
    """A text that was decoded twice as it was after the first time; None when it has no way back."""
    try:
        return text.translate(_PLACES).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None


def undamaged(text: str) -> str:
    """What a text and its damaged forms have in common: letters and digits of ASCII without case where there are enough.

    Each damage spares them. A text with hardly any, such as one in another script, is compared as it was before, so that
    one of its forms with lost characters is not found.
    """
    plain = html.unescape(text) if "&" in text else text
    plain = decoded_once(plain) or plain
    plain = unicodedata.normalize("NFC", re.sub(_INVISIBLE, "", plain)).casefold()
    telling = "".join(char for char in plain if char.isascii() and char.isalnum())
    return telling if len(telling) >= _TELLING_CHARS_MIN else plain
