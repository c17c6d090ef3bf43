"""Schemas of what callers send: bodies that name a source or a schedule, and queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from pydantic import BaseModel
from techaura.sync.v1 import schedules_pb2, sync_spec_pb2

from scripts.openapi.components import Components, Schema
from scripts.openapi.messages import Messages, closed_object, message_of
from scripts.proto_comments import comments, described_field
from server.runs.request_checks import IDENTIFIER_CHARS_MAX
from server.schedules.service import CATCH_UP_SECONDS_DEFAULT, CATCH_UP_SECONDS_MAX
from server.service.list_tokens import MARKED_TOKEN, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, TOKEN
from server.targets.registry import TARGETS

_SPEC: Final[Descriptor] = sync_spec_pb2.SyncSpec.DESCRIPTOR
# What the identifier of a source must look like, where a pattern can say it.
_IDENTIFIERS: Final[Mapping[str, Schema]] = {"api": {"pattern": "^[hH][tT][tT][pP][sS]?://"}}
# What a body is that names a source of a type.
_BODIES: Final = {
    "Sync": "A source of type {}, and how it is read.",
    "Schedule": "A recurring sync of a source of type {}.",
}
_INT32_MAX: Final = 2**31 - 1
# Limits of a schedule that no model states.
_SCHEDULE_LIMITS: Final[Schema] = {
    "cron": {"minLength": 1},
    "catchUpSeconds": {"minimum": 0, "maximum": CATCH_UP_SECONDS_MAX, "default": CATCH_UP_SECONDS_DEFAULT},
    "enabled": {"default": True},
    "revision": {"minimum": 0, "maximum": _INT32_MAX},
}

_QUERY_LIMITS: Final[Schema] = {
    "pageSize": {"minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE_DEFAULT},
    "pageToken": {"pattern": f"^({TOKEN.pattern})?$"},
}
# Where a call has them beside the page.
_MARKED_LIMITS: Final[Schema] = {"pageToken": {"pattern": f"^({MARKED_TOKEN.pattern})?$"}}


class Requests:
    """Makes the schemas of request bodies.

    Args:
        components: takes the schemas that have names.
    """

    def __init__(self, components: Components) -> None:
        self._components = components
        self._messages = Messages(components)

    def sync(self) -> Schema:
        """A body that names a source: that of a trigger, and of a test."""
        return self._by_source_type("Sync", {}, ("sourceType", "sourceIdentifier"))

    def schedule(self, keys: Iterable[str]) -> Schema:
        """A body that makes a schedule; `keys` are those that are no part of its source."""
        return self._by_source_type("Schedule", self._schedule_fields(keys), ("sourceType", "sourceIdentifier", "cron"))

    def schedule_change(self, keys: Iterable[str]) -> Schema:
        """A body that changes a schedule: at least one field that is not null.

        `options` go with the source type whose options they are; without one they are those of the schedule's own, which no
        document knows. A source type without options must be the schedule's own.
        """
        spec = {
            "sourceType": {
                "type": "string",
                "minLength": 1,
                "description": "Source type of the options; default: the schedule's own.",
            },
            "sourceIdentifier": _identifier(""),
            "options": {"type": "object", "description": "All options, in place of those that the schedule has."},
        }
        fields = closed_object(spec | self._schedule_fields(keys), ())
        null: Schema = {"type": "null"}
        changes = [name for name in fields["properties"] if name not in ("sourceType", "revision")]
        alone = [_with(name, {"sourceType": null}) for name in changes]
        beside = [
            _with(name, {"options": null, "sourceType": {"type": "string"}}) for name in changes if name != "options"
        ]
        typed = [
            {"required": ["sourceType", "options"], "properties": self._typed_options(member)}
            for member in _SPEC.oneofs_by_name["source"].fields
        ]
        description = "The fields of a recurring sync that change; null counts as not given."
        schema = {"description": description, **fields, "anyOf": [*typed, *alone, *beside]}
        return self._components.put("ScheduleChange", schema)

    def query(self, message: Descriptor, keys: Iterable[str]) -> list[Schema]:
        """The parameters of a query: fields of a message of a call."""
        fields = {field.json_name: field for field in message.fields}
        limits = _QUERY_LIMITS | (_MARKED_LIMITS if message.name == "ListSyncErrorsRequest" else {})
        return [
            {
                "name": key,
                "in": "query",
                "required": False,
                "description": described_field(fields[key]),
                "schema": self._messages.value(fields[key], limits.get(key, {}), {}),
            }
            for key in keys
        ]

    def _schedule_fields(self, keys: Iterable[str]) -> dict[str, Schema]:
        fields = {field.json_name: field for field in schedules_pb2.SyncSchedule.DESCRIPTOR.fields}
        return self._messages.properties([fields[key] for key in keys], _SCHEDULE_LIMITS, {})

    def _by_source_type(self, name: str, further: dict[str, Schema], required: tuple[str, ...]) -> Schema:
        variants: list[Schema] = []
        for member in _SPEC.oneofs_by_name["source"].fields:
            body = {"description": _BODIES[name].format(member.json_name)}
            body |= closed_object(self._spec(member) | further, required)
            variants.append(self._components.put(f"{member.json_name.capitalize()}{name}", body))
        return {"oneOf": variants}

    def _spec(self, member: FieldDescriptor) -> dict[str, Schema]:
        """The keys that name a source of one type."""
        typed = self._typed_options(member)
        typed["sourceType"]["description"] = comments()[member.full_name]
        return {
            "sourceType": typed["sourceType"],
            "sourceIdentifier": _identifier(member.json_name),
            "options": typed["options"],
        }

    def _typed_options(self, member: FieldDescriptor) -> dict[str, Schema]:
        """A source type with its options."""
        message = message_of(member)
        if message is sync_spec_pb2.CustomSource.DESCRIPTOR:
            others = [other.json_name for other in _SPEC.oneofs_by_name["source"].fields if other is not member]
            source_type: Schema = {"type": "string", "minLength": 1, "not": {"enum": others}}
            options: Schema = {"type": "object", "description": described_field(message.fields_by_name["options"])}
            return {"sourceType": source_type, "options": options}
        options = self._options(member) | {"description": "Options of the source type. Default: its defaults."}
        return {"sourceType": {"const": member.json_name}, "options": options}

    def _options(self, member: FieldDescriptor) -> Schema:
        """The flat object `options` of a source type: its own, the target table, and how rows are written."""
        message = message_of(member)
        fields = [*message.fields, _SPEC.fields_by_name["target_table"], *sync_spec_pb2.WriteOptions.DESCRIPTOR.fields]
        limits = _model(member).model_json_schema(by_alias=True)
        limits["properties"].get("targetTable", {}).update(enum=sorted(TARGETS), minLength=None, maxLength=None)
        schema = closed_object(self._messages.properties(fields, limits["properties"], limits.get("$defs", {})), ())
        return self._components.put(message.name, schema | {"description": comments()[message.full_name]})


def _model(member: FieldDescriptor) -> type[BaseModel]:
    """The model that checks the options of a source type; it is called like their message."""
    module = import_module(f"server.sources.{member.name}.options")
    model: type[BaseModel] = getattr(module, message_of(member).name)
    return model


def _identifier(source_type: str) -> Schema:
    field = _SPEC.fields_by_name["source_identifier"]
    limits = {"type": "string", "minLength": 1, "maxLength": IDENTIFIER_CHARS_MAX}
    return limits | _IDENTIFIERS.get(source_type, {}) | {"description": described_field(field)}


def _with(name: str, others: Mapping[str, Schema]) -> Schema:
    """An object that has a key which is not null, and others that fit if they are there."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}, **others}}
