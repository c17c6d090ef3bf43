"""Readings as a person sees them: what sets each apart, its first records, and what is proposed or left to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.core.config import Settings
from server.core.texts import escaped, quoted
from server.runs.look import ROWS_MAX, Look
from server.runs.number_doubt import several_currencies
from server.runs.reading_search import Search, row_marks
from server.sources.contract import SourceBatch
from server.sources.source_type import FIELDS_MAX

_VALUE_CHARS_MAX: Final = 60
_NAME_CHARS_MAX: Final = 64
_MAPPED_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class ReadingRecord:
    """A record in one reading.

    Args:
        line: where it begins in the source.
        sample: its fields as the source has them; None where it has no such form.
        row: target columns and their text; None where the record is rejected.
        rejected: why.
    """

    line: int
    sample: Mapping[str, str | None] | None
    row: Mapping[str, str] | None
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read a source.

    Args:
        name: what sets it apart, in words.
        options: all options that bring it, in the form of the contract's JSON.
        fields: names of the fields that its records have.
        records: its first records, or the first in which readings differ.
        item_count, rejected_count: records of its beginning, and those that would be rejected.
    """

    name: str
    options: Mapping[str, Any]
    fields: tuple[str, ...]
    records: tuple[ReadingRecord, ...]
    item_count: int
    rejected_count: int


@dataclass(frozen=True, slots=True)
class Readings:
    """What was found out by trying other readings.

    Args:
        readings: the likeliest first.
        proposed: the options of the first one, where nothing speaks against it.
        findings: sentences for a person.
    """

    readings: tuple[Reading, ...] = ()
    proposed: Mapping[str, Any] | None = None
    findings: tuple[str, ...] = ()


NO_READINGS: Final = Readings()


def readings_of(search: Search, settings: Settings, now: Look | None) -> Readings:
    """What a search found.

    Args:
        now: the source with the options of the request; None where it is refused with them.
    """
    looks, doubts = search.found, search.doubts
    lines = _lines_shown(looks)
    shown = tuple(
        Reading(
            name=escaped(_name(search.asked, look.options)),
            options=look.options,
            fields=tuple(_cut(name, _NAME_CHARS_MAX) for name in look.preview.fields[:FIELDS_MAX]),
            records=tuple(_record(look, line) for line in lines[number]),
            item_count=look.item_count,
            rejected_count=look.item_count - look.loaded_count,
        )
        for number, look in enumerate(looks)
    )
    findings: list[str] = []
    proposed: Mapping[str, Any] | None = None
    if looks:
        first = looks[0]
        count = f"{first.loaded_count} of the first {first.item_count} records"
        if search.damages[0]:
            findings.append(f"reading 1 is not proposed, though it loads {count}")
        elif doubts:
            findings += [
                f"{doubt}; none is proposed: compare the rows, and take the options of the right one"
                for doubt in doubts
            ]
        elif first.item_count - first.loaded_count > settings.error_ratio_max * first.item_count:
            findings.append(f"reading 1 loads {count}, which are too few to propose it")
        else:
            proposed = first.options
            findings.append(f"reading 1 is proposed: it loads {count}")
        findings += [f"reading {number} {text}" for number, text in enumerate(search.damages, 1) if text]
    elif now is None:
        findings.append("no other reading was found that loads any record of it, so none is proposed")
    elif now.rejects:
        findings.append("no other reading was found that loads more of its records, so none is proposed")
    seen = search.likeliest or now
    if seen is not None and (currencies := several_currencies(seen)):
        findings.append(currencies)
    if search.is_cut:
        findings.append(
            f"the search ended before every reading was tried (TECHAURA_SYNC_SOURCE_TEST_READINGS_MAX, {search.looks_max}, or time)"
        )
    return Readings(shown, proposed, tuple(map(escaped, findings)))


def _lines_shown(looks: Sequence[Look]) -> list[list[int]]:
    """For each reading the lines of the records to show: the first in which readings differ, else the first."""
    marks = [row_marks(look) for look in looks]
    first = [sorted(_lines(look))[:ROWS_MAX] for look in looks]
    if len(looks) < 2:
        return first
    every = sorted(set[int]().union(*marks))
    differing = [line for line in every if len({of.get(line) for of in marks}) > 1][:ROWS_MAX]
    return [differing or lines for lines in first]


def _lines(look: Look) -> list[int]:
    batch = look.preview.batch
    return (
        []
        if batch is None
        else [*batch.lines.head(ROWS_MAX).to_list(), *(one.line for one in batch.rejects[:ROWS_MAX])]
    )


def _record(look: Look, line: int) -> ReadingRecord:
    from server.sources.redaction import shown_text

    batch, prepared = look.preview.batch, look.prepared
    row = None
    if prepared is not None:
        found = prepared.rows.filter(prepared.rows["line"] == line).select(look.row_names)
        if found.height:
            values = found.row(0, named=True)
            row = {name: _cut(shown_text(str(value), (), name)) for name, value in values.items() if value is not None}
    rejected = next((one.message for one in look.rejects if one.line == line), "") if row is None else ""
    return ReadingRecord(line, None if batch is None else _sample(batch, line), row, _cut(rejected, 400))


def _sample(batch: SourceBatch, line: int) -> dict[str, str | None] | None:
    from server.sources.redaction import shown_text

    found = batch.frame.filter(batch.lines == line)
    if not found.height:
        return None
    values = list(found.row(0, named=True).items())[:FIELDS_MAX]
    return {
        _cut(name, _NAME_CHARS_MAX): None if value is None else _cut(shown_text(value, (), name))
        for name, value in values
    }


def _cut(text: str, chars_max: int = _VALUE_CHARS_MAX) -> str:
    shown = escaped(text[:chars_max]).replace("\n", "\\n")
    return shown if len(text) <= chars_max and len(shown) <= chars_max else f"{shown[: chars_max - 1]}…"


def _name(asked: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    changed = {name: value for name, value in options.items() if asked.get(name) != value}
    words = [_words(name, value) for name, value in changed.items()]
    return ", ".join(word for word in words if word) or "as asked for"


def _words(name: str, value: Any) -> str:
    if name == "numberFormat":
        return _number_words(value)
    if isinstance(value, Mapping):
        pairs = [f"{quoted(str(column))} as {target}" for target, column in list(value.items())[:_MAPPED_SHOWN]]
        return ", ".join(pairs) + (" and others" if len(value) > _MAPPED_SHOWN else "")
    texts = {
        "delimiter": f"fields divided by {quoted(str(value))}",
        "preambleLines": f"{value} line{'' if value == 1 else 's'} above the header left out",
        "commentPrefix": f"lines that begin with {quoted(str(value))} left out",
        "encoding": f"encoding {value}",
        "quote": f"fields in {quoted(str(value))}" if value else "no quotes around fields",
        "escape": f"quotes escaped by {quoted(str(value))}",
        "strayQuotes": "stray quotes kept",
        "sheet": f"sheet {quoted(str(value))}",
        "hasHeader": "names in the first record" if value else "no header",
        "decimalComma": "numbers with a decimal comma" if value else "numbers with a decimal point",
    }
    return texts.get(name, f"{name} {value}")


def _number_words(value: Mapping[str, Any]) -> str:
    grouping = value.get("grouping") or ""
    decimal = value.get("decimal") or ("," if grouping == "." else ".")
    currency = " or ".join(map(quoted, value.get("currency", ())))
    if currency and "decimal" not in value and "grouping" not in value:
        return f"amounts with {currency}"
    return f"numbers such as 1{grouping}234{decimal}50" + (f" with {currency}" if currency else "")
