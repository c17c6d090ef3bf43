"""Tells who counts of every gRPC call: that it began, with which status it ended, how long it took, what streams are open.

It stands before the interceptor that maps errors, so it sees the status that the caller gets. A method that the server does
not have is `unknown`, whatever it is called.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc

from server.core.clock import Clock
from server.core.instruments import Instruments
from server.service.method_scopes import PUBLIC_PATHS, scopes_by_path

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

_UNKNOWN: Final = "unknown"
_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class CallCounter(grpc.aio.ServerInterceptor):
    """Wraps the handler of each call.

    Args:
        instruments: who is told.
    """

    def __init__(self, instruments: Instruments, clock: Clock) -> None:
        self._instruments = instruments
        self._clock = clock
        self._known = PUBLIC_PATHS | scopes_by_path().keys()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a call, whichever service it is of."""
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        method = path.lstrip("/") if path in self._known else _UNKNOWN
        codec = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._awaited(handler.unary_unary, method, is_stream=False), *codec
            )
        if handler.unary_stream is not None:
            # The health service's watch writes its responses itself and yields none.
            behaviour = handler.unary_stream
            is_yielding = inspect.isasyncgenfunction(behaviour)
            counted = (
                self._streaming(behaviour, method) if is_yielding else self._awaited(behaviour, method, is_stream=True)
            )
            return grpc.unary_stream_rpc_method_handler(counted, *codec)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(self._streaming(handler.stream_stream, method), *codec)
        return handler

    def _awaited(self, behaviour: Any, method: str, *, is_stream: bool) -> Any:
        async def call(request: Any, context: Context) -> Any:
            with self._counted(method, context, is_stream=is_stream):
                answer = behaviour(request, context)
                # What is refused keeps each frame on its way (interceptor.py), and this one would keep the message.
                del request
                return await answer

        return call

    def _streaming(self, behaviour: Any, method: str) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            with self._counted(method, context, is_stream=True):
                answers = behaviour(request, context)
                del request
                async with aclosing(answers):
                    async for answer in answers:
                        yield answer

        return call

    @contextmanager
    def _counted(self, method: str, context: Context, *, is_stream: bool) -> Iterator[None]:
        began_seconds = self._clock.monotonic_seconds()
        self._instruments.call_started(method)
        if is_stream:
            self._instruments.streams_changed(method, 1)
        code = grpc.StatusCode.UNKNOWN.name
        try:
            yield
            code = _code_of(context)
        except grpc.aio.AbortError:
            code = _code_of(context)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED.name
            raise
        finally:
            if is_stream:
                self._instruments.streams_changed(method, -1)
                self._instruments.stream_handled(method, code)
            else:
                self._instruments.call_handled(method, code, self._clock.monotonic_seconds() - began_seconds)


def _code_of(context: Context) -> str:
    """The status of a call that has ended; none was set where all went well."""
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return _NAMES.get(code or 0, grpc.StatusCode.UNKNOWN.name)
