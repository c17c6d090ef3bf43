"""Excel workbooks (.xlsx, .xlsm): sheets, shared texts, number formats (ECMA-376)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from server.core.config import Settings
from server.core.errors import FatalError
from server.sources.workbook.archive import Archive
from server.sources.workbook.book import Sheet
from server.sources.workbook.cells import SheetRow, has_value, moment_kind
from server.sources.workbook.xlsx_rows import XlsxRows, unescaped

_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
# A quarter of a megabyte of a sheet.
_LOOK_PIECES: Final = 4
_ID: Final = re.compile(r"(?:^|:)id$")


class _Structure:
    """Sheets and dates of the workbook part."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, bool]] = []
        self.from_1904 = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sheet":
            relation = next((value for key, value in attributes.items() if _ID.search(key)), "")
            hidden = attributes.get("state", "visible") != "visible"
            self.sheets.append((attributes.get("name", ""), relation, hidden))
        elif name == "workbookPr":
            self.from_1904 = attributes.get("date1904", "0") in ("1", "true", "on")

    def end(self, name: str) -> None:
        """Nothing to do."""

    def data(self, text: str) -> None:
        """Nothing to do."""


class _Relations(_Structure):
    """Id -> kind and target."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: dict[str, tuple[str, str]] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            kind = attributes.get("Type", "").rpartition("/")[2]
            target = attributes.get("Target", "")
            path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
            self.targets[attributes.get("Id", "")] = (kind, path)


class _Styles(_Structure):
    """What each cell format shows."""

    def __init__(self) -> None:
        super().__init__()
        self._codes: dict[int, str] = {}
        self._formats: list[int] = []
        self._inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "cellXfs":
            self._inside = True
        elif name == "numFmt" and attributes.get("numFmtId", "").isdigit():
            self._codes[int(attributes["numFmtId"])] = attributes.get("formatCode", "")
        elif name == "xf" and self._inside:
            given = attributes.get("numFmtId", "0")
            self._formats.append(int(given) if given.isdigit() else 0)

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._inside = False

    def kinds(self) -> list[str | None]:
        """Per cell format: see `moment_kind`."""
        return [moment_kind(number, self._codes.get(number)) for number in self._formats]


class _Texts(_Structure):
    """The texts that cells share, bounded."""

    def __init__(self, archive: Archive, chars_max: int) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._archive = archive
        self._left = chars_max
        self._parts: list[str] = []
        self._is_text = False
        self._phonetic = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "si":
            self._parts = []
        elif name == "rPh":
            self._phonetic = True
        self._is_text = name == "t" and not self._phonetic

    def data(self, text: str) -> None:
        if self._is_text:
            self._left -= len(text)
            if self._left < 0:
                raise self._archive.malformed(
                    "with more text than TECHAURA_SYNC_WORKBOOK_TEXT_CHARS_MAX allows: split it, or save it as CSV"
                )
            self._parts.append(text)

    def end(self, name: str) -> None:
        self._is_text = False
        if name == "rPh":
            self._phonetic = False
        elif name == "si":
            self.texts.append(unescaped("".join(self._parts)))
            self._left -= 1


class XlsxBook:
    """An opened Excel workbook.

    Raises:
        FatalError: SOURCE_MALFORMED.
    """

    def __init__(self, archive: Archive, settings: Settings) -> None:
        self.what = archive.what
        self._archive = archive
        self._settings = settings
        if archive.has("xl/workbook.bin"):
            raise archive.malformed("in binary form (.xlsb): save it as .xlsx")
        structure, relations = _Structure(), _Relations()
        archive.walk(_WORKBOOK, structure)
        archive.walk(_RELATIONS, relations)
        self._from_1904 = structure.from_1904
        self.sheets = tuple(
            Sheet(name, hidden, relations.targets[relation][1])
            for name, relation, hidden in structure.sheets
            if relation in relations.targets and relations.targets[relation][0] == "worksheet"
        )
        parts = {kind: path for kind, path in relations.targets.values() if archive.has(path)}
        styles = _Styles()
        if "styles" in parts:
            archive.walk(parts["styles"], styles)
        self._kinds = styles.kinds()
        shared = _Texts(archive, settings.workbook_text_chars_max)
        if "sharedStrings" in parts:
            archive.walk(parts["sharedStrings"], shared)
        self._texts = shared.texts

    def rows(self, sheet: Sheet) -> Iterator[SheetRow]:
        """Rows that have a value, in order."""
        handler = XlsxRows(self._texts, self._kinds, self._settings, from_1904=self._from_1904)
        for _piece in self._archive.pieces(sheet.path, handler):
            yield from handler.taken()

    def has_cells(self, sheet: Sheet) -> bool:
        """Whether a sheet has a value, as far as is seen at its beginning: no more of it is unpacked."""
        handler = XlsxRows(self._texts, self._kinds, self._settings, from_1904=self._from_1904)
        pieces = islice(self._archive.pieces(sheet.path, handler), _LOOK_PIECES)
        try:
            return any(has_value(row) for _piece in pieces for row in handler.taken())
        except FatalError:
            # The sheet that is read may be whole.
            return False

    def progress(self, size_bytes: int) -> int:
        """How much of a file of that size has been read."""
        return self._archive.progress(size_bytes)
