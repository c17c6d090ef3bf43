"""The OpenAPI document that the gateway serves."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

DOCUMENT: Final[dict[str, Any]] = json.loads(files("gateway").joinpath("openapi.json").read_text())


def followed(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema, or the one that it refers to; of one that may be null, what it is otherwise."""
    for part in schema.get("anyOf", ()):
        if part.get("type") != "null":
            return followed(part)
    # An object inside of a model is one of the model's own, and has no limits by itself.
    if not schema.get("$ref", "").startswith("#/components/"):
        return schema
    _, _, kind, name = schema["$ref"].split("/")
    return followed(DOCUMENT["components"][kind][name])


def component(name: str) -> dict[str, Any]:
    """The schema of a name."""
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][name]
    return found
