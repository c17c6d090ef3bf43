"""JSON as callers write it <-> messages, by a walk over the descriptors of the protos: a field is defined there alone.

Both ways are strict about shape and type, and say nothing of values, which the service judges: a text is no number, a
key that is no field is refused by its name, and null counts as not given. A key is the field's `json_name`, the JSON of
an enum's value its `json_value` (json.proto), and a field that is REQUIRED (google.api.field_behavior) must be there.

Forms of their own: a secret (a text, or an object with `env` or `file`), the names of a column (a list), free JSON
(Struct), and a message that is nothing but a choice of messages, which is an object whose `type` names the chosen one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar, cast

from google.api import field_behavior_pb2
from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from techaura.sync.v1 import api_source_pb2, csv_source_pb2, json_pb2

M = TypeVar("M", bound=Message)

_INT_BITS: Final = {FieldDescriptor.CPPTYPE_INT32: 32, FieldDescriptor.CPPTYPE_INT64: 64}
# How the elements of a list or of an object are called where one of them is no such value.
_PLURALS: Final = {"a text": "texts", "a list of texts": "lists of texts"}


class JsonFormError(ValueError):
    """JSON that is not of a message's form, or a message that JSON cannot hold.

    Args:
        path: the key at fault, such as `options.pagination.maxPages`.
        text: a sentence that begins with the path and holds no value.
    """

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path
        self.text = text


def from_json(message: M, values: Any, path: str = "", keys: Collection[str] | None = None) -> M:
    """Put the values of a JSON object into a message, and return the message.

    Args:
        message: an empty one.
        values: the parsed JSON.
        path: of the object, for errors; empty for the body itself.
        keys: the only keys that are taken; None for those of all fields.

    Raises:
        JsonFormError
    """
    _require(isinstance(values, dict), path, "must be an object")
    descriptor = _descriptor(message)
    fields = {field.json_name: field for field in descriptor.fields}
    if keys is not None:
        fields = {key: fields[key] for key in keys}
    given = {key: value for key, value in values.items() if key not in fields or value is not None}
    for key, value in given.items():
        if key not in fields:
            known = ", ".join(sorted(fields))
            raise JsonFormError(path, f"{path} has no option {key[:100]!r}; it knows {known}")
        _put(message, fields[key], value, below(path, key))
    for key, field in fields.items():
        _require(key in given or not is_required(field), below(path, key), "is required")
    for oneof in choices_of(descriptor):
        members = [member.json_name for member in oneof.fields if member.json_name in fields]
        if not members:
            continue
        first, others = below(path, members[0]), " or ".join(members[1:])
        _require(sum(key in given for key in members) == 1, first, f"or {others} is required, one of them")
    return message


def to_json(message: Message, path: str = "") -> dict[str, Any]:
    """The JSON object of a message: the fields that are set, and those that have no way to be unset.

    Raises:
        JsonFormError: it holds a number that JSON does not have.
    """
    return {
        field.json_name: _json_of(message, field, below(path, field.json_name))
        for field in _descriptor(message).fields
        if _is_given(message, field)
    }


def enum_texts(enum: EnumDescriptor) -> dict[str, int]:
    """JSON of each value of an enum, and its number; the value that stands for none is left out."""
    return {_enum_text(enum, value.number): value.number for value in enum.values if value.number}


def below(path: str, key: str) -> str:
    """The path of a key of the object at a path."""
    return f"{path}.{key}" if path else key


def whole_number(value: Any) -> int | None:
    """A value as a whole number, which JSON may write as 5 or 5.0; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if float(value).is_integer() else None


def _put(message: Message, field: FieldDescriptor, value: Any, path: str) -> None:
    if entry := entry_of(field):
        _require(isinstance(value, dict), path, f"must be an object{_of(entry)}")
        into = getattr(message, field.name)
        for key, item in value.items():
            if entry.message_type is None:
                into[key] = _scalar(entry, item, below(path, key))
            else:
                _fill(into[key], item, below(path, key))
    elif field.is_repeated:
        _require(isinstance(value, list), path, f"must be a list{_of(field)}")
        for item in value:
            _require(_is_scalar(field, item), path, f"must be a list{_of(field)}")
            getattr(message, field.name).append(item)
    elif field.message_type is not None:
        part = getattr(message, field.name)
        part.SetInParent()
        _fill(part, value, path)
    else:
        setattr(message, field.name, _scalar(field, value, path))


def _fill(message: Message, value: Any, path: str) -> None:
    form = _FORMS.get(message.DESCRIPTOR.full_name)
    if form is not None:
        form[0](message, value, path)
    elif choice := only_choice_of(_descriptor(message)):
        _require(isinstance(value, dict), path, "must be an object")
        members = {member.json_name: member for member in choice.fields}
        kind = value.get("type")
        known = isinstance(kind, str) and kind in members
        _require(known, below(path, "type"), f"must be one of {', '.join(members)}")
        part = getattr(message, members[kind].name)
        part.SetInParent()
        _fill(part, {key: item for key, item in value.items() if key != "type"}, path)
    else:
        from_json(message, value, path)


def _scalar(field: FieldDescriptor, value: Any, path: str) -> Any:
    if field.enum_type is not None:
        known = enum_texts(field.enum_type)
        _require(isinstance(value, str) and value in known, path, f"must be one of {', '.join(known)}")
        return known[value]
    if (bits := _INT_BITS.get(field.cpp_type)) is not None:
        number = whole_number(value)
        if number is None:
            raise JsonFormError(path, f"{path} must be a whole number")
        _require(-(2 ** (bits - 1)) <= number < 2 ** (bits - 1), path, "is out of range")
        return number
    _require(_is_scalar(field, value), path, f"must be {_scalar_name(field)}")
    return float(value) if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else value


def _is_scalar(field: FieldDescriptor, value: Any) -> bool:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return isinstance(value, str)
        case FieldDescriptor.CPPTYPE_BOOL:
            return isinstance(value, bool)
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return isinstance(value, int | float) and not isinstance(value, bool)
    raise TypeError(f"{field.full_name} is of a type that has no form in JSON")


def _scalar_name(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return "a list of texts" if field.message_type.full_name == _COLUMN_NAMES else ""
    names = {FieldDescriptor.CPPTYPE_BOOL: "true or false", FieldDescriptor.CPPTYPE_DOUBLE: "a number"}
    return names.get(field.cpp_type, "a text")


def _of(field: FieldDescriptor) -> str:
    plural = _PLURALS.get(_scalar_name(field))
    return f" of {plural}" if plural else ""


def _json_of(message: Message, field: FieldDescriptor, path: str) -> Any:
    value = getattr(message, field.name)
    if entry := entry_of(field):
        return {key: _value_json(entry, item, below(path, key)) for key, item in value.items()}
    if field.is_repeated:
        return [_value_json(field, item, path) for item in value]
    return _value_json(field, value, path)


def _value_json(field: FieldDescriptor, value: Any, path: str) -> Any:
    if field.enum_type is not None:
        return _enum_text(field.enum_type, value)
    if field.message_type is None:
        return value
    form = _FORMS.get(field.message_type.full_name)
    if form is not None:
        return form[1](value, path)
    if choice := only_choice_of(field.message_type):
        chosen = value.WhichOneof(choice.name)
        if chosen is None:
            known = ", ".join(member.json_name for member in choice.fields)
            raise JsonFormError(path, f"{path} names no {choice.name}: {known}")
        member = choice.fields[[part.name for part in choice.fields].index(chosen)]
        return {"type": member.json_name, **to_json(getattr(value, chosen), path)}
    return to_json(value, path)


def _enum_text(enum: EnumDescriptor, number: int) -> str:
    """JSON of a value; of one that this version does not know its number, which no reader takes for a value."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    # The prefix is that of the value which stands for none.
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    own: str = value.GetOptions().Extensions[json_pb2.json_value]
    return own or value.name.removeprefix(prefix).lower()


def _is_given(message: Message, field: FieldDescriptor) -> bool:
    if field.is_repeated:
        return len(getattr(message, field.name)) > 0
    if field.has_presence:
        return message.HasField(field.name)
    return field.enum_type is None or getattr(message, field.name) != 0


def _descriptor(message: Message) -> Descriptor:
    # The stubs name the class of the C implementation too, which has the same attributes.
    return cast("Descriptor", message.DESCRIPTOR)


def is_required(field: FieldDescriptor) -> bool:
    """Whether its key must be there."""
    behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.REQUIRED in behavior


def choices_of(descriptor: Descriptor) -> list[OneofDescriptor]:
    """The oneofs of a message, without those that protoc makes for `optional`."""
    return [oneof for oneof in descriptor.oneofs if not oneof.name.startswith("_")]


def only_choice_of(descriptor: Descriptor) -> OneofDescriptor | None:
    """The oneof of a message that has nothing else, and whose members are messages."""
    choices = choices_of(descriptor)
    if len(choices) != 1 or len(choices[0].fields) != len(descriptor.fields):
        return None
    return choices[0] if all(field.message_type is not None for field in descriptor.fields) else None


def entry_of(field: FieldDescriptor) -> FieldDescriptor | None:
    """The value of a map's entries; None for a field that is no map."""
    if field.message_type is None or not field.message_type.GetOptions().map_entry:
        return None
    return field.message_type.fields_by_name["value"]


def _read_secret(message: Message, value: Any, path: str) -> None:
    secret = cast("api_source_pb2.SecretText", message)
    if isinstance(value, str):
        secret.value = value
        return
    refers = isinstance(value, dict) and len(value) == 1 and all(isinstance(name, str) for name in value.values())
    _require(
        refers and value.keys() <= {"env", "file"}, path, 'must be a text, {"env": "SOURCE_NAME"} or {"file": "name"}'
    )
    secret.MergeFrom(api_source_pb2.SecretText(**value))


def _write_secret(message: Message, _path: str) -> Any:
    secret = cast("api_source_pb2.SecretText", message)
    kind = secret.WhichOneof("source")
    return secret.value if kind in (None, "value") else {kind: getattr(secret, kind)}


def _read_names(message: Message, value: Any, path: str) -> None:
    _put(message, _descriptor(message).fields_by_name["names"], value, path)


def _write_names(message: Message, _path: str) -> Any:
    return list(cast("csv_source_pb2.ColumnNames", message).names)


def put_struct(message: Message, value: Any, path: str) -> None:
    """Put free JSON into a Struct.

    Raises:
        JsonFormError: it is no object, or holds a number beyond what a Struct can hold.
    """
    _require(isinstance(value, dict), path, "must be an object")
    try:
        cast("struct_pb2.Struct", message).update(value)
    except OverflowError as error:
        raise JsonFormError(path, f"{path} holds a number that is out of range") from error


def struct_json(message: Message, path: str) -> Any:
    """The free JSON of a Struct.

    Raises:
        JsonFormError: it holds a number that JSON does not have.
    """
    try:
        return whole_numbers(MessageToDict(message))
    except ValueError as error:
        raise JsonFormError(path, f"{path} holds a number that JSON does not have") from error


def whole_numbers(value: Any) -> Any:
    """JSON out of a Struct, which knows only doubles: a whole one was a whole number in the caller's JSON."""
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _require(holds: bool, path: str, what: str) -> None:
    if not holds:
        raise JsonFormError(path, f"{path} {what}")


_COLUMN_NAMES: Final = csv_source_pb2.ColumnNames.DESCRIPTOR.full_name
_FORMS: Final[Mapping[str, tuple[Callable[[Message, Any, str], None], Callable[[Message, str], Any]]]] = {
    api_source_pb2.SecretText.DESCRIPTOR.full_name: (_read_secret, _write_secret),
    _COLUMN_NAMES: (_read_names, _write_names),
    struct_pb2.Struct.DESCRIPTOR.full_name: (put_struct, struct_json),
}
