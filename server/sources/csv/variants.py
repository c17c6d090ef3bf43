"""Other readings of a file's records, where its header fits: another encoding, other rules for quotes.

Nothing is chosen here. Encodings that make equally much sense are all named, with what is in doubt; for quotes, whoever asks
takes the rule that loads most records.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from server.core.config import Settings
from server.core.reject_kinds import RejectKind
from server.core.texts import quoted
from server.sources.contract import Reject
from server.sources.csv.encoding_choice import OtherEncodings, other_encodings
from server.sources.csv.format_choice import LOOK_BYTES, format_of
from server.sources.csv.inspection import open_stream_of
from server.sources.csv.options import AUTO, CsvOptions
from server.sources.csv.reject_texts import DELIMITER_CHARS_MAX
from server.sources.header_advice import Variants
from server.sources.storage import files
from server.sources.storage.folders import FolderLimits

_OF_QUOTES: Final = frozenset(
    {RejectKind.STRAY_QUOTE, RejectKind.UNCLOSED_QUOTE, RejectKind.RECORD_TOO_LONG, RejectKind.STRAY_LINE_BREAK}
)
# With more fields that a quote opens and none closes, each is looked for to the end of what is read: that is slow.
_OPEN_QUOTES_MAX: Final = 100
_ESCAPED_QUOTE: Final = '\\"'
_USUAL_QUOTE: Final = '"'
_USUAL_DELIMITERS: Final = r"[,;\t|]"


def variants(
    identifier: str, options: CsvOptions, settings: Settings, asked: Mapping[str, Any], rejects: Sequence[Reject]
) -> tuple[Variants, ...]:
    """Other readings of the first of a source's files; none of another format than CSV.

    Args:
        options: how it is read now.
        asked: the options of the request; what they declare is doubted only where the bytes contradict it.
        rejects: what was rejected of its beginning.

    Raises:
        InvalidRequestError, RetryableError, FatalError: as for opening it.
    """
    path = files.find_paths(identifier, settings.data_root_paths, FolderLimits.from_settings(settings))[0]
    opened = open_stream_of(path, settings)
    try:
        if format_of(opened.opened, opened.stream.read(0, LOOK_BYTES), options) != "csv":
            return ()
        is_declared = asked.get("encoding") is not None and str(asked["encoding"]).lower() != AUTO
        others = other_encodings(opened.stream, options.encoding, is_declared=is_declared)
    finally:
        opened.close()
    return (
        *_encodings(files.shown_name(path), others),
        *_quotes(options, rejects),
        *_other_quote(options, rejects),
        *_escape(options, rejects),
    )


def _encodings(name: str, others: OtherEncodings) -> Iterator[Variants]:
    if not others.names:
        return
    doubt = ""
    if len(others.names) > 1:
        doubt = f"the bytes of {quoted(name)} make as much sense in {' as in '.join(others.names)}"
    elif others.is_guess:
        doubt = f"few signs say that {quoted(name)} is written in {others.names[0]}"
    yield Variants(
        "encoding",
        tuple({"encoding": one} for one in others.names),
        doubt,
        is_guess=others.is_guess,
        has_other_values=True,
    )


def _quotes(options: CsvOptions, rejects: Sequence[Reject]) -> Iterator[Variants]:
    found = [reject for reject in rejects if reject.kind in _OF_QUOTES]
    if not found or not options.quote:
        return
    ways: list[dict[str, Any]] = [{"quote": ""}]
    opens_field = re.compile(rf"(?:^|[^\w\s]){re.escape(options.quote)}")
    if sum(opens_field.search(reject.raw) is not None for reject in found) <= _OPEN_QUOTES_MAX:
        ways.insert(0, {"strayQuotes": "keep"})
    if options.escape is None and any(_ESCAPED_QUOTE in reject.raw for reject in found):
        ways.insert(0, {"escape": "\\"})
    ways = [*({"delimiter": one} for one in _delimiters_with_blanks(options, found)), *ways]
    yield Variants("quote", tuple(ways))


def _escape(options: CsvOptions, rejects: Sequence[Reject]) -> Iterator[Variants]:
    r"""A backslash, where it stands before delimiters of records that have too many: `Uno\, dos`."""
    marks = {"\\" + one for one in ((",", ";", "\t", "|") if options.delimiter == AUTO else (options.delimiter,))}
    if options.escape is None and any(
        reject.kind == RejectKind.TOO_MANY_COLUMNS and any(mark in reject.raw for mark in marks) for reject in rejects
    ):
        yield Variants("quote", ({"escape": "\\"},))


def _other_quote(options: CsvOptions, rejects: Sequence[Reject]) -> Iterator[Variants]:
    """Single quotes, where they enclose fields of records that have too many: a delimiter may stand in them."""
    mark = _USUAL_DELIMITERS if options.delimiter == AUTO else re.escape(options.delimiter)
    enclosed = re.compile(rf"(?:^|{mark})'[^']*{mark}[^']*'(?:{mark}|$)")
    if options.quote == _USUAL_QUOTE and any(
        reject.kind == RejectKind.TOO_MANY_COLUMNS and enclosed.search(reject.raw) for reject in rejects
    ):
        yield Variants("quote", ({"quote": "'"},))


def _delimiters_with_blanks(options: CsvOptions, rejects: Sequence[Reject]) -> list[str]:
    """The delimiter with blanks that stand between it and a quote in most of the rejected records."""
    mark, quote = re.escape(options.delimiter), re.escape(options.quote)
    between = re.compile(rf"{quote}([ \t]*{mark}[ \t]*){quote}")
    counts = Counter(
        text for reject in rejects for text in set(between.findall(reject.raw)) if text != options.delimiter
    )
    return [text for text, _ in counts.most_common(1) if len(text) <= DELIMITER_CHARS_MAX]
