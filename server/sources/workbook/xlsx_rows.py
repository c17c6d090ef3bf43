"""The rows of one sheet of an Excel workbook, as its XML is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from server.core.config import Settings
from server.sources.workbook.cells import NO_VALUE, Cell, Fault, SheetRow, moment_of, number_of

_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TRUE: Final = frozenset({"1", "true", "on"})
# As many columns as a sheet can have.
_COLUMNS_MAX: Final = 16_384
_TEXT_TYPES: Final = frozenset({"str", "inlineStr"})
_TOO_LONG: Final = "more text than TECHAURA_SYNC_CSV_RECORD_BYTES_MAX allows"


def unescaped(text: str) -> str:
    """A text whose characters that XML cannot hold are written as _x000D_."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


class XlsxRows:
    """Collects rows that have a value."""

    def __init__(
        self, texts: Sequence[str], kinds: Sequence[str | None], settings: Settings, *, from_1904: bool
    ) -> None:
        self._texts = texts
        self._kinds = kinds
        self._chars_max = settings.csv_record_bytes_max
        self._from_1904 = from_1904
        self._rows: list[SheetRow] = []
        self._row = 0
        self._cells: list[Cell] = []
        self._column = -1
        self._type = self._style = ""
        self._parts: list[str] = []
        self._chars = 0
        self._has_value = self._has_formula = self._is_text = self._phonetic = self._is_hidden = False

    def taken(self) -> list[SheetRow]:
        """The rows that are whole, once."""
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "c":
            self._column = _column_of(attributes.get("r", ""), self._column + 1)
            self._type, self._style = attributes.get("t", "n"), attributes.get("s", "0")
            self._parts, self._chars = [], 0
            self._has_value = self._has_formula = False
        elif name == "v" or (name == "t" and not self._phonetic):
            self._has_value = self._is_text = True
        elif name == "f":
            self._has_formula = True
        elif name == "rPh":
            self._phonetic = True
        elif name == "row":
            given = attributes.get("r", "")
            self._row = int(given) if given.isdigit() else self._row + 1
            self._cells, self._column = [], -1
            self._is_hidden = attributes.get("hidden") in _TRUE

    def data(self, text: str) -> None:
        """Text."""
        if self._is_text:
            self._chars += len(text)
            if self._chars <= self._chars_max:
                self._parts.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        if name in {"v", "t"}:
            self._is_text = False
        elif name == "c":
            if self._has_value or self._has_formula:
                self._put(self._value())
        elif name == "rPh":
            self._phonetic = False
        elif name == "row" and self._cells:
            self._rows.append(SheetRow(self._row, tuple(self._cells), is_hidden=self._is_hidden))
            self._cells = []

    def _put(self, cell: Cell) -> None:
        if cell is None or not 0 <= self._column < _COLUMNS_MAX:
            return
        missing = self._column - len(self._cells)
        if missing >= 0:
            self._cells.extend([None] * missing)
            self._cells.append(cell)
        else:
            self._cells[self._column] = cell

    def _value(self) -> Cell:
        text, kind = "".join(self._parts), self._type
        if self._chars > self._chars_max:
            return Fault(_TOO_LONG)
        # A formula whose text is empty is stored as an empty text; one of any other type with nothing in it was never worked out.
        if not self._has_value or (self._has_formula and not text and kind not in _TEXT_TYPES):
            return Fault(NO_VALUE)
        if kind == "s":
            index = int(text) if text.strip().isdigit() else -1
            return self._texts[index] if 0 <= index < len(self._texts) else Fault("a text that the workbook lacks")
        if kind == "e":
            return Fault(text)
        if kind == "b":
            return "true" if text.strip() == "1" else "false"
        if kind in _TEXT_TYPES:
            return unescaped(text)
        if kind == "d":
            return text
        if not text:
            return None
        moment = self._moment_kind()
        return number_of(text) if moment is None else moment_of(text, moment, from_1904=self._from_1904)

    def _moment_kind(self) -> str | None:
        style = int(self._style) if self._style.isdigit() else 0
        return self._kinds[style] if style < len(self._kinds) else None


def _column_of(reference: str, following: int) -> int:
    """The column of a reference such as AB12, from 0; without one the following column."""
    column = 0
    for char in reference:
        if not "A" <= char <= "Z":
            break
        column = column * 26 + ord(char) - 64
    return column - 1 if column else following
