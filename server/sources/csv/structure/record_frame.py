"""From the layout of a window to a frame of text columns: Polars reads the good records, all as text.

Values are exact: nothing is trimmed, and an empty field is the empty text, quoted or not; there are no nulls. A record with
bytes that do not decode is marked bad here. Records that Polars would read differently from `scan_record` are written
anew in plain CSV first.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from server.sources.csv.dialect import CR, LF, NO_BYTE, Dialect
from server.sources.csv.encodings import Encoding
from server.sources.csv.structure.arrays import Flags, Positions
from server.sources.csv.structure.line_facts import Window
from server.sources.csv.structure.record_index import BAD_ENCODING, RecordIndex, column_at
from server.sources.csv.structure.record_scanner import lenient_fields, record_fields

_PLAIN: Final = Dialect()
# Undecodable bytes are looked for in pieces of this size.
_CHUNK_BYTES: Final = 16 * 1024
_MARK: Final = codecs.BOM_UTF8
# Stand-ins for a delimiter that Polars cannot be given: control characters, of which one is bound to be absent.
_SEPARATORS: Final = tuple(bytes([byte]) for byte in (*range(0x1F, 0x0D, -1), *range(0x08, 0, -1)))


def mark_undecodable(layout: RecordIndex, dialect: Dialect, encoding: Encoding) -> None:
    """Mark the good records that hold bytes which do not decode as bad, in place."""
    data = layout.window.data[: layout.consumed]
    if encoding.working_name in ("utf-8", "ascii") and data.isascii():
        return
    decode = codecs.getdecoder(encoding.working_name)
    view = memoryview(data)
    if _first_undecodable(decode, view) is None:
        return
    # Closer and closer: the error of a decoder holds a copy of all that it was given.
    first = 0
    while first < len(layout.starts):
        start = int(layout.starts[first])
        last = max(first + 1, int(np.searchsorted(layout.starts, start + _CHUNK_BYTES)))
        if _first_undecodable(decode, view[start : int(layout.ends[last - 1])]) is not None:
            for record in (first + np.flatnonzero(layout.good[first:last])).tolist():
                start, end = int(layout.starts[record]), int(layout.ends[record])
                at = _first_undecodable(decode, view[start:end])
                if at is not None:
                    layout.mark(record, BAD_ENCODING, column_at(data[start : start + at], dialect))
        first = last


def _first_undecodable(decode: Callable[[memoryview, str], object], view: memoryview) -> int | None:
    """Offset of the first byte that does not decode; None when all do."""
    try:
        decode(view, "strict")
    except UnicodeDecodeError as error:
        return error.start
    return None


def frame_of(layout: RecordIndex, dialect: Dialect, encoding: Encoding, width: int) -> pl.DataFrame:
    """The good records of a window, in order: `width` String columns called 0, 1 and so on.

    Raises:
        RuntimeError: Polars saw other records than the layout; a fault of this module.
    """
    rows = np.flatnonzero(layout.good)
    schema = {str(index): pl.String for index in range(width)}
    if not rows.size:
        return pl.DataFrame(schema=schema)
    text, plain = _plain_text(layout, dialect, rows)
    content = text if encoding.working_name == "utf-8" else text.decode(encoding.working_name).encode("utf-8")
    if content.startswith(_MARK):
        # Polars takes one mark away, and this one is a value's first character.
        content = _MARK + content
    frame = pl.read_csv(
        content,
        has_header=False,
        schema=schema,
        separator=chr(plain.delimiter[0]),
        quote_char=chr(plain.quote) if plain.quote != NO_BYTE else None,
        infer_schema=False,
        empty_string_is_null=False,
        missing_columns="raise",
        extra_columns="raise",
        encoding="utf8",
        eol_char="\n",
    )
    if frame.height != rows.size:
        raise RuntimeError(f"layout has {rows.size} records, Polars {frame.height}")
    return frame


def _plain_text(layout: RecordIndex, dialect: Dialect, rows: Positions) -> tuple[bytes, Dialect]:
    """The good records in a dialect that Polars reads, and that dialect."""
    pieces = _Pieces(
        data=layout.window.data,
        array=layout.window.array,
        starts=layout.starts[rows],
        ends=layout.ends[rows],
        odd=layout.odd[rows],
        width=layout.width,
        has_lone_cr=layout.window.has_lone_cr,
    )
    if dialect.quote == NO_BYTE and bool(pieces.odd.any()):
        return _rewritten(pieces, dialect), _PLAIN
    if len(dialect.delimiter) == 1 and dialect.delimiter[0] < 0x80:
        return _joined(pieces, pieces, dialect, dialect), dialect
    separator = next((byte for byte in _SEPARATORS if byte not in pieces.data), None)
    if separator is None or layout.window.overlapping:
        return _rewritten(pieces, dialect), _PLAIN
    plain = replace(dialect, delimiter=separator)
    shifted = _with_separator(pieces, layout.window, dialect, separator)
    return _joined(shifted, pieces, dialect, plain), plain


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Bytes, and where in them the good records are."""

    data: bytes
    array: npt.NDArray[np.uint8]
    starts: Positions
    ends: Positions
    odd: Flags
    width: int
    has_lone_cr: bool


def _rewritten(pieces: _Pieces, dialect: Dialect) -> bytes:
    """All records in plain CSV, one by one."""
    return b"".join(_written(_fields(pieces, index, dialect), _PLAIN) for index in range(len(pieces.starts)))


def _fields(pieces: _Pieces, index: int, dialect: Dialect) -> list[bytes]:
    start, end = int(pieces.starts[index]), int(pieces.ends[index])
    found = _exact_fields(pieces.data, start, end, dialect)
    if dialect.keeps_inner_quotes and len(found) != pieces.width:
        # The line is a right record when the quote that a field begins with is text, too (`line_walk.py`).
        lenient = lenient_fields(pieces.data[start:end], dialect)
        found = lenient if len(lenient) == pieces.width or not found else found
    return found + [b""] * (pieces.width - len(found))


def _exact_fields(data: bytes, start: int, end: int, dialect: Dialect) -> list[bytes]:
    """The fields of a record; none where a quote that is kept closes only behind it."""
    try:
        return record_fields(data, start, end, dialect)
    except ValueError:
        if not dialect.keeps_inner_quotes:
            raise
        return []


def _written(fields: list[bytes], dialect: Dialect) -> bytes:
    quote = bytes([dialect.quote])
    joined = (quote + dialect.delimiter + quote).join(field.replace(quote, quote + quote) for field in fields)
    return quote + joined + quote + b"\n"


def _with_separator(pieces: _Pieces, window: Window, dialect: Dialect, separator: bytes) -> _Pieces:
    """The same records with one byte instead of each delimiter that stands outside quotes."""
    found = window.delimiters
    record = np.searchsorted(pieces.starts, found, "right") - 1
    inside = record >= 0
    found, record = found[inside], record[inside]
    # A good record's quotes come in pairs, so their number before a delimiter tells whether it counts.
    quotes_before = np.searchsorted(window.quotes, found) - np.searchsorted(window.quotes, pieces.starts)[record]
    found = found[(found < pieces.ends[record]) & (quotes_before % 2 == 0)]
    array = pieces.array.copy()
    array[found] = separator[0]
    kept = np.ones(len(array), np.bool_)
    for distance in range(1, len(dialect.delimiter)):
        kept[found + distance] = False
    array = array[kept]
    dropped = len(dialect.delimiter) - 1
    return replace(
        pieces,
        data=array.tobytes(),
        array=array,
        starts=pieces.starts - dropped * np.searchsorted(found, pieces.starts),
        ends=pieces.ends - dropped * np.searchsorted(found, pieces.ends),
    )


def _joined(pieces: _Pieces, original: _Pieces, dialect: Dialect, plain: Dialect) -> bytes:
    """The records as they stand, without what is between them; odd ones read from `original` and written anew."""
    starts, ends, odd, array, data = pieces.starts, pieces.ends, pieces.odd, pieces.array, pieces.data
    following = array[np.minimum(ends + 1, len(array) - 1)]
    is_pair = (ends + 1 < len(array)) & (array[np.minimum(ends, len(array) - 1)] == CR) & (following == LF)
    if pieces.has_lone_cr:
        array = array.copy()
        inner = ends[(ends < len(array)) & ~is_pair]
        array[inner[array[inner] == CR]] = LF
        data = array.tobytes()
    after = np.minimum(ends + np.where(is_pair, 2, 1), len(array))
    together = (starts[1:] == after[:-1]) & ~(odd[1:] | odd[:-1])
    firsts = np.concatenate((np.zeros(1, np.int64), np.flatnonzero(~together) + 1))
    lasts = np.append(firsts[1:] - 1, len(starts) - 1)
    parts: list[bytes] = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        if odd[first]:
            parts.append(_written(_fields(original, first, dialect), plain))
        else:
            parts.append(data[int(starts[first]) : int(after[last])])
    return parts[0] if len(parts) == 1 else b"".join(parts)
