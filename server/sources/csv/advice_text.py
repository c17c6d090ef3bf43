"""The words of an advice: what the file looks like read another way, and the options to set, for REST and the command line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.core.reasons import Reason
from server.core.texts import quoted
from server.sources.csv.beginning import Beginning
from server.sources.header_advice import Advice, Fit

_FLAGS: Final = {
    "delimiter": "--delimiter",
    "preambleLines": "--preamble-lines",
    "commentPrefix": "--comment-prefix",
    "encoding": "--encoding",
    "quote": "--quote",
    "hasHeader": "--no-header",
    "sheet": "--sheet",
}

# What is a value and no name of a column: digits with marks, a date, an amount.
_NUMBER: Final = re.compile(r"[+-]?[$€]?\s?\d[\d.,:/\s-]*%?")


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read the file that the mapping fits: what to set, what it brings, and where its header stands."""

    changes: Mapping[str, Any]
    fit: Fit
    columns: tuple[str, ...]
    line: int


def told(name: str, now: Beginning, reading: Reading) -> Advice:
    """The advice to read a file another way.

    Args:
        name: the file's.
        now: how it begins as it is read now.
        reading: the way that brings the wanted names.
    """
    changes = dict(reading.changes)
    said: list[str] = []
    if "preambleLines" in changes or "commentPrefix" in changes:
        said.append(f"the names stand in line {reading.line}, not in line {now.detected.get('headerLine', 1)}")
    if "delimiter" in changes:
        count = len(now.columns)
        there = "is one column" if count == 1 else f"are {count} columns"
        before = f"read with {quoted(str(now.detected['delimiter']))} there {there}"
        names = ", ".join(quoted(column.strip()) for column in reading.fit.names[:5])
        said.append(
            f"{before}, with {quoted(changes['delimiter'])} there are {len(reading.columns)}, {names} among them"
        )
    if "quote" in changes:
        said.append(f"the names stand in {quoted(changes['quote'])}")
    if "encoding" in changes:
        said.append(f"the names are not written in {now.encoding.name}")
    if "hasHeader" in changes:
        said.append(
            "its first record holds the names"
            if changes["hasHeader"]
            else "the mapping counts columns, as if it had no header"
        )
    return _advice(name, said, changes, reading.fit)


def _advice(name: str, said: list[str], changes: Mapping[str, Any], fit: Fit) -> Advice:
    settings = _settings_of(changes)
    if fit.mapping:
        said.append(
            "these names may mean the wanted ones: "
            + ", ".join(f"{quoted(column)} {target}" for target, column in fit.mapping.items())
        )
        settings.append(_mapping_text(fit.mapping))
    fields = [f"options.{option}" for option in changes]
    return Advice(
        reason=Reason.INVALID_OPTION if fields else Reason.INVALID_MAPPING,
        field=fields[0] if fields else "options.columnMapping",
        text=f"{f'{quoted(name)}: ' if fields else ''}{'; '.join(said)}; set {' and '.join(settings)}",
        is_addition=not fields,
    )


def told_of_table(name: str, found: Mapping[str, Any], changes: Mapping[str, Any], fit: Fit) -> Advice:
    """The advice to take another sheet or row for the header, or names in another language.

    Args:
        name: the file's.
        found: where the names stand.
        changes: what to set beside the mapping.
        fit: what the mapping makes of the columns then.
    """
    names = ", ".join(quoted(column.strip()) for column in fit.names[:5])
    place = f"the sheet {quoted(found['sheet'])}" if "sheet" in found else "its sheet"
    said = [f"{names} stand in row {found['preambleLines'] + 1} of {place}"] if found else []
    return _advice(name, said, changes, fit)


def _settings_of(changes: Mapping[str, Any]) -> list[str]:
    texts = {name: _setting_text(name, value) for name, value in changes.items()}
    if "preambleLines" in texts and "commentPrefix" in texts:
        texts["preambleLines"] += f", or {texts.pop('commentPrefix')}"
    return list(texts.values())


def mismatch(name: str, now: Beginning) -> Advice | None:
    """What is said of a header that does not fit its records."""
    if now.header_reject is None:
        return None
    width = len(now.columns)
    line = int(now.detected["headerLine"])
    return Advice(
        reason=Reason.INVALID_MAPPING,
        field="options.columnMapping",
        text=f"{quoted(name)}: {now.header_reject.message}, so no name can be trusted; correct the header,"
        f" or set options.hasHeader to false (--no-header), options.preambleLines to {line} (--preamble-lines {line})"
        f" and options.columnMapping to names of column_1 to column_{width}",
    )


def whole_lines(name: str) -> Advice:
    """What is said of a file whose lines stand in quotes, each as if it were one field.

    Args:
        name: the file's.
    """
    return Advice(
        reason=Reason.INVALID_MAPPING,
        field="options.columnMapping",
        text=f"in {quoted(name)} whole lines stand in quotes, as if each were one field: take these quotes off where the file is "
        "written; no option reads it",
        is_addition=True,
    )


def no_header(name: str, columns: Sequence[str]) -> Advice | None:
    """What is said of a file whose first line looks like a record: a name is a number. None where none is.

    Args:
        name: the file's.
        columns: what stands in that line.
    """
    if not any(_NUMBER.fullmatch(column.strip()) for column in columns):
        return None
    return Advice(
        reason=Reason.INVALID_MAPPING,
        field="options.hasHeader",
        text=f"{quoted(name)}: the first line looks like a record and not like a header; if it is one, set options.hasHeader to false "
        f"(--no-header) and options.columnMapping to names of column_1 to column_{len(columns)}",
        is_addition=True,
    )


def _setting_text(name: str, value: Any) -> str:
    flag = _FLAGS[name]
    if isinstance(value, bool):
        return f"options.{name} to {str(value).lower()}" + (f" ({flag})" if not value else f" (without {flag})")
    shown = quoted(value) if name in ("delimiter", "commentPrefix", "quote", "sheet") else str(value)
    typed = "'\\t'" if value == "\t" else shlex.quote(str(value))
    if typed == str(value) and name in ("delimiter", "commentPrefix"):
        typed = f"'{value}'"
    return f"options.{name} to {shown} ({flag} {typed})"


def _mapping_text(mapping: Mapping[str, str]) -> str:
    flags = " ".join(f"--map {shlex.quote(f'{target}={name}')}" for target, name in mapping.items())
    return f"options.columnMapping to {json.dumps(dict(mapping), ensure_ascii=False)} ({flags})"
