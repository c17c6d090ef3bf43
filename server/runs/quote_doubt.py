"""Whether a reading that keeps quotes as text keeps those that only enclose values: then it loads more records, and damages them.

Quotes inside of a value (`7" mix`, `"Heroes" live`) are its text. Quotes around it, or around a whole line, and a
spreadsheet's `="00123"` are the form of the file, which no option of ours reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from server.core.texts import listed
from server.runs.look import Look
from server.sources.header_advice import is_cut_name

# Shares of the values of a column: of all, and of the records that a reading adds.
_OF_ALL_MIN: Final = 0.9
_OF_ADDED_MIN: Final = 0.5
_FORMULA: Final = (
    'spreadsheets\' formulas for text (="...") stand in the file',
    "export these columns as plain text",
)
_LINES: Final = (
    "whole lines of the file stand in quotes",
    "take these quotes off in the export, which is written as if each line were one field",
)
_BLANKS: Final = (
    "blanks stand around the quoted fields of the file",
    "take the blanks out of the export: no option passes over them",
)
_OPEN: Final = ("a quote opens a value and none closes it", "mend that quote in the source")
_OTHER: Final = ("quotes enclose values in the file", "mend the quotes in the export")


def cut_names(look: Look) -> str:
    """That a reading maps pieces of names, with a quote before or behind them, as the rest of a sentence; else empty.

    Where the quotes of its header are pieces, or none of CSV, so are those of its values.
    """
    quote = str(look.options.get("quote") or '"')
    mapped = map(str, (look.options.get("columnMapping") or {}).values())
    cut = [name for name in mapped if is_cut_name(name, quote)]
    if not cut:
        return ""
    return (
        f"takes {listed(cut)} for whole names, with quotes that enclose them, or a part of them: have the file written with plain "
        'names in its header, and with quotes (") around values'
    )


def kept_quotes(look: Look, before: Look, asked: Mapping[str, Any]) -> str:
    """That a reading keeps quotes that only enclose values, with the file's form and what to do, as the rest of a sentence.

    Empty where it does not, and where that is asked for: what is declared is not doubted.

    Args:
        asked: the options of the request.
        before: the reading that it adds records to.
    """
    batch = look.preview.batch
    options = look.options
    if batch is None or _keeps(asked) or not _keeps(options):
        return ""
    known = [] if before.prepared is None else before.prepared.rows["line"].to_list()
    is_added = ~batch.lines.is_in(known)
    quote = str(options.get("quote") or '"')
    found = {column: forms for column in batch.frame.columns if (forms := _forms(batch.frame[column], is_added, quote))}
    if not found:
        return ""
    form, cure = _form_of([form for forms in found.values() for form in forms])
    return f"keeps quotes that only enclose values as part of {listed(found)}: {form}; {cure}"


def _keeps(options: Mapping[str, Any]) -> bool:
    return options.get("quote") == "" or options.get("strayQuotes") == "keep"


def _forms(texts: pl.Series, is_added: pl.Series, quote: str) -> list[tuple[str, str]]:
    """How the quotes stand that a column keeps; nothing where its values hold none or hold them as text."""
    has_value = (texts.str.strip_chars() != "").fill_null(value=False)
    every, added = texts.filter(has_value), texts.filter(has_value & is_added)
    for some, share_min, must_enclose in ((every, _OF_ALL_MIN, False), (added, _OF_ADDED_MIN, True)):
        found = list(_kept(some, quote, must_enclose=must_enclose))
        if found and len(found) >= share_min * len(some):
            return found
    return []


def _kept(texts: pl.Series, quote: str, *, must_enclose: bool) -> Iterator[tuple[str, str]]:
    # Behind a digit it means inches.
    ends_text = re.compile(rf"[^0-9]{re.escape(quote)}[;,|\t]*$")
    for raw in texts.to_list():
        text = raw.strip()
        begins, ends = text.startswith(quote), text.endswith(quote)
        if text.startswith(f"={quote}"):
            yield _FORMULA
        elif begins and ends and len(text) > 1:
            yield _OTHER if raw == text else _BLANKS
        elif not must_enclose and (begins or ends_text.search(text)):
            yield _LINES
        elif begins and text.count(quote) % 2:
            yield _OPEN


def _form_of(found: list[tuple[str, str]]) -> tuple[str, str]:
    """The form that most values have; blanks around some quotes tell of all."""
    for form in (_FORMULA, _BLANKS):
        if form in found:
            return form
    return max((_LINES, _OTHER, _OPEN), key=found.count)
