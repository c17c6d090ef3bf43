"""A SyncSpec as the command line of techaura-sync that triggers it.

An option is a flag of its name in kebab case (cli/flags.py). What a shell's line cannot show, such as a zero-width space, and
what has no flag of its own goes into `--options`, as JSON in ASCII.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from techaura.sync.v1 import csv_source_pb2

from techaura_sync.json_form import entry_of
from techaura_sync.spec import SyncSpec, options_json, source_type_of

_PROGRAM: Final = "techaura-sync"
_OWN_COMMANDS: Final = frozenset({"csv", "api"})
# Flags that have a shorter name in every guide.
_SHORT: Final = {"columnMapping": "--map", "targetTable": "--table"}
# Options of a csv source that have fields of their own, each with a flag.
_WITH_FIELDS: Final = frozenset(
    field.json_name
    for field in csv_source_pb2.CsvOptions.DESCRIPTOR.fields
    if field.message_type is not None and entry_of(field) is None
)
_CAPITAL: Final = re.compile(r"[A-Z]")
_TAB_AS_TYPED: Final = "\\t"


def command_line(spec: SyncSpec, verb: str = "trigger") -> str:
    """The line, ready for a POSIX shell."""
    return " ".join(command_words(spec, verb))


def command_words(spec: SyncSpec, verb: str = "trigger") -> tuple[str, ...]:
    """The words of the line, quoted; a flag and its value are one, so that a line may be broken between any two.

    Raises:
        JsonFormError: the spec holds a number that JSON does not have.
    """
    source_type = source_type_of(spec)
    named = (source_type,) if source_type in _OWN_COMMANDS else ("custom", shlex.quote(source_type))
    words: list[str] = []
    others: dict[str, Any] = {}
    for name, value in options_json(spec).items():
        flags = list(_flags(name, value)) if source_type == "csv" else None
        if flags is None or None in flags:
            others[name] = value
        else:
            words += [flag for flag in flags if flag is not None]
    if others:
        words.append(f"--options {shlex.quote(json.dumps(others))}")
    identifier = shlex.quote(spec.source_identifier)
    if spec.source_identifier.startswith("-"):
        return (_PROGRAM, verb, *named, *words, f"-- {identifier}")
    return (_PROGRAM, verb, *named, identifier, *words)


def _flags(name: str, value: Any, above: str = "") -> Iterator[str | None]:
    """The flags of one option; None for what no flag can say."""
    flag = f"{above or '-'}-{_CAPITAL.sub(lambda found: f'-{found[0].lower()}', name)}"
    if isinstance(value, bool):
        yield flag if value else f"--no-{flag[2:]}"
        return
    if name in _WITH_FIELDS and not above:
        for field, one in value.items():
            yield from _flags(field, one, flag)
        return
    flag = flag if above else _SHORT.get(name, flag)
    for text in _texts(value):
        typed = _TAB_AS_TYPED if name == "delimiter" and text == "\t" else text
        yield f"{flag} {shlex.quote(typed)}" if typed is not None and typed.isprintable() else None


def _texts(value: Any) -> Iterator[str | None]:
    """What stands behind a flag, once for each time that it is given."""
    if isinstance(value, str | int | float):
        yield str(value)
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, Mapping):
        # The map of a message has no order.
        for key, one in sorted(value.items()):
            is_pair = "=" not in key and key.isprintable()
            for text in one if isinstance(one, list) else [one]:
                yield f"{key}={text}" if is_pair and isinstance(text, str) else None
    else:
        yield None
