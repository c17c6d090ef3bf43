"""Parquet as a file format, read by Polars: so many rows at a time, of the row groups that hold them.

A row's line is its number. A value of bytes that are no UTF-8 rejects its row. The file is opened by its descriptor, so that
what is read is the file that was checked.
"""

from __future__ import annotations

import json
from typing import Any, Final

import polars as pl
from polars.exceptions import PanicException, PolarsError

from server.core.config import Settings
from server.core.errors import FatalError, InvalidRequestError
from server.core.reasons import Category, Reason
from server.core.reject_kinds import RejectKind
from server.core.texts import quoted
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject
from server.sources.csv.blocks import BlockStart, Limits
from server.sources.csv.column_names import unique_names
from server.sources.csv.file_format import FileBlock, OpenStream, PlainBeginning, Table
from server.sources.csv.frame_block import FrameBlock, Records
from server.sources.csv.number_columns import number_columns, number_text
from server.sources.csv.options import CsvOptions
from server.sources.parquet.value_texts import texts_of, undecodable

# Compressed bytes of a block, in blocks of text.
_BLOCKS_OF_TEXT: Final = 8


def begin(source: OpenStream, options: CsvOptions, settings: Settings) -> Table:
    """Read the schema.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED; it has too many columns.
        FatalError: SOURCE_MALFORMED; it is no Parquet file, or damaged.
    """
    name = source.opened.name
    scan = _scan(source)
    try:
        schema = scan.collect_schema()
        rows = int(scan.select(pl.len()).collect().item())
    except (PolarsError, PanicException, OSError) as error:
        raise _malformed(name, "no Parquet file that can be read: it is damaged, cut off or encrypted") from error
    if len(schema) > settings.csv_columns_max:
        raise InvalidRequestError(
            Reason.SOURCE_MALFORMED,
            f"{quoted(name)} has {len(schema)} columns; at most {settings.csv_columns_max} are read "
            "(TECHAURA_SYNC_CSV_COLUMNS_MAX)",
            field="sourceIdentifier",
        )
    columns = unique_names(schema.names())
    detected = {"columns": len(columns), "header": list(columns), "rows": rows}
    reader = _Reader(columns, rows, options)
    return Table(PlainBeginning(columns, 0, 1, detected), reader.read_block)


def _scan(source: OpenStream) -> pl.LazyFrame:
    path = f"/dev/fd/{source.opened.descriptor}"
    return pl.scan_parquet(path, glob=False, hive_partitioning=False, cache=False)


def _malformed(name: str, what: str) -> FatalError:
    return FatalError(Reason.SOURCE_MALFORMED, f"{quoted(name)} is {what}", category=Category.PARSING)


class _Reader:
    """Reads blocks of one file.

    Args:
        columns: as they are called.
        rows: how many there are.
    """

    def __init__(self, columns: tuple[str, ...], rows: int, options: CsvOptions) -> None:
        self._columns = columns
        self._rows = rows
        self._numbers = number_columns(options, columns)
        self._decimal = options.numbers.format.decimal

    def read_block(self, source: OpenStream, place: BlockStart, limits: Limits) -> FileBlock | None:
        """The rows behind a place; None at the end.

        Raises:
            FatalError: SOURCE_MALFORMED; the file is damaged.
        """
        if place.offset >= self._rows:
            return None
        size = source.stream.bytes_total
        row_bytes = max(1, size // self._rows)
        count = min(limits.batch_rows_max, max(1, _BLOCKS_OF_TEXT * limits.block_bytes // row_bytes))
        try:
            found = _scan(source).slice(place.offset, count).collect()
            frame = pl.DataFrame([texts_of(column) for column in found])
        except (PolarsError, PanicException, OSError) as error:
            raise _malformed(source.opened.name, "a Parquet file that is damaged: write it again") from error
        end = place.offset + found.height
        return FrameBlock(
            self._records(found, frame, place),
            place,
            BlockStart(end, end + 1, place.record_no + found.height),
            limits,
            bytes_before=size * place.offset // self._rows,
            bytes_after=size * end // self._rows,
        )

    def _records(self, found: pl.DataFrame, frame: pl.DataFrame, place: BlockStart) -> Records:
        frame.columns = list(self._columns)
        rejects = self._rejects(found, frame, place)
        if rejects:
            bad = [number - place.record_no for number, _reject in rejects]
            keep = pl.Series(range(found.height)).is_in(bad).not_()
            rows = keep.arg_true().to_list()
            good = frame.filter(keep)
        else:
            rows, good = list(range(found.height)), frame
        numbers = [
            pl.Series(name, [self._number(text) for text in good[name].to_list()], pl.String)
            for name, kind in zip(self._columns, found.dtypes, strict=True)
            if name in self._numbers and (kind.is_float() or kind.is_decimal())
        ]
        return Records(
            frame=good.with_columns(numbers),
            lines=[place.line + row for row in rows],
            record_nos=[place.record_no + row for row in rows],
            byte_offsets=[],
            rejects=rejects,
            raw_text=lambda row: _raw(good.row(row)),
        )

    def _number(self, text: str | None) -> str | None:
        return None if text is None else number_text(text, self._decimal)

    def _rejects(self, found: pl.DataFrame, frame: pl.DataFrame, place: BlockStart) -> list[tuple[int, Reject]]:
        columns: dict[int, str] = {}
        for name, column in zip(self._columns, found, strict=True):
            for row in undecodable(column, frame[name]):
                columns.setdefault(row, name)
        return [
            (
                place.record_no + row,
                Reject(
                    kind=RejectKind.BAD_ENCODING,
                    category=Category.PARSING,
                    message="a value of bytes is no UTF-8 text",
                    line=place.line + row,
                    byte_offset=None,
                    column=name,
                    raw=_raw(tuple(map(_shown, found.row(row)))),
                ),
            )
            for row, name in sorted(columns.items())
        ]


def _shown(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value[:REJECT_RAW_CHARS_MAX].decode("utf-8", "backslashreplace")
    return None if value is None else str(value)


def _raw(values: tuple[str | None, ...]) -> str:
    return json.dumps(values, ensure_ascii=False)[:REJECT_RAW_CHARS_MAX]
