"""The schemas that a document names: types of answers, and messages and enums of the protos.

A field of an answer takes its description from its `Annotated`, else from the doc comment of the field of the same JSON name
in the message that the answer shows.
"""

from __future__ import annotations

import typing
from dataclasses import asdict
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NotRequired, Union, get_args, get_origin

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from techaura.sync.v1 import resources_pb2, schedules_pb2, sync_service_pb2, sync_spec_pb2
from techaura_sync import view_types
from techaura_sync.json_form import enum_texts
from techaura_sync.view_types import Facets

from scripts.proto_comments import comments, described_field

Schema = dict[str, Any]

_PLAIN: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Any: {},
}
# What an answer shows; a field is looked for in each message in turn.
_SHOWN: Final[dict[type, tuple[Any, ...]]] = {
    view_types.LedgerView: (resources_pb2.Ledger,),
    view_types.RunFailureView: (resources_pb2.RunFailure,),
    view_types.DetectedFormatView: (resources_pb2.DetectedFormat,),
    view_types.RunView: (resources_pb2.SyncRun,),
    view_types.RecentErrorView: (resources_pb2.SyncError,),
    view_types.RunStatusView: (resources_pb2.SyncRun, sync_service_pb2.GetSyncStatusResponse),
    view_types.RejectedRowView: (resources_pb2.SyncError,),
    view_types.RunErrorView: (resources_pb2.SyncError,),
    view_types.SourceTestView: (sync_service_pb2.TestSourceResponse,),
    view_types.StatsView: (resources_pb2.SyncStats,),
    view_types.ScheduleView: (schedules_pb2.SyncSchedule, sync_spec_pb2.SyncSpec),
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

    def _described(self, kind: type, key: str, schema: Schema) -> Schema:
        fields = [field for field in map(_field(key), _SHOWN.get(kind, ())) if field is not None]
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


def _field(key: str) -> Any:
    def find(message: Any) -> FieldDescriptor | None:
        descriptor: Descriptor = message.DESCRIPTOR
        return next((field for field in descriptor.fields if key in (field.json_name, field.name)), None)

    return find


def _value_name(enum: EnumDescriptor, number: int) -> str:
    return f"{enum.full_name}.{enum.values_by_number[number].name}"
