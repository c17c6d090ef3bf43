"""The schemas that a document names: types of answers, and messages and enums of the protos.

A field of an answer takes its description from its `Annotated`, else from the doc comment of the field of the same JSON name
in the message that its view is made of: what the function in `techaura_sync.views` takes that returns it.
"""

from __future__ import annotations

import inspect
import pkgutil
import typing
from dataclasses import asdict
from functools import cache
from importlib import import_module
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NotRequired, Union, get_args, get_origin

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from techaura_sync import views
from techaura_sync.json_form import enum_texts
from techaura_sync.views.values import Facets

from scripts.proto_comments import comments, described_field

Schema = dict[str, Any]

_PLAIN: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Any: {},
}


class Components:
    """`components.schemas` of a document; whatever is asked for is put there, once."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def put(self, name: str, schema: Schema) -> Schema:
        """Store a schema under a name; answer a reference to it.

        Raises:
            ValueError: another one has that name.
        """
        if self.schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")
        return {"$ref": f"#/components/schemas/{name}"}

    def of(self, annotation: Any) -> Schema:
        """The schema of a type."""
        if annotation in _PLAIN:
            return dict(_PLAIN[annotation])
        if typing.is_typeddict(get_origin(annotation) or annotation):
            return self._answer(annotation)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.of(arguments[0]) | _facets(arguments[1:])
        if origin is Literal:
            return {"const": arguments[0]} if len(arguments) == 1 else {"type": "string", "enum": [*arguments]}
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            values = self.of(arguments[1])
            return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
        if origin in (Union, UnionType) and len(arguments) == 2 and arguments[1] is NoneType:
            return nullable(self.of(arguments[0]))
        raise TypeError(f"{annotation} has no schema")

    def enum(self, enum: EnumDescriptor) -> Schema:
        """The schema of an enum of the protos."""
        texts = enum_texts(enum)
        lines = [f"- `{text}`: {comments()[_value_name(enum, number)]}" for text, number in texts.items()]
        description = f"{comments()[enum.full_name]}\n\n" + "\n".join(lines)
        return self.put(enum.name, {"type": "string", "enum": [*texts], "description": description})

    def _answer(self, annotation: Any) -> Schema:
        kind = get_origin(annotation) or annotation
        name = component_name(annotation)
        if name in self.schemas:
            return {"$ref": f"#/components/schemas/{name}"}
        arguments = dict(zip(getattr(kind, "__parameters__", ()), get_args(annotation), strict=True))
        properties: dict[str, Schema] = {}
        required = []
        for key, hint in typing.get_type_hints(kind, include_extras=True).items():
            is_optional = get_origin(hint) is NotRequired
            field_type = get_args(hint)[0] if is_optional else hint
            given = tuple(arguments[parameter] for parameter in getattr(field_type, "__parameters__", ()))
            schema = self.of(field_type[given] if given else field_type)
            properties[key] = self._described(kind, key, schema)
            required += [] if is_optional else [key]
        description = " ".join((kind.__doc__ or "").split())
        schema = {"type": "object", "description": description, "required": required, "properties": properties}
        return self.put(name, schema)

    def example(self, annotation: type) -> Schema:
        """An answer of a type, made of the examples and limits of its fields.

        Raises:
            ValueError: a field has none.
        """
        self.of(annotation)
        name = component_name(annotation)
        return {key: _example(f"{name}.{key}", value) for key, value in self.schemas[name]["properties"].items()}

    def _described(self, kind: type, key: str, schema: Schema) -> Schema:
        fields = [field for field in map(_field(key), _shown(kind)) if field is not None]
        if fields and fields[0].enum_type is not None and schema.get("type") == "string":
            schema = self.enum(fields[0].enum_type) | {name: schema[name] for name in schema if name != "type"}
        if "description" in schema:
            return schema
        if not fields:
            raise ValueError(f"{kind.__name__}.{key} has no description, and no message has a field of this name")
        return schema | {"description": described_field(fields[0])}


def component_name(annotation: Any) -> str:
    """`Run` for RunView, `RunAnswer` for Answer[RunView]."""
    kind: type = get_origin(annotation) or annotation
    return "".join(component_name(part) for part in get_args(annotation)) + kind.__name__.removesuffix("View")


def nullable(schema: Schema) -> Schema:
    """What may also be null; its description and its default stay outside."""
    if "enum" in schema:
        return schema | {"type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    outside = {name: schema[name] for name in ("description", "default") if name in schema}
    inside = {name: value for name, value in schema.items() if name not in outside}
    return {"anyOf": [inside, {"type": "null"}]} | outside


def _facets(metadata: tuple[Any, ...]) -> Schema:
    facets: Schema = {}
    for item in metadata:
        if isinstance(item, str):
            facets["description"] = item
        elif isinstance(item, Facets):
            known = {name: value for name, value in asdict(item).items() if value is not None}
            example = known.pop("example", None)
            facets |= known if example is None else known | {"examples": [example]}
    return facets


def _shown(kind: type) -> list[Descriptor]:
    """The messages of a view and of those that it extends, which have some of its fields and no other; its own first."""
    fields = typing.get_type_hints(kind, include_extras=True).items()
    extended = [view for view in _messages() if typing.get_type_hints(view, include_extras=True).items() <= fields]
    return [_messages()[view] for view in sorted(extended, key=lambda view: -len(typing.get_type_hints(view)))]


@cache
def _messages() -> dict[type, Descriptor]:
    """Each view and the message that a function makes it of."""
    found = {}
    for module in pkgutil.iter_modules(views.__path__, f"{views.__name__}."):
        for _name, function in inspect.getmembers(import_module(module.name), inspect.isfunction):
            hints = typing.get_type_hints(function)
            returned = hints.pop("return", None)
            if typing.is_typeddict(returned):
                (message,) = hints.values()
                found[returned] = message.DESCRIPTOR
    return found


def _field(key: str) -> Any:
    def find(descriptor: Descriptor) -> FieldDescriptor | None:
        return next((field for field in descriptor.fields if key in (field.json_name, field.name)), None)

    return find


def _example(place: str, schema: Schema) -> Any:
    for given in ("examples", "enum"):
        if given in schema:
            return schema[given][0]
    if "minimum" in schema:
        return schema["minimum"]
    plain = {"boolean": True, "array": []}
    if schema.get("type") not in plain:
        raise ValueError(f"{place} has no example: say one in its type's Facets, or the whole in examples.py")
    return plain[schema["type"]]


def _value_name(enum: EnumDescriptor, number: int) -> str:
    return f"{enum.full_name}.{enum.values_by_number[number].name}"
