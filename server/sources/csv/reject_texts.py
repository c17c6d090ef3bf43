"""What is told of a record that cannot be read: what is wrong with it, and the option that would read it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from server.core.reject_kinds import RejectKind
from server.sources.csv.dialect import NO_BYTE, Dialect
from server.sources.csv.encodings import Encoding

_TEXTS: Final = {
    RejectKind.MISSING_COLUMNS: (
        "the record has {fields} fields, {width} are expected; to take those that it lacks at its end as empty, set "
        "options.missingFields to empty"
    ),
    RejectKind.TOO_MANY_COLUMNS: "the record has {fields} fields, {width} are expected",
    RejectKind.UNCLOSED_QUOTE: "a quoted field is not closed before other records begin or the file ends",
    RejectKind.REPEATED_HEADER: "the record repeats the header",
    RejectKind.STRAY_LINE_BREAK: "a carriage return inside the line cuts the record; a value may hold one in quotes only",
    RejectKind.RECORD_TOO_LONG: "the record is longer than TECHAURA_SYNC_CSV_RECORD_BYTES_MAX allows",
}
# Another encoding would read the damaged line, and damage all others.
_DAMAGED: Final = (
    "a byte does not decode as utf-8, and the text is UTF-8 elsewhere: this line is damaged, or was joined from another file; "
    "mend it in the source"
)
_UNDECODABLE: Final = "a byte does not decode as {encoding}; set options.encoding to {right}"
_STRAY_QUOTE: Final = "a quote stands where none may: double it inside a quoted field, or set options.strayQuotes to keep, which takes it as text"
_BACKSLASH: Final = "a backslash stands before a quote: set options.escape to \\ (a backslash)"
_BACKSLASH_DELIMITER: Final = "a backslash stands before a delimiter: set options.escape to \\ (a backslash)"
_TWO_FIELDS: Final = "a number with a decimal comma outside quotes would be two fields: export with another delimiter, or with such values in quotes"
# Both halves stand by themselves between delimiters: 69,90 and not 3,Uno.
_DECIMAL_COMMA: Final = re.compile(rb"(?:\A|,)[$ ]*[0-9]{1,9},[0-9]{1,2}(?=,|\r|\n|\Z)")
_FORMULA: Final = 'a value is a spreadsheet\'s formula for text (="..."): export the column as plain text'
_BLANKS: Final = (
    "blanks stand between the delimiter and a quote: take them out of the file, or, where every line has them, the header too, set "
    "options.delimiter to {delimiter}"
)
_BLANKS_OUTSIDE: Final = (
    "blanks stand before or behind the line's quotes, which no option passes over: take them out of the file"
)
_WHOLE_LINE: Final = (
    "the whole line stands in quotes, as if it were one field: take these quotes off where the file is written"
)
# Bytes of a record that are looked at for what to advise.
LOOKED_AT_BYTES: Final = 4096
# As long as a delimiter may be.
DELIMITER_CHARS_MAX: Final = 8


def undecodable_text(encoding: Encoding) -> str:
    """What is told of a record that does not decode."""
    name = encoding.name
    if name == "utf-8" and (encoding.how != "declared" or encoding.is_seen):
        return _DAMAGED
    if encoding.how != "declared":
        right = "the one that the file is written in, or mend these lines in the source"
    elif encoding.unit_bytes > 1 or name == "cp1252":
        right = "the file's own, or to auto"
    else:
        right = "the file's own, such as cp1252, or to auto"
    return _UNDECODABLE.format(encoding=name, right=right)


def reject_text(kind: RejectKind, record: bytes, fields: int, width: int, dialect: Dialect, encoding: Encoding) -> str:
    """A sentence for a person, without a value of the record.

    Args:
        kind: as in `Reject`; for BAD_ENCODING there is `undecodable_text`.
        record: working bytes, at most LOOKED_AT_BYTES of them.
        fields, width: how many there are, and should be.
    """
    if kind == RejectKind.STRAY_QUOTE:
        return _of_stray_quote(record, dialect, encoding)
    if kind == RejectKind.MISSING_COLUMNS and fields == 1 and _is_whole_line(record, dialect):
        return f"the record has 1 field, {width} are expected: {_WHOLE_LINE}"
    text = _counted(kind, fields, width, encoding.name)
    if kind == RejectKind.UNCLOSED_QUOTE and _has_backslash_quote(record, dialect):
        return f"{text}; {_BACKSLASH}"
    if kind == RejectKind.TOO_MANY_COLUMNS:
        if dialect.rule == "double" and b"\\" + dialect.delimiter in record:
            return f"{text}; {_BACKSLASH_DELIMITER}"
        if dialect.delimiter == b"," and _DECIMAL_COMMA.search(record):
            return f"{text}; {_TWO_FIELDS}"
    return text


@lru_cache(maxsize=1024)
def _counted(kind: RejectKind, fields: int, width: int, encoding: str) -> str:
    return _TEXTS[kind].format(fields=fields, width=width, encoding=encoding)


def _of_stray_quote(record: bytes, dialect: Dialect, encoding: Encoding) -> str:
    if _has_backslash_quote(record, dialect):
        return _BACKSLASH
    formula, outside, *blanks = _patterns(dialect.delimiter, dialect.quote)
    if formula.search(record):
        return _FORMULA
    if _is_whole_line(record, dialect):
        return _WHOLE_LINE
    for pattern in blanks:
        found = pattern.search(record)
        delimiter = encoding.show(found[1]) if found is not None else ""
        if len(encoding.show(dialect.delimiter)) < len(delimiter) <= DELIMITER_CHARS_MAX:
            return _BLANKS.format(delimiter=f'"{delimiter}"'.replace("\t", "\\t"))
    return _BLANKS_OUTSIDE if outside.search(record) else _STRAY_QUOTE


def _is_whole_line(record: bytes, dialect: Dialect) -> bool:
    """Whether one pair of quotes encloses delimiters, and nothing but marks follows it."""
    if dialect.quote == NO_BYTE or dialect.delimiter not in record:
        return False
    return _whole_line(bytes([dialect.quote])).fullmatch(record) is not None


@lru_cache(maxsize=64)
def _whole_line(quote: bytes) -> re.Pattern[bytes]:
    mark = re.escape(quote)
    return re.compile(mark + rb"(?:[^" + mark + rb"]|" + mark * 2 + rb")*" + mark + rb"[;,|\t \r\n]*")


def _has_backslash_quote(record: bytes, dialect: Dialect) -> bool:
    return dialect.rule == "double" and dialect.quote != NO_BYTE and b"\\" + bytes([dialect.quote]) in record


@lru_cache(maxsize=64)
def _patterns(delimiter: bytes, quote_byte: int) -> tuple[re.Pattern[bytes], ...]:
    """A formula; blanks outside of the first or the last quote; a delimiter with blanks, between two quotes, before one, behind one."""
    mark, quote = re.escape(delimiter), re.escape(bytes([quote_byte]))
    blanks = rb"[ \t]*"
    return (
        re.compile(rb"(?:\A|" + mark + rb")=" + quote),
        re.compile(rb"\A[ \t]+" + quote + rb"|" + quote + rb"[ \t]+[\r\n]*\Z"),
        re.compile(quote + rb"(" + blanks + mark + blanks + rb")" + quote),
        re.compile(rb"(" + mark + blanks + rb")" + quote),
        re.compile(quote + rb"(" + blanks + mark + rb")"),
    )
