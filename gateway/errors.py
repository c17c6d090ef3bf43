"""Every failure of the gateway as one JSON shape: {"success": false, "error": text}.

`reason` and `nextStep` are always present, `field` when one is at fault.

One table maps gRPC status codes to HTTP. The text is the service's, which contains no secret; the table has
one only where the service did not respond, or where existing callers rely on a fixed text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import grpc
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from techaura_sync import SyncServiceError

from gateway.answers import Failure
from gateway.service_client import check_caller

_log = structlog.get_logger(__name__)


_FOR_CALLERS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    }
)


class RequestFaultError(Exception):
    """A request that the gateway refuses without calling the service.

    Args:
        status: HTTP status.
        text: what is wrong with it.
        reason: a value of the proto enum ErrorReason without its prefix.
        field: the part of the body that is at fault; empty for the whole request.
        next_step: what to do about it; None takes the class's own.
    """

    default_next_step = (
        "correct what the error names, and send the request again; docs/reference.md and /openapi.json say how"
    )

    def __init__(
        self,
        status: HTTPStatus,
        text: str,
        *,
        reason: str = "INVALID_REQUEST",
        field: str = "",
        next_step: str | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.reason = reason
        self.field = field
        self.next_step = self.default_next_step if next_step is None else next_step

    @property
    def is_for_callers(self) -> bool:
        """Whether only callers who are let in are told."""
        return self.status in _FOR_CALLERS


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """The HTTP response for a gRPC status.

    Args:
        status: HTTP status.
        text: text for callers; None takes the service's message.
        reason: used where the service named none, such as when a proxy between it and the gateway failed.
        next_step: likewise.
    """

    status: HTTPStatus
    text: str | None = None
    reason: str = "INVALID_REQUEST"
    next_step: str = RequestFaultError.default_next_step


_FAULT_NEXT_STEP: Final = "look for the cause in the logs of the gateway and of the gRPC server"
_REACH_NEXT_STEP: Final = (
    "check that the gRPC server runs and that TECHAURA_SYNC_GRPC_TARGET names it; the gateway finds it again by itself"
)
_SLOW_NEXT_STEP: Final = (
    "check what keeps the gRPC server or its database busy, or raise TECHAURA_SYNC_GATEWAY_CALL_TIMEOUT_SECONDS"
)
STOPPING_TEXT: Final = "The gateway is stopping"
STOPPING_NEXT_STEP: Final = "send the request again in a few seconds"


def _unreachable(status: HTTPStatus, text: str | None, next_step: str) -> HttpFailure:
    return HttpFailure(status, text, "SERVICE_UNAVAILABLE", next_step)


def _fault(status: HTTPStatus, text: str | None = None, next_step: str = _FAULT_NEXT_STEP) -> HttpFailure:
    return HttpFailure(status, text, "INTERNAL", next_step)


HTTP_BY_GRPC_CODE: Final[dict[grpc.StatusCode, HttpFailure]] = {
    grpc.StatusCode.INVALID_ARGUMENT: HttpFailure(HTTPStatus.BAD_REQUEST),
    grpc.StatusCode.OUT_OF_RANGE: HttpFailure(HTTPStatus.BAD_REQUEST),
    grpc.StatusCode.UNAUTHENTICATED: HttpFailure(HTTPStatus.UNAUTHORIZED),
    grpc.StatusCode.PERMISSION_DENIED: HttpFailure(HTTPStatus.FORBIDDEN),
    grpc.StatusCode.NOT_FOUND: HttpFailure(HTTPStatus.NOT_FOUND),
    grpc.StatusCode.ALREADY_EXISTS: HttpFailure(HTTPStatus.CONFLICT),
    grpc.StatusCode.FAILED_PRECONDITION: HttpFailure(HTTPStatus.CONFLICT),
    grpc.StatusCode.ABORTED: HttpFailure(HTTPStatus.CONFLICT),
    grpc.StatusCode.RESOURCE_EXHAUSTED: HttpFailure(HTTPStatus.TOO_MANY_REQUESTS),
    grpc.StatusCode.UNIMPLEMENTED: _fault(
        HTTPStatus.NOT_IMPLEMENTED,
        "The sync service does not know this call",
        "run the gateway and the gRPC server in the same version",
    ),
    grpc.StatusCode.CANCELLED: _unreachable(
        HTTPStatus.SERVICE_UNAVAILABLE, "The sync service is stopping", STOPPING_NEXT_STEP
    ),
    grpc.StatusCode.UNAVAILABLE: _unreachable(HTTPStatus.SERVICE_UNAVAILABLE, None, _REACH_NEXT_STEP),
    grpc.StatusCode.DEADLINE_EXCEEDED: _unreachable(
        HTTPStatus.GATEWAY_TIMEOUT, "The sync service did not answer in time", _SLOW_NEXT_STEP
    ),
    grpc.StatusCode.INTERNAL: _fault(HTTPStatus.INTERNAL_SERVER_ERROR),
    grpc.StatusCode.DATA_LOSS: _fault(HTTPStatus.INTERNAL_SERVER_ERROR),
    grpc.StatusCode.UNKNOWN: _fault(HTTPStatus.BAD_GATEWAY),
}

# Texts that existing callers compare (contract, section 1).
TEXT_BY_REASON: Final = {"RUN_NOT_FOUND": "Sync run not found"}
# What stands in the protos' message, and over HTTP in a header.
_HEADER_FIELDS: Final = {"requestId": "Idempotency-Key"}

# gRPC's own text about a broken connection has addresses and file lines; callers get this instead.
_UNAVAILABLE_TEXT = "The sync service is unavailable"


def failure_body(text: str, *, reason: str, next_step: str, field: str = "") -> Failure:
    """The body of every failure; the key `field` is left out when no field is at fault."""
    if not field:
        return {"success": False, "error": text, "reason": reason, "nextStep": next_step}
    return {"success": False, "error": text, "reason": reason, "field": field, "nextStep": next_step}


def http_answer(error: SyncServiceError) -> tuple[HTTPStatus, Failure]:
    """HTTP status and body of a failure of the service."""
    failure = HTTP_BY_GRPC_CODE.get(error.code, HTTP_BY_GRPC_CODE[grpc.StatusCode.UNKNOWN])
    own_text = error.message if error.reason or failure.status < HTTPStatus.INTERNAL_SERVER_ERROR else _UNAVAILABLE_TEXT
    text = TEXT_BY_REASON.get(error.reason) or failure.text or own_text
    return failure.status, failure_body(
        text,
        reason=error.reason or failure.reason,
        field=_HEADER_FIELDS.get(error.json_field, error.json_field),
        next_step=error.next_step or failure.next_step,
    )


async def service_failed(_: Request, error: SyncServiceError) -> Response:
    """The response for a `SyncServiceError`."""
    status, body = http_answer(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("service_failed", code=error.code.name, reason=error.reason, detail=error.message)
    return JSONResponse(body, status, headers_of(status, error.retry_after_seconds))


def headers_of(status: int, retry_after_seconds: float | None = None) -> dict[str, str]:
    """The headers that a failure has besides its body's."""
    headers = {} if retry_after_seconds is None else {"Retry-After": str(math.ceil(retry_after_seconds))}
    # RFC 9110 wants it of every 401.
    return headers | ({"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {})


async def request_refused(request: Request, error: RequestFaultError) -> Response:
    """The response for a `RequestFaultError`; whoever is not let in is told that, whatever else is wrong."""
    if error.is_for_callers:
        try:
            await check_caller(request)
        except SyncServiceError as refusal:
            return await service_failed(request, refusal)
    body = failure_body(error.text, reason=error.reason, field=error.field, next_step=error.next_step)
    return JSONResponse(body, error.status, headers_of(error.status))


async def route_refused(request: Request, error: HTTPException) -> Response:
    """The response for what Starlette itself refuses: unknown routes and methods. OPTIONS is told which ones there are."""
    if request.method == "OPTIONS" and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = {name.strip() for name in (error.headers or {}).get("Allow", "").split(",")} | {"OPTIONS"}
        if "GET" in allowed:
            allowed.add("HEAD")
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(sorted(allowed))})
    body = failure_body(error.detail, reason="INVALID_REQUEST", next_step="compare method and path with /openapi.json")
    return JSONResponse(body, error.status_code, error.headers)


async def caller_left(_: Request, __: ClientDisconnect) -> Response:
    """The response for a caller that disconnected before its body arrived; nobody reads it."""
    return Response(status_code=HTTPStatus.REQUEST_TIMEOUT)


async def gateway_failed(_: Request, error: Exception) -> Response:
    """The response for a fault of the gateway; Starlette raises the error again afterwards, for the server's log."""
    _log.error("gateway_failed", error=type(error).__name__)
    body = failure_body("Internal error", reason="INTERNAL", next_step=_FAULT_NEXT_STEP)
    return JSONResponse(body, HTTPStatus.INTERNAL_SERVER_ERROR)


# Starlette's type accepts only handlers of any exception; each of these gets the class that it is registered for.
HANDLERS: Final[dict[Any, Any]] = {
    SyncServiceError: service_failed,
    RequestFaultError: request_refused,
    HTTPException: route_refused,
    ClientDisconnect: caller_left,
    Exception: gateway_failed,
}
