"""The bodies of /openapi.json that name a source: its type, its identifier and the options of that type.

The limits are those of server/sources/*/options.py, which a test compares.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TEXT_MAP: Schema = {"type": "object", "additionalProperties": TEXT}
IDENTIFIER: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_URL: Schema = {"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://", "maxLength": 255}
_COLUMN: Schema = {"type": "string", "minLength": 1, "maxLength": 500}
CONTENT_TYPES = ("music", "video", "movie", "game", "other")


def by_source_type(further: dict[str, Schema], *required: str) -> Schema:
    """A body that names a source; its options are those of its type.

    Args:
        further: keys that bodies of both types have.
        required: keys that must be there.
    """
    kinds = [
        {"sourceType": {"const": "csv"}, "sourceIdentifier": IDENTIFIER, "options": csv_options()},
        {"sourceType": {"const": "api"}, "sourceIdentifier": _URL, "options": api_options()},
    ]
    return {"anyOf": [options_schema(kind | further, *{"sourceType", *required}) for kind in kinds]}


def csv_options() -> Schema:
    """Options of source type csv."""
    return _options(
        delimiter=_text(1, 8),
        hasHeader=FLAG,
        encoding=_text(1, 40),
        columnMapping={"type": "object", "additionalProperties": _COLUMN, "maxProperties": 1000},
        headerLines=_whole_number(1, 10),
        quote=_text(0, 1),
        escape=_text(0, 1),
        strayQuotes={"enum": ["reject", "keep"]},
        missingFields={"enum": ["reject", "empty"]},
        preambleLines=_whole_number(0, 10_000),
        commentPrefix=_text(1, 8),
        decimalComma=FLAG,
        stripText=FLAG,
        nullTokens={"type": "array", "items": _text(0, 100), "maxItems": 100},
        columnAliases={
            "type": "object",
            "additionalProperties": {"type": "array", "items": _COLUMN, "maxItems": 100},
            "maxProperties": 1000,
        },
        **_write_options(),
    )


def _write_options() -> dict[str, Schema]:
    return {
        "targetTable": {"enum": ["content_index", "catalog_items"]},
        "contentType": {"enum": list(CONTENT_TYPES)},
        "mode": {"enum": ["upsert", "mirror"]},
        "conflictPolicy": {"enum": ["source_wins", "keep_local", "newest_wins", "report"]},
        "mirrorGoneRatioMax": {"type": "number", "minimum": 0, "maximum": 1},
        "mirrorAllowEmpty": FLAG,
    }


def api_options() -> Schema:
    """Options of source type api."""
    variable = _required(_options(env={"type": "string", "pattern": "^SOURCE_"}), "env")
    secret = {"anyOf": [TEXT, variable, _required(_options(file=TEXT), "file")]}
    auth = [
        _auth("bearer", token=secret),
        _auth("basic", username=TEXT, password=secret),
        _auth("apikey", apiKeyHeader=TEXT, apiKeyValue=secret),
        _auth("apikey", apiKeyParam=TEXT, apiKeyValue=secret),
        _oauth2(secret),
    ]
    pagination = _options(
        enabled=FLAG,
        type={"enum": ["page", "offset", "cursor", "link", "auto"]},
        limitParam=TEXT,
        offsetParam=TEXT,
        pageParam=TEXT,
        cursorParam=TEXT,
        maxPages=_whole_number(1, 1_000_000),
        firstPage=_whole_number(0, 1),
        pageSize=_whole_number(1, 100_000),
        paramsIn={"enum": ["query", "body"]},
        cursorPath=TEXT,
        cursorHeader=TEXT,
        nextUrlPath=TEXT,
    )
    incremental = _options(
        cursorField=TEXT,
        param=TEXT,
        format={"enum": ["timestamp", "date", "unix", "unixMillis", "number"]},
        lookbackSeconds=_whole_number(0, 31_536_000),
        initial=TEXT,
        fullAfterDays=_whole_number(1, 80),
    )
    return _options(
        method={"enum": ["GET", "POST"]},
        headers={"type": "object", "additionalProperties": secret},
        auth={"oneOf": auth},
        dataPath=TEXT,
        fieldMapping=TEXT_MAP,
        pagination=pagination,
        body={"type": "object"},
        **_write_options(),
        format={"enum": ["auto", "json", "ndjson", "csv"]},
        csvDelimiter=_text(1, 8),
        incremental=_required(incremental, "cursorField", "param"),
        requestsPerSecond={"type": "number", "minimum": 0.01, "maximum": 1000},
        conditional=FLAG,
    )


def _options(**properties: Schema) -> Schema:
    """An object of which any key may be left out, or null, which is the same; no other key is known."""
    may_be_null = {name: nullable(schema) for name, schema in properties.items()}
    return {"type": "object", "properties": may_be_null, "additionalProperties": False}


def options_schema(properties: dict[str, Schema], *required: str) -> Schema:
    """Such an object, with some keys that must be there."""
    return _required(_options(**properties), *required)


def _required(options: Schema, *names: str) -> Schema:
    """Options of which some must be there."""
    present = {name: schema["anyOf"][0] for name, schema in options["properties"].items() if name in names}
    return options | {"properties": options["properties"] | present, "required": list(names)}


def _text(length_min: int, length_max: int) -> Schema:
    return {"type": "string", "minLength": length_min, "maxLength": length_max}


def _whole_number(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _auth(kind: str, **properties: Schema) -> Schema:
    return _required(_options(type={"const": kind}, **properties), "type", *properties)


def _oauth2(secret: Schema) -> Schema:
    schema = _options(
        type={"const": "oauth2"},
        grant={"enum": ["clientCredentials", "refreshToken"]},
        tokenUrl=TEXT,
        clientId=TEXT,
        clientSecret=secret,
        refreshToken=secret,
        scope=TEXT,
        clientAuth={"enum": ["basic", "body"]},
    )
    return _required(schema, "type", "tokenUrl", "clientId")


def nullable(schema: Schema) -> Schema:
    """What may also be null."""
    return {"anyOf": [schema, {"type": "null"}]}
