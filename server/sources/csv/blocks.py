"""Reads one block of a file: bytes from a record start on, cut at the last record that is whole.

A block depends only on the file's bytes, where it begins and the three limits in `Limits`; read again it is the same.
It grows beyond `block_bytes` only when a single record (or the lines that a broken one may reach over) does not fit,
to a few times `record_bytes_max` at the most; a longer line is passed over piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.core.reject_kinds import RejectKind
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject
from server.sources.csv.beginning import Beginning
from server.sources.csv.findings import NOTHING_FOUND, Findings
from server.sources.csv.reject_texts import LOOKED_AT_BYTES, reject_text, undecodable_text
from server.sources.csv.repeated_header import RepeatedHeader
from server.sources.csv.structure.arrays import Positions
from server.sources.csv.structure.delimiter_detection import line_end
from server.sources.csv.structure.escape_sequences import escape_sequences
from server.sources.csv.structure.merged_records import merged_records
from server.sources.csv.structure.record_frame import frame_of, mark_undecodable
from server.sources.csv.structure.record_index import REPEATED_HEADER, RecordIndex
from server.sources.csv.structure.records import find_records, overlong_layout
from server.sources.storage.streams import ByteSource

# What old programs and a power cut leave behind the last line: Ctrl-Z and zero bytes.
PADDING: Final = b"\x1a\0"
# An offset behind the end of any file.
_PAST_ALL: Final = 1 << 62
_SKIP_BYTES: Final = 1024 * 1024
_SHORT_BLOCK_BYTES_MIN: Final = 1024
# A character takes four bytes at the most.
_RAW_BYTES_MAX: Final = 4 * REJECT_RAW_CHARS_MAX


@dataclass(frozen=True, slots=True)
class Limits:
    """What a block depends on beside the file.

    Args:
        block_bytes: bytes read at a time; less is looked at where they hold more than half of `batch_rows_max` lines.
        record_bytes_max: content of this length or more is too long for a record.
        batch_rows_max: records in one part of a block.
    """

    block_bytes: int
    record_bytes_max: int
    batch_rows_max: int


@dataclass(frozen=True, slots=True)
class BlockStart:
    """Where a block begins.

    Args:
        offset: bytes of content before it.
        line: from 1.
        record_no: number of its first record in the file, from 1.
    """

    offset: int
    line: int
    record_no: int


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive records of a block, at most `batch_rows_max`.

    Args:
        frame: the good ones, columns in file order.
        lines, record_nos, byte_offsets: per row of the frame.
        rejects: the bad ones.
        end_offset: bytes of content before the next part.
        raw_text: the raw record of a row.
    """

    frame: pl.DataFrame
    lines: pl.Series
    record_nos: pl.Series
    byte_offsets: pl.Series
    rejects: tuple[Reject, ...]
    end_offset: int
    raw_text: Callable[[int], str]


class Block:
    """The records of a block, in parts."""

    def __init__(
        self,
        place: BlockStart,
        layout: RecordIndex,
        beginning: Beginning,
        limits: Limits,
        end_offset: int,
        left_over: Findings = NOTHING_FOUND,
    ) -> None:
        self._place = place
        self._layout = layout
        self._beginning = beginning
        mark_undecodable(layout, beginning.dialect, beginning.encoding)
        frame = frame_of(layout, beginning.dialect, beginning.encoding, beginning.width)
        frame = _without_surplus_field(frame, layout, beginning)
        frame = _without_headers(frame, layout, beginning, place.line)
        self._frame = frame.rename(dict(zip(frame.columns, beginning.columns, strict=True)))
        self._offsets = place.offset + beginning.encoding.raw_offsets(layout.window.data, layout.starts)
        count = len(layout.starts)
        self.part_count = max(1, -(-count // limits.batch_rows_max)) if count else 0
        self._part_records = -(-count // self.part_count) if count else 0
        self.findings = _findings(layout, beginning, place.line).plus(left_over, 0)
        self._rows_before = np.concatenate((np.zeros(1, np.int64), np.cumsum(layout.good)))
        self.next_place = BlockStart(end_offset, place.line + layout.lines_consumed, place.record_no + count)

    def part(self, index: int) -> Part:
        """One part, by its index from 0."""
        layout = self._layout
        first = index * self._part_records
        last = min(first + self._part_records, len(layout.starts))
        chosen = first + np.flatnonzero(layout.good[first:last])
        rows_before = int(self._rows_before[first])
        is_last = index == self.part_count - 1
        return Part(
            frame=self._frame.slice(rows_before, len(chosen)),
            lines=_numbers("line", layout.lines[chosen] + self._place.line),
            record_nos=_numbers("record_no", chosen + self._place.record_no),
            byte_offsets=_numbers("byte_offset", self._offsets[chosen]),
            rejects=self._rejects(first, last),
            end_offset=self.next_place.offset if is_last else int(self._offsets[last]),
            raw_text=lambda row: self._raw(int(chosen[row])),
        )

    def _raw(self, record: int) -> str:
        return self._shown(int(self._layout.starts[record]), int(self._layout.ends[record]))

    def _shown(self, start: int, end: int) -> str:
        raw = self._layout.window.data[start : min(end, start + _RAW_BYTES_MAX)]
        return self._beginning.encoding.show(raw)[:REJECT_RAW_CHARS_MAX]

    def _rejects(self, first: int, last: int) -> tuple[Reject, ...]:
        """The bad records among those from `first` to `last`. Arrays become lists first: there may be very many."""
        layout, beginning = self._layout, self._beginning
        columns = beginning.columns
        header = beginning.header_reject
        rejects = [header] if header is not None and first == 0 and self._place.record_no == 1 else []
        bad = first + np.flatnonzero(~layout.good[first:last])
        for record, start, end, line, offset, fields in zip(
            bad.tolist(),
            layout.starts[bad].tolist(),
            layout.ends[bad].tolist(),
            (layout.lines[bad] + self._place.line).tolist(),
            self._offsets[bad].tolist(),
            layout.fields[bad].tolist(),
            strict=True,
        ):
            kind, column = layout.fault(record, beginning.dialect, len(columns))
            if kind == RejectKind.BAD_ENCODING:
                message = undecodable_text(beginning.encoding)
            else:
                raw = layout.window.data[start : min(end, start + LOOKED_AT_BYTES)]
                message = reject_text(kind, raw, fields, len(columns), beginning.dialect, beginning.encoding)
            rejects.append(
                Reject(
                    kind=kind,
                    category=Category.PARSING,
                    message=message,
                    line=line,
                    byte_offset=offset,
                    column=columns[column] if 0 <= column < len(columns) else None,
                    raw=self._shown(start, end),
                )
            )
        return tuple(rejects)


def _without_surplus_field(frame: pl.DataFrame, layout: RecordIndex, beginning: Beginning) -> pl.DataFrame:
    """The frame without the field behind the last delimiter; records that have a value there are marked in `layout`."""
    if not beginning.has_surplus_field:
        return frame
    surplus = frame.columns[-1]
    is_empty = frame.get_column(surplus).str.strip_chars(" ") == ""
    records = np.flatnonzero(layout.good)[(~is_empty).arg_true().to_list()]
    for record in records.tolist():
        # Without a fault of its own: it has a field too many.
        layout.mark(record, 0)
    return frame.drop(surplus).filter(is_empty)


def _without_headers(frame: pl.DataFrame, layout: RecordIndex, beginning: Beginning, first_line: int) -> pl.DataFrame:
    """The frame without rows that repeat the header, as files that were put together have them; marked in `layout`.

    Raises:
        FatalError: SOURCE_MALFORMED; one repeats it in another order.
    """
    if beginning.header is None:
        return frame
    header = RepeatedHeader(beginning.header)
    candidates = header.candidates(frame.get_column("0"))
    if not candidates:
        return frame
    records = np.flatnonzero(layout.good)
    lines = (layout.lines[records[candidates]] + first_line).tolist()
    repeated = [
        row for row, line in zip(candidates, lines, strict=True) if header.is_repeated_by(frame.row(row), int(line))
    ]
    for record in records[repeated].tolist():
        layout.mark(record, REPEATED_HEADER)
    kept = np.ones(frame.height, np.bool_)
    kept[repeated] = False
    return frame.filter(pl.Series(kept))


def _findings(layout: RecordIndex, beginning: Beginning, first_line: int) -> Findings:
    """What the block holds beside rows and rejects."""
    merged = list(merged_records(layout, beginning.width))
    escapes = escape_sequences(layout, beginning.dialect)
    comments = (layout.comments + first_line).tolist()
    return Findings.of(
        {
            "blank": (layout.blanks + first_line).tolist(),
            "comment": comments,
            "comment_behind_header": comments,
            "mark": (layout.marked_lines(beginning.dialect.mark) + first_line).tolist(),
            "inner_mark": (layout.inner_marks(beginning.dialect.mark) + first_line).tolist(),
            "several_lines": [one.line + first_line for one in merged],
            "escape": [line + first_line for line, _text in escapes],
            "filled": (layout.filled_lines(len(beginning.columns)) + first_line).tolist(),
            "cut_end": (layout.cut_line(len(beginning.columns)) + first_line).tolist(),
        },
        examples={
            "several_lines": str(merged[0].right_lines) if merged else "",
            "escape": escapes[0][1] if escapes else "",
        },
    )


def _numbers(name: str, values: Positions) -> pl.Series:
    return pl.Series(name, values.astype(np.uint64), pl.UInt64)


def read_block(source: ByteSource, beginning: Beginning, place: BlockStart, limits: Limits) -> Block | None:
    """Read the block at `place`; None at the end of the file.

    Raises:
        FatalError: the content is damaged.
    """
    wanted = limits.block_bytes
    while True:
        raw = source.read(place.offset, wanted)
        if wanted == limits.block_bytes:
            wanted = _bytes_of_lines(raw, limits)
            raw = raw[:wanted]
        at_end = len(raw) < wanted
        working = beginning.encoding.to_working(raw, at_end)
        if not at_end and working.endswith(b"\r"):
            # Whether it is a line break of one byte or two is not known yet.
            working = working[:-1]
        if not working and at_end:
            return None
        padding = _padding(working) if at_end else 0
        if at_end and not padding:
            # What stands right behind the last record is not part of it; it is a block of its own.
            working = working.rstrip(PADDING)
        if padding and padding == len(working):
            return _end(place, beginning, limits, padding)
        if not at_end and not working.strip(PADDING):
            rest = _padding_to_the_end(source, beginning, place)
            if rest:
                return _end(place, beginning, limits, rest)
        if not at_end and b"\n" not in working and b"\r" not in working:
            # Not even a line yet: no need to look closer, and no memory to spend on it.
            if len(_behind_marks(working, beginning.dialect.mark)) >= limits.record_bytes_max:
                del raw, working
                return _overlong(source, beginning, place, limits)
            del raw, working
            wanted *= 2
            continue
        layout = find_records(
            working,
            beginning.dialect,
            beginning.width,
            at_end=at_end,
            record_bytes_max=limits.record_bytes_max,
        )
        found = NOTHING_FOUND
        if padding and layout.starts.size and int(layout.starts[-1]) == len(working) - padding:
            # Where it stands inside a value, behind an escaped line break or an open quote, it is text.
            found = _of_padding(place.line + int(layout.lines[-1]), padding)
            layout = layout.without_last()
        if layout.consumed:
            end = beginning.encoding.raw_offsets(working, np.array([layout.consumed], np.int64))
            end_offset = min(place.offset + int(end[0]), place.offset + len(raw))
            return Block(place, layout, beginning, limits, end_offset, found)
        if wanted > 4 * limits.record_bytes_max * beginning.encoding.unit_bytes + limits.block_bytes:
            raise FatalError(Reason.INTERNAL, "a record could not be delimited; please report the file's structure")
        wanted *= 2


def _bytes_of_lines(raw: bytes, limits: Limits) -> int:
    """How much of a block is looked at: all of it, or less where its lines are very short. What is kept of a line takes more memory."""
    lines = raw.count(b"\n") or raw.count(b"\r")
    lines_max = max(1, limits.batch_rows_max // 2)
    if lines <= lines_max:
        return limits.block_bytes
    # Whole characters of any encoding.
    return max(_SHORT_BLOCK_BYTES_MIN, limits.block_bytes * lines_max // lines // 4 * 4)


def _behind_marks(working: bytes, mark: bytes) -> bytes:
    while mark and working.startswith(mark):
        working = working.removeprefix(mark)
    return working


def _padding(working: bytes) -> int:
    """How many bytes behind the last line break of a file say nothing but that it ends there."""
    tail = working[max(working.rfind(b"\n"), working.rfind(b"\r")) + 1 :]
    return 0 if tail.strip(PADDING) else len(tail)


def _padding_to_the_end(source: ByteSource, beginning: Beginning, place: BlockStart) -> int:
    """How many bytes of padding there are from a place to the end of the file; 0 when there is anything else."""
    count, offset = 0, place.offset
    while True:
        raw = source.read(offset, _SKIP_BYTES)
        working = beginning.encoding.to_working(raw, at_end=len(raw) < _SKIP_BYTES)
        if working.strip(PADDING):
            return 0
        count += len(working)
        offset += len(raw)
        if len(raw) < _SKIP_BYTES:
            return count


def _end(place: BlockStart, beginning: Beginning, limits: Limits, padding: int) -> Block:
    """The block of what is behind the last line: no records, and nothing after it."""
    layout = find_records(b"", beginning.dialect, beginning.width, at_end=True, record_bytes_max=1)
    return Block(place, layout, beginning, limits, _PAST_ALL, _of_padding(place.line, padding))


def _of_padding(line: int, count: int) -> Findings:
    return Findings.of({"padding": [line] * count})


def _overlong(source: ByteSource, beginning: Beginning, place: BlockStart, limits: Limits) -> Block:
    """The block of one line that is too long: passed over to its end, and rejected."""
    encoding = beginning.encoding
    head = b""
    offset, breaks = place.offset, 0
    while True:
        raw = source.read(offset, _SKIP_BYTES)
        at_end = len(raw) < _SKIP_BYTES
        working = encoding.to_working(raw, at_end)
        end = line_end(working, 0)
        if len(head) < _RAW_BYTES_MAX:
            head += working[: min(end, _RAW_BYTES_MAX)]
        offset += int(encoding.raw_offsets(working, np.array([end], np.int64))[0])
        if end < len(working):
            following = encoding.to_working(source.read(offset, 2 * encoding.unit_bytes), at_end=True)
            offset += encoding.unit_bytes * (2 if following.startswith(b"\r\n") else 1)
            breaks = 1
            break
        if at_end:
            break
    layout = overlong_layout(head, beginning.dialect, breaks)
    return Block(place, layout, beginning, limits, offset)
