"""What the document says of a route beside what its code says: tag, failures, body, examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from scripts.openapi import examples

TAGS: Final = {
    "runs": "Start runs, follow and steer them.",
    "schedules": "Syncs that recur.",
    "service": "The service itself.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of a route.

    Args:
        operation_id: its name where it stands for no call of the service; else the call's name is its own.
        conflicts: whether it can answer 409.
        may_be_gone: whether what a repeated request made can have been removed since.
        body: what its body is: sync, schedule or change; empty for one that says nothing.
        body_examples: by name.
        message: the fixed sentence of the answer.
        state: what the part of the service that is asked says of itself.
    """

    operation_id: str = ""
    conflicts: bool = False
    may_be_gone: bool = False
    body: str = ""
    body_examples: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    state: str = ""


_SOURCES: Final = {"csv": examples.CSV, "api": examples.API}
OPERATIONS: Final = {
    "post /v1/sync/trigger": Operation(body="sync", body_examples=_SOURCES, message="Sync scheduled successfully"),
    "post /v1/sync/test": Operation(conflicts=True, body="sync", body_examples=_SOURCES),
    "post /v1/sync/resume": Operation(message="Pending syncs resumed"),
    "post /v1/sync/{syncRunId}/cancel": Operation(conflicts=True),
    "post /v1/sync/{syncRunId}/pause": Operation(conflicts=True),
    "post /v1/sync/{syncRunId}/continue": Operation(conflicts=True),
    "get /v1/sync/{syncRunId}/events": Operation("followSync"),
    "post /v1/sync/schedules": Operation(
        conflicts=True, may_be_gone=True, body="schedule", body_examples={"csv": examples.SCHEDULE}
    ),
    "patch /v1/sync/schedules/{scheduleId}": Operation(
        conflicts=True, body="change", body_examples={"switch off": examples.CHANGE}
    ),
    "get /healthz": Operation("checkHealth", state="serving"),
    "get /readyz": Operation("checkReadiness", state="ready"),
    "get /openapi.json": Operation("getDescription"),
    "get /docs": Operation("getDocs"),
}

# What a failure of each status means. A request can meet any of the first ones.
ANY_REQUEST: Final = {
    HTTPStatus.BAD_REQUEST: "The request is wrong; nothing was written.",
    HTTPStatus.UNAUTHORIZED: "The service asks for an API key, and there is none, or one that is not valid.",
    HTTPStatus.FORBIDDEN: "A web page of another site sent it, the API key does not go that far, or the source may not be read.",
    HTTPStatus.REQUEST_TIMEOUT: "The request came too slowly.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "Path and query are too long.",
    HTTPStatus.MISDIRECTED_REQUEST: "The Host header names a host that the gateway does not know.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too much at once; send it again in a while.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The head of the request is too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A fault of the service.",
    HTTPStatus.NOT_IMPLEMENTED: "Gateway and server are of different versions.",
    HTTPStatus.BAD_GATEWAY: "The service gave an answer that no one understands.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The service or its database cannot be reached, or stops; send it again in a while.",
    HTTPStatus.GATEWAY_TIMEOUT: "The service did not answer in time; send it again in a while.",
}
OF_A_BODY: Final = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not plain JSON in UTF-8.",
}
OF_AN_ID: Final = {HTTPStatus.NOT_FOUND: "There is none of that id."}
OF_A_STATE: Final = {
    HTTPStatus.CONFLICT: "The state of the run, schedule or source does not allow it, or the Idempotency-Key is another request's.",
}
