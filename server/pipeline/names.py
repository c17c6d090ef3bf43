"""Finds a column by the name that a person wrote: exactly, then as it looks, without case, without accents and spacing.

What cannot be seen never counts: a zero-width space or a byte order mark in a name changes nothing but the exact match.
The position of a column never counts. A name that fits several columns equally well is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from server.core.texts import folded, visible


class AmbiguousNameError(Exception):
    """A name that fits more than one column.

    Args:
        matches: the columns that it fits.
    """

    def __init__(self, matches: tuple[str, ...]) -> None:
        super().__init__("a column name fits more than one column")
        self.matches = matches


def find_column(name: str, columns: Iterable[str]) -> str | None:
    """The column that a name means, or None.

    Raises:
        AmbiguousNameError: the closest comparison that fits at all fits several columns.
    """
    there_are = tuple(columns)
    if name in there_are:
        return name
    comparisons: tuple[Callable[[str], str], ...] = (visible, _lower, folded)
    for form in comparisons:
        wanted = form(name)
        matches = tuple(column for column in there_are if form(column) == wanted)
        if len(matches) > 1 and wanted:
            raise AmbiguousNameError(matches)
        if matches and wanted:
            return matches[0]
    return None


def _lower(name: str) -> str:
    return visible(name).casefold()
