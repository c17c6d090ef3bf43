"""Where else the header of a workbook may stand: in other rows of its sheet, and in its other sheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from server.core.config import Settings
from server.core.errors import InvalidRequestError
from server.sources.csv.column_names import unique_names
from server.sources.csv.file_format import OpenStream
from server.sources.csv.options import CsvOptions
from server.sources.workbook.sheet_choice import chosen_sheet, first_rows
from server.sources.workbook.workbook_format import open_book

_SHEETS_MAX: Final = 10
_ROWS_MAX: Final = 20


def header_candidates(
    source: OpenStream, options: CsvOptions, settings: Settings
) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Changes of options with the columns that they bring, the sheet in use first.

    Raises:
        FatalError: the workbook is damaged.
    """
    book = open_book(source, settings)
    try:
        used = chosen_sheet(book, source.opened.name, options.sheet)
    except InvalidRequestError:
        used = None
    sheets = sorted(book.sheets, key=lambda one: (one != used, one.is_hidden))[:_SHEETS_MAX]
    from_top = options.model_copy(update={"preamble_lines": 0})
    for sheet in sheets:
        changes = {} if sheet == used else {"sheet": sheet.name}
        for row in first_rows(book, sheet, from_top)[:_ROWS_MAX]:
            names = [str(cell or "") for cell in row.cells]
            while names and not names[-1].strip():
                names.pop()
            yield {**changes, "preambleLines": row.number - 1, "hasHeader": True}, unique_names(names)
