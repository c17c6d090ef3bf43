"""What a person is told of values and rows that were loaded as they stand and that are probably not meant so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from server.core.tally import (
    CURRENCY_PREFIX,
    HTML_ENTITY_CODE,
    LOST_CHARACTER_CODE,
    NO_RECORD_CODE,
    NULL_WORD_CODE,
    ODD_CODES,
    SHORTENED_CODE,
    SINGLE_QUOTED_CODE,
    TWICE_DECODED_CODE,
    UNSEEN_CHARACTER_CODE,
    Kind,
)
from server.core.texts import quoted

# Currencies of a column that a sentence names.
_CURRENCIES_NAMED_MAX: Final = 5
# Code -> the notice. `where` says in how many rows, and on which line first.
_TEXTS: Final[Mapping[str, str]] = {
    NULL_WORD_CODE: (
        "{column} holds a word such as NULL or N/A {where}: it is stored as it stands; if such words mean no value, {cure}"
    ),
    TWICE_DECODED_CODE: (
        "{column} looks as if UTF-8 had been decoded in another encoding before it came here, such as CanciÃ³n for Canción, "
        "{where}: it is stored as it stands; what wrote the source has to be mended"
    ),
    HTML_ENTITY_CODE: (
        "{column} holds HTML entities, such as &amp; for &, {where}: it is stored as it stands; what wrote the source has to be mended"
    ),
    LOST_CHARACTER_CODE: (
        "{column} shows that characters were lost before it came here, by U+FFFD or a question mark within a word, {where}: it is "
        "stored as it stands; what wrote the source has to be mended"
    ),
    UNSEEN_CHARACTER_CODE: (
        "{column} holds characters that are not seen, such as a zero-width space, or accents apart from their letters, {where}: it is "
        "stored as it stands, and a search for the same text without them may not find it"
    ),
    SINGLE_QUOTED_CODE: (
        "{column} holds texts in single quotes {where}: they are stored with these quotes; if the quotes only enclose the texts, {cure}"
    ),
    SHORTENED_CODE: (
        "{column} looks like numbers that a spreadsheet has shortened, such as 7.70212E+12, {where}: their last digits are lost, so "
        "different rows may have one key; give the column a number format that shows all digits, or text, before it is saved as CSV"
    ),
    NO_RECORD_CODE: (
        "a total, a page number, a message or another header seems to stand where a record should {where}: it is loaded as a row; take "
        "such lines out of the source"
    ),
}
# What to do about it, where the source's type has an option for it, and where it has none.
_CURES: Final[Mapping[str, tuple[str, str]]] = {
    NULL_WORD_CODE: ("list them in options.nullTokens", "the source has to leave them out"),
    SINGLE_QUOTED_CODE: ("set options.quote to '", "the source has to leave them out"),
}


def odd_notices(kinds: Iterable[Kind], source_type: str, *, is_encoding_doubted: bool) -> list[str]:
    """A notice for each kind of values or rows that were loaded as they stand and that a person should look at.

    Args:
        kinds: all that was met; others are left out.
        source_type: whose options may be named.
        is_encoding_doubted: whether it was told that the source may have another encoding: then nothing else is said of texts
            that look decoded twice.
    """
    told = ODD_CODES - ({TWICE_DECODED_CODE} if is_encoding_doubted else set())
    kinds = tuple(kinds)
    return [*(_odd_text(kind, source_type) for kind in kinds if kind.code in told), *_currency_texts(kinds)]


def _odd_text(kind: Kind, source_type: str) -> str:
    with_option, without_option = _CURES.get(kind.code, ("", ""))
    return _TEXTS[kind.code].format(
        column=quoted(kind.column),
        where=f"in {kind.count} row{'' if kind.count == 1 else 's'}, first on line {kind.first_line}",
        cure=with_option if source_type == "csv" else without_option,
    )


def _currency_texts(kinds: Iterable[Kind]) -> Iterator[str]:
    by_column: dict[str, list[Kind]] = {}
    for kind in kinds:
        if kind.code.startswith(CURRENCY_PREFIX):
            by_column.setdefault(kind.column, []).append(kind)
    for column, met in by_column.items():
        if len(met) > 1:
            first = sorted(met, key=lambda kind: (-kind.count, kind.first_line))
            counts = [
                f"{quoted(kind.code.removeprefix(CURRENCY_PREFIX))} in {kind.count} row{'' if kind.count == 1 else 's'}, first on line "
                f"{kind.first_line}"
                for kind in first[:_CURRENCIES_NAMED_MAX]
            ]
            rest = len(met) - len(counts)
            counts += [f"{rest} more"] * (rest > 0)
            yield (
                f"{quoted(column)} holds amounts in several currencies: {'; '.join(counts)}: all are stored as one money, for the "
                "table has no column that says which and nothing is converted; where they are not names of one, give each a source "
                "of its own"
            )
