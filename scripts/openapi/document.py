"""The OpenAPI document of the gateway, made of its routes; scripts/generate writes it to gateway/openapi.json."""

from __future__ import annotations

import json
from typing import Final

from gateway.answers import Failure
from gateway.app import ROUTES
from scripts.openapi import examples
from scripts.openapi.components import Components, Schema
from scripts.openapi.operations import ANY_REQUEST, OF_A_BODY, OF_A_STATE, OF_AN_ID, TAGS
from scripts.openapi.paths import json_content, json_path, path_item, response_name

# Name -> meaning, first and last id, one of them. 0 is a whole number without a run; no schedule was ever asked for by it.
_IDS: Final = {
    "syncRunId": ("The run.", 0, 2**63 - 1, 41),
    "scheduleId": ("The schedule.", 1, 10**18 - 1, 5),
}
_DESCRIPTION: Final = (
    "Bodies are JSON objects; an empty one counts as `{}`. A key with `null` counts as not given, and unknown keys are "
    "refused. Answers may get further keys."
)
_API_KEY: Final = "An API key, where the service asks its callers for one (TECHAURA_SYNC_AUTH); a proxy before it may want a token of its own."


def document() -> Schema:
    """The document."""
    components = Components()
    failure = components.of(Failure)
    paths = {json_path(route.path): path_item(route, components) for route in ROUTES if route.include_in_schema}
    texts = ANY_REQUEST | OF_A_BODY | OF_AN_ID | OF_A_STATE
    responses = {}
    for status, text in sorted(texts.items()):
        content = json_content(failure)
        content["application/json"]["example"] = examples.FAILURE
        responses[response_name(status)] = {"description": text, "content": content}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TechAura Sync",
            "version": "1",
            "summary": "Moves CSV files and REST APIs into MySQL, MariaDB or SQLite.",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The gateway that this document comes from."}],
        "security": [{}, {"apiKey": []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.schemas.items())),
            "responses": responses,
            "parameters": {name: _path_parameter(name) for name in _IDS},
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": _API_KEY}},
        },
    }


def text_of(document: Schema) -> str:
    """A document as the file that the gateway serves."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _path_parameter(name: str) -> Schema:
    description, first, last, example = _IDS[name]
    schema = {"type": "integer", "minimum": first, "maximum": last}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }
