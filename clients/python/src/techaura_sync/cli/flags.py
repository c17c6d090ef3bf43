"""Flags of `trigger` and `test`, made from the protos: every option of a source has one of its name in kebab case.

| field | flag |
|---|---|
| text, number, choice | `--preamble-lines 2` |
| true or false | `--decimal-comma`, `--no-decimal-comma` |
| list | `--null-tokens NULL --null-tokens n/a` |
| object of texts, or of lists of them | `--column-mapping title=Song`, as often as needed |
| free JSON | `--body '{"genre": "salsa"}'` |
| object with fields of its own | a flag for each: `--pagination-max-pages 3` |

`options.auth` is a choice of objects that hold secrets; it has flags of its own (options.py), or `--options`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import typer
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from techaura.sync.v1 import sync_spec_pb2

from techaura_sync.cli.option_help import OPTION_HELP
from techaura_sync.cli.options import pairs
from techaura_sync.json_form import entry_of, enum_texts, only_choice_of

Kind = Literal["text", "whole", "number", "flag", "choice", "list", "pairs", "lists", "json"]

_SPEC: Final[Descriptor] = sync_spec_pb2.SyncSpec.DESCRIPTOR
_COLUMN_NAMES: Final = "techaura.sync.v1.ColumnNames"
_FREE_JSON: Final = "google.protobuf.Struct"
_TYPES: Final = {"whole": int | None, "number": float | None, "flag": bool | None, "list": list[str]}
_METAVARS: Final = {
    "pairs": "KEY=VALUE",
    "lists": "KEY=VALUE",
    "list": "TEXT",
    "text": "TEXT",
    "whole": "N",
    "number": "N",
}
# Shorter names that the flags have too.
_SHORT: Final = {
    "target_table": "--table",
    "has_header": "--header/--no-header",
    "column_mapping": "--map",
    "field_mapping": "--map",
    "pagination_type": "--pagination",
    "pagination_max_pages": "--max-pages",
}
_ENABLED: Final = "enabled"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Args:
        name: of the parameter, such as `pagination_max_pages`.
        path: keys of the option in JSON, such as `("pagination", "maxPages")`.
        kind: what stands behind it.
        choices: what may, of a choice.
        help: what it means.
    """

    name: str
    path: tuple[str, ...]
    kind: Kind
    choices: tuple[str, ...] = ()
    help: str = ""

    @property
    def long(self) -> str:
        """The flag as it is written, such as `--pagination-max-pages`."""
        return f"--{self.name.replace('_', '-')}"

    def parameter(self) -> inspect.Parameter:
        """The parameter of a command for it."""
        names = [f"{self.long}/--no-{self.long[2:]}" if self.kind == "flag" else self.long]
        names += [_SHORT[self.name]] if self.name in _SHORT else []
        metavar = "|".join(self.choices) if self.choices else _METAVARS.get(self.kind)
        option = typer.Option(*names, metavar=metavar, help=self.help)
        is_list = self.kind in ("list", "pairs", "lists")
        kind = list[str] if is_list else _TYPES.get(self.kind, str | None)
        default: Any = [] if is_list else None
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
        )

    def value(self, given: Any) -> Any:
        """The option's JSON value; None where the flag was not given.

        Raises:
            typer.BadParameter: what stands behind it is not of its form.
        """
        if given is None or given == []:
            return None
        match self.kind:
            case "choice":
                return {choice.casefold(): choice for choice in self.choices}.get(given.casefold(), given)
            case "pairs":
                return pairs(given, "=", self.long)
            case "lists":
                lists: dict[str, list[str]] = {}
                for one in given:
                    for key, value in pairs([one], "=", self.long).items():
                        lists.setdefault(key, []).append(value)
                return lists
            case "json":
                try:
                    return json.loads(given)
                except ValueError as error:
                    raise typer.BadParameter(f"is no JSON: {error}", param_hint=self.long) from error
        return given


def flags_of(source_type: str) -> tuple[Flag, ...]:
    """The flags of a source type, its own first; those of a custom one are what all types share."""
    source = _SPEC.fields_by_name[source_type].message_type
    own = () if source is None or source_type == "custom" else tuple(_flags(source, ()))
    write = _SPEC.fields_by_name["write"].message_type
    return (*own, *_flag(_SPEC.fields_by_name["target_table"], ()), *(() if write is None else _flags(write, ())))


def with_flags(source_type: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of a source type; it gets their values as keyword arguments.

    Flags that the command has itself stay as they are.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {one.name for one in own}
        made = [flag.parameter() for flag in flags_of(source_type) if flag.name not in names]
        whole = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *made]
        command.__signature__ = signature.replace(parameters=whole)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in whole} | {"return": None}
        return command

    return decorate


def options_of(source_type: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that flags say, as JSON values.

    Raises:
        typer.BadParameter: what stands behind one of them is not of its form.
    """
    options: dict[str, Any] = {}
    for flag in flags_of(source_type):
        value = flag.value(given.get(flag.name))
        if value is None:
            continue
        *above, last = flag.path
        into = options
        for key in above:
            into = into.setdefault(key, {})
        into[last] = value
    for key, value in options.items():
        # Who says how pages are to be asked for wants them.
        if isinstance(value, dict) and (key, _ENABLED) in {flag.path for flag in flags_of(source_type)}:
            options[key] = {_ENABLED: True} | value
    return options


def _flags(message: Descriptor, above: tuple[FieldDescriptor, ...]) -> Iterator[Flag]:
    for field in message.fields:
        yield from _flag(field, above)


def _flag(field: FieldDescriptor, above: tuple[FieldDescriptor, ...]) -> Iterator[Flag]:
    whole = (*above, field)
    kind = _kind(field)
    if kind is not None:
        choices = tuple(enum_texts(field.enum_type)) if field.enum_type is not None else ()
        yield Flag(
            name="_".join(part.name for part in whole),
            path=tuple(part.json_name for part in whole),
            kind=kind,
            choices=choices,
            help=OPTION_HELP.get(field.full_name, ""),
        )
    elif field.message_type is not None and only_choice_of(field.message_type) is None:
        yield from _flags(field.message_type, whole)


def _kind(field: FieldDescriptor) -> Kind | None:
    entry = entry_of(field)
    if entry is not None:
        is_list = entry.message_type is not None and entry.message_type.full_name == _COLUMN_NAMES
        return "lists" if is_list else "pairs"
    if field.message_type is not None:
        return "json" if field.message_type.full_name == _FREE_JSON else None
    if field.is_repeated:
        return "list"
    if field.enum_type is not None:
        return "choice"
    kinds: dict[int, Kind] = {
        FieldDescriptor.CPPTYPE_BOOL: "flag",
        FieldDescriptor.CPPTYPE_INT32: "whole",
        FieldDescriptor.CPPTYPE_INT64: "whole",
        FieldDescriptor.CPPTYPE_DOUBLE: "number",
    }
    return kinds.get(field.cpp_type, "text")
