"""The body of requests: its secrets, and how it goes out, as JSON or as a form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from server.core.secret_box import SecretValue, reference_of
from server.sources.exact_json.json_values import to_text

FORM: Final = "application/x-www-form-urlencoded"
_DEPTH_MAX: Final = 64


def content_problem(media_type: str, body: Mapping[str, Any] | None) -> str:
    """Why a body cannot go out as what the request calls it, as the end of a sentence; empty where it can.

    Args:
        media_type: of the caller's Content-Type, lower case; empty for none.
    """
    if media_type in ("", "application/json") or media_type.endswith("+json"):
        return ""
    if media_type != FORM:
        return f"cannot be sent as the Content-Type {media_type[:100]}; there are JSON and {FORM}"
    flat = (str, int, float, type(None))
    for name, value in (body or {}).items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(each, flat) or reference_of(each) is not None for each in values):
            return f"has in {name!r} what no form can hold: texts, numbers, booleans and lists of them go into one"
    return ""


def depth_of(body: Any) -> int:
    """How deep a body is nested, up to a little more than may be."""
    level, depth = [body], 0
    while level and depth <= _DEPTH_MAX:
        level = [item for each in level for item in _inner(each)]
        depth += 1
    return depth


def is_too_deep(body: Any) -> bool:
    """Whether a body is nested deeper than a JSON document may be here."""
    return depth_of(body) > _DEPTH_MAX


def references(value: Any, place: str) -> Iterator[tuple[str, SecretValue]]:
    """What stands for secrets in a body, with its place."""
    secret = reference_of(value)
    if secret is not None:
        yield place, secret
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from references(item, f"{place}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, f"{place}[{index}]")


def opened(value: Any, reveal: Callable[[SecretValue], str]) -> Any:
    """A body with its secrets in clear."""
    secret = reference_of(value)
    if secret is not None:
        return reveal(secret)
    if isinstance(value, Mapping):
        return {name: opened(item, reveal) for name, item in value.items()}
    return [opened(item, reveal) for item in value] if isinstance(value, list) else value


def encoded(body: Mapping[str, Any], media_type: str) -> bytes:
    """A body as it goes out."""
    if media_type != FORM:
        # A cursor that is no text stands in it as the source wrote it.
        return to_text(body).encode("utf-8")
    pairs = [
        (name, _form_text(each))
        for name, value in body.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return urlencode(pairs).encode("ascii")


def _form_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _inner(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []
