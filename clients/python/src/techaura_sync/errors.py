"""The one error that both clients raise, read from what gRPC hands back.

The service puts a google.rpc.Status into the trailing metadata; its details name the reason (ErrorInfo) and the field
at fault (BadRequest). A failure below the service, such as a port on which nothing listens, has no such details: then
`reason` is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from techaura.sync.v1 import sync_service_pb2

_STATUS_KEY = "grpc-status-details-bin"
_READINESS_KEY = "techaura-sync-readiness-bin"


class SyncServiceError(Exception):
    """A call that failed.

    Args:
        reason: a name of the proto enum ErrorReason without its prefix; empty when the service did not respond.
        message: what happened and what to do next; the service puts no secret and no row content in it.
        code: the gRPC status code.
        field: the field of the request that is at fault, such as `csv.delimiter`; empty when none is named.
        next_step: what a person does about it; empty when the service did not respond.
        json_field: the same under its name in the REST contract, such as `options.delimiter`.
        retry_after_seconds: when to try again; None when the service does not say.
        request_id: under which the service's log has the call; empty when the service did not respond.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        code: grpc.StatusCode,
        field: str = "",
        next_step: str = "",
        json_field: str = "",
        retry_after_seconds: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code
        self.field = field
        self.next_step = next_step
        self.json_field = json_field or field
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id

    @property
    def unreachable(self) -> bool:
        """Whether the service gave no response of its own: it is down, or the way to it is."""
        return not self.reason and self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def from_rpc_error(error: grpc.RpcError) -> SyncServiceError:
    """Read the service's reason, message and field out of an error of grpc or grpc.aio."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return SyncServiceError("", str(error) or type(error).__name__, grpc.StatusCode.UNKNOWN)
    details = _status(error.trailing_metadata(), _STATUS_KEY).details
    return _error(details, error.details() or error.code().name, error.code())


def not_ready(metadata: Iterable[tuple[str, str | bytes]] | None) -> SyncServiceError:
    """Read out of the metadata of a health check why the service cannot serve calls."""
    status = _status(metadata, _READINESS_KEY)
    return _error(status.details, status.message or "the service is not ready", grpc.StatusCode.UNAVAILABLE)


def _error(details: Iterable[any_pb2.Any], message: str, code: grpc.StatusCode) -> SyncServiceError:
    reason, field, next_step, json_field, request_id = "", "", "", "", ""
    retry_after_seconds: float | None = None
    for detail in details:
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
            json_field = info.metadata.get("field", "")
            next_step = info.metadata.get("next_step", "")
            request_id = info.metadata.get("request_id", "")
        elif detail.Unpack(retry):
            retry_after_seconds = retry.retry_delay.ToMilliseconds() / 1000
        elif detail.Unpack(request) and request.field_violations:
            field = request.field_violations[0].field
    return SyncServiceError(
        reason, message, code, field or json_field, next_step, json_field, retry_after_seconds, request_id
    )


def _status(metadata: Iterable[tuple[str, str | bytes]] | None, wanted: str) -> status_pb2.Status:
    """The google.rpc.Status under a key of the metadata; an empty one when there is none that can be read."""
    for key, value in metadata or ():
        if key == wanted and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()


@contextmanager
def translated() -> Iterator[None]:
    """Turn a gRPC error that leaves the block into a `SyncServiceError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


def refused(refusal: sync_service_pb2.SourceRefusal) -> SyncServiceError:
    """The error that a call would have ended with whose response is a refusal."""
    field, next_step = refusal.field, refusal.next_step
    return SyncServiceError(
        refusal.reason, refusal.message, grpc.StatusCode.INVALID_ARGUMENT, field, next_step, json_field=field
    )


def no_answer() -> SyncServiceError:
    """A stream that ended well and yet held nothing: a fault of the service."""
    return SyncServiceError("INTERNAL", "the service ended the call without an answer", grpc.StatusCode.INTERNAL)
