"""JSON lines as a file format: one object in each line, its keys the columns.

The columns are the keys of the first 1,000 lines (at most 8 MiB of them), in the order in which they appear. Values keep
the text of the file: numbers their digits, nested ones as compact JSON. A key that only later lines have is told.

Keys that differ in case, accents or spacing alone are one column, as names of columns are compared everywhere, unless an object
has both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from server.core.config import Settings
from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.core.reject_kinds import RejectKind
from server.core.texts import folded
from server.sources.contract import Reject
from server.sources.csv.blocks import BlockStart, Limits
from server.sources.csv.column_names import unique_names
from server.sources.csv.encoding_detection import is_utf8
from server.sources.csv.file_format import FileBlock, OpenStream, PlainBeginning, Table
from server.sources.csv.findings import Findings
from server.sources.csv.frame_block import FrameBlock, Records
from server.sources.csv.number_columns import number_columns, number_text
from server.sources.csv.options import CsvOptions
from server.sources.exact_json.json_values import NumberText, text_of
from server.sources.ndjson.line_cutter import Lines, read_lines
from server.sources.ndjson.line_values import BYTE_ORDER_MARK, content_of, object_of, rejected, shown

_LOOK_LINES: Final = 1000
_LOOK_BYTES: Final = 8 * 1024 * 1024
_OTHER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_KEYS_SHOWN: Final = 5
_KEY_CHARS_SHOWN: Final = 60


def begin(source: OpenStream, options: CsvOptions, settings: Settings) -> Table:
    """Find the columns.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED; there is no object in the first lines, or they have too many keys.
        FatalError: the content is damaged.
    """
    name = source.opened.name
    head = source.stream.read(0, _LOOK_BYTES)
    if head.startswith(_OTHER_MARKS):
        raise _malformed(f"{name} is UTF-16; JSON lines are UTF-8: save it so")
    start = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    objects = (object_of(content_of(line)) for line in head[start:].split(b"\n", _LOOK_LINES)[:_LOOK_LINES])
    keys = _keys_of(dict.fromkeys(tuple(value) for value in objects if isinstance(value, dict)))
    if not keys and head.strip():
        raise _malformed(
            f"{name} has no JSON object in any of its first {_LOOK_LINES} lines: {_why_none(head[start:])}"
        )
    if len(keys) > settings.csv_columns_max:
        raise _malformed(
            f"{name} has {len(keys)} keys; at most {settings.csv_columns_max} are read (TECHAURA_SYNC_CSV_COLUMNS_MAX)"
        )
    columns = unique_names(keys)
    detected = {"encoding": "utf-8", "columns": len(columns), "header": list(columns)}
    reader = _Reader(keys, columns, options)
    return Table(PlainBeginning(columns, start, 1, detected), reader.read_block)


def _why_none(head: bytes) -> str:
    """What stands where lines with an object should, and what to do about it."""
    if head.lstrip().startswith(b"["):
        return "it is a JSON array; write each of its items in a line of its own (jq -c '.[]')"
    return "each line must be one" if is_utf8(head) else "it is not UTF-8, which JSON lines are; save it so"


def _keys_of(shapes: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The keys of objects, of those that are one column the first.

    Args:
        shapes: the keys of each object, once.
    """
    shapes = tuple(shapes)
    forms = {key: folded(key) for shape in shapes for key in shape}
    counts = [Counter(forms[key] for key in shape) for shape in shapes]
    apart = {form for count in counts for form, times in count.items() if times > 1}
    first = {form: key for key, form in reversed(forms.items())}
    return tuple(key for key, form in forms.items() if form in apart or first[form] == key)


def _malformed(message: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.SOURCE_MALFORMED, message, field="sourceIdentifier")


class _Reader:
    """Reads blocks of one file.

    Args:
        keys: of its objects.
        columns: as they are called.
    """

    def __init__(self, keys: tuple[str, ...], columns: tuple[str, ...], options: CsvOptions) -> None:
        self._keys = keys
        self._known = frozenset(keys)
        self._by_form = {folded(key): key for key in reversed(keys)}
        self._columns = columns
        numbers = number_columns(options, columns)
        self._number_keys = [key for key, column in zip(keys, columns, strict=True) if column in numbers]
        self._decimal = options.numbers.format.decimal

    def read_block(self, source: OpenStream, place: BlockStart, limits: Limits) -> FileBlock | None:
        """The lines at a place; None at the end."""
        lines = read_lines(source.stream, place.offset, limits)
        if lines is None:
            return None
        return _Block(self, lines, place, limits).made()

    def texts(self, objects: list[dict[str, Any]]) -> pl.DataFrame:
        """A column of texts for each key."""
        for key in self._number_keys:
            for value in objects:
                if isinstance(value.get(key), int | NumberText) and not isinstance(value[key], bool):
                    value[key] = number_text(str(value[key]), self._decimal)
        columns = {
            column: pl.Series(column, [text_of(value.get(key)) for value in objects], pl.String)
            for key, column in zip(self._keys, self._columns, strict=True)
        }
        return pl.DataFrame(columns)

    def unknown_keys(self, value: dict[str, Any]) -> list[str]:
        """Keys that no column has."""
        return [] if value.keys() <= self._known else [key for key in value if key not in self._known]

    def respell(self, value: dict[str, Any], unknown: list[str]) -> list[str]:
        """Give unknown keys that are a column's in another spelling the column's own; return those."""
        found = []
        for key in unknown:
            own = self._by_form.get(folded(key))
            if own is not None and own not in value:
                value[own] = value.pop(key)
                found.append(key)
        return found


class _Block:
    """What the lines of a block become."""

    def __init__(self, reader: _Reader, lines: Lines, place: BlockStart, limits: Limits) -> None:
        self._reader = reader
        self._lines = lines
        self._place = place
        self._limits = limits
        self._objects: list[dict[str, Any]] = []
        self._raws: list[bytes] = []
        self._line_nos: list[int] = []
        self._record_nos: list[int] = []
        self._offsets: list[int] = []
        self._rejects: list[tuple[int, Reject]] = []
        self._found: dict[str, list[int]] = {"blank": [], "mark": [], "unknown_key": [], "respelled_key": []}
        self._unknown: dict[str, None] = {}
        self._respelled: dict[str, None] = {}

    def made(self) -> FrameBlock:
        """The block."""
        record_no = self._place.record_no
        for line, (offset, raw) in enumerate(self._lines.with_offsets(), self._place.line):
            if raw.startswith(BYTE_ORDER_MARK):
                self._found["mark"].append(line)
            content = content_of(raw)
            if not content:
                self._found["blank"].append(line)
                continue
            self._add(content, raw, line, offset, record_no)
            record_no += 1
        raws = self._raws
        next_place = BlockStart(self._lines.end_offset, self._place.line + len(self._lines.texts), record_no)
        examples = {"unknown_key": _listed(self._unknown), "respelled_key": _listed(self._respelled)}
        return FrameBlock(
            Records(
                frame=self._reader.texts(self._objects),
                lines=self._line_nos,
                record_nos=self._record_nos,
                byte_offsets=self._offsets,
                rejects=self._rejects,
                raw_text=lambda row: shown(raws[row]),
            ),
            self._place,
            next_place,
            self._limits,
            bytes_before=self._place.offset,
            bytes_after=self._lines.end_offset,
            findings=Findings.of(self._found, examples),
        )

    def _add(self, content: bytes, raw: bytes, line: int, offset: int, record_no: int) -> None:
        if self._lines.is_too_long or len(content) >= self._limits.record_bytes_max:
            text = "the line is longer than TECHAURA_SYNC_CSV_RECORD_BYTES_MAX allows"
            self._rejects.append((record_no, rejected(RejectKind.RECORD_TOO_LONG, text, line, offset, raw)))
            return
        value = object_of(content)
        if not isinstance(value, dict):
            self._rejects.append((record_no, rejected(*value, line, offset, raw)))
            return
        if unknown := self._reader.unknown_keys(value):
            if respelled := self._reader.respell(value, unknown):
                self._found["respelled_key"].append(line)
                self._respelled.update(dict.fromkeys(respelled))
            if len(respelled) < len(unknown):
                self._found["unknown_key"].append(line)
                self._unknown.update(dict.fromkeys(key for key in unknown if key not in respelled))
        self._objects.append(value)
        self._raws.append(raw)
        self._line_nos.append(line)
        self._record_nos.append(record_no)
        self._offsets.append(offset)


def _listed(keys: dict[str, None]) -> str:
    return ", ".join(key[:_KEY_CHARS_SHOWN] for key in list(keys)[:_KEYS_SHOWN])
