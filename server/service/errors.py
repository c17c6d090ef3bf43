"""Maps our errors to the status of a call: one table, applied by one interceptor.

Handlers raise; nothing else in the service sets a status. An error without a row in the table is a fault of the
service: the caller gets INTERNAL without its text, the log gets the cause.
"""

from __future__ import annotations

import math
from typing import Final

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from db.errors import DatabaseError, TransientDatabaseError
from server.core.errors import (
    CallsLimitedError,
    CallTimedOutError,
    FatalError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QueueFullError,
    RequestIdReusedError,
    RetryableError,
    StateConflictError,
    SyncError,
    UnauthenticatedError,
    UnknownMethodError,
)
from server.core.reasons import Reason, next_step_for
from server.service.fields import proto_path

DOMAIN: Final = "sync.techaura"

# The first class that fits decides.
STATUS_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (UnauthenticatedError, code_pb2.UNAUTHENTICATED),
    (PermissionDeniedError, code_pb2.PERMISSION_DENIED),
    (RequestIdReusedError, code_pb2.ALREADY_EXISTS),
    (UnknownMethodError, code_pb2.UNIMPLEMENTED),
    (NotFoundError, code_pb2.NOT_FOUND),
    (StateConflictError, code_pb2.FAILED_PRECONDITION),
    (InvalidRequestError, code_pb2.INVALID_ARGUMENT),
    (QueueFullError, code_pb2.RESOURCE_EXHAUSTED),
    (CallsLimitedError, code_pb2.RESOURCE_EXHAUSTED),
    (CallTimedOutError, code_pb2.DEADLINE_EXCEEDED),
    (RetryableError, code_pb2.UNAVAILABLE),
    (FatalError, code_pb2.FAILED_PRECONDITION),
    (TransientDatabaseError, code_pb2.UNAVAILABLE),
    (DatabaseError, code_pb2.INTERNAL),
)


def status_of(error: Exception, request: Message | None = None, *, request_id: str = "") -> status_pb2.Status | None:
    """The status that a call ends with; None for an error that no row fits.

    Args:
        request: the call's message, whose fields a violation names as its proto does; ErrorInfo has the contract's name.
        request_id: under which the log has the call.
    """
    code = next((code for kind, code in STATUS_CODES if isinstance(error, kind)), None)
    if code is None:
        return None
    if isinstance(error, SyncError):
        reason, message, next_step = str(error.reason), error.message, error.next_step
    elif isinstance(error, DatabaseError):
        reason, next_step = str(error.reason), error.next_step or next_step_for(error.reason)
        message = f"{error.message}; try again" if isinstance(error, TransientDatabaseError) else error.message
    else:
        return None
    field = error.field if isinstance(error, InvalidRequestError) else ""
    details: list[any_pb2.Any] = [_packed(_info(reason, next_step, field, request_id))]
    if isinstance(error, RetryableError) and error.retry_after_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(math.ceil(error.retry_after_seconds * 1000))
        details.append(_packed(retry))
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=proto_path(field, request), description=message)
        details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    return status_pb2.Status(code=code, message=message, details=details)


def internal_status(request_id: str = "") -> status_pb2.Status:
    """The status of an unexpected fault."""
    info = _info(Reason.INTERNAL, next_step_for(Reason.INTERNAL), request_id=request_id)
    return status_pb2.Status(
        code=code_pb2.INTERNAL, message="a fault of the service; its log has the cause", details=[_packed(info)]
    )


def _info(reason: str, next_step: str, field: str = "", request_id: str = "") -> error_details_pb2.ErrorInfo:
    known = {"next_step": next_step, "field": field, "request_id": request_id}
    metadata = {key: value for key, value in known.items() if value}
    return error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
