"""The operations of an OpenAPI document, made of the gateway's routes.

A route's handler says what it answers (its return type) and what it does (its docstring), the call of the service that it
stands for (google.api.http in the protos) gives its name and the meaning of its query, and `operations` adds the rest.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Route
from techaura.sync.v1 import sync_service_pb2

from gateway.answers import Failure, MessageAnswer, Page, Reply
from gateway.conditional import NotChanged
from gateway.config import GatewaySettings
from gateway.schedules import FIELDS
from scripts.openapi import examples
from scripts.openapi.components import Components, Schema
from scripts.openapi.operations import ANY_REQUEST, OF_A_BODY, OF_A_STATE, OF_AN_ID, OPERATIONS, Operation
from scripts.openapi.requests import Requests

_VERBS: Final = ("get", "post", "put", "patch", "delete")
_LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Id of the last event that the caller has; only what came after it is sent.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same key and content, the request changes nothing and is answered as the first one was; "
    "with other content it is refused (409).",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}
_WAIT: Final = {
    "name": "wait",
    "in": "query",
    "required": False,
    "description": "Answer when the run has ended, or after so many seconds.",
    "schema": {
        "type": "integer",
        "minimum": 0,
        "maximum": GatewaySettings.model_fields["gateway_wait_seconds_max"].default,
    },
}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETag of the response that the caller has; 304 while nothing has changed.",
    "schema": {"type": "string"},
}
_MORE_PARAMETERS: Final = {
    "post /v1/sync/trigger": _WAIT,
    "get /v1/sync/{syncRunId}": _IF_NONE_MATCH,
    "get /v1/sync/{syncRunId}/events": _LAST_EVENT_ID,
}
# Answers that are no JSON object of a known type, by their route.
_OTHER_ANSWERS: Final[dict[str, Schema]] = {
    "get /v1/sync/{syncRunId}/events": {
        "200": {
            "description": "One event for each snapshot; its id is the snapshot's sequence, its data a RunStatus. An event "
            "`failure`, whose data is a Failure, ends a stream that cannot go on.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": examples.EVENT}},
        },
        "204": {"description": "Last-Event-ID names the last snapshot; nothing follows."},
    },
    "get /v1/sync/{syncRunId}/rejects.csv": {
        "200": {
            "description": "The file, in UTF-8.",
            "content": {"text/csv": {"schema": {"type": "string"}, "example": examples.REJECTS_FILE}},
        },
    },
    "get /openapi.json": {
        "200": {"description": "The document.", "content": {"application/json": {"schema": {"type": "object"}}}}
    },
    "get /docs": {"200": {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}}},
}


def json_path(path: str) -> str:
    """The path of a route with its parameters under the names that JSON has."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), path)


def path_item(route: Route, components: Components) -> Schema:
    """Each verb of a route.

    Args:
        route: one of the gateway.
        components: takes the schemas that have names.
    """
    path = json_path(route.path)
    return {verb: _operation(path, verb, handler, components) for verb, handler in _handlers(route)}


def response_name(status: HTTPStatus) -> str:
    """Name of the response to a failure among the components."""
    return status.name.title().replace("_", "")


def json_content(schema: Schema) -> Schema:
    """The `content` of a body in JSON."""
    return {"application/json": {"schema": schema}}


def _handlers(route: Route) -> Iterator[tuple[str, Any]]:
    endpoint = route.endpoint
    if not inspect.isclass(endpoint):
        yield "get", endpoint
    elif issubclass(endpoint, HTTPEndpoint):
        yield from ((verb, getattr(endpoint, verb)) for verb in _VERBS if hasattr(endpoint, verb))


def _operation(path: str, verb: str, handler: Any, components: Components) -> Schema:
    name = f"{verb} {path}"
    more = OPERATIONS.get(name, Operation())
    call = _calls().get((verb, _without_names(path)))
    requests = Requests(components)
    ids = re.findall(r"{([^}]*)}", path)
    parameters: list[Schema] = [{"$ref": f"#/components/parameters/{name}"} for name in ids] + _query(
        call, verb, handler, requests
    )
    if name in _MORE_PARAMETERS:
        parameters.append(_MORE_PARAMETERS[name])
    is_repeatable = call is not None and "request_id" in call.input_type.fields_by_name
    if is_repeatable:
        parameters.append(_IDEMPOTENCY_KEY)
    body = _body(more, requests) if verb in ("post", "put", "patch") else None
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n\n")
    return {
        "operationId": _operation_id(name, more, call),
        "tags": [_tag(path)],
        "summary": summary,
        "description": " ".join(description.split()) or summary,
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": _successes(name, handler, more, components)
        | _failures(bool(ids) or more.may_be_gone, body is not None, is_repeatable or more.conflicts),
    }


def _operation_id(name: str, more: Operation, call: MethodDescriptor | None) -> str:
    if call is not None:
        return call.name[0].lower() + call.name[1:]
    if not more.operation_id:
        raise ValueError(f"{name} stands for no call, and operations.py has no name for it")
    return more.operation_id


def _query(call: MethodDescriptor | None, verb: str, handler: Any, requests: Requests) -> list[Schema]:
    endpoint = getattr(inspect.getmodule(handler), handler.__qualname__.partition(".")[0])
    keys = getattr(endpoint, "query_keys", ())
    return requests.query(call.input_type, keys) if call is not None and verb == "get" else []


def _body(more: Operation, requests: Requests) -> Schema:
    if not more.body:
        empty = json_content({"type": "object", "additionalProperties": False})
        return {"required": False, "description": "Has nothing to say.", "content": empty}
    schemas: dict[str, Callable[[], Schema]] = {
        "sync": requests.sync,
        "schedule": lambda: requests.schedule([name for name in FIELDS if name != "revision"]),
        "change": lambda: requests.schedule_change(FIELDS),
    }
    content = json_content(schemas[more.body]())
    content["application/json"]["examples"] = {name: {"value": value} for name, value in more.body_examples.items()}
    return {"required": True, "content": content}


def _successes(name: str, handler: Any, more: Operation, components: Components) -> Schema:
    if name in _OTHER_ANSWERS:
        return _OTHER_ANSWERS[name]
    returned = typing.get_type_hints(handler)["return"]
    replies = [returned] if typing.get_origin(returned) is Reply else typing.get_args(returned)
    bodies = [typing.get_args(reply)[0] for reply in replies if reply is not NotChanged]
    (body,) = [body for body in bodies if body is not Failure]
    content = json_content(components.of(body))
    content["application/json"]["example"] = _example(body, more, components)
    done: Schema = {"200": {"description": "Done.", "content": content}}
    if NotChanged in replies:
        done["200"]["headers"] = {"ETag": {"description": "Names what it says.", "schema": {"type": "string"}}}
        done["304"] = {"description": "Nothing has changed since the response that If-None-Match names."}
    return done


def _failures(has_id: bool, has_body: bool, conflicts: bool) -> Schema:
    texts = ANY_REQUEST | (OF_AN_ID if has_id else {}) | (OF_A_STATE if conflicts else {})
    texts |= OF_A_BODY if has_body else {}
    return {str(int(status)): {"$ref": f"#/components/responses/{response_name(status)}"} for status in sorted(texts)}


def _example(body: Any, more: Operation, components: Components) -> Schema:
    kind, arguments = typing.get_origin(body) or body, typing.get_args(body)
    if not arguments:
        return {"success": True, "status": more.state, "timestamp": examples.TIME_TEXT}
    data = examples.DATA.get(arguments[0]) or components.example(arguments[0])
    if kind is Page:
        return {"success": True, "data": [data], "nextPageToken": "", "timestamp": examples.TIME_TEXT}
    message = {"message": more.message} if kind is MessageAnswer else {}
    return {"success": True, "data": data, **message, "timestamp": examples.TIME_TEXT}


def _tag(path: str) -> str:
    if path.startswith("/v1/sync/schedules"):
        return "schedules"
    return "runs" if path.startswith("/v1/sync") else "service"


@cache
def _calls() -> dict[tuple[str, str], MethodDescriptor]:
    """Verb and path of each call of the service."""
    found = {}
    for method in sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"].methods:
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        found[verb, _without_names(getattr(rule, verb))] = method
    return found


def _without_names(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)
