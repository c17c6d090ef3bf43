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
                    400,
                    413,
                )
            },
            "/v1/sync/stats": {
                "get": operation_schema(
                    "Count runs by status.",
                    success_schema({"data": object_schema(dict.fromkeys(("total", *STATUS_NAMES), NUMBER))}),
                )
            },
            "/v1/sync/runs": {
                "get": operation_schema("List runs, newest first.", page_schema(_run()), 400, query=_runs_query())
            },
            "/v1/sync/{syncRunId}": {
                "get": operation_schema(
                    "Tell where one run stands.", success_schema({"data": _run_with_errors()}), 400, 404, run=True
                )
            },
            "/v1/sync/{syncRunId}/errors": {
                "get": operation_schema(
                    "List the errors of one run, newest first.",
                    page_schema(_error()),
                    400,
                    404,
                    run=True,
                    query=page_query(),
                )
            },
            "/v1/sync/{syncRunId}/cancel": {
                "post": operation_schema(
                    "Cancel a run.", success_schema({"data": _run()}), 400, 404, 409, 413, run=True
                )
            },
            "/v1/sync/{syncRunId}/pause": {
                "post": operation_schema(
                    "Hold a run until it is continued.", success_schema({"data": _run()}), 400, 404, 409, 413, run=True
                )
            },
            "/v1/sync/{syncRunId}/continue": {
                "post": operation_schema(
                    "Let a paused run go on.", success_schema({"data": _run()}), 400, 404, 409, 413, run=True
                )
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
        400,
        413,
    )
    return operation | {"requestBody": _source_body()}


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
        "Look at a source without a run; nothing is written.", success_schema({"data": found}), 400, 409, 413
    )
    return operation | {"requestBody": _source_body()}


def _source_body() -> Schema:
    body = {
        "type": "object",
        "required": ["sourceType", "sourceIdentifier"],
        "properties": {
            "sourceType": {"type": "string", "minLength": 1},
            "sourceIdentifier": {"type": "string", "minLength": 1},
            "options": {"anyOf": [csv_options(), api_options(), {"type": "null"}]},
        },
    }
    return {"required": True, "content": {"application/json": {"schema": body}}}


def csv_options() -> Schema:
    """Options of source type csv."""
    return _options(
        targetTable={"enum": ["content_index", "catalog_items"]},
        contentType=TEXT,
        delimiter=TEXT,
        hasHeader=FLAG,
        encoding=TEXT,
        columnMapping=TEXT_MAP,
        headerLines=NUMBER,
        quote=TEXT,
        escape=TEXT,
        strayQuotes={"enum": ["reject", "keep"]},
        preambleLines=NUMBER,
        commentPrefix=TEXT,
        decimalComma=FLAG,
        stripText=FLAG,
        nullTokens=TEXTS,
        columnAliases={"type": "object", "additionalProperties": TEXTS},
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
    variable = _options(env={"type": "string", "pattern": "^SOURCE_"}) | {"required": ["env"]}
    secret = {"anyOf": [TEXT, variable, _options(file=TEXT) | {"required": ["file"]}]}
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
        maxPages={"type": "integer", "minimum": 1, "maximum": 1_000_000},
        firstPage={"type": "integer", "minimum": 0, "maximum": 1},
        pageSize={"type": "integer", "minimum": 1, "maximum": 100_000},
        paramsIn={"enum": ["query", "body"]},
        cursorPath=TEXT,
        cursorHeader=TEXT,
        nextUrlPath=TEXT,
    )
    incremental = _options(
        cursorField=TEXT,
        param=TEXT,
        format={"enum": ["timestamp", "date", "unix", "unixMillis", "number"]},
        lookbackSeconds={"type": "integer", "minimum": 0, "maximum": 31_536_000},
        initial=TEXT,
        fullAfterDays={"type": "integer", "minimum": 1, "maximum": 80},
    )
    return _options(
        method={"enum": ["GET", "POST"]},
        headers={"type": "object", "additionalProperties": secret},
        auth={"oneOf": auth},
        dataPath=TEXT,
        contentType=TEXT,
        fieldMapping=TEXT_MAP,
        pagination=pagination,
        body={"type": "object"},
        **_write_options(),
        format={"enum": ["auto", "json", "ndjson", "csv"]},
        csvDelimiter=TEXT,
        incremental=incremental | {"required": ["cursorField", "param"]},
        requestsPerSecond={"type": "number", "minimum": 0.01, "maximum": 1000},
        conditional=FLAG,
    )


def operation_schema(
    summary: str, answer: Schema, *failures: int, run: bool = False, query: tuple[Schema, ...] = ()
) -> Schema:
    """One verb of a route, with every failure that it can answer."""
    sync_run_id = parameter_schema("syncRunId", "path", NUMBER | {"minimum": 0, "maximum": 2**63 - 1})
    parameters = [*([sync_run_id] if run else []), *query]
    failure = object_schema({"success": {"const": False}, "error": TEXT})
    failure["properties"] |= {"reason": TEXT, "field": TEXT, "nextStep": TEXT}
    # What any call can meet: a full queue, a fault, no service, no answer in time.
    statuses = (*failures, 429, 500, 502, 503, 504)
    return {
        "summary": summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": {"200": _response(summary, answer)}
        | {str(status): _response("Failure.", failure) for status in statuses},
    }


def _events() -> Schema:
    header = parameter_schema("Last-Event-ID", "header", NUMBER | {"minimum": 0, "maximum": 2**64 - 1}, required=False)
    operation = operation_schema("Follow one run to its end.", {}, 400, 404, run=True, query=(header,))
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
    return (size, parameter_schema("pageToken", "query", TEXT, required=False))


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
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _auth(kind: str, **properties: Schema) -> Schema:
    schema = _options(type={"const": kind}, **properties)
    return schema | {"required": list(schema["properties"])}


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
    return schema | {"required": ["type", "tokenUrl", "clientId"]}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def parameter_schema(name: str, place: str, schema: Schema, *, required: bool = True) -> Schema:
    """A parameter of the path, the query or a header."""
    return {"name": name, "in": place, "required": required, "schema": schema}


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
