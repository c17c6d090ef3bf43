"""Which options would bring the columns that a mapping wants, when a file has none of them as it is read.

Other delimiters, quotes, encodings and further lines are tried on the file's beginning; what looks right is read once more
in full with the options that are to be advised, so that the advice, followed, brings those columns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from server.core.config import Settings
from server.core.errors import InvalidRequestError, SyncError
from server.sources.csv import advice_text, column_names
from server.sources.csv.advice_text import Reading
from server.sources.csv.beginning import Beginning
from server.sources.csv.dialect import Dialect, dialect_of
from server.sources.csv.encoding_choice import detected_encoding_of
from server.sources.csv.encodings import Encoding
from server.sources.csv.file_beginning import read_beginning
from server.sources.csv.format_choice import LOOK_BYTES, format_of
from server.sources.csv.inspection import open_stream_of
from server.sources.csv.options import CsvOptions
from server.sources.csv.structure import delimiter_detection
from server.sources.csv.structure.record_scanner import lenient_fields
from server.sources.csv.table_advice import TableAdviser
from server.sources.header_advice import READINGS_MAX, TYPOGRAPHIC_QUOTES, Advice, Fit, Fits, is_cut_name
from server.sources.storage import files
from server.sources.storage.folders import FolderLimits
from server.sources.storage.streams import ByteSource

_HEAD_BYTES: Final = 256 * 1024
_LINES_MAX: Final = 50
_PROPOSALS_MAX: Final = 50
_LINE_BYTES_MAX: Final = 16 * 1024
_RECORDS_MAX: Final = 50
_DELIMITERS_MAX: Final = 16
_DELIMITER_CHARS_MAX: Final = 8
_NAMES_SPLIT_MAX: Final = 10
_MARKS_IN_LINES: Final = ",;|\t"
_BETWEEN_WORDS: Final = re.compile(r"[^\w\"]+")
_COMMENT_MARKS: Final = ("#", "//", "--", "%", ";", "!", "*", "'", "REM ", "@")
_FIELDS: Final = {
    "delimiter": "delimiter",
    "preambleLines": "preamble_lines",
    "commentPrefix": "comment_prefix",
    "encoding": "encoding",
    "quote": "quote",
    "hasHeader": "has_header",
}


@dataclass(frozen=True, slots=True)
class _Line:
    """A physical line of the file's beginning: its number from 1, and its working bytes without the line break."""

    number: int
    raw: bytes


def advise(identifier: str, options: CsvOptions, settings: Settings, fits: Fits) -> Advice | None:
    """What to set so that a mapping fits the first of a source's files; None when nothing helps.

    Raises:
        InvalidRequestError, RetryableError, FatalError: as for opening it.
    """
    with _adviser(identifier, options, settings) as adviser:
        return adviser.advice(fits)


def header_readings(
    identifier: str, options: CsvOptions, settings: Settings, fits: Fits
) -> tuple[Mapping[str, Any], ...]:
    """What to set for each reading of the first of a source's files that a mapping fits, the likeliest first.

    Raises:
        InvalidRequestError, RetryableError, FatalError: as for opening it.
    """
    with _adviser(identifier, options, settings) as adviser:
        return tuple(adviser.readings(fits))


@contextmanager
def _adviser(identifier: str, options: CsvOptions, settings: Settings) -> Iterator[HeaderAdviser | TableAdviser]:
    path = files.find_paths(identifier, settings.data_root_paths, FolderLimits.from_settings(settings))[0]
    opened = open_stream_of(path, settings)
    try:
        name = files.shown_name(path)
        found = format_of(opened.opened, opened.stream.read(0, LOOK_BYTES), options)
        if found == "csv":
            is_unpacked = opened.opened.compression != "none"
            yield HeaderAdviser(opened.stream, name, options, settings, is_unpacked=is_unpacked)
        else:
            yield TableAdviser(opened, found, name, options, settings)
    finally:
        opened.close()


class HeaderAdviser:
    """Looks for readings of one file that a mapping fits.

    Args:
        source: its content.
        name: its name.
        options: how it is read now.
        settings: limits.
        is_unpacked: whether the content was unpacked from the file.

    Raises:
        InvalidRequestError: the file is no text.
    """

    def __init__(
        self, source: ByteSource, name: str, options: CsvOptions, settings: Settings, *, is_unpacked: bool
    ) -> None:
        self._source = source
        self._name = name
        self._options = options
        self._settings = settings
        self._is_unpacked = is_unpacked
        # What every reading needs: the encoding, where the declared one reads nothing at all.
        self._base: dict[str, Any] = {}
        try:
            self._now = self._read({})
        except InvalidRequestError as refusal:
            if refusal.field != "options.encoding":
                raise
            self._base["encoding"] = detected_encoding_of(source).name
            self._now = self._read(self._base)

    def advice(self, fits: Fits) -> Advice | None:
        """What to set so that the mapping fits; None when nothing that is tried does."""
        reading = next(self._found(fits), None)
        if reading is None:
            return advice_text.mismatch(self._name, self._now) or self._whole_lines(fits) or self._no_header()
        if any(is_cut_name(name, self._options.quote) for name in reading.fit.mapping.values()):
            return self._whole_lines(fits) or advice_text.mismatch(self._name, self._now)
        return advice_text.told(self._name, self._now, reading)

    def _no_header(self) -> Advice | None:
        """That the first line is a record, where a name of it is a number."""
        return advice_text.no_header(self._name, self._now.columns) if self._options.has_header else None

    def _whole_lines(self, fits: Fits) -> Advice | None:
        """That each line stands in quotes: the names are found in one of them, and no option takes it apart."""
        columns = self._now.columns
        is_quoted = bool(self._options.quote) and self._header_text().startswith(self._options.quote)
        for name in columns[:_NAMES_SPLIT_MAX] if is_quoted else ():
            for mark in _MARKS_IN_LINES:
                if mark in name and fits(column_names.unique_names(name.split(mark))) is not None:
                    return advice_text.whole_lines(self._name)
        quote = self._options.quote
        if quote and columns and columns[0].startswith(quote):
            last, _, rest = columns[-1].rpartition(quote)
            names = [columns[0].removeprefix(quote), *columns[1:-1], last]
            if len(columns) > 1 and not rest.strip(f" {_MARKS_IN_LINES}") and fits(column_names.unique_names(names)):
                return advice_text.whole_lines(self._name)
        return None

    def _header_text(self) -> str:
        """The first line of the header as it stands in the file, without blanks before it."""
        encoding = self._now.encoding
        head = encoding.to_working(self._source.read(0, _HEAD_BYTES)[encoding.mark_bytes :], at_end=False)
        number = int(self._now.detected.get("headerLine", 1))
        return next((encoding.show(line.raw).lstrip() for line in _lines(head) if line.number >= number), "")

    def readings(self, fits: Fits) -> Iterator[Mapping[str, Any]]:
        """What to set for each reading that the mapping fits, at most READINGS_MAX; no two bring the same names."""
        seen: set[tuple[str, ...]] = set()
        line = 0
        for reading in self._found(fits):
            names = tuple(name.strip() for name in reading.columns)
            line = line or reading.line
            if reading.line != line or len(seen) == READINGS_MAX:
                return
            if names not in seen:
                seen.add(names)
                mapping = {"columnMapping": dict(reading.fit.mapping)} if reading.fit.mapping else {}
                yield {**reading.changes, **mapping}

    def _found(self, fits: Fits) -> Iterator[Reading]:
        """Readings that the mapping fits: as it is, or where there is none of those, with names in another language."""
        proposals: list[Reading] = []
        is_direct = False
        for changes, line in self._candidates(fits):
            reading = self._checked(changes, line, fits)
            if reading is None:
                continue
            if not reading.fit.mapping:
                is_direct = True
                yield reading
            elif not is_direct and len(proposals) < _PROPOSALS_MAX:
                proposals.append(reading)
        if not is_direct:
            # The line of which more names are known is the header: a title may hold one of them.
            yield from sorted(proposals, key=lambda one: -len(one.fit.names))

    def _read(self, changes: Mapping[str, Any]) -> Beginning:
        options = self._options.model_copy(update={_FIELDS[name]: value for name, value in changes.items()})
        return read_beginning(self._source, self._name, options, self._settings, is_unpacked=self._is_unpacked)

    def _candidates(self, fits: Fits) -> Iterator[tuple[dict[str, Any], int]]:
        """Changes of options that may bring the wanted names, the smallest first, with the line of the header."""
        first_line = int(self._now.detected.get("headerLine", 1))
        base = dict(self._base)
        yield base, first_line
        yield {**base, "hasHeader": not self._options.has_header}, 1
        encoding = self._now.encoding
        head = self._source.read(0, _HEAD_BYTES)[encoding.mark_bytes :]
        if _has_undecodable(encoding, head):
            found = detected_encoding_of(self._source)
            # Damaged lines are no reason to read the others otherwise.
            if found.name != encoding.name:
                encoding = found
                base["encoding"] = encoding.name
                yield dict(base), first_line
        if not self._options.has_header:
            base["hasHeader"] = True
        for line in _lines(encoding.to_working(head, at_end=False)):
            if line.number >= first_line or self._options.preamble_lines:
                yield from self._of_line(line, first_line, encoding, base, fits)

    def _of_line(
        self, line: _Line, first_line: int, encoding: Encoding, base: Mapping[str, Any], fits: Fits
    ) -> Iterator[tuple[dict[str, Any], int]]:
        text = encoding.show(line.raw)
        changes = dict(base)
        if line.number != first_line:
            changes["preambleLines"] = line.number - 1
        found: list[tuple[bool, bool, int, int, dict[str, Any]]] = []
        for quote in self._quotes(text):
            for delimiter in self._delimiters(text):
                tried = dict(changes)
                if delimiter != self._now_delimiter:
                    tried["delimiter"] = delimiter
                if quote != self._options.quote:
                    tried["quote"] = quote
                names = self._names(line.raw, tried, encoding)
                fit = fits(column_names.unique_names(names)) if tried and names else None
                if fit is not None and (len(fit.names) > 1 or self._may_be_alone(fit, delimiter, line, first_line)):
                    # Blanks also stand inside values and around other delimiters.
                    is_blank = delimiter != "\t" and delimiter.isspace()
                    untidy = sum(not name or name != name.strip() for name in names)
                    found.append((bool(fit.mapping), is_blank, -len(fit.names), untidy, tried))
        yield from ((tried, line.number) for *_, tried in sorted(found, key=lambda one: one[:-1])[:3])

    def _may_be_alone(self, fit: Fit, delimiter: str, line: _Line, first_line: int) -> bool:
        """Whether a line of which one name is known may be the header.

        A word of a song may mean a column in another language, and a blank or a colon stands in any text.
        """
        is_usual = delimiter in (self._now_delimiter, *delimiter_detection.DELIMITERS)
        return is_usual and (not fit.mapping or line.number == first_line)

    @property
    def _now_delimiter(self) -> str:
        return str(self._now.detected["delimiter"])

    def _quotes(self, text: str) -> tuple[str, ...]:
        usual = self._options.quote
        other = "'" if usual != "'" else '"'
        return (usual, other) if text.count(other) > 1 else (usual,)

    def _delimiters(self, text: str) -> list[str]:
        """The delimiters that may divide a line: the one in use, the usual ones, and what stands between its words."""
        runs = _BETWEEN_WORDS.findall(text)
        every = [self._now_delimiter, *delimiter_detection.DELIMITERS]
        every += [run.strip(" '") for run in runs] + runs + [char for run in runs for char in run]
        wanted = [text for text in every if text and len(text) <= _DELIMITER_CHARS_MAX and text not in (".", "-", "'")]
        marks = {self._options.quote, self._options.escape or self._options.quote, *TYPOGRAPHIC_QUOTES}
        good = [
            one
            for one in dict.fromkeys(wanted)
            if one in text and not marks & set(one) and one.isprintable() | (one == "\t")
        ]
        return [self._now_delimiter, *(one for one in good if one != self._now_delimiter)][:_DELIMITERS_MAX]

    def _names(self, line: bytes, changes: Mapping[str, Any], encoding: Encoding) -> list[str]:
        options = self._options.model_copy(update={"quote": changes.get("quote", self._options.quote)})
        try:
            dialect = dialect_of(options, changes.get("delimiter", self._now_delimiter), encoding)
        except SyncError:
            return []
        return [encoding.show(field) for field in lenient_fields(line, dialect)]

    def _checked(self, changes: dict[str, Any], line: int, fits: Fits) -> Reading | None:
        """The reading with these changes, if it is one that the mapping fits and most records agree with."""
        try:
            found = self._read(changes) if changes else self._now
        except SyncError:
            return None
        fit = fits(found.columns)
        if fit is None or found.header_reject is not None:
            return None
        counts = self._counts(found, found.dialect)
        if changes and counts and Counter(counts).most_common(1)[0][0] != len(found.columns):
            return None
        if "preambleLines" in changes:
            changes = self._comments(changes, line, found)
        return Reading(changes, fit, found.columns, line)

    def _counts(self, found: Beginning, dialect: Dialect) -> list[int]:
        encoding = found.encoding
        raw = self._source.read(0, _HEAD_BYTES)
        counts = delimiter_detection.field_counts(
            encoding.to_working(raw[found.offset :], at_end=len(raw) < _HEAD_BYTES),
            0,
            dialect,
            at_end=len(raw) < _HEAD_BYTES,
            records_max=_RECORDS_MAX,
            record_bytes_max=self._settings.csv_record_bytes_max,
        )
        return [count for count in counts if count]

    def _comments(self, changes: dict[str, Any], line: int, found: Beginning) -> dict[str, Any]:
        """The changes with a comment prefix where the lines above the header have one and no song begins with it."""
        head = found.encoding.to_working(self._source.read(0, _HEAD_BYTES)[found.encoding.mark_bytes :], at_end=False)
        lines = list(_lines(head, 4 * _LINES_MAX))
        above = [one.raw for one in lines if one.number < line and one.raw.strip()]
        below = [one.raw for one in lines if one.number >= line]
        for mark in _COMMENT_MARKS:
            prefix = mark.encode()
            if above and all(raw.startswith(prefix) for raw in above):
                marked = [raw for raw in below if raw.startswith(prefix)]
                width = len(found.columns)
                are_comments = all(len(lenient_fields(raw, found.dialect)) != width for raw in marked)
                if not marked:
                    return {**changes, "commentPrefix": mark}
                if are_comments and width > 1:
                    return {name: value for name, value in changes.items() if name != "preambleLines"} | {
                        "commentPrefix": mark
                    }
        return changes


def _lines(data: bytes, lines_max: int = _LINES_MAX) -> Iterator[_Line]:
    """The first lines of working bytes that are not blank."""
    start, number = 0, 1
    while start < len(data) and number <= lines_max:
        end = delimiter_detection.line_end(data, start)
        if data[start:end].strip() and end - start <= _LINE_BYTES_MAX:
            yield _Line(number, data[start:end])
        start, number = delimiter_detection.next_line(data, start), number + 1


def _has_undecodable(encoding: Encoding, head: bytes) -> bool:
    try:
        encoding.to_working(head, at_end=False).decode(encoding.working_name)
    except UnicodeDecodeError as error:
        return error.end < len(head) - 4
    return False
