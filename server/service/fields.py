"""Names of request fields: our errors name them as the contract's JSON does, violations as the protos do.

`options.pagination.maxPages` of a trigger of type api is `api.pagination.max_pages`. A name for which the message has no
field, such as a key of a map, stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message

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
    wanted = _OTHER_NAMES.get(names[0], names[0])
    for field in message.DESCRIPTOR.fields:
        if field.json_name == wanted:
            value, below = getattr(message, field.name), names[1:]
            found = _walk(below, value) if isinstance(value, Message) else None
            return [field.name, *(found or below)]
    return _inside(names, message)


def _inside(names: Sequence[str], message: Message) -> list[str] | None:
    """The path through a part that the JSON does not name: the set member of a oneof, or the resource of a request."""
    for oneof in message.DESCRIPTOR.oneofs:
        member = message.WhichOneof(oneof.name)
        if member is None:
            continue
        inner = getattr(message, member)
        below = names[1:] if names[0] == oneof.name else names
        found = _walk(below, inner) if isinstance(inner, Message) else None
        if found is not None or names[0] == oneof.name:
            return [member, *(below if found is None else found)]
    for field, value in message.ListFields():
        if field.containing_oneof is None and isinstance(value, Message):
            found = _walk(names, value)
            if found is not None:
                return [field.name, *found]
    return None
