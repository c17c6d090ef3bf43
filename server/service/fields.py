"""Names of request fields: our errors name them as the contract's JSON does, violations as the protos do.

`options.pagination.maxPages` of a trigger of type api is `spec.api.pagination.max_pages`. A name for which the message has no
field, such as a key of a map, stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message
from techaura.sync.v1.sync_spec_pb2 import SyncSpec

# Where the contract has another name than the protos' JSON form.
_OTHER_NAMES: Final = {"scheduleId": "syncScheduleId"}


def proto_path(path: str, request: Message | None) -> str:
    """The path of a field in the message of a request.

    Args:
        path: as errors name it, in the contract's JSON.
        request: the message as it came; None leaves the path alone.
    """
    if request is None:
        return path
    names = path.split(".")
    return ".".join(_walk(names, request) or names)


def _walk(names: Sequence[str], message: Message) -> list[str] | None:
    """The path in the message; None when it has no field of the first name."""
    if not names:
        return []
    if isinstance(message, SyncSpec) and names[0] in ("sourceType", "options"):
        return _in_spec(names, message)
    wanted = _OTHER_NAMES.get(names[0], names[0])
    for field in message.DESCRIPTOR.fields:
        if field.json_name == wanted:
            value, below = getattr(message, field.name), names[1:]
            found = _walk(below, value) if isinstance(value, Message) else None
            return [field.name, *(found or below)]
    return _inside(names, message)


def _in_spec(names: Sequence[str], spec: SyncSpec) -> list[str]:
    """The path of what JSON has as the source type, or flat in one object of options."""
    member = spec.WhichOneof("source")
    if names[0] == "sourceType":
        return ["custom", "type"] if member == "custom" else ["source"]
    below = names[1:]
    if member == "custom" and (not below or below[0] in spec.custom.options):
        return ["custom", *names]
    own = getattr(spec, member) if member else None
    for part, found in ((member, _walk(below, own) if own else None), ("write", _walk(below, spec.write))):
        if found is not None:
            return [str(part), *found]
    return _walk(below, spec) or [member or "source", *below]


def _inside(names: Sequence[str], message: Message) -> list[str] | None:
    """The path through a part that the JSON does not name: the set member of a oneof, or the message of a request."""
    for oneof in message.DESCRIPTOR.oneofs:
        member = message.WhichOneof(oneof.name)
        inner = getattr(message, member) if member is not None else None
        found = _walk(names, inner) if isinstance(inner, Message) else None
        if found is not None:
            return [str(member), *found]
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.containing_oneof is None and isinstance(value, Message):
            found = _walk(names, value)
            if found is not None:
                return [field.name, *found]
    return None
