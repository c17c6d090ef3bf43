"""OpenDocument spreadsheets (.ods): all sheets stand in one part, and repeated cells and rows are written once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from server.core.config import Settings
from server.sources.workbook.archive import Archive
from server.sources.workbook.book import Sheet
from server.sources.workbook.cells import NO_VALUE, Cell, Fault, SheetRow, clock_text, number_of

_CONTENT: Final = "content.xml"
_MANIFEST: Final = "META-INF/manifest.xml"
_MANIFEST_BYTES: Final = 1024 * 1024
_COLUMNS_MAX: Final = 16_384
_DURATION: Final = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d+))?S)?")
_ZEROS: Final = re.compile(r"\.(\d*?)0+$")
_ERROR_TEXT: Final = re.compile(r"Err:\d+|#[A-Z][A-Z0-9/]*[!?]?")
_CELLS: Final = frozenset({"table:table-cell", "table:covered-table-cell"})
_VALUE_TYPE: Final = "office:value-type"
_NUMBERS: Final = frozenset({"float", "percentage", "currency"})


class OdsBook:
    """An opened spreadsheet.

    Raises:
        FatalError: SOURCE_MALFORMED.
    """

    def __init__(self, archive: Archive, settings: Settings) -> None:
        self.what = archive.what
        self._archive = archive
        self._settings = settings
        if archive.has(_MANIFEST) and b"encryption-data" in archive.text_of(_MANIFEST, _MANIFEST_BYTES):
            raise archive.malformed("with a password: save it without one")
        tables = _Tables()
        archive.walk(_CONTENT, tables, keep_prefixes=True)
        self._filled = tables.filled
        self.sheets = tuple(Sheet(name, name in tables.hidden) for name in tables.names)

    def has_cells(self, sheet: Sheet) -> bool:
        """Whether a sheet has a value."""
        return sheet.name in self._filled

    def rows(self, sheet: Sheet) -> Iterator[SheetRow]:
        """Rows that have a value, in order."""
        handler = OdsRows(sheet.name, self._settings)
        for _piece in self._archive.pieces(_CONTENT, handler, keep_prefixes=True):
            yield from handler.taken()
            if handler.is_over:
                return

    def progress(self, size_bytes: int) -> int:
        """How much of a file of that size has been read."""
        return self._archive.progress(size_bytes)


class _Tables:
    """Names of the sheets, which of them have cells, and which are hidden."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.filled: set[str] = set()
        self.hidden: set[str] = set()
        self._hidden_styles: set[str] = set()
        self._style = ""
        self._depth = self._notes = 0
        self._is_in_cell = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "style:style":
            self._style = attributes.get("style:name", "")
        elif name == "style:table-properties" and attributes.get("table:display") == "false":
            self._hidden_styles.add(self._style)
        elif name == "table:table":
            self._depth += 1
            if self._depth == 1:
                sheet = attributes.get("table:name", "")
                self.names.append(sheet)
                if attributes.get("table:style-name", "") in self._hidden_styles:
                    self.hidden.add(sheet)

        elif self._depth != 1:
            return
        elif name in _CELLS:
            self._is_in_cell = True
            if attributes.get(_VALUE_TYPE, "string") != "string":
                self.filled.add(self.names[-1])
        elif name == "office:annotation":
            self._notes += 1
        elif name == "text:p" and self._is_in_cell and not self._notes:
            self.filled.add(self.names[-1])

    def end(self, name: str) -> None:
        if name == "table:table":
            self._depth -= 1
        elif name in _CELLS:
            self._is_in_cell = False
        elif name == "office:annotation":
            self._notes -= 1

    def data(self, text: str) -> None:
        """Nothing to do."""


class OdsRows:
    """Collects the rows of one sheet that have a value."""

    def __init__(self, sheet: str, settings: Settings) -> None:
        self.is_over = False
        self._sheet = sheet
        self._chars_max = settings.csv_record_bytes_max
        self._rows: list[SheetRow] = []
        self._active = self._is_text = self._is_hidden = False
        self._depth = self._notes = self._paragraphs = self._chars = 0
        self._number, self._row_repeat = 0, 1
        self._cells: list[Cell] = []
        self._width = 0
        self._attributes: dict[str, str] = {}
        self._parts: list[str] = []

    def taken(self) -> list[SheetRow]:
        """The rows that are whole, once."""
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "table:table":
            self._depth += 1
            if self._depth == 1:
                self._active = not self.is_over and attributes.get("table:name", "") == self._sheet
        if not self._active or self._depth > 1:
            return
        if name == "table:table-row":
            self._row_repeat = _count(attributes.get("table:number-rows-repeated"))
            self._is_hidden = attributes.get("table:visibility", "visible") != "visible"
            self._cells, self._width = [], 0
        elif name in _CELLS:
            self._attributes, self._parts, self._paragraphs, self._chars = attributes, [], 0, 0
        elif name == "office:annotation":
            self._notes += 1
        elif name == "text:p" and not self._notes:
            self._paragraphs += 1
            self._is_text = True
            if self._paragraphs > 1:
                self._parts.append("\n")
        elif name == "text:s":
            self.data(" " * min(_count(attributes.get("text:c")), self._chars_max))
        elif name in {"text:tab", "text:line-break"}:
            self.data("\t" if name == "text:tab" else "\n")

    def data(self, text: str) -> None:
        """Text; what stands outside of paragraphs is layout."""
        if self._is_text and not self._notes:
            self._chars += len(text)
            if self._chars <= self._chars_max:
                self._parts.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "table:table":
            self._depth -= 1
            if not self._depth and self._active:
                self._active, self.is_over = False, True
        if not self._active or self._depth > 1:
            return
        if name == "office:annotation":
            self._notes -= 1
        elif name == "text:p" and not self._notes:
            self._is_text = False
        elif name in _CELLS:
            self._put(self._value(), _count(self._attributes.get("table:number-columns-repeated")))
        elif name == "table:table-row":
            if self._cells:
                self._rows.append(SheetRow(self._number + 1, tuple(self._cells), self._row_repeat, self._is_hidden))
            self._number += self._row_repeat

    def _put(self, cell: Cell, repeat: int) -> None:
        if cell is not None and self._width < _COLUMNS_MAX:
            self._cells.extend([None] * (self._width - len(self._cells)))
            self._cells.extend([cell] * min(repeat, _COLUMNS_MAX - self._width))
        self._width += repeat

    def _value(self) -> Cell:
        attributes, text = self._attributes, "".join(self._parts)
        kind = attributes.get(_VALUE_TYPE, "")
        if self._chars > self._chars_max:
            return Fault("more text than TECHAURA_SYNC_CSV_RECORD_BYTES_MAX allows")
        if attributes.get("calcext:value-type") == "error":
            return Fault(text or "an error")
        if "table:formula" in attributes and kind in {"", "string"} and _ERROR_TEXT.fullmatch(text):
            return Fault(text)
        if kind in _NUMBERS:
            return number_of(attributes.get("office:value", text))
        if kind == "date":
            return _ZEROS.sub(_fraction, attributes.get("office:date-value", text))
        if kind == "time":
            return _time_of(attributes.get("office:time-value", ""))
        if kind == "boolean":
            return attributes.get("office:boolean-value", text)
        if kind == "string":
            return attributes.get("office:string-value", text)
        return text or (Fault(NO_VALUE) if "table:formula" in attributes else None)


def _fraction(found: re.Match[str]) -> str:
    return f".{found[1]}" if found[1] else ""


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 1


def _time_of(text: str) -> Cell:
    found = _DURATION.fullmatch(text)
    if found is None:
        return Fault("a time that is none")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:4])
    ms = int((found[5] or "0")[:3].ljust(3, "0"))
    return clock_text((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + ms)
