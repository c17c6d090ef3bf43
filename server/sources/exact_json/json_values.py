"""Parsed JSON values that keep their digits, and how they are written as text."""

from __future__ import annotations

import json
from typing import Any


class NumberText(str):
    """The literal of a JSON number with a fraction or an exponent."""

    __slots__ = ()


def to_text(value: Any) -> str:
    """Compact JSON of a parsed value, numbers with their own digits."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_text(key)}:{to_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def type_name(value: Any) -> str:
    """JSON's name for the type of a parsed value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | NumberText):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def text_of(value: Any) -> str | None:
    """A parsed value as text: texts and numbers as they stand, booleans as true and false, the rest as JSON."""
    kind = type(value)
    if kind is str or value is None:
        return value  # type: ignore[no-any-return]
    return str(value) if kind in (int, NumberText) else to_text(value)
