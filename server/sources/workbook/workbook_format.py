"""Workbooks (.xlsx, .ods) as a file format: the rows of one sheet, read one after another and never all at once.

A record is a row that has a value; its number in rejects is the sheet's. A cell with an error, or with a formula whose
value is not stored, rejects its row. A checkpoint names the last row that was read; going on passes over the rows before it.
"""

from __future__ import annotations

from typing import Final

from server.core.config import Settings
from server.core.errors import FatalError, InvalidRequestError
from server.core.reasons import Category, Reason
from server.core.texts import quoted
from server.sources.csv import column_names
from server.sources.csv.file_format import OpenStream, PlainBeginning, Table
from server.sources.csv.format_choice import KINDS
from server.sources.csv.options import CsvOptions
from server.sources.storage.workbook_kind import workbook_kind
from server.sources.workbook.archive import Archive
from server.sources.workbook.book import Book
from server.sources.workbook.cells import SheetRow
from server.sources.workbook.ods_book import OdsBook
from server.sources.workbook.sheet_choice import check_title, chosen_sheet, first_rows, other_sheets
from server.sources.workbook.sheet_reader import SheetReader
from server.sources.workbook.xlsx_book import XlsxBook

_HEAD_BYTES: Final = 8


def open_book(source: OpenStream, settings: Settings) -> Book:
    """The workbook that a file is.

    Raises:
        FatalError: SOURCE_MALFORMED.
    """
    opened = source.opened
    kind = workbook_kind(opened.descriptor, source.stream.read(0, _HEAD_BYTES))
    if kind is None:
        raise FatalError(
            Reason.SOURCE_MALFORMED,
            f"{quoted(opened.name)} is no workbook (.xlsx or .ods): set options.format to auto",
            category=Category.PARSING,
        )
    archive = Archive(opened.descriptor, opened.name, KINDS[kind].what, settings)
    return XlsxBook(archive, settings) if kind == "xlsx" else OdsBook(archive, settings)


def begin(source: OpenStream, options: CsvOptions, settings: Settings) -> Table:
    """Find the sheet, its header and columns.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED, INVALID_OPTION.
        FatalError: SOURCE_MALFORMED; the workbook is damaged, has a password, or is beyond the caps.
    """
    name = source.opened.name
    book = open_book(source, settings)
    sheet = chosen_sheet(book, name, options.sheet)
    rows = first_rows(book, sheet, options)
    check_title(rows, name, sheet, options)
    columns, header_row, start = _columns(rows, options)
    if len(columns) > settings.csv_columns_max:
        raise InvalidRequestError(
            Reason.SOURCE_MALFORMED,
            f"{quoted(name)} has {len(columns)} columns; at most {settings.csv_columns_max} are read "
            "(TECHAURA_SYNC_CSV_COLUMNS_MAX)",
            field="sourceIdentifier",
        )
    detected = {
        "sheet": sheet.name,
        "sheets": [one.name for one in book.sheets],
        "columns": len(columns),
        "preambleLines": options.preamble_lines,
    }
    if header_row:
        detected |= {"header": list(columns), "headerLine": header_row}
    reader = SheetReader(sheet, columns, options, settings, open_book)
    others = other_sheets(book, sheet) if options.sheet is None else ""
    notices: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    if others:
        doubts = (f"{quoted(name)} has other sheets with cells ({others}), and options.sheet names none",)
        notice = (
            f"{quoted(name)}: the sheet {quoted(sheet.name)} was read; other sheets have cells too: {others}; set options.sheet "
            "to the one that is meant (--sheet)"
        )
        notices = (notice,)
    return Table(PlainBeginning(columns, start, start + 1, detected, notices, doubts), reader.read_block)


def _columns(rows: list[SheetRow], options: CsvOptions) -> tuple[tuple[str, ...], int, int]:
    """The columns, the row of the header (0 without one), and the last row before the records."""
    width = max((len(row.cells) for row in rows), default=0)
    if not options.has_header:
        return column_names.positional_names(width), 0, options.preamble_lines
    # Several rows of a header stand below each other, whether they have a value or not.
    first = rows[0].number if rows else options.preamble_lines
    last = first + options.header_lines - 1
    header = [row for row in rows if row.number <= last]
    width = max((len(row.cells) for row in header), default=0)
    names = [
        " ".join(
            str(cell) for row in header for cell in row.cells[index : index + 1] if cell is not None and cell.strip()
        )
        for index in range(width)
    ]
    while names and not names[-1].strip():
        names.pop()
    return column_names.unique_names(names), first, last
