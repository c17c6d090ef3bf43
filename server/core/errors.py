"""Every error of the service, grouped by what the engine does about it.

    SyncError
      RetryableError     trying again can help: now, or at the nightly retry
        QueueFullError   when some of what waits is done
        CallsLimitedError    when the caller has waited
        CallTimedOutError    when the service has less to do
      FatalError         trying again cannot help; the run fails
      InvalidRequestError       the request is wrong; nothing was written
        NotFoundError    the thing that the request names does not exist
        StateConflictError    the thing is not in a state that allows the request
        UnauthenticatedError  nobody knows who sent it
        PermissionDeniedError    its sender may not do that
        RequestIdReusedError  its idempotency key belongs to another request
        UnknownMethodError    the service has no such call

A row that is refused is no exception: it is a `Reject` (see sources/contract.py), counted and listed.

Each error carries a reason (a name of the proto enum ErrorReason), a category of the contract and a text for
the caller: what happened, where, what to do next. The text holds no secret and no row content; the cause, for
the log, is chained with `raise ... from`.
"""

from __future__ import annotations

from server.core.reasons import Category, Reason, next_step_for
from server.core.texts import escaped

__all__ = [
    "CallTimedOutError",
    "CallsLimitedError",
    "FatalError",
    "InvalidRequestError",
    "LeaseLostError",
    "NotFoundError",
    "PermissionDeniedError",
    "QueueFullError",
    "RequestIdReusedError",
    "RetryableError",
    "StateConflictError",
    "SyncError",
    "UnauthenticatedError",
    "UnknownMethodError",
]


class SyncError(Exception):
    """Base of all errors that have a meaning for a caller.

    Args:
        reason: what happened, by name.
        message: what happened, where, and what to do next.
        category: the contract's category; None takes the class's own.
        next_step: what a person does about it; None takes that of the reason (reasons.py).
    """

    retryable: bool = False
    default_category: Category = Category.SYSTEM

    def __init__(
        self, reason: Reason, message: str, *, category: Category | None = None, next_step: str | None = None
    ) -> None:
        # What it tells of files, columns and answers comes from outside, may be no text at all, and goes to terminals and logs.
        message = escaped(message)
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.category: Category = category or self.default_category
        self.next_step = escaped(next_step or next_step_for(reason))


class RetryableError(SyncError):
    """A passing fault: the network, a lock, a server that restarts.

    Args:
        retry_after_seconds: the least wait that the other side asked for, or None.
    """

    retryable = True
    default_category: Category = Category.NETWORK

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        category: Category | None = None,
        next_step: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(reason, message, category=category, next_step=next_step)
        self.retry_after_seconds = retry_after_seconds


class QueueFullError(RetryableError):
    """There is as much to do as may wait; nothing was stored."""

    default_category: Category = Category.SYSTEM


class CallsLimitedError(RetryableError):
    """The caller has made as many calls as it may for now; this one did nothing."""

    default_category: Category = Category.SYSTEM


class CallTimedOutError(RetryableError):
    """A call took longer than any may; a change that it was about to make may have been made.

    Args:
        seconds: how long it may take.
    """

    default_category: Category = Category.SYSTEM

    def __init__(self, seconds: float) -> None:
        text = f"the call was ended after {seconds:g} s (TECHAURA_SYNC_GRPC_CALL_SECONDS_MAX)"
        super().__init__(Reason.CALL_TIMED_OUT, text)


class FatalError(SyncError):
    """The run cannot continue, and a retry would fail the same way."""

    default_category: Category = Category.PROCESSING


class InvalidRequestError(SyncError):
    """The request is wrong. Raised before anything is written.

    Args:
        field: which part of the request is at fault, such as `options.delimiter`; empty for the whole.
    """

    default_category: Category = Category.VALIDATION

    def __init__(self, reason: Reason, message: str, *, field: str = "", next_step: str | None = None) -> None:
        super().__init__(reason, message, next_step=next_step)
        self.field = field


class NotFoundError(InvalidRequestError):
    """The thing that the request names does not exist."""


class StateConflictError(InvalidRequestError):
    """The thing is not in a state that allows the request."""


class UnauthenticatedError(InvalidRequestError):
    """The request carries no valid credential."""

    default_category: Category = Category.AUTHENTICATION

    def __init__(self, message: str) -> None:
        super().__init__(Reason.UNAUTHENTICATED, message)


class PermissionDeniedError(InvalidRequestError):
    """The credential of the request does not go that far."""

    default_category: Category = Category.AUTHENTICATION

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(Reason.PERMISSION_DENIED, message, field=field)


class RequestIdReusedError(InvalidRequestError):
    """Another request has used the idempotency key of this one."""

    def __init__(self) -> None:
        text = "another call of this caller has used this request_id (Idempotency-Key), with other content"
        super().__init__(Reason.REQUEST_ID_REUSED, text, field="requestId")


class UnknownMethodError(InvalidRequestError):
    """The service has no such call."""

    def __init__(self) -> None:
        super().__init__(Reason.UNKNOWN_METHOD, "the service has no such call")


class LeaseLostError(FatalError):
    """Another worker has taken the run over: stop, and write nothing more."""

    def __init__(self, run_id: int) -> None:
        super().__init__(
            Reason.LEASE_LOST, f"run {run_id} was taken over by another worker; this one writes nothing more"
        )
