"""Reads one record at a time, byte by byte where it must: the rule by which every other reader here is judged.

A record begins at a line start, outside quotes. A field is quoted when a quote is its first byte; the quote that closes
it is followed by a delimiter, a line break or the end of the file. Line breaks are LF, CR LF and CR. Whatever breaks
these rules makes the record bad, unless the dialect says that stray quotes belong to the value.

`scan_record` looks at no byte beyond `record_bytes_max` from the record's start, so its answer does not depend on how
much of the file happens to be in memory; when it needs a byte that is not there yet it says `incomplete`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from server.sources.csv.dialect import CR, LF, NO_BYTE, Dialect

Problem = Literal["stray_quote", "unclosed_quote", "record_too_long", "incomplete"]

# How an answer ends: at a byte offset, with a problem or without.
_OK: Final = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What stands at one record start.

    Args:
        problem: what is wrong; None when the record is well-formed (whatever its number of fields).
        content_end: where the record's last field ends.
        next_start: where the next record begins.
        fields: fields counted; with a problem, the fields before the one at fault.
        at: offset of the fault.
        odd: the record needs `record_fields` to be read: it holds escapes or quotes that stay in the value.
    """

    problem: Problem | None
    content_end: int
    next_start: int
    fields: int
    at: int
    odd: bool


def after_break(data: bytes, at: int) -> int:
    """Where the line after the line break at `at` begins."""
    return at + 2 if data[at] == CR and data[at + 1 : at + 2] == b"\n" else at + 1


class _Scanner:
    """The state of one scan: the bytes, their end, and what was met so far."""

    __slots__ = ("data", "dialect", "end_is_real", "fields", "odd", "spans", "stop", "too_long")

    def __init__(self, data: bytes, start: int, dialect: Dialect, at_end: bool, record_bytes_max: int) -> None:
        self.data = data
        self.dialect = dialect
        hard = start + record_bytes_max
        self.stop = min(len(data), hard)
        self.too_long = len(data) >= hard
        self.end_is_real = at_end and not self.too_long
        self.fields = 0
        self.odd = False
        self.spans: list[tuple[int, int, bool]] = []

    def out_of_bytes(self, in_quotes: bool) -> Problem | None:
        """What it means that `stop` was reached; None when it is the end of the file, outside quotes."""
        if self.too_long:
            return "record_too_long"
        if not self.end_is_real:
            return "incomplete"
        return "unclosed_quote" if in_quotes else None

    def after_escape(self, at: int) -> int:
        """Where to go on behind the escape at `at`."""
        if self.dialect.escaped.match(self.data, at) is None:
            return at + 1
        self.odd = True
        return at + 2

    def quoted(self, start: int) -> tuple[int, Problem | None, int]:
        """Read the quoted field at `start`; answer where it ends (after its quote), the problem, and where that is."""
        data, dialect, stop = self.data, self.dialect, self.stop
        find = dialect.quoted_stops.search
        position = start + 1
        while True:
            match = find(data, position, stop)
            if match is None:
                return stop, self.out_of_bytes(True), start
            at = match.start()
            if data[at] == dialect.escape:
                if at + 1 >= stop:
                    return stop, self.out_of_bytes(True), start
                position = self.after_escape(at)
                continue
            after = at + 1
            if after >= stop:
                problem = self.out_of_bytes(False)
                return after, problem, at
            if dialect.rule == "double" and data[after] == dialect.quote:
                position = after + 1
                continue
            if data[after] in (LF, CR) or data.startswith(dialect.delimiter, after):
                return after, None, at
            is_cut_off = stop - after < len(dialect.delimiter) and dialect.delimiter.startswith(data[after:stop])
            if is_cut_off and self.out_of_bytes(False) is not None:
                return stop, self.out_of_bytes(False), start
            if not dialect.keeps_inner_quotes:
                return after, "stray_quote", at
            self.odd = True
            position = after

    def plain(self, start: int) -> tuple[int, Problem | None, int]:
        """Read the unquoted field at `start`; answer as `quoted` does."""
        data, dialect, stop = self.data, self.dialect, self.stop
        find = dialect.stops.search
        position = start
        while True:
            match = find(data, position, stop)
            if match is None:
                return stop, self.out_of_bytes(False), start
            at = match.start()
            byte = data[at]
            if byte == dialect.escape:
                if at + 1 >= stop:
                    problem = self.out_of_bytes(False)
                    # An escape that is the last byte of the file stands for itself.
                    return stop, problem, at
                position = self.after_escape(at)
            elif byte == dialect.quote:
                if not dialect.keep_stray:
                    return at, "stray_quote", at
                self.odd = True
                position = at + 1
            else:
                return at, None, at


def _scan(scanner: _Scanner, start: int) -> Scan:
    """Read the record at `start`."""
    data, dialect, stop = scanner.data, scanner.dialect, scanner.stop
    width = len(dialect.delimiter)
    position = start
    while True:
        is_quoted = dialect.quote != NO_BYTE and position < stop and data[position] == dialect.quote
        end, problem, at = scanner.quoted(position) if is_quoted else scanner.plain(position)
        if problem is not None:
            return Scan(problem, end, end, scanner.fields, at, scanner.odd)
        scanner.spans.append((position, end, is_quoted))
        scanner.fields += 1
        if end >= stop:
            problem = scanner.out_of_bytes(False)
            return Scan(problem, stop, stop, scanner.fields, stop, scanner.odd)
        if data.startswith(dialect.delimiter, end):
            position = end + width
            continue
        if data[end] == CR and end + 1 >= len(data) and not scanner.end_is_real:
            return Scan("incomplete", end, end, scanner.fields, end, scanner.odd)
        return Scan(None, end, after_break(data, end), scanner.fields, end, scanner.odd)


def scan_record(data: bytes, start: int, dialect: Dialect, *, at_end: bool, record_bytes_max: int) -> Scan:
    """Read the record that begins at `start`.

    Args:
        data: working bytes.
        start: a line start.
        dialect: the file's.
        at_end: whether `data` ends where the file ends.
        record_bytes_max: content of this length or more is too long.
    """
    return _scan(_Scanner(data, start, dialect, at_end, record_bytes_max), start)


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
    scanner = _Scanner(record, 0, dialect, True, len(record) + 1)
    found = _scan(scanner, 0)
    if found.problem is not None or found.content_end != len(record):
        raise ValueError(f"no well-formed record: {found.problem}")
    return [_value(record[first:last], is_quoted, dialect) for first, last, is_quoted in scanner.spans]


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
    """Split a header line whose quotes are wrong: a quote that cannot be closed properly is part of the name.

    Args:
        line: one line without its line break.
        dialect: the file's.
    """
    fields: list[bytes] = []
    position = 0
    keeping = replace(dialect, keep_stray=True)
    while position <= len(line):
        if dialect.quote != NO_BYTE and line.startswith(bytes([dialect.quote]), position):
            scanner = _Scanner(line, position, keeping, True, len(line) + 1)
            end, problem, _ = scanner.quoted(position)
            value = _value(line[position:end], True, dialect)
            # A quote that is closed only behind other fields was never meant to open one.
            if problem is None and (not scanner.odd or dialect.delimiter not in value):
                fields.append(value)
                position = end + len(dialect.delimiter)
                continue
        end = line.find(dialect.delimiter, position)
        end = len(line) if end < 0 else end
        fields.append(line[position:end])
        position = end + len(dialect.delimiter)
    return fields
