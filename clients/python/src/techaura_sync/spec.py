"""What to sync, from JSON and back: `sourceType`, `sourceIdentifier` and one flat object `options` <-> SyncSpec.

`options` holds the fields of the source's own options beside `targetTable` and the fields of `write`. A source type that
SyncSpec does not name is a custom one, whose options are free JSON.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from techaura.sync.v1 import sync_spec_pb2
from techaura.sync.v1.sync_spec_pb2 import SyncSpec

from techaura_sync.json_form import JsonFormError, below, from_json, put_struct, struct_json, to_json

__all__ = ["SyncSpec", "options_json", "source_type_of", "sync_spec"]

OPTIONS: Final = "options"
_CUSTOM: Final = "custom"
_SPEC: Final[Descriptor] = SyncSpec.DESCRIPTOR
# Source type -> keys of its own options.
_OWN_KEYS: Final = {
    member.name: frozenset(field.json_name for field in member.message_type.fields)
    for member in _SPEC.oneofs_by_name["source"].fields
    if member.name != _CUSTOM and member.message_type is not None
}
_TARGET_KEY: Final = _SPEC.fields_by_name["target_table"].json_name
_WRITE_KEYS: Final = frozenset(field.json_name for field in sync_spec_pb2.WriteOptions.DESCRIPTOR.fields)
_SHARED_KEYS: Final = _WRITE_KEYS | {_TARGET_KEY}


def sync_spec(source_type: str, source_identifier: str, options: Any = None) -> SyncSpec:
    """Make a SyncSpec of JSON values.

    Args:
        source_type: csv, api, or the name of a custom source type.
        source_identifier: a file path or a URL.
        options: the JSON object `options`; None for none. A key with null counts as not given.

    Raises:
        JsonFormError: its path begins with `options`.
    """
    spec = SyncSpec(source_identifier=source_identifier)
    values = {} if options is None else options
    if not isinstance(values, dict):
        raise JsonFormError(OPTIONS, f"{OPTIONS} must be an object")
    own = {key: value for key, value in values.items() if key not in _SHARED_KEYS}
    known = _OWN_KEYS.get(source_type)
    if known is None:
        spec.custom.type = source_type
        put_struct(spec.custom.options, {key: value for key, value in own.items() if value is not None}, OPTIONS)
    else:
        for key in own.keys() - known:
            listed = ", ".join(sorted(known | _SHARED_KEYS))
            raise JsonFormError(OPTIONS, f"{OPTIONS} has no option {key[:100]!r}; it knows {listed}")
        part: Message = getattr(spec, source_type)
        part.SetInParent()
        from_json(part, own, OPTIONS)
    from_json(spec, _given(values, {_TARGET_KEY}), OPTIONS, keys=(_TARGET_KEY,))
    if written := _given(values, _WRITE_KEYS):
        from_json(spec.write, written, OPTIONS)
    return spec


def options_json(spec: SyncSpec) -> dict[str, Any]:
    """The JSON object `options` of a SyncSpec.

    Raises:
        JsonFormError: it holds a number that JSON does not have, or a custom option that is called like one of the service.
    """
    member = spec.WhichOneof("source")
    own = {}
    if member == _CUSTOM:
        own = struct_json(spec.custom.options, OPTIONS)
        for key in own.keys() & _SHARED_KEYS:
            path = below(OPTIONS, key)
            raise JsonFormError(path, f"{path} belongs into the fields of the SyncSpec, not into custom.options")
    elif member is not None:
        own = to_json(getattr(spec, member), OPTIONS)
    target = {_TARGET_KEY: spec.target_table} if spec.HasField("target_table") else {}
    return own | target | to_json(spec.write, OPTIONS)


def source_type_of(spec: SyncSpec) -> str:
    """The source type; empty where none is set."""
    member = spec.WhichOneof("source")
    return spec.custom.type if member == _CUSTOM else member or ""


def _given(values: dict[str, Any], keys: frozenset[str] | set[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in keys and value is not None}
