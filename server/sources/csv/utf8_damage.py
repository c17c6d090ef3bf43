"""Whether text is UTF-8 of which a few lines are damaged, rather than text in another encoding.

Bytes above 0x7F stand in runs between ASCII characters. In another encoding a run is hardly ever a whole character of UTF-8,
and never one that people write; so a text in which most runs are is UTF-8, and the others are damage: a character that was
cut, or lines of another file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

_RUN: Final = re.compile(rb"[\x80-\xff]+")
# A character that the end of a piece cuts.
_CUT: Final = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")
# Enough to see what most of them are.
RUNS_MAX: Final = 2000
# Letters of Latin script, quotes, dashes and signs of money: what one character between ASCII letters is in a text.
# `’é` in Mac Roman is a character of UTF-8 too, but none of these.
_USUAL: Final = re.compile("[\u00a0-\u017f\u2010-\u2044\u20ac\u2122]+")


@dataclass(frozen=True, slots=True)
class Utf8Signs:
    """How many runs of bytes above 0x7F are UTF-8.

    Args:
        whole: runs that are.
        telling: those of them that are hardly so by chance: usual characters, or several.
        broken: runs that are not.
    """

    whole: int = 0
    telling: int = 0
    broken: int = 0

    @property
    def is_utf8(self) -> bool:
        """Whether the text is UTF-8, be it with damaged lines."""
        return self.telling > 0 and self.whole >= self.broken

    @property
    def is_damaged_utf8(self) -> bool:
        """Whether the text is UTF-8 with damaged lines."""
        return self.broken > 0 and self.is_utf8

    @property
    def is_clear(self) -> bool:
        """Whether so many runs are UTF-8 that a person who says otherwise is to be told."""
        return self.telling > 1 and self.whole >= 2 * self.broken


def utf8_signs(text: bytes) -> Utf8Signs:
    """What the first runs of a piece of a file show; a character that the end of the piece cuts is not counted."""
    return _counted(match[0] for match in islice(_RUN.finditer(_CUT.sub(b"", text)), RUNS_MAX))


def _counted(runs: Iterable[bytes]) -> Utf8Signs:
    whole = telling = broken = 0
    for run in runs:
        try:
            text = run.decode("utf-8")
        except UnicodeDecodeError:
            broken += 1
            continue
        whole += 1
        telling += len(text) > 1 or _USUAL.fullmatch(text) is not None
    return Utf8Signs(whole, telling, broken)
