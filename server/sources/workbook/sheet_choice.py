"""Which sheet is read, and where its header stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.core.texts import listed, quoted
from server.sources.csv.options import CsvOptions
from server.sources.workbook.book import Book, Sheet
from server.sources.workbook.cells import SheetRow

_LOOK_ROWS: Final = 50
_SHEETS_LOOKED_AT_MAX: Final = 30
_SHEETS_NAMED_MAX: Final = 5
_FIELD: Final = "options.sheet"


def chosen_sheet(book: Book, name: str, wanted: str | None) -> Sheet:
    """The sheet of that name, or else of that number; unset the first one that has cells.

    Raises:
        InvalidRequestError: INVALID_OPTION; there is none. SOURCE_MALFORMED; no sheet has cells.
    """
    if wanted is None:
        # Sheets that can be seen first: hidden ones hold what lists are chosen from.
        for sheet in sorted(book.sheets, key=lambda one: one.is_hidden):
            if next(iter(book.rows(sheet)), None) is not None:
                return sheet
        raise InvalidRequestError(
            Reason.SOURCE_MALFORMED, f"{quoted(name)} is {book.what} without any cell", field="sourceIdentifier"
        )
    for form in (str, str.casefold):
        found = [sheet for sheet in book.sheets if form(sheet.name) == form(wanted)]
        if len(found) == 1:
            return found[0]
    if wanted.isdecimal() and 1 <= int(wanted) <= len(book.sheets):
        return book.sheets[int(wanted) - 1]
    raise InvalidRequestError(
        Reason.INVALID_OPTION,
        f"{_FIELD}: {quoted(name)} has no sheet {quoted(wanted)}; it has {listed(sheet.name for sheet in book.sheets)}",
        field=_FIELD,
    )


def other_sheets(book: Book, read: Sheet) -> str:
    """The other sheets that have cells, in words, of the first 30 that there are; empty for none."""
    every = [sheet for sheet in book.sheets if sheet != read]
    filled = [sheet for sheet in every[:_SHEETS_LOOKED_AT_MAX] if book.has_cells(sheet)]
    names = [quoted(sheet.name) + " (hidden)" * sheet.is_hidden for sheet in filled[:_SHEETS_NAMED_MAX]]
    rest = len(filled) - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest else "")


def first_rows(book: Book, sheet: Sheet, options: CsvOptions) -> list[SheetRow]:
    """The first rows with a value behind those that are left out above the header."""
    rows = (row for row in book.rows(sheet) if row.number > options.preamble_lines)
    return list(islice(rows, _LOOK_ROWS))


def check_title(rows: Sequence[SheetRow], name: str, sheet: Sheet, options: CsvOptions) -> None:
    """Refuse a header of one cell above rows of several: it is a title.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED, with the option that reads it.
    """
    if not options.has_header or len(rows) < 2 or _filled(rows[0]) != 1:
        return
    usual, _count = Counter(map(_filled, rows[1:])).most_common(1)[0]
    header = next((row for row in rows if _filled(row) >= max(2, usual)), None)
    if usual < 2 or header is None:
        return
    above = header.number - 1
    raise InvalidRequestError(
        Reason.SOURCE_MALFORMED,
        f"{quoted(name)}: row {rows[0].number} of the sheet {quoted(sheet.name)} has one filled cell and the rows below it have "
        f"{usual}, so it is a title and no header; set options.preambleLines to {above} (--preamble-lines {above})",
        field="options.preambleLines",
    )


def _filled(row: SheetRow) -> int:
    return sum(cell is not None and cell.strip() != "" for cell in row.cells)
