"""Who calls, and whether they may: asked before the message of a call is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf import empty_pb2
from google.protobuf.message import Message
from techaura_sync.request_ids import IDEMPOTENCY_KEY

from db.errors import DatabaseError
from server.access.gate import Gate
from server.access.open_calls import OpenCalls
from server.access.refusals import Refusals
from server.core.callers import Call, Caller, Scope
from server.core.clock import Clock
from server.core.errors import (
    CallTimedOutError,
    InvalidRequestError,
    PermissionDeniedError,
    SyncError,
    UnauthenticatedError,
    UnknownMethodError,
)
from server.core.reasons import Reason
from server.service.calls import address_of, begin_call, by_name, request_id
from server.service.method_scopes import PUBLIC_PATHS, scopes_by_path

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]

# Of reading calls, only those that a guard refused are audited; of the others, all that were refused.
_GUARD_REASONS: Final = frozenset(
    {Reason.UNAUTHENTICATED, Reason.PERMISSION_DENIED, Reason.CALLS_LIMITED, Reason.SOURCE_FORBIDDEN}
)
_UNKNOWN: Final = Caller("", frozenset())
_NO_METHOD: Final = "?"
# They say how a call is answered, and not what it does.
_NOT_CONTENT: Final = ("request_id", "detach")


class AdmissionInterceptor(grpc.aio.ServerInterceptor):
    """Serves a call whose caller may make it, and refuses every other.

    Args:
        open_calls: counts calls while they are served.
        refusals: is told of what was refused.
        fingerprint: of the content of a call, equal for equal ones; content may hold secrets.
        call_seconds_max: a call with one response may take this long, whatever deadline its caller sets.
        asked_again_seconds: a stream goes on for as long as its caller may make the call, which is looked at again each time this
            has passed.

    Raises:
        LookupError: an RPC has no scope.
    """

    def __init__(
        self,
        gate: Gate,
        open_calls: OpenCalls,
        refusals: Refusals,
        fingerprint: Callable[[Mapping[str, Any]], str],
        clock: Clock,
        *,
        call_seconds_max: float,
        asked_again_seconds: float,
    ) -> None:
        self._gate = gate
        self._open_calls = open_calls
        self._refusals = refusals
        self._fingerprint = fingerprint
        self._clock = clock
        self._call_seconds_max = call_seconds_max
        self._asked_again_seconds = asked_again_seconds
        self._scopes = scopes_by_path()

    async def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Find out who calls."""
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        if path in PUBLIC_PATHS:
            return handler
        scope = self._scopes.get(path, None if handler is None else Scope.ADMIN)
        metadata = by_name(handler_call_details.invocation_metadata)
        # What is no method is named by its caller, and is all the same.
        name = path.rpartition("/")[2] if path in self._scopes else _NO_METHOD
        caller = _UNKNOWN
        try:
            caller = await self._gate.caller(metadata)
            self._gate.check(caller, scope)
            if handler is None:
                raise UnknownMethodError
        except Exception as error:  # noqa: BLE001 - raised where each becomes the status of the call (interceptor.py)
            return self._refusing(handler, Call(name, caller), scope, error)
        return self._serving(handler, Call(name, caller), scope, metadata)

    def _refusing(self, handler: Any, call: Call, scope: Scope | None, error: Exception) -> Any:
        """A handler that reads nothing and raises."""

        async def refuse(_request: Any, context: Context) -> Any:
            self._note(self._identified(call, context), scope, error)
            raise error

        async def refuse_stream(_request: Any, context: Context) -> AsyncIterator[Any]:
            self._note(self._identified(call, context), scope, error)
            for response in tuple[Any, ...]():
                yield response
            raise error

        if handler is None or handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(refuse_stream, _unread)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(refuse_stream, _unread)
        return grpc.unary_unary_rpc_method_handler(refuse, _unread)

    def _serving(self, handler: Any, unidentified: Call, scope: Scope | None, metadata: Mapping[str, str]) -> Any:
        codec = handler.request_deserializer, handler.response_serializer

        async def serve(request: Any, context: Context) -> Any:
            call = self._identified(unidentified, context)
            try:
                begin_call(self._with_key(call, request))
                with self._open(call):
                    async with asyncio.timeout(self._call_seconds_max) as limit:
                        return await handler.unary_unary(request, context)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise CallTimedOutError(self._call_seconds_max) from None
            except SyncError as error:
                self._note(call, scope, error)
                raise

        async def serve_stream(request: Any, context: Context) -> AsyncIterator[Any]:
            call = self._identified(unidentified, context)
            try:
                begin_call(self._with_key(call, request))
                behaviour = handler.unary_stream or handler.stream_stream
                with self._open(call):
                    async with self._while_allowed(scope, metadata), aclosing(behaviour(request, context)) as responses:
                        async for response in responses:
                            yield response
            except SyncError as error:
                self._note(call, scope, error)
                raise

        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(serve, *codec)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(serve_stream, *codec)
        return grpc.stream_stream_rpc_method_handler(serve_stream, *codec)

    @asynccontextmanager
    async def _while_allowed(self, scope: Scope | None, metadata: Mapping[str, str]) -> AsyncIterator[None]:
        """A stream, which ends soon after its caller may not make the call any more, whether it has anything to say or not.

        Raises:
            UnauthenticatedError, PermissionDeniedError
        """
        task = asyncio.current_task()
        if not self._gate.asks or task is None:
            yield
            return
        refusals: list[SyncError] = []

        async def watch() -> None:
            while not refusals:
                await self._clock.sleep(self._asked_again_seconds)
                try:
                    self._gate.check_scope(await self._gate.caller(metadata), scope)
                except (UnauthenticatedError, PermissionDeniedError) as refusal:
                    refusals.append(refusal)
                    task.cancel()
                except (SyncError, DatabaseError):
                    # Nobody can tell now.
                    continue

        # Not owned by the block: a TaskGroup would end it with an error of its own.
        watching = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if not refusals or task.uncancel():
                raise
            raise refusals[0] from None
        finally:
            watching.cancel()

    def _open(self, call: Call) -> AbstractContextManager[None]:
        """Counts the call while it is served."""
        return self._open_calls.one(call.caller.name if self._gate.asks else "")

    @staticmethod
    def _identified(call: Call, context: Context) -> Call:
        return Call(call.method, call.caller, address_of(context.peer()), request_id())

    def _with_key(self, call: Call, request: Any) -> Call:
        """The call with its idempotency key, if its message has one.

        Raises:
            InvalidRequestError: the key is none.
        """
        if not isinstance(request, Message) or "request_id" not in request.DESCRIPTOR.fields_by_name:
            return call
        key: str = request.request_id  # type: ignore[attr-defined]
        if not key:
            return call
        if not IDEMPOTENCY_KEY.fullmatch(key):
            raise InvalidRequestError(
                Reason.INVALID_REQUEST, "request_id must be 1 to 128 visible ASCII characters", field="requestId"
            )
        content = type(request)()
        content.CopyFrom(request)
        for field in _NOT_CONTENT:
            if field in content.DESCRIPTOR.fields_by_name:
                content.ClearField(field)
        fingerprint = self._fingerprint(
            {"method": call.method, "content": content.SerializeToString(deterministic=True).hex()}
        )
        return Call(call.method, call.caller, call.peer, call.request_id, key, fingerprint)

    def _note(self, call: Call, scope: Scope | None, error: Exception) -> None:
        if isinstance(error, SyncError) and (scope not in (None, Scope.READ) or error.reason in _GUARD_REASONS):
            self._refusals.add(call, error.reason, error.message)


def _unread(_raw: bytes) -> Message:
    return empty_pb2.Empty()
