"""GET /openapi.json: the routes as an OpenAPI 3.1 document.

Written by hand, since the routes are few; a test keeps its paths and verbs those of the app, and its option names
those that the gateway reads.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

Schema = dict[str, Any]

STATUS_NAMES = ("pending", "in_progress", "completed", "failed", "cancelled")
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TEXT_MAP: Schema = {"type": "object", "additionalProperties": TEXT}
IDENTIFIER: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_URL: Schema = {"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://", "maxLength": 255}
_COLUMN: Schema = {"type": "string", "minLength": 1, "maxLength": 500}
# What any request can meet: a head that is none, another site, a late or long one, a strange host, a full queue, a fault,
# no service, no answer in time.
_ANY_REQUEST = (400, 403, 408, 414, 421, 429, 431, 500, 501, 502, 503, 504)
WITH_BODY = (413, 415)
CONTENT_TYPES = ("music", "video", "movie", "game", "other")
# A body that may be left out, and has nothing to say.
EMPTY_BODY: Schema = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": False}}},
    }
}


async def openapi(_: Request) -> JSONResponse:
    """Answer with the document."""
    return JSONResponse(document())


def document() -> Schema:
    """The OpenAPI document of the gateway."""
    from gateway.openapi_schedules import schedule_paths  # it is made of the schemas below

    return {
        "openapi": "3.1.0",
        "info": {"title": "TechAura Sync", "version": "1", "description": "Moves CSV files and REST APIs into MySQL."},
        "paths": {
            "/v1/sync/trigger": {"post": _trigger()},
            "/v1/sync/test": {"post": _test()},
            "/v1/sync/resume": {
                "post": operation_schema(
                    "Wake the workers for pending runs.",
                    success_schema({"message": TEXT, "data": object_schema({"pendingCount": NUMBER})}),
                    *WITH_BODY,
                )
                | EMPTY_BODY
            },
            "/v1/sync/stats": {
                "get": operation_schema(
                    "Count runs by status.",
                    success_schema({"data": object_schema(dict.fromkeys(("total", *STATUS_NAMES), NUMBER))}),
                )
            },
            "/v1/sync/runs": {
                "get": operation_schema("List runs, newest first.", page_schema(_run()), query=_runs_query())
            },
            "/v1/sync/{syncRunId}": {
                "get": operation_schema(
                    "Tell where one run stands.", success_schema({"data": _run_with_errors()}), 404, run=True
                )
            },
            "/v1/sync/{syncRunId}/errors": {
                "get": operation_schema(
                    "List the errors of one run, newest first.",
                    page_schema(_error()),
                    404,
                    run=True,
                    query=page_query(),
                )
            },
            "/v1/sync/{syncRunId}/cancel": {
                "post": operation_schema(
                    "Cancel a run.", success_schema({"data": _run()}), 404, 409, *WITH_BODY, run=True
                )
                | EMPTY_BODY
            },
            "/v1/sync/{syncRunId}/pause": {
                "post": operation_schema(
                    "Hold a run until it is continued.",
                    success_schema({"data": _run()}),
                    404,
                    409,
                    *WITH_BODY,
                    run=True,
                )
                | EMPTY_BODY
            },
            "/v1/sync/{syncRunId}/continue": {
                "post": operation_schema(
                    "Let a paused run go on.", success_schema({"data": _run()}), 404, 409, *WITH_BODY, run=True
                )
                | EMPTY_BODY
            },
            "/v1/sync/{syncRunId}/events": {"get": _events()},
            **schedule_paths(),
            "/healthz": {
                "get": operation_schema(
                    "Tell that the gateway's process lives; nobody else is asked.", success_schema({"status": TEXT})
                )
            },
            "/readyz": {
                "get": operation_schema(
                    "Tell whether calls can be served: gateway, gRPC server and database.",
                    success_schema({"status": TEXT}),
                )
            },
            "/openapi.json": {"get": operation_schema("This document.", {"type": "object"})},
        },
    }


def _trigger() -> Schema:
    operation = operation_schema(
        "Start a run; answers as soon as it is stored.",
        success_schema({"message": TEXT, "data": object_schema({"syncRunId": NUMBER})}),
        *WITH_BODY,
    )
    return operation | _source_body()


def _test() -> Schema:
    rejected = object_schema(
        dict.fromkeys(("type", "code", "message", "raw"), TEXT) | {"line": _nullable(NUMBER), "column": _nullable(TEXT)}
    )
    found = object_schema(
        {"itemCount": NUMBER, "whole": FLAG, "fields": TEXTS, "detected": TEXT_MAP, "notices": TEXTS}
        | {"samples": {"type": "array", "items": {"type": "object"}}}
        | {"rows": {"type": "array", "items": TEXT_MAP}, "rejected": {"type": "array", "items": rejected}}
    )
    operation = operation_schema(
        "Look at a source without a run; nothing is written.", success_schema({"data": found}), 409, *WITH_BODY
    )
    return operation | _source_body()


def _source_body() -> Schema:
    return json_body(by_source_type({}, "sourceType", "sourceIdentifier"))


def json_body(schema: Schema) -> Schema:
    """The part of an operation that says what its body is."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


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
        targetTable={"enum": ["content_index", "catalog_items"]},
        contentType={"enum": list(CONTENT_TYPES)},
        delimiter=_text(1, 8),
        hasHeader=FLAG,
        encoding=_text(1, 40),
        columnMapping={"type": "object", "additionalProperties": _COLUMN, "maxProperties": 1000},
        headerLines=_whole_number(1, 10),
        quote=_text(0, 1),
        escape=_text(0, 1),
        strayQuotes={"enum": ["reject", "keep"]},
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
        contentType={"enum": list(CONTENT_TYPES)},
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


def operation_schema(
    summary: str, answer: Schema, *failures: int, run: bool = False, query: tuple[Schema, ...] = ()
) -> Schema:
    """One verb of a route, with every failure that it can answer."""
    sync_run_id = parameter_schema("syncRunId", "path", NUMBER | {"minimum": 0, "maximum": 2**63 - 1})
    parameters = [*([sync_run_id] if run else []), *query]
    failure = object_schema({"success": {"const": False}, "error": TEXT, "reason": TEXT, "nextStep": TEXT})
    failure["properties"]["field"] = TEXT
    statuses = sorted({*failures, *_ANY_REQUEST})
    return {
        "summary": summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": {"200": _response(summary, answer)}
        | {str(status): _response("Failure.", failure) for status in statuses},
    }


def _events() -> Schema:
    header = parameter_schema("Last-Event-ID", "header", NUMBER | {"minimum": 0, "maximum": 2**64 - 1}, required=False)
    operation = operation_schema("Follow one run to its end.", {}, 404, run=True, query=(header,))
    operation["responses"]["200"] = {
        "description": "One event for each snapshot; its id is the snapshot's sequence, its data a run with errors.",
        "content": {"text/event-stream": {"schema": TEXT}},
    }
    operation["responses"]["204"] = {"description": "Last-Event-ID names the terminal snapshot; nothing follows."}
    return operation


def _run() -> Schema:
    ledger = object_schema(
        dict.fromkeys(("rowsRead", "inserted", "updated", "unchanged", "rejected", "skipped"), NUMBER)
    )
    failure = object_schema({"reason": TEXT, "category": TEXT, "message": TEXT, "retryable": FLAG, "nextStep": TEXT})
    times = dict.fromkeys(("createdAt", "startedAt", "completedAt"), _nullable(TEXT))
    return object_schema(
        {"syncRunId": NUMBER, "sourceType": TEXT, "sourceIdentifier": TEXT, "status": {"enum": list(STATUS_NAMES)}}
        | dict.fromkeys(("itemsProcessed", "itemsFailed", "itemsSkipped", "retryCount"), NUMBER)
        | {"conflicts": NUMBER, "deactivated": NUMBER, "sameAsSyncRunId": _nullable(NUMBER)}
        | {"paused": FLAG, "scheduleId": _nullable(NUMBER)}
        | {"ledger": ledger, "failure": _nullable(failure), "notices": {"type": "array", "items": TEXT}}
        | {"detected": {"type": "array", "maxItems": 8, "items": _format()}}
        | times
    )


def _format() -> Schema:
    texts = ("fileName", "encoding", "encodingHow", "delimiter", "delimiterHow", "quote", "lineBreak", "compression")
    numbers = dict.fromkeys(("fileCount", "preambleLines", "columnCount"), NUMBER)
    share = {"type": "number", "minimum": 0, "maximum": 1}
    shares = {"encodingConfidence": share, "delimiterConfidence": share}
    return object_schema(dict.fromkeys(texts, TEXT) | numbers | shares | {"headerLine": _nullable(NUMBER)})


def _run_with_errors() -> Schema:
    run = _run()
    errors = {"type": "array", "maxItems": 10, "items": object_schema({"type": TEXT, "message": TEXT})}
    return object_schema(run["properties"] | {"errors": errors, "sequence": NUMBER})


def _error() -> Schema:
    return object_schema(
        {"syncErrorId": NUMBER, "syncRunId": NUMBER, "type": TEXT, "code": TEXT, "message": TEXT, "raw": TEXT}
        | {"line": _nullable(NUMBER), "byteOffset": _nullable(NUMBER), "column": _nullable(TEXT)}
        | {"retryable": FLAG, "createdAt": _nullable(TEXT)}
    )


def _runs_query() -> tuple[Schema, ...]:
    status = parameter_schema("status", "query", {"enum": list(STATUS_NAMES)}, required=False)
    return (*page_query(), status, parameter_schema("sourceType", "query", TEXT, required=False))


def page_query() -> tuple[Schema, ...]:
    """The query parameters of a list."""
    size = parameter_schema("pageSize", "query", NUMBER | {"minimum": 1, "maximum": 1000}, required=False)
    token = {"type": "string", "pattern": "^([1-9][0-9]{0,17})?$"}
    return (size, parameter_schema("pageToken", "query", token, required=False))


def page_schema(item: Schema) -> Schema:
    """A page of items."""
    return success_schema({"data": {"type": "array", "items": item}, "nextPageToken": TEXT})


def success_schema(properties: Schema) -> Schema:
    """A success body."""
    return object_schema(
        {"success": {"const": True}, **properties, "timestamp": {"type": "string", "format": "date-time"}}
    )


def object_schema(properties: Schema) -> Schema:
    """An object whose keys are all there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _options(**properties: Schema) -> Schema:
    """An object of which any key may be left out, or null, which is the same; no other key is known."""
    may_be_null = {name: _nullable(schema) for name, schema in properties.items()}
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


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def parameter_schema(name: str, place: str, schema: Schema, *, required: bool = True) -> Schema:
    """A parameter of the path, the query or a header."""
    return {"name": name, "in": place, "required": required, "schema": schema}


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
