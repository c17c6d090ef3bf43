"""Reads one record at a time, byte by byte where it must: the rule by which every other reader here is judged.

A record begins at a line start, outside quotes. A field is quoted when a quote is its first byte; the quote that closes
it is followed by a delimiter, a line break or the end of the file. Line breaks are LF, CR LF and CR. Whatever breaks
these rules makes the record bad, unless the dialect says that stray quotes belong to the value.

`scan_record` looks at no byte beyond `record_bytes_max` from the record's start, so its answer does not depend on how
much of the file happens to be in memory; when it needs a byte that is not there yet it says `incomplete`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from server.sources.csv.dialect import CR, LF, NO_BYTE, Dialect
from server.sources.csv.structure.kept_quotes import KeptQuotes

Problem = Literal["stray_quote", "unclosed_quote", "record_too_long", "incomplete"]


class Scan(NamedTuple):
    """What stands at one record start. A tuple, because a bad file makes millions of them.

    Args:
        problem: what is wrong; None when the record is well-formed (whatever its number of fields).
        content_end: where the record's last field ends.
        next_start: where the next record begins.
        fields: fields counted; with a problem, the fields before the one at fault.
        at: offset of the fault.
        odd: the record needs `record_fields` to be read: it holds escapes or quotes that stay in the value.
        kept: offset of the first quote that was kept inside a quoted field, where a line break may have been taken for part
            of the value; -1 for none.
    """

    problem: Problem | None
    content_end: int
    next_start: int
    fields: int
    at: int
    odd: bool
    kept: int = -1


def after_break(data: bytes, at: int) -> int:
    """Where the line after the line break at `at` begins."""
    return at + 2 if data[at] == CR and data[at + 1 : at + 2] == b"\n" else at + 1


class _Bytes(NamedTuple):
    """The bytes that one scan may look at: up to `stop`, and what it means to come there.

    `at_end` tells whether the file ends where the data does, `is_end` whether it ends at `stop`.
    """

    data: bytes
    stop: int
    too_long: bool
    at_end: bool

    @property
    def is_end(self) -> bool:
        return self.at_end and not self.too_long

    def out_of_bytes(self, *, in_quotes: bool) -> Problem | None:
        """What it means that `stop` was reached; None when it is the end of the file, outside quotes."""
        if self.too_long:
            return "record_too_long"
        if not self.is_end:
            return "incomplete"
        return "unclosed_quote" if in_quotes else None


class _Quoted(NamedTuple):
    """A quoted field: where it ends (behind its quote), what is wrong and where, whether it holds quotes or escapes.

    `kept` is the offset of the first quote in it that is kept though it is not doubled, or -1.
    """

    end: int
    problem: Problem | None
    at: int
    odd: bool
    kept: int = -1


def scan_record(
    data: bytes,
    start: int,
    dialect: Dialect,
    *,
    at_end: bool,
    record_bytes_max: int,
    kept_quotes: KeptQuotes | None = None,
) -> Scan:
    """Read the record that begins at `start`.

    Args:
        data: working bytes.
        start: a line start.
        dialect: the file's.
        at_end: whether `data` ends where the file ends.
        record_bytes_max: content of this length or more is too long.
        kept_quotes: what earlier scans of the same data know; the scan is the same without it.
    """
    too_long = len(data) >= start + record_bytes_max
    stop = start + record_bytes_max if too_long else len(data)
    source = _Bytes(data, stop, too_long, at_end)
    delimiter, quote = dialect.delimiter, dialect.quote
    fields, position, odd, kept = 0, start, False, -1
    inside_field = False
    while True:
        if not inside_field and position < stop and data[position] == quote:
            end, problem, at, is_odd, kept_at = _quoted(source, position, dialect, kept_quotes)
            odd = odd or is_odd
            kept = kept_at if kept < 0 else kept
            if problem is not None:
                return Scan(problem, end, end, fields, at, odd, kept)
            if end < stop and data.startswith(delimiter, end):
                fields += 1
                position = end + len(delimiter)
                continue
            return _ended(source, end, fields + 1, odd=odd, kept=kept)
        # One or several unquoted fields, up to a line break, a quote or an escape.
        match = dialect.marks.search(data, position, stop)
        end = match.start() if match is not None else stop
        fields += data.count(delimiter, position, end)
        if match is None or data[end] == LF or data[end] == CR:
            return _ended(source, end, fields + 1, odd=odd, kept=kept)
        if data[end] == quote:
            if _ends_with_delimiter(data, position, end, delimiter):
                position, inside_field = end, False
                continue
            if not dialect.keep_stray:
                return Scan("stray_quote", end, end, fields, end, odd, kept)
            odd, position = True, end + 1
        else:
            if end + 1 >= stop:
                # An escape that is the last byte of the file stands for itself.
                return _ended(source, stop, fields + 1, odd=odd, kept=kept)
            acts = dialect.escaped.match(data, end) is not None
            odd, position = odd or acts, end + 1 + acts
        inside_field = True


def _ended(source: _Bytes, end: int, fields: int, *, odd: bool, kept: int) -> Scan:
    """The scan of a record whose last field ends at `end`."""
    data, stop = source.data, source.stop
    if end >= stop:
        return Scan(source.out_of_bytes(in_quotes=False), stop, stop, fields, stop, odd, kept)
    if data[end] == CR and end + 1 >= len(data) and not source.at_end:
        return Scan("incomplete", end, end, fields, end, odd, kept)
    return Scan(None, end, after_break(data, end), fields, end, odd, kept)


def _ends_with_delimiter(data: bytes, start: int, end: int, delimiter: bytes) -> bool:
    """Whether the last delimiter that counts in `data[start:end]` stands right before `end`."""
    if len(delimiter) == 1:
        return end > start and data[end - 1] == delimiter[0]
    # A delimiter such as `||` may overlap with itself: only those found from the left count.
    last_end = -1
    at = data.find(delimiter, start, end)
    while at >= 0:
        last_end = at + len(delimiter)
        at = data.find(delimiter, last_end, end)
    return last_end == end


def _quoted(source: _Bytes, start: int, dialect: Dialect, known: KeptQuotes | None = None) -> _Quoted:
    """Read the quoted field at `start`."""
    data, stop = source.data, source.stop
    position, odd, kept = start + 1, False, -1
    while True:
        if known is not None:
            position, first = known.skip(position, stop)
            if first != start + 1 and kept < 0:
                kept, odd = first - 1, True
        after = _behind_quote(source, position, dialect, known)
        if after is None:
            return _Quoted(stop, source.out_of_bytes(in_quotes=True), start, odd, kept)
        if dialect.escape != NO_BYTE and not odd:
            odd = dialect.escaped.search(data, position, after - 1) is not None
        if after >= stop:
            return _Quoted(after, source.out_of_bytes(in_quotes=False), after - 1, odd, kept)
        if data[after] == LF or data[after] == CR or data.startswith(dialect.delimiter, after):
            if known is not None:
                known.close(position, after)
            return _Quoted(after, None, after - 1, odd, kept)
        is_cut_off = stop - after < len(dialect.delimiter) and dialect.delimiter.startswith(data[after:stop])
        if is_cut_off and not source.is_end:
            return _Quoted(stop, source.out_of_bytes(in_quotes=False), start, odd, kept)
        if not dialect.keeps_inner_quotes:
            return _Quoted(after, "stray_quote", after - 1, odd, kept)
        if known is not None:
            known.add(position, after)
        kept = after - 1 if kept < 0 else kept
        position, odd = after, True


def _behind_quote(source: _Bytes, position: int, dialect: Dialect, known: KeptQuotes | None) -> int | None:
    """Where the field that is at `position` has its next quote that is not doubled: behind it; None before `stop`."""
    if known is not None:
        end = known.closing(position)
        if end is not None and end < source.stop:
            return end
        if known.is_open(position, source.stop):
            return None
    match = dialect.quoted_rest.match(source.data, position, source.stop)
    if match is None:
        if known is not None:
            known.leave_open(position, source.stop)
        return None
    return match.end()


def record_fields(data: bytes, start: int, content_end: int, dialect: Dialect) -> list[bytes]:
    """The values of a well-formed record, without quotes and escapes.

    Args:
        data: working bytes.
        start, content_end: as `scan_record` found them.
        dialect: the file's.

    Raises:
        ValueError: the record is not well-formed.
    """
    record = data[start:content_end]
    source = _Bytes(record, len(record), too_long=False, at_end=True)
    values: list[bytes] = []
    position = 0
    while True:
        is_quoted = record.startswith(bytes([dialect.quote]), position) if dialect.quote != NO_BYTE else False
        if is_quoted:
            end, problem, *_ = _quoted(source, position, dialect)
            if problem is not None:
                raise ValueError(f"no well-formed record: {problem}")
        else:
            end = _plain_end(record, position, dialect)
        values.append(_value(record[position:end], is_quoted, dialect))
        if end == len(record):
            return values
        if not record.startswith(dialect.delimiter, end):
            raise ValueError("no well-formed record: a line break in it")
        position = end + len(dialect.delimiter)


def _plain_end(record: bytes, start: int, dialect: Dialect) -> int:
    """Where the unquoted field at `start` of a well-formed record ends."""
    position = start
    while True:
        match = dialect.stops.search(record, position)
        if match is None:
            return len(record)
        at = match.start()
        if record[at] == dialect.escape:
            position = at + (2 if dialect.escaped.match(record, at) else 1)
        elif record[at] == dialect.quote:
            position = at + 1
        else:
            return at


def _value(field: bytes, is_quoted: bool, dialect: Dialect) -> bytes:
    if is_quoted:
        field = field[1:-1]
        if dialect.rule == "double":
            quote = bytes([dialect.quote])
            return field.replace(quote + quote, quote)
    if dialect.escape == NO_BYTE:
        return field
    return dialect.escaped.sub(rb"\1", field)


def lenient_fields(line: bytes, dialect: Dialect) -> list[bytes]:
    """Split a line whose quotes are wrong: a quote that cannot be closed properly is part of the value.

    Takes time in proportion to the line: a field is looked at up to the first quote that is out of order.

    Args:
        line: one line without its line break.
        dialect: the file's.
    """
    fields: list[bytes] = []
    position = 0
    strict = replace(dialect, keep_stray=False, rule="escape" if dialect.rule == "escape" else "double")
    source = _Bytes(line, len(line), too_long=False, at_end=True)
    quote = bytes([dialect.quote]) if dialect.quote != NO_BYTE else b""
    while position <= len(line):
        if quote and line.startswith(quote, position):
            end, problem, *_ = _quoted(source, position, strict)
            if problem is None:
                fields.append(_value(line[position:end], True, dialect))
                position = end + len(dialect.delimiter)
                continue
        end = line.find(dialect.delimiter, position)
        end = len(line) if end < 0 else end
        field = line[position:end]
        # A quote that is closed only behind other fields was never meant to open one.
        is_quoted = len(field) > 1 and field.startswith(quote) and field.endswith(quote) if quote else False
        fields.append(_value(field, is_quoted, dialect) if is_quoted else field)
        position = end + len(dialect.delimiter)
    return fields
