"""Schemas of messages as JSON, by a walk over their descriptors (techaura_sync/json_form.py reads the same JSON).

Names, types, choices and descriptions are those of the protos; limits and defaults those of the models that check the
values. Any key that is not required may be left out, or be null, which is the same; no other key is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from techaura.sync.v1 import api_source_pb2, csv_source_pb2
from techaura_sync.json_form import choices_of, entry_of, is_required, only_choice_of

from scripts.openapi.components import Components, Schema, nullable
from scripts.proto_comments import comments, described_field

_TYPES: Final = {
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_INT32: "integer",
    FieldDescriptor.CPPTYPE_INT64: "integer",
}
_FACETS: Final = (
    *(
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "maxProperties",
        "propertyNames",
    ),
    "enum",
)


class Messages:
    """Makes schemas of messages.

    Limits are JSON Schemas that pydantic makes of a model; `definitions` are those that they refer to.

    Args:
        components: takes the schemas that have names.
    """

    def __init__(self, components: Components) -> None:
        self._components = components

    def properties(self, fields: Iterable[FieldDescriptor], limits: Schema, definitions: Schema) -> dict[str, Schema]:
        """The schema of each field by its name in JSON, with its description."""
        return {
            field.json_name: self._field(field, _resolved(limits.get(field.json_name, {}), definitions), definitions)
            | {"description": described_field(field)}
            for field in fields
        }

    def _field(self, field: FieldDescriptor, limit: Schema, definitions: Schema) -> Schema:
        if (entry := entry_of(field)) is not None:
            values = self.value(entry, _resolved(limit.get("additionalProperties", {}), definitions), definitions)
            return {"type": "object", "additionalProperties": values} | _facets(limit)
        if field.is_repeated:
            items = self.value(field, _resolved(limit.get("items", {}), definitions), definitions)
            return {"type": "array", "items": items} | _facets(limit)
        return self.value(field, limit, definitions)

    def value(self, field: FieldDescriptor, limit: Schema, definitions: Schema) -> Schema:
        """The schema of one value of a field, without its description."""
        default = {"default": limit["default"]} if limit.get("default") is not None else {}
        if field.enum_type is not None:
            return self._components.enum(field.enum_type) | default
        if field.message_type is not None:
            return self._message(field.message_type, limit, definitions)
        return {"type": _TYPES[field.cpp_type]} | _facets(limit) | default

    def _message(self, message: Descriptor, limit: Schema, definitions: Schema) -> Schema:
        if message.full_name == struct_pb2.Struct.DESCRIPTOR.full_name:
            return {"type": "object"}
        description = {"description": comments()[message.full_name]}
        if message.full_name == csv_source_pb2.ColumnNames.DESCRIPTOR.full_name:
            return self._field(message.fields_by_name["names"], limit, definitions)
        if message.full_name == api_source_pb2.SecretText.DESCRIPTOR.full_name:
            return self._components.put(message.name, _secret() | description)
        if choice := only_choice_of(message):
            members = [(member, self._member(member, limit, definitions)) for member in choice.fields]
            mapping = {member.json_name: schema["$ref"] for member, schema in members}
            kinds = {"oneOf": [schema for _, schema in members]}
            discriminator = {"discriminator": {"propertyName": "type", "mapping": mapping}}
            return self._components.put(message.name, kinds | discriminator | description)
        properties = self.properties(message.fields, limit.get("properties", {}), definitions)
        schema = closed_object(properties, _required(message))
        return self._components.put(message.name, _with_choices(schema, message) | description)

    def _member(self, member: FieldDescriptor, limit: Schema, definitions: Schema) -> Schema:
        """One of the messages that an object's `type` chooses from."""
        kinds = limit.get("discriminator", {}).get("mapping", {})
        limit = _resolved({"$ref": kinds[member.json_name]} if kinds else {}, definitions)
        message = message_of(member)
        properties = {"type": {"const": member.json_name, "description": comments()[member.full_name]}}
        properties |= self.properties(message.fields, limit.get("properties", {}), definitions)
        schema = _with_choices(closed_object(properties, ("type", *_required(message))), message)
        return self._components.put(message.name, schema | {"description": comments()[message.full_name]})


def message_of(field: FieldDescriptor) -> Descriptor:
    """The message that a field holds.

    Raises:
        TypeError: it holds none.
    """
    if field.message_type is None:
        raise TypeError(f"{field.full_name} is no message")
    return field.message_type


def closed_object(properties: Mapping[str, Schema], required: Iterable[str]) -> Schema:
    """An object of which any other key may be left out, or null, which is the same; no further key is known."""
    needed = [*required]
    schema: Schema = {"type": "object"}
    if needed:
        schema["required"] = needed
    schema["properties"] = {
        name: value if name in needed or "const" in value else nullable(value) for name, value in properties.items()
    }
    return schema | {"additionalProperties": False}


def _secret() -> Schema:
    fields = api_source_pb2.SecretText.DESCRIPTOR.fields_by_name
    texts = {
        name: {"type": "string", "description": described_field(fields[name])} for name in ("value", "env", "file")
    }
    texts["env"]["pattern"] = "^SOURCE_"
    objects = [
        {"type": "object", "required": [name], "properties": {name: texts[name]}, "additionalProperties": False}
        for name in ("env", "file")
    ]
    return {"anyOf": [texts["value"], *objects]}


def _with_choices(schema: Schema, message: Descriptor) -> Schema:
    """Says of each oneof that one of its members is there, and the others are not."""
    for choice in choices_of(message):
        names = [member.json_name for member in choice.fields]
        present = {name: schema["properties"].pop(name) for name in names}
        described = {name: {"description": value["description"]} for name, value in present.items()}
        schema["properties"] |= described
        schema["oneOf"] = [
            {
                "required": [chosen],
                "properties": {
                    name: present[name] | {"type": "string"} if name == chosen else {"type": "null"} for name in names
                },
            }
            for chosen in names
        ]
    return schema


def _required(message: Descriptor) -> tuple[str, ...]:
    return tuple(field.json_name for field in message.fields if is_required(field))


def _resolved(limit: Any, definitions: Schema) -> Schema:
    """A schema of pydantic without the ways in which it says null, and without references."""
    if not isinstance(limit, dict):
        return {}
    default = {"default": limit["default"]} if "default" in limit else {}
    for part in limit.get("anyOf", ()):
        if part.get("type") != "null":
            return _resolved(part, definitions) | default
    if "$ref" in limit:
        return _resolved(definitions[limit["$ref"].rpartition("/")[2]], definitions) | default
    return limit


def _facets(limit: Schema) -> Schema:
    return {name: limit[name] for name in _FACETS if limit.get(name) is not None}
