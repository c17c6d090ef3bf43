"""What the beginning of one file says: its encoding, dialect, columns, and where the records begin.

A header that cannot be trusted never names columns. When its number of names differs from the number of fields that
the records have, a name may stand for its neighbour's values; the columns then get names by position, so that a mapping by
name fails loudly instead of loading the wrong column.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from server.core.config import Settings
from server.core.errors import InvalidRequestError
from server.core.reasons import Category, Reason
from server.core.reject_kinds import RejectKind
from server.core.texts import quoted, visible
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject
from server.sources.csv import column_names
from server.sources.csv.beginning import Beginning
from server.sources.csv.dialect import Dialect, dialect_of
from server.sources.csv.encoding_choice import ChosenEncoding, choose_encoding
from server.sources.csv.findings import Findings
from server.sources.csv.known_names import are_single_names
from server.sources.csv.options import AUTO, CsvOptions
from server.sources.csv.structure import delimiter_detection
from server.sources.csv.structure.line_facts import Window, window_of
from server.sources.csv.structure.record_scanner import lenient_fields, record_fields, scan_record
from server.sources.csv.structure.surplus_field import has_surplus_field
from server.sources.storage.streams import ByteSource

_HEAD_BYTES: Final = 256 * 1024
_SAMPLE_BYTES: Final = 64 * 1024
_LEFT_OUT_MAX: Final = 10_000
# A sheet has four times as many columns as are read, and some programs write all of them.
_SURPLUS_NAMES: Final = 4
_SAMPLE_RECORDS: Final = 50
# The header is blamed for a mismatch only when so many records agree against it.
_WITNESSES_MIN: Final = 8
_DISSENT_MAX: Final = 0.05
# What was found out with less confidence is worth a notice.
_CONFIDENCE_MIN: Final = 0.9
_FIELD: Final = "sourceIdentifier"


def read_beginning(
    source: ByteSource, name: str, options: CsvOptions, settings: Settings, *, is_unpacked: bool = False
) -> Beginning:
    """Read as much of a file's beginning as is needed.

    Args:
        source: its content.
        name: the file's, for messages.
        options: the request's.
        settings: limits.
        is_unpacked: whether the content was unpacked from the file.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED (no CSV, no header, too many columns), INVALID_OPTION (a character that the
            encoding lacks, another encoding).
        FatalError: a damaged compressed file.
    """
    chosen = choose_encoding(source, name, options, is_unpacked=is_unpacked)
    encoding = chosen.encoding
    wanted = _HEAD_BYTES
    wanted_max = 4 * settings.csv_record_bytes_max + _HEAD_BYTES
    while True:
        raw = source.read(0, wanted)
        at_end = len(raw) < wanted
        data = encoding.to_working(raw[encoding.mark_bytes :], at_end)
        found = _Head(data, at_end or wanted >= wanted_max, name, options, settings, chosen).beginning()
        if found is not None:
            return found
        wanted *= 4


@dataclass(frozen=True, slots=True)
class _HeaderRows:
    """The header as it stands: its names, where its first line begins, and where the records begin."""

    names: list[str]
    start: int
    end: int


class _Head:
    """The working bytes of a file's beginning, and what is made of them."""

    def __init__(
        self, data: bytes, at_end: bool, name: str, options: CsvOptions, settings: Settings, chosen: ChosenEncoding
    ) -> None:
        self._data = data
        self._at_end = at_end
        self._name = name
        self._options = options
        self._settings = settings
        self._encoding = chosen.encoding
        self._doubts = chosen.doubts
        self._notices: list[str] = list(chosen.notices)
        # Kind of finding -> where the lines begin that were left out above the header.
        self._left_out: dict[str, list[int]] = {}
        self._surplus = False

    def beginning(self) -> Beginning | None:
        """What the beginning says; None when more bytes are needed."""
        start = self._after_preamble()
        if start is None:
            return None
        delimiter, how, confidence = self._options.delimiter, "declared", 1.0
        named = (
            delimiter_detection.named_delimiter(self._data, self._encoding, self._options.quote) if not start else None
        )
        if named is not None:
            start = delimiter_detection.next_line(self._data, start)
            if delimiter == AUTO or "delimiter" not in self._options.model_fields_set:
                delimiter, how = named, "named"
        if delimiter == AUTO:
            delimiter, confidence = self._detected_delimiter(start)
            how = "detected"
        dialect = dialect_of(self._options, delimiter, self._encoding)
        dialect = replace(dialect, cr_ends_lines=delimiter_detection.cr_ends_lines(self._data[:_SAMPLE_BYTES], dialect))
        found: _HeaderRows | None = None
        if self._options.has_header:
            found = self._header_rows(start, dialect)
            if found is None:
                return None
            start = found.end
        counts = delimiter_detection.field_counts(
            self._data,
            start,
            dialect,
            at_end=self._at_end,
            records_max=_SAMPLE_RECORDS,
            record_bytes_max=self._settings.csv_record_bytes_max,
        )
        header, columns = self._columns(found, [count for count in counts if count], dialect, start)
        self._check_width(len(columns))
        window = window_of(self._data[:start], dialect, at_end=True)
        detected: dict[str, Any] = {
            "encoding": self._encoding.name,
            "encodingHow": self._encoding.how,
            "encodingConfidence": self._encoding.confidence,
            "delimiter": delimiter,
            "delimiterHow": how,
            "delimiterConfidence": confidence,
            "quote": self._options.quote,
            "lineBreak": delimiter_detection.line_break_kind(self._data[:_SAMPLE_BYTES]),
            "columns": len(columns),
            "preambleLines": self._options.preamble_lines + (named is not None),
        }
        if self._doubts:
            detected["encodingDoubted"] = True
        header_reject = None
        offsets = self._encoding.mark_bytes + self._encoding.raw_offsets(
            self._data, np.array([start, found.start if found else 0], np.int64)
        )
        if found is not None:
            line = int(np.searchsorted(window.breaks, found.start)) + 1
            detected["header"] = found.names if header is None else header
            detected["headerLine"] = line
            if header is None:
                header_reject = self._header_reject(found, line, int(offsets[1]), len(columns))
        return Beginning(
            encoding=self._encoding,
            dialect=replace(dialect, missing_max=max(dialect.missing_max, self._surplus)),
            columns=columns,
            offset=int(offsets[0]),
            line=int(np.searchsorted(window.breaks, start)) + 1,
            header=None if header is None else tuple(header),
            header_reject=header_reject,
            detected=detected,
            notices=tuple(self._notices),
            doubts=self._doubts,
            findings=Findings.of({kind: self._lines_of(window, at) for kind, at in self._left_out.items() if kind}),
            has_surplus_field=self._surplus,
        )

    def _lines_of(self, window: Window, offsets: list[int]) -> list[int]:
        return (np.searchsorted(window.breaks, offsets) + 1).tolist() if offsets else []

    def _after_preamble(self) -> int | None:
        """Where the first line after the preamble begins."""
        start = 0
        for _ in range(self._options.preamble_lines):
            start = delimiter_detection.next_line(self._data, start)
            if start >= len(self._data):
                return start if self._at_end else None
        return start

    def _detected_delimiter(self, start: int) -> tuple[str, float]:
        delimiter, confidence = delimiter_detection.detect_delimiter(
            self._data,
            start,
            lambda candidate: dialect_of(self._options, candidate, self._encoding),
            at_end=self._at_end,
            record_bytes_max=self._settings.csv_record_bytes_max,
        )
        if confidence < _CONFIDENCE_MIN:
            self._notices.append(
                f"{self._name}: the delimiter {delimiter!r} was guessed from few signs; name it in options.delimiter"
            )
        return delimiter, confidence

    def _header_rows(self, start: int, dialect: Dialect) -> _HeaderRows | None:
        """The header as it stands; None when more bytes are needed."""
        rows: list[list[str]] = []
        first = start
        while len(rows) < self._options.header_lines:
            start = delimiter_detection.past_breaks(self._data, start)
            if start >= len(self._data):
                if not self._at_end:
                    return None
                what = "is empty" if not rows else "ends inside its header"
                raise self._malformed(f"{what}: a header with column names was expected")
            found = scan_record(
                self._data,
                start,
                dialect,
                at_end=self._at_end,
                record_bytes_max=self._settings.csv_record_bytes_max,
            )
            is_comment = bool(dialect.comment) and self._data.startswith(dialect.comment, start)
            if found.problem == "incomplete":
                if not is_comment:
                    self._check_line_width(found.fields)
                return None
            line_end = delimiter_detection.line_end(self._data, start)
            kind = self._nothing_to_read(start, line_end, dialect)
            if kind is not None:
                lines = self._left_out.setdefault(kind, [])
                lines.append(start)
                if len(lines) > _LEFT_OUT_MAX:
                    raise self._malformed(f"has more than {_LEFT_OUT_MAX} blank lines or comments above its header")
                start = delimiter_detection.next_line(self._data, start)
                continue
            first = first if rows else start
            if found.problem is None:
                self._check_line_width(found.fields)
                rows.append(self._texts(record_fields(self._data, start, found.content_end, dialect)))
                start = found.next_start
                continue
            if line_end - start >= self._settings.csv_record_bytes_max:
                raise self._malformed("has a header line that is too long")
            self._notices.append(f"{self._name}: the header has a stray quote, which is kept as part of a name")
            self._check_line_width(self._data.count(dialect.delimiter, start, line_end) + 1)
            rows.append(self._texts(lenient_fields(self._data[start:line_end], dialect)))
            start = delimiter_detection.next_line(self._data, start)
        width = max(map(len, rows))
        padded = [row + [""] * (width - len(row)) for row in rows]
        joined = [" ".join(part for part in parts if part) for parts in zip(*padded, strict=True)]
        return _HeaderRows(joined, first, start)

    def _nothing_to_read(self, start: int, end: int, dialect: Dialect) -> str | None:
        """Whether a line above the header is empty, blank or a comment: the kind of finding, empty for an empty line."""
        if dialect.comment and self._data.startswith(dialect.comment, start):
            return "comment"
        if start == end:
            return ""
        # How many columns there are is not known yet; a lone pair of quotes would be a column without a name.
        return "blank" if dialect.blank_record(1).fullmatch(self._data, start, end) else None

    def _texts(self, fields: list[bytes]) -> list[str]:
        texts = [self._encoding.show(field) for field in fields]
        for field, text in zip(fields, texts, strict=True):
            if text.encode(self._encoding.working_name, "replace") != field:
                self._notices.append(f"{self._name}: the header holds bytes that are not {self._encoding.name}")
                break
        return texts

    def _columns(
        self, found: _HeaderRows | None, counts: list[int], dialect: Dialect, start: int
    ) -> tuple[list[str] | None, tuple[str, ...]]:
        """The header's names when they can be trusted, and unique names for as many columns as a good record has."""
        usual, agreeing = Counter(counts).most_common(1)[0] if counts else (0, 0)
        if found is None:
            # A file in which no record is well-formed still has one: it will be rejected, not overlooked.
            return None, column_names.positional_names(max(usual, 1) if self._data.strip(b"\r\n") else 0)
        header: list[str] | None = self._without_surplus_names(found.names, counts, usual)
        self._surplus = self._has_surplus_field(found.names, start, dialect)
        if (
            len(found.names) != usual
            and header is found.names
            and not self._surplus
            and self._header_is_wrong(len(found.names), counts, agreeing)
        ):
            header = self._repaired(found, usual, dialect)
        if header is None:
            return None, column_names.positional_names(usual)
        columns = column_names.unique_names(header)
        unnamed = [str(place) for place, name in enumerate(header, 1) if not visible(name).strip()]
        if unnamed:
            # What becomes of names that stand more than once, the mapping says (pipeline/mapping_notices.py).
            self._notices.append(
                f"{quoted(self._name)}: columns without a name were numbered by their place ({', '.join(unnamed)})"
            )
        return header, columns

    def _without_surplus_names(self, names: list[str], counts: list[int], usual: int) -> list[str]:
        """The names without empty ones at their end that no record has a field for."""
        surplus = len(names) - usual
        if not counts or surplus <= 0 or len(names) in counts or any(name.strip() for name in names[usual:]):
            return names
        self._notices.append(_left_out_text(self._name, surplus))
        return names[:usual]

    def _has_surplus_field(self, names: list[str], start: int, dialect: Dialect) -> bool:
        """Whether the records end in a delimiter that the header does not end in, and not in a column that it lost."""
        if not are_single_names(names, self._options) or not has_surplus_field(
            self._data,
            start,
            dialect,
            len(names),
            at_end=self._at_end,
            records_max=_SAMPLE_RECORDS,
            record_bytes_max=self._settings.csv_record_bytes_max,
        ):
            return False
        self._notices.append(
            f"{self._name}: the records end in a delimiter, and the header does not: their last field, which is empty, is left out"
        )
        return True

    def _check_line_width(self, width: int) -> None:
        """Refuse a line before its fields are made, also where it goes on beyond what was read of it.

        Delimiters at its end alone, such as a spreadsheet writes, may be more than columns are read.
        """
        columns_max = self._settings.csv_columns_max
        if width > _SURPLUS_NAMES * columns_max:
            raise self._malformed(
                f"has a header line of more than {_SURPLUS_NAMES * columns_max} columns; at most {columns_max} are read (is the "
                "delimiter right?)"
            )

    def _check_width(self, width: int) -> None:
        columns_max = self._settings.csv_columns_max
        if width > columns_max:
            raise self._malformed(f"has {width} columns; at most {columns_max} are read (is the delimiter right?)")

    def _header_is_wrong(self, width: int, counts: list[int], agreeing: int) -> bool:
        return len(counts) >= _WITNESSES_MIN and width not in counts and agreeing >= len(counts) * (1 - _DISSENT_MAX)

    def _repaired(self, found: _HeaderRows, width: int, dialect: Dialect) -> list[str] | None:
        """Names for records that have another number of fields than the header; None when none can be trusted."""
        named = [name for name in found.names if name.strip()]
        if len(found.names) > width == len(named):
            surplus = len(found.names) - width
            self._notices.append(_left_out_text(self._name, surplus))
            return named
        if len(found.names) == 1 and self._options.header_lines == 1:
            line = self._data[found.start : delimiter_detection.line_end(self._data, found.start)]
            for other in (*delimiter_detection.DELIMITERS, " "):
                fields = lenient_fields(line, replace(dialect, delimiter=other.encode()))
                if len(fields) == width:
                    self._notices.append(f"{self._name}: the names in the header are separated by {other!r}")
                    return self._texts(fields)
        self._notices.append(
            f"{self._name}: the header has {len(found.names)} names, but the records have {width} fields; no name can"
            f" be trusted, so the columns are called column_1 to column_{width}"
        )
        return None

    def _header_reject(self, found: _HeaderRows, line: int, offset: int, width: int) -> Reject:
        raw = self._data[found.start : min(found.end, found.start + 4 * REJECT_RAW_CHARS_MAX)].rstrip(b"\r\n")
        return Reject(
            kind=RejectKind.HEADER_MISMATCH,
            category=Category.PARSING,
            message=f"the header has {len(found.names)} names, but the records have {width} fields",
            line=line,
            byte_offset=offset,
            column=None,
            raw=self._encoding.show(raw)[:REJECT_RAW_CHARS_MAX],
        )

    def _malformed(self, what: str) -> InvalidRequestError:
        return InvalidRequestError(Reason.SOURCE_MALFORMED, f"{self._name} {what}", field=_FIELD)


def _left_out_text(name: str, count: int) -> str:
    names = "an empty name, which is" if count == 1 else f"{count} empty names, which are"
    return f"{name}: the header has {names} left out"
