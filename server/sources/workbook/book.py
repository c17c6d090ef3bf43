"""A workbook, whatever its format: its sheets, and their rows one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from server.sources.workbook.cells import SheetRow


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet.

    Args:
        name: as its tab shows it.
        is_hidden: whether the program hides it.
        path: its part of the archive, where it has one of its own.
    """

    name: str
    is_hidden: bool
    path: str = ""


class Book(Protocol):
    """An opened workbook."""

    @property
    def what(self) -> str:
        """What it is called, such as an Excel workbook."""
        ...

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """In the order of their tabs."""
        ...

    def rows(self, sheet: Sheet) -> Iterator[SheetRow]:
        """Rows that have a value, in order.

        Raises:
            FatalError: SOURCE_MALFORMED.
        """
        ...

    def has_cells(self, sheet: Sheet) -> bool:
        """Whether a sheet has a value, as far as is seen at its beginning; a damaged one has none."""
        ...

    def progress(self, size_bytes: int) -> int:
        """How much of a file of that size has been read."""
        ...
