"""Finds out a file's delimiter and its kind of line break from its beginning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from server.sources.csv.dialect import NO_BYTE, Dialect
from server.sources.csv.encodings import Encoding
from server.sources.csv.structure.record_scanner import after_break, scan_record

# In the order in which they win when several fit: a comma also stands inside text and numbers.
DELIMITERS: Final = ("\t", ";", "|", ",")
_LINE_BREAK: Final = re.compile(rb"[\r\n]")
_LINE_BREAKS: Final = re.compile(rb"[\r\n]*+")
# Blank lines and comments that are passed over while records are looked for.
_LEFT_OUT_MAX: Final = 10_000
# A record is gone through once for each delimiter; one that is longer tells no more of them.
_RECORD_BYTES_MAX: Final = 256 * 1024
_RECORDS_MAX: Final = 200
# A share of records this close to the best one counts as equally good.
_SHARE_TOLERANCE: Final = 0.02
# What a reading loses whose first record has another number of fields than the most: it may be a title above the header,
# but a text with a delimiter in each record of another delimiter looks the same.
_OTHER_FIRST: Final = 0.1
_NAMED: Final = re.compile(r'"?sep=([^\w\s"=]|\t)"?(?:[\r\n]|\Z)', re.IGNORECASE)
_NAMED_BYTES_MAX: Final = 16


def field_counts(
    data: bytes, start: int, dialect: Dialect, *, at_end: bool, records_max: int, record_bytes_max: int
) -> list[int]:
    """Fields of each record from `start` on, blank and comment lines left out; 0 for a line that is no record."""
    counts: list[int] = []
    left_out = 0
    while (start := past_breaks(data, start)) < len(data) and len(counts) < records_max and left_out < _LEFT_OUT_MAX:
        found = scan_record(data, start, dialect, at_end=at_end, record_bytes_max=record_bytes_max)
        if found.problem in ("incomplete", "record_too_long"):
            break
        if found.problem is not None:
            counts.append(0)
            start = next_line(data, start)
            continue
        is_comment = dialect.comment and data.startswith(dialect.comment, start)
        is_blank = dialect.blank_record(1).fullmatch(data, start, found.content_end) is not None
        if is_blank or is_comment:
            left_out += 1
        else:
            counts.append(found.fields)
        start = found.next_start
    return counts


def named_delimiter(data: bytes, encoding: Encoding, quote: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names, as spreadsheets write and read it; None without one."""
    found = _NAMED.match(encoding.show(data[:_NAMED_BYTES_MAX]))
    return found[1] if found is not None and found[1] != quote else None


def detect_delimiter(
    data: bytes, start: int, dialect_with: Callable[[str], Dialect], *, at_end: bool, record_bytes_max: int
) -> tuple[str, float]:
    """The delimiter that gives most records one number of fields, and that share; better where the first record has it too.

    Args:
        data: working bytes from the file's beginning.
        start: where the first record begins.
        dialect_with: the file's dialect for a delimiter.
        at_end: whether the data is all of the file.
        record_bytes_max: as in `scan_record`.

    Returns:
        The delimiter and a confidence from 0 to 1; a comma and 0.5 when no record has two fields.
    """
    shares: dict[str, float] = {}
    scores: dict[str, float] = {}
    for delimiter in DELIMITERS:
        counts = field_counts(
            data,
            start,
            dialect_with(delimiter),
            at_end=at_end,
            records_max=_RECORDS_MAX,
            record_bytes_max=min(record_bytes_max, _RECORD_BYTES_MAX),
        )
        several = Counter(count for count in counts if count > 1)
        if several:
            # Of counts that are equally common, the one that comes first.
            usual, times = several.most_common(1)[0]
            shares[delimiter] = times / len(counts)
            scores[delimiter] = shares[delimiter] - (0 if counts[0] == usual else _OTHER_FIRST)
    if not shares:
        return ",", 0.5
    best = max(scores.values())
    winner = next(name for name in DELIMITERS if name in scores and scores[name] >= best - _SHARE_TOLERANCE)
    return winner, round(shares[winner], 3)


def line_end(data: bytes, start: int) -> int:
    """Where the line that holds `start` ends, without its line break."""
    # One search for both: a byte that is nowhere would be looked for to the end of the data from each line.
    found = _LINE_BREAK.search(data, start)
    return len(data) if found is None else found.start()


def next_line(data: bytes, start: int) -> int:
    """Where the line after the one that holds `start` begins; the end of the data when there is none."""
    end = line_end(data, start)
    return after_break(data, end) if end < len(data) else end


def past_breaks(data: bytes, start: int) -> int:
    """Where the next line that is not empty begins; the end of the data when there is none."""
    found = _LINE_BREAKS.match(data, start)
    return start if found is None else found.end()


def line_break_kind(data: bytes) -> str:
    """lf, crlf, cr, mixed, or none."""
    crlf = data.count(b"\r\n")
    kinds = {"crlf": crlf, "lf": data.count(b"\n") - crlf, "cr": data.count(b"\r") - crlf}
    present = [name for name, count in kinds.items() if count]
    return present[0] if len(present) == 1 else "mixed" if present else "none"


def cr_ends_lines(data: bytes, dialect: Dialect) -> bool:
    """Whether a CR without LF is how most lines end, so that it ends a line whatever is on its sides.

    Args:
        data: working bytes from the file's beginning.
    """
    if b"\r" not in data:
        return False
    quote = bytes([dialect.quote]) if dialect.quote != NO_BYTE else b""
    # What stands between quotes is a value, and its line breaks are text.
    outside = b"".join(data.split(quote)[::2]) if quote else data
    feeds = outside.count(b"\n")
    return outside.count(b"\r") - outside.count(b"\r\n") > feeds or not feeds
