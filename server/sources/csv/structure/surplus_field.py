"""Finds out whether the records of a file have one delimiter too many at their end, as programs that end each field write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from server.sources.csv.dialect import NO_BYTE, Dialect
from server.sources.csv.structure.delimiter_detection import next_line, past_breaks
from server.sources.csv.structure.record_scanner import scan_record

# Records whose surplus field holds a value: one in so many is a bad record, more make it a column without a name.
_VALUED_ONE_IN: Final = 5


def has_surplus_field(
    data: bytes, start: int, dialect: Dialect, width: int, *, at_end: bool, records_max: int, record_bytes_max: int
) -> bool:
    """Whether most records have one field more than the header, and that last field is empty.

    Args:
        data: working bytes from the file's beginning.
        start: where the first record begins.
        dialect: the file's.
        width: names in the header.
        at_end, record_bytes_max: as in `scan_record`.
        records_max: records that are looked at.
    """
    empty = valued = count = 0
    while (start := past_breaks(data, start)) < len(data) and count < records_max:
        found = scan_record(data, start, dialect, at_end=at_end, record_bytes_max=record_bytes_max)
        if found.problem in ("incomplete", "record_too_long"):
            break
        if found.problem is not None:
            start = next_line(data, start)
            continue
        is_comment = dialect.comment and data.startswith(dialect.comment, start)
        is_blank = dialect.blank_record(1).fullmatch(data, start, found.content_end) is not None
        if not is_blank and not is_comment:
            count += 1
            if found.fields == width + 1:
                is_empty = _ends_in(data[start : found.content_end], _empty_endings(dialect))
                empty, valued = empty + is_empty, valued + (not is_empty)
        start = found.next_start
    return 2 * empty > count and _VALUED_ONE_IN * valued <= count


def _empty_endings(dialect: Dialect) -> Sequence[bytes]:
    quotes = () if dialect.quote == NO_BYTE else (dialect.delimiter + bytes([dialect.quote]) * 2,)
    return (dialect.delimiter, *quotes)


def _ends_in(record: bytes, endings: Sequence[bytes]) -> bool:
    return record.rstrip(b" ").endswith(tuple(endings)) or record.endswith(tuple(endings))
