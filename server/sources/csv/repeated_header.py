"""Records that are the header once more, as files that were put together have them.

Names are compared as a mapping compares them: case, accents, white space and what cannot be seen do not count; only the first
value of such a record must be in a usual spelling, by which it is found among millions. The same names in another order mean
that the records behind stand in other columns, which no column of the file tells: such a file is not read on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.core.texts import folded

# Around names, beside white space: marks of byte order and of direction, and zero-width spaces.
_UNSEEN: Final = "\ufeff\u200b\u200e\u200f\u2060\u00a0 \t"
# Of a wide header the first names; a record that begins with another one is not found in another order.
_NAMES_SPELLED_MAX: Final = 100
_AROUND: Final = ("{}", " {}", "{} ", " {} ", "\ufeff{}", "\u200b{}", "\u00a0{}", "{}\u00a0", "{}\t")


class RepeatedHeader:
    """Finds the header among records.

    Args:
        header: the names as they stand in the file. One alone is never looked for: it may be a value.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self._names = tuple(map(folded, header))
        self._first = frozenset(map(_plain, header)) if len(header) > 1 else frozenset()
        self._spellings = list(dict.fromkeys(_spellings(header[:_NAMES_SPELLED_MAX])))
        self._is_told_apart = len(set(self._names)) == len(self._names) and all(self._names)

    def candidates(self, first_column: pl.Series) -> list[int]:
        """The rows, from 0, whose first value is one of the names, in a spelling that people and programs use.

        Looked for as they may stand there: to change each value first would take a tenth of the time of reading.
        """
        if not self._first:
            return []
        return first_column.is_in(self._spellings).arg_true().to_list()

    def may_be(self, first_value: str | None) -> bool:
        """The same for one value."""
        return first_value is not None and bool(self._first) and _plain(first_value) in self._first

    def is_repeated_by(self, record: Sequence[str | None], line: int) -> bool:
        """Whether a record is the header once more.

        Args:
            line: where it stands, from 1.

        Raises:
            FatalError: SOURCE_MALFORMED; it is, with its columns in another order.
        """
        names = tuple(folded(value or "") for value in record)
        if names == self._names:
            return True
        if self._is_told_apart and sorted(names) == sorted(self._names):
            raise FatalError(
                Reason.SOURCE_MALFORMED,
                f"line {line} repeats the header with its columns in another order: files were put together whose columns differ, so "
                "what follows would go to the wrong columns; sync each of them as a file of its own",
                category=Category.PARSING,
            )
        return False


def _plain(name: str) -> str:
    return name.strip(_UNSEEN).lower()


def _spellings(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        bare = name.strip(_UNSEEN)
        yield name
        for form in (bare, bare.lower(), bare.upper(), bare.capitalize(), bare.title()):
            for around in _AROUND:
                yield around.format(form)
