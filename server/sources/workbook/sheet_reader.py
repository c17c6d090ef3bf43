"""Reads blocks of rows of one sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Final

import polars as pl

from server.core.config import Settings
from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.core.reject_kinds import RejectKind
from server.core.texts import quoted
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject
from server.sources.csv.blocks import BlockStart, Limits
from server.sources.csv.file_format import FileBlock, OpenStream
from server.sources.csv.findings import Finding, Findings
from server.sources.csv.frame_block import FrameBlock, Records
from server.sources.csv.number_columns import number_columns, number_text
from server.sources.csv.options import CsvOptions
from server.sources.csv.repeated_header import RepeatedHeader
from server.sources.workbook.book import Book, Sheet
from server.sources.workbook.cells import NO_VALUE, Cell, Fault, Number, SheetRow, cell_name

# A double tells whole numbers of so many digits apart.
_EXACT_DIGITS: Final = 15


class _Rows:
    """The rows behind a place, and how far they are read."""

    def __init__(self, source: OpenStream, book: Book, sheet: Sheet, last_row: int) -> None:
        self.source = source
        self.book = book
        self.last_row = last_row
        self._rows = _behind(book.rows(sheet), last_row)
        self._next = next(self._rows, None)

    @property
    def is_over(self) -> bool:
        """Whether there is no row left."""
        return self._next is None

    def take(self) -> SheetRow | None:
        """The next row; None at the end."""
        row, self._next = self._next, None
        if row is not None:
            self.last_row = row.number
            self._next = next(self._rows, None)
        return row


def _behind(rows: Iterator[SheetRow], last_row: int) -> Iterator[SheetRow]:
    """Rows one by one that have a value and stand behind a row."""
    for row in rows:
        if row.number + row.repeat - 1 <= last_row or all(cell is None or not cell.strip() for cell in row.cells):
            continue
        skipped = max(0, last_row + 1 - row.number)
        for number in range(row.number + skipped, row.number + row.repeat):
            yield replace(row, number=number, repeat=1)


class SheetReader:
    """Reads blocks of one sheet, one after another; from another place on it begins anew and passes over what is before it.

    Args:
        sheet: its name and place.
        columns: as they are called.
        open_book: opens the workbook of a file.
    """

    def __init__(
        self,
        sheet: Sheet,
        columns: tuple[str, ...],
        options: CsvOptions,
        settings: Settings,
        open_book: Callable[[OpenStream, Settings], Book],
    ) -> None:
        self._sheet = sheet
        self._columns = columns
        self._numbers = [column in number_columns(options, columns) for column in columns]
        self._decimal = options.numbers.format.decimal
        self._settings = settings
        self._open_book = open_book
        self._rows: _Rows | None = None
        self._cells = 0

    def read_block(self, source: OpenStream, place: BlockStart, limits: Limits) -> FileBlock | None:
        """The rows behind a place; None at the end.

        Raises:
            FatalError: SOURCE_MALFORMED; the workbook is damaged, or has too many cells.
        """
        rows = self._rows
        if rows is None or rows.source is not source or rows.last_row != place.offset:
            rows = self._rows = _Rows(source, self._open_book(source, self._settings), self._sheet, place.offset)
            self._cells = 0
        before = rows.book.progress(source.stream.bytes_total)
        made = _Block(self._columns, self._numbers, place, self._decimal)
        while made.chars < limits.block_bytes and made.count < limits.batch_rows_max:
            row = rows.take()
            if row is None:
                break
            self._count(len(row.cells), source)
            made.add(row)
        if not made.count:
            return None
        after = source.stream.bytes_total if rows.is_over else rows.book.progress(source.stream.bytes_total)
        return made.block(limits, bytes_before=min(before, after), bytes_after=after)

    def _count(self, cells: int, source: OpenStream) -> None:
        self._cells += cells
        if self._cells > self._settings.workbook_cells_max:
            raise FatalError(
                Reason.SOURCE_MALFORMED,
                f"{quoted(source.opened.name)} has more cells than TECHAURA_SYNC_WORKBOOK_CELLS_MAX allows: split it, or save it "
                "as CSV",
                category=Category.PARSING,
            )


class _Block:
    """What the rows of a block become."""

    def __init__(self, columns: tuple[str, ...], numbers: list[bool], place: BlockStart, decimal: str) -> None:
        self._columns = columns
        self._numbers = numbers
        self._place = place
        self._decimal = decimal
        self.count = self.chars = 0
        self._last_row = place.offset
        self._rows: list[SheetRow] = []
        self._record_nos: list[int] = []
        self._rejects: list[tuple[int, Reject]] = []
        self._blanks = self._long_numbers = 0
        self._first_blank = self._first_long = self._first_hidden = self._hidden = 0
        self._long_example = ""
        self._header = RepeatedHeader(columns)

    def add(self, row: SheetRow) -> None:
        """The next row."""
        blanks = row.number - self._last_row - 1
        if blanks and not self._blanks:
            self._first_blank = self._last_row + 1
        self._blanks += blanks
        self._last_row = row.number
        record_no = self._place.record_no + self.count
        self.count += 1
        self.chars += sum(len(cell) for cell in row.cells if cell is not None)
        reject = self._fault(row) or self._repeated(row)
        if reject is not None:
            self._rejects.append((record_no, reject))
            return
        for index, cell in enumerate(row.cells):
            if isinstance(cell, Number) and len(cell) > _EXACT_DIGITS and cell.lstrip("-").isdigit():
                self._note_long(row, index, cell)
        if row.is_hidden:
            self._first_hidden = self._first_hidden or row.number
            self._hidden += 1
        self._rows.append(row)
        self._record_nos.append(record_no)

    def _note_long(self, row: SheetRow, index: int, cell: str) -> None:
        if len(cell.lstrip("-")) <= _EXACT_DIGITS:
            return
        if not self._long_numbers:
            self._first_long, self._long_example = row.number, cell_name(index, row.number)
        self._long_numbers += 1

    def _fault(self, row: SheetRow) -> Reject | None:
        width = len(self._columns)
        for index, cell in enumerate(row.cells):
            place = cell_name(index, row.number)
            if index >= width and cell is not None and cell.strip():
                return _rejected(
                    row, RejectKind.TOO_MANY_COLUMNS, f"cell {place} has a value, and the header ends before it", None
                )
            if isinstance(cell, Fault):
                text = f"cell {place} holds the error {cell[:80]}"
                if cell == NO_VALUE:
                    text = f"cell {place} is a formula whose value is not stored: open the workbook in its program and save it"
                return _rejected(row, RejectKind.CELL_ERROR, text, self._columns[index])
        return None

    def _repeated(self, row: SheetRow) -> Reject | None:
        cells = (*row.cells[: len(self._columns)], *repeat(None, len(self._columns) - len(row.cells)))
        if self._header.may_be(next(iter(cells), None)) and self._header.is_repeated_by(cells, row.number):
            return _rejected(row, RejectKind.REPEATED_HEADER, "the row repeats the header", None)
        return None

    def block(self, limits: Limits, *, bytes_before: int, bytes_after: int) -> FrameBlock:
        """The block."""
        rows = self._rows
        width = len(self._columns)
        padded = [tuple(chain(row.cells[:width], repeat(None, width - len(row.cells)))) for row in rows]
        series = [
            pl.Series(column, [self._text(cells[index], is_number=self._numbers[index]) for cells in padded], pl.String)
            for index, column in enumerate(self._columns)
        ]
        found = {}
        if self._blanks:
            found["blank"] = Finding(self._blanks, 0, self._first_blank)
        if self._hidden:
            found["hidden_row"] = Finding(self._hidden, 0, self._first_hidden)
        if self._long_numbers:
            found["long_number"] = Finding(self._long_numbers, 0, self._first_long, self._long_example)
        place = self._place
        return FrameBlock(
            Records(
                frame=pl.DataFrame(series),
                lines=[row.number for row in rows],
                record_nos=self._record_nos,
                byte_offsets=[],
                rejects=self._rejects,
                raw_text=lambda index: _raw(rows[index]),
            ),
            place,
            BlockStart(self._last_row, self._last_row + 1, place.record_no + self.count),
            limits,
            bytes_before=bytes_before,
            bytes_after=bytes_after,
            findings=Findings(found),
        )

    def _text(self, cell: Cell, *, is_number: bool) -> str | None:
        if is_number and isinstance(cell, Number):
            return number_text(cell, self._decimal)
        return None if cell is None else str(cell)


def _raw(row: SheetRow) -> str:
    return json.dumps(row.cells, ensure_ascii=False)[:REJECT_RAW_CHARS_MAX]


def _rejected(row: SheetRow, kind: RejectKind, message: str, column: str | None) -> Reject:
    return Reject(
        kind=kind,
        category=Category.PARSING,
        message=message,
        line=row.number,
        byte_offset=None,
        column=column,
        raw=_raw(row),
    )
