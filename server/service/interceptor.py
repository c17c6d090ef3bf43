"""Turns what a handler raises, and a message that cannot be decoded, into the status of its call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2
from grpc_status import rpc_status
from techaura_sync.request_ids import REQUEST_ID_KEY

from db.errors import RefusedDatabaseError
from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.service.calls import begin_request, by_name, request_id
from server.service.errors import internal_status, status_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger()

# The handler types of grpc are generic only in their stubs.
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class _Undecoded:
    """Marks a message that cannot be decoded: grpc would report a decoder's error as an internal fault."""


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Maps errors by service/errors.py. A cancelled call stays cancelled: swallowing that would leak it."""

    async def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Wrap the handler of a call, whichever service it is of."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        codec = _decoding(handler.request_deserializer), handler.response_serializer
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(_call(handler.unary_unary, method), *codec)
        if handler.unary_stream is not None:
            # The health service's watch writes its responses itself and yields none.
            wrap = _stream if inspect.isasyncgenfunction(handler.unary_stream) else _call
            return grpc.unary_stream_rpc_method_handler(wrap(handler.unary_stream, method), *codec)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(_stream(handler.stream_stream, method), *codec)
        return handler


def _decoding(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(raw: bytes) -> Any:
        try:
            return deserializer(raw)
        except (DecodeError, ValueError):
            return _Undecoded()

    return decode


def _call(behaviour: Any, method: str) -> Any:
    async def call(request: Any, context: Context) -> Any:
        _begin(context)
        try:
            return await behaviour(_decoded(request), context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - each becomes the status of the call
            status = _status(error, method, request)
        # Behind the block, so that what was refused, and the message, are let go of: see _abort.
        del request
        return await _abort(context, status)

    return call


def _stream(behaviour: Any, method: str) -> Any:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        responses = None
        _begin(context)
        try:
            responses = behaviour(_decoded(request), context)
            async for response in responses:
                yield response
            return
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - each becomes the status of the call
            status = _status(error, method, request)
        finally:
            if responses is not None:
                await responses.aclose()
        del request, responses
        await _abort(context, status)

    return call


def _begin(context: Context) -> None:
    """Give a call its id, which its end carries too."""
    context.set_trailing_metadata(((REQUEST_ID_KEY, begin_request(by_name(context.invocation_metadata()))),))


def _decoded(request: Any) -> Any:
    """The message, or the stream of messages, of a call.

    Raises:
        InvalidRequestError: the message cannot be decoded; of a stream, when it is reached.
    """
    if isinstance(request, _Undecoded):
        raise InvalidRequestError(Reason.INVALID_REQUEST, "the message cannot be decoded as the request of this call")
    return request if isinstance(request, Message) else _each_decoded(request)


async def _each_decoded(requests: AsyncIterable[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _decoded(request)


def _status(error: Exception, method: str, request: Any) -> status_pb2.Status:
    """The status that a call ends with; what is no caller's fault is logged."""
    status = status_of(error, request if isinstance(request, Message) else None, request_id=request_id())
    if status is None:
        log.error("call_fault", action=method, exc_info=error)
        status = internal_status(request_id())
    elif isinstance(error, RefusedDatabaseError):
        log.warning("call_refused_by_database", action=method, **error.facts)
    return status


async def _abort(context: Context, status: status_pb2.Status) -> NoReturn:
    """End a call. The context keeps what this raises, with each frame on its way and all that they name, until the collector comes."""
    converted = rpc_status.to_status(status)
    metadata = (*converted.trailing_metadata, (REQUEST_ID_KEY, request_id()))
    await context.abort(converted.code, converted.details, metadata)
