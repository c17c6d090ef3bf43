"""Finds a column by the name that a person wrote: exactly, then without case, then without accents and spacing.

The position of a column never counts. A name that fits several columns equally well is an error, never a guess.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

NAMES_LISTED_MAX: Final = 20
_NAME_CHARS_MAX: Final = 64


class AmbiguousNameError(Exception):
    """A name that fits more than one column.

    Args:
        matches: the columns that it fits.
    """

    def __init__(self, matches: tuple[str, ...]) -> None:
        super().__init__("a column name fits more than one column")
        self.matches = matches


def folded(name: str) -> str:
    """The name without case, accents, white space and underscores; may be empty."""
    decomposed = unicodedata.normalize("NFKD", name)
    kept = (char for char in decomposed if not unicodedata.combining(char) and char != "_" and not char.isspace())
    return "".join(kept).casefold()


def find_column(name: str, columns: Iterable[str]) -> str | None:
    """The column that a name means, or None.

    Raises:
        AmbiguousNameError: the closest comparison that fits at all fits several columns.
    """
    there_are = tuple(columns)
    if name in there_are:
        return name
    comparisons: tuple[Callable[[str], str], ...] = (str.casefold, folded)
    for form in comparisons:
        wanted = form(name)
        matches = tuple(column for column in there_are if form(column) == wanted)
        if len(matches) > 1 and wanted:
            raise AmbiguousNameError(matches)
        if matches and wanted:
            return matches[0]
    return None


def listed(names: Iterable[str]) -> str:
    """Names for a message: quoted by commas, at most 20 of them, each cut at 64 characters."""
    every = tuple(names)
    shown = [name if len(name) <= _NAME_CHARS_MAX else name[:_NAME_CHARS_MAX] + "…" for name in every]
    text = ", ".join(shown[:NAMES_LISTED_MAX]) or "none"
    rest = len(every) - NAMES_LISTED_MAX
    return f"{text} and {rest} more" if rest > 0 else text
