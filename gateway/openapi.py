"""GET /openapi.json: the routes as an OpenAPI 3.1 document.

Written by hand, since the routes are few; a test keeps its paths and verbs those of the app, and its option names
those that the gateway reads.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.openapi_options import FLAG, NUMBER, TEXT, TEXT_MAP, TEXTS, Schema, by_source_type, nullable

STATUS_NAMES = ("pending", "in_progress", "completed", "failed", "cancelled")
# What any request can meet: a head that is none, another site, a late or long one, a strange host, a full queue, a fault,
# no service, no answer in time.
_ANY_REQUEST = (400, 403, 408, 414, 421, 429, 431, 500, 501, 502, 503, 504)
WITH_BODY = (413, 415)
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
        dict.fromkeys(("type", "code", "message", "raw"), TEXT) | {"line": nullable(NUMBER), "column": nullable(TEXT)}
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
    times = dict.fromkeys(("createdAt", "startedAt", "completedAt"), nullable(TEXT))
    return object_schema(
        {"syncRunId": NUMBER, "sourceType": TEXT, "sourceIdentifier": TEXT, "status": {"enum": list(STATUS_NAMES)}}
        | dict.fromkeys(("itemsProcessed", "itemsFailed", "itemsSkipped", "retryCount"), NUMBER)
        | {"conflicts": NUMBER, "deactivated": NUMBER, "sameAsSyncRunId": nullable(NUMBER)}
        | {"paused": FLAG, "scheduleId": nullable(NUMBER)}
        | {"ledger": ledger, "failure": nullable(failure), "notices": {"type": "array", "items": TEXT}}
        | {"detected": {"type": "array", "maxItems": 8, "items": _format()}}
        | times
    )


def _format() -> Schema:
    texts = ("fileName", "encoding", "encodingHow", "delimiter", "delimiterHow", "quote", "lineBreak", "compression")
    numbers = dict.fromkeys(("fileCount", "preambleLines", "columnCount"), NUMBER)
    share = {"type": "number", "minimum": 0, "maximum": 1}
    shares = {"encodingConfidence": share, "delimiterConfidence": share}
    return object_schema(dict.fromkeys(texts, TEXT) | numbers | shares | {"headerLine": nullable(NUMBER)})


def _run_with_errors() -> Schema:
    run = _run()
    errors = {"type": "array", "maxItems": 10, "items": object_schema({"type": TEXT, "message": TEXT})}
    return object_schema(run["properties"] | {"errors": errors, "sequence": NUMBER})


def _error() -> Schema:
    return object_schema(
        {"syncErrorId": NUMBER, "syncRunId": NUMBER, "type": TEXT, "code": TEXT, "message": TEXT, "raw": TEXT}
        | {"line": nullable(NUMBER), "byteOffset": nullable(NUMBER), "column": nullable(TEXT)}
        | {"retryable": FLAG, "createdAt": nullable(TEXT)}
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


def parameter_schema(name: str, place: str, schema: Schema, *, required: bool = True) -> Schema:
    """A parameter of the path, the query or a header."""
    return {"name": name, "in": place, "required": required, "schema": schema}


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
