"""Looks at the first bytes of one file before anything else: whether it is text that may be CSV, and in which encoding."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.core.texts import quoted
from server.sources.csv import encoding_detection
from server.sources.csv.encodings import Encoding
from server.sources.csv.options import AUTO, CsvOptions
from server.sources.csv.utf8_damage import utf8_signs
from server.sources.storage import content_kind
from server.sources.storage.streams import ByteSource

_HEAD_BYTES: Final = 256 * 1024
_SAMPLE_BYTES: Final = 64 * 1024
# How far a file is searched for its first byte that is not ASCII, when its encoding is to be found out.
_SEARCH_BYTES_MAX: Final = 64 * 1024 * 1024
# The same where it is declared, and only what is told of a damaged line depends on it.
_SEEN_WITHIN_BYTES: Final = 4 * 1024 * 1024
# How many pieces from there on are looked through for more of them, and how many there should be.
_MORE_PIECES_MAX: Final = 32
_SIGNS_WANTED: Final = 40
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
# What was found out with less confidence is worth a notice.
_CONFIDENCE_MIN: Final = 0.9


@dataclass(frozen=True, slots=True)
class ChosenEncoding:
    """The encoding to read a file with, what a person should know of the choice, and why it may be wrong."""

    encoding: Encoding
    notices: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def choose_encoding(source: ByteSource, name: str, options: CsvOptions, *, is_unpacked: bool) -> ChosenEncoding:
    """The encoding of a file that is text.

    Args:
        source: its content.
        name: the file's, for messages.
        options: the request's.
        is_unpacked: whether the content was unpacked from the file.

    Raises:
        InvalidRequestError: SOURCE_MALFORMED (it is a workbook, a page, an archive or anything else that is no CSV),
            INVALID_OPTION (it is UTF-16 or UTF-32 and another encoding is declared, or the other way round).
        FatalError: a damaged compressed file.
    """
    head = source.read(0, content_kind.LOOK_BYTES)
    marked = encoding_detection.marked_encoding(head)
    found = marked or encoding_detection.wide_encoding(head)
    kind = content_kind.binary_kind(head)
    wide = found or _declared_wide(options, head)
    if kind is None and wide is None and content_kind.looks_binary(head):
        kind = content_kind.BINARY
    if kind is None:
        reading = wide or Encoding("utf-8")
        is_whole = len(head) < content_kind.LOOK_BYTES
        text = reading.to_working(head[reading.mark_bytes :], is_whole).decode("utf-8", "replace")
        kind = content_kind.text_kind(text, is_whole=is_whole)
    if kind is not None:
        raise content_kind.refused(name, kind, inside=is_unpacked)
    if marked is not None:
        return _behind_false_mark(source, name, options, head, marked) or ChosenEncoding(marked)
    if options.encoding == AUTO:
        return _doubted(name, detected_encoding_of(source))
    declared = encoding_detection.declared_encoding(head, options.encoding)
    _check_width(name, declared, found, head)
    if declared.name == "utf-8":
        seen = utf8_signs(_telling_sample(source, _SEEN_WITHIN_BYTES)).is_utf8
        return ChosenEncoding(replace(declared, is_seen=seen))
    contradiction = _contradicted(source, name, declared)
    return ChosenEncoding(declared, contradiction, contradiction)


def _behind_false_mark(
    source: ByteSource, name: str, options: CsvOptions, head: bytes, marked: Encoding
) -> ChosenEncoding | None:
    """What a text behind the mark of UTF-8 is read as that is hardly any UTF-8; None where the mark is right.

    Some programs write the mark before whatever they copy.
    """
    sample = _sample_behind_false_mark(source, marked)
    if sample is None:
        return None
    behind = head[marked.mark_bytes :]
    if options.encoding == AUTO:
        found = replace(encoding_detection.detected_encoding(behind, sample), mark_bytes=marked.mark_bytes)
    else:
        declared = encoding_detection.declared_encoding(behind, options.encoding)
        if declared.name == "utf-8" or declared.unit_bytes > 1:
            # Its rejects say which encoding may be right.
            return ChosenEncoding(replace(marked, how="declared"))
        found = replace(declared, mark_bytes=marked.mark_bytes)
    told = f"{quoted(name)} begins with the mark of UTF-8, and what follows is none: it is read as {found.name}; take the mark away"
    return ChosenEncoding(found, (told,), (told,))


def _sample_behind_false_mark(source: ByteSource, marked: Encoding) -> bytes | None:
    """A telling sample of a text that is hardly UTF-8 behind the mark of it; None where the mark is right, or is another."""
    if marked.name != "utf-8":
        return None
    sample = _telling_sample(source, _SEEN_WITHIN_BYTES, marked.mark_bytes)
    signs = utf8_signs(sample)
    return sample if signs.broken and not signs.is_utf8 else None


def _doubted(name: str, encoding: Encoding) -> ChosenEncoding:
    if encoding.confidence >= _CONFIDENCE_MIN:
        return ChosenEncoding(encoding)
    return ChosenEncoding(
        encoding,
        (
            (
                f"{quoted(name)}: the encoding {encoding.name} was guessed from few signs; set options.encoding to"
                f" {encoding.name} if the text is right, or to the one that it is written in"
            ),
        ),
        (
            f"the encoding {encoding.name} of {quoted(name)} was guessed from few signs, and options.encoding names none",
        ),
    )


def _check_width(name: str, declared: Encoding, found: Encoding | None, head: bytes) -> None:
    """Make sure that the size of the code units is the declared one: otherwise not a single name can be read."""
    if found is not None and found.name != declared.name and not _reads_as(declared, head):
        what = f"looks like {found.name.upper()} without a byte order mark"
        right = found.name
    elif found is None and declared.unit_bytes > 1 and b"\0" not in head and encoding_detection.is_utf8(head) and head:
        what = f"is not {declared.name.upper()}: its bytes are UTF-8"
        right = "utf-8"
    else:
        return
    raise InvalidRequestError(
        Reason.INVALID_OPTION,
        f"{quoted(name)} {what}; set options.encoding to {right} or to auto (--encoding {right})",
        field="options.encoding",
    )


def _declared_wide(options: CsvOptions, head: bytes) -> Encoding | None:
    """The UTF-16 or UTF-32 that is declared, where it reads every byte: what it makes of binary data is no text for long."""
    if options.encoding == AUTO:
        return None
    declared = encoding_detection.declared_encoding(head, options.encoding)
    if declared.unit_bytes == 1:
        return None
    try:
        codecs.getincrementaldecoder(declared.name)("strict").decode(head)
    except UnicodeDecodeError:
        return None
    return declared


def _reads_as(declared: Encoding, head: bytes) -> bool:
    """Whether a declared wide encoding gives text with lines or fields."""
    if declared.unit_bytes == 1:
        return False
    return encoding_detection.has_structure(declared.to_working(head, at_end=False).decode("utf-8", "ignore"))


def _contradicted(source: ByteSource, name: str, declared: Encoding) -> tuple[str, ...]:
    """What is told of a declared encoding that the bytes contradict."""
    if declared.unit_bytes > 1:
        return ()
    better = encoding_detection.better_encoding(_telling_sample(source), declared.name)
    if better is None:
        return ()
    right, sign = better
    return (
        (
            f"{quoted(name)} is read as {declared.name}, as options.encoding says, but {sign}:"
            f" set options.encoding to {right} (--encoding {right})"
        ),
    )


def detected_encoding_of(source: ByteSource) -> Encoding:
    """The likeliest encoding of a file without a mark, whatever is declared."""
    return encoding_detection.detected_encoding(source.read(0, _SAMPLE_BYTES), _telling_sample(source))


@dataclass(frozen=True, slots=True)
class OtherEncodings:
    """Encodings that a person should look at, the likeliest first.

    Args:
        names: empty without a sign of them.
        is_guess: whether few signs speak for the first one, though no other is as likely.
    """

    names: tuple[str, ...] = ()
    is_guess: bool = False


def other_encodings(source: ByteSource, used: str, *, is_declared: bool) -> OtherEncodings:
    """The encodings to look at beside the one in use, or in its place.

    Args:
        source: the file's content.
        used: the encoding in use.
        is_declared: whether a person chose it; then only bytes that contradict it are a sign.
    """
    head = source.read(0, content_kind.LOOK_BYTES)
    # A test looks no further than its first bytes.
    marked = encoding_detection.marked_encoding(head)
    behind_mark = _sample_behind_false_mark(source, marked) if marked is not None else None
    if source.read(0, _HEAD_BYTES).isascii() or (marked is not None and behind_mark is None):
        return OtherEncodings()
    if marked is not None and behind_mark is not None:
        head, sample = head[marked.mark_bytes :], behind_mark
    else:
        sample = _telling_sample(source)
    if is_declared:
        if used != "utf-8":
            better = encoding_detection.better_encoding(sample, used)
            return OtherEncodings() if better is None else OtherEncodings((better[0],))
        if encoding_detection.is_utf8(sample):
            return OtherEncodings()
    found, others = encoding_detection.likely_encodings(head, sample)
    if found.name == "utf-8" and used in (AUTO, "utf-8"):
        # Lines of it are damaged: another encoding would damage the others.
        return OtherEncodings()
    is_guess = not others and found.confidence < _CONFIDENCE_MIN
    # What was found out may be in use already.
    if not others and (used == AUTO or (used == found.name and not is_guess)):
        return OtherEncodings()
    return OtherEncodings((found.name, *others), is_guess)


def _telling_sample(source: ByteSource, search_bytes_max: int = _SEARCH_BYTES_MAX, offset: int = 0) -> bytes:
    """From the start of the line that holds the first byte which is not ASCII; the file's beginning without such a byte.

    Args:
        offset: where to begin, behind a mark.
    """
    piece = sample = source.read(offset, _HEAD_BYTES)
    while piece.isascii() and len(piece) == _HEAD_BYTES and offset < search_bytes_max:
        offset += _HEAD_BYTES
        piece = source.read(offset, _HEAD_BYTES)
    telling = _NOT_ASCII.search(piece)
    if telling is None:
        return sample[:_SAMPLE_BYTES]
    start = _lines_end(piece[: telling.start()])
    sample = piece[start : start + _SAMPLE_BYTES]
    if len(piece) < _HEAD_BYTES and start + len(sample) == len(piece):
        return sample
    return _with_more_lines(source, offset + start, sample)


def _with_more_lines(source: ByteSource, offset: int, sample: bytes) -> bytes:
    """A sample with few signs, and further lines of the file that hold some: one word may be a damaged one."""
    count, end = len(_NOT_ASCII.findall(sample)), _lines_end(sample)
    if count >= _SIGNS_WANTED or not end:
        return sample
    sample = sample[:end]
    offset += end
    for _ in range(_MORE_PIECES_MAX):
        piece = source.read(offset, _HEAD_BYTES)
        end = _lines_end(piece) if len(piece) == _HEAD_BYTES else len(piece)
        for line in piece[:end].splitlines(keepends=True):
            if not line.isascii() and len(line) <= _SAMPLE_BYTES and count < _SIGNS_WANTED:
                sample += line
                count += len(_NOT_ASCII.findall(line))
        offset += end
        if not end or count >= _SIGNS_WANTED or len(piece) < _HEAD_BYTES:
            break
    return sample


def _lines_end(piece: bytes) -> int:
    """Where the last whole line of a piece ends."""
    return max(piece.rfind(b"\n"), piece.rfind(b"\r")) + 1
