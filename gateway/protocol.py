"""One HTTP connection: uvicorn's, with a deadline for each phase in which the gateway waits for the other side.

    HEAD     from its first byte, or the opening of the connection, until the head is complete
    BODY     from there until the body is complete
    RESPONSE the request is processed; no deadline but the calls' own, and one for a caller that reads nothing
    IDLE     between two requests; uvicorn's own deadline
    LINGER   a refusal is being sent; what still arrives is discarded, so that no reset loses the refusal

A deadline is for the phase as a whole: sending a byte now and then does not extend it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from gateway.config import GatewaySettings
from gateway.connections import ConnectionPool
from gateway.errors import RequestFaultError, failure_body
from gateway.heads import BoundedConnection

_LINGER_SECONDS: Final = 2.0
# A line per request that is not HTTP would fill the log during an attack; faults of ours are still logged.
_request_log = logging.getLogger("uvicorn.error.requests")
_request_log.setLevel(logging.ERROR)


class Phase(Enum):
    """The phase of a connection."""

    HEAD = auto()
    BODY = auto()
    RESPONSE = auto()
    IDLE = auto()
    LINGER = auto()


class BoundedProtocol(H11Protocol):
    """A connection of the gateway.

    Args:
        settings: the deadlines and limits.
        pool: counts it, and may close it to admit another.
        uvicorn: the arguments that uvicorn passes to a protocol.
    """

    conn: BoundedConnection

    def __init__(self, settings: GatewaySettings, pool: ConnectionPool, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.conn = BoundedConnection(settings)
        self.logger = _request_log
        self._settings = settings
        self._pool = pool
        self._phase: Phase | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Admit the connection, or refuse it."""
        super().connection_made(transport)
        if self._pool.admit(self):
            self._enter(Phase.HEAD)
        else:
            text = "the gateway holds as many connections as it may"
            step = "send the request again in a few seconds; TECHAURA_SYNC_GATEWAY_CONNECTIONS_MAX is the limit"
            self._refuse(
                RequestFaultError(HTTPStatus.SERVICE_UNAVAILABLE, text, reason="SERVICE_UNAVAILABLE", next_step=step)
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._pool.leave(self)
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes, unless the request was refused."""
        if self._phase is Phase.LINGER:
            return
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        super().data_received(data)
        self._look()

    def eof_received(self) -> None:
        """Handle the end of what the other side sends; one that was refused has read its response, or never will."""
        if self._phase is Phase.LINGER:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Continue with the next request."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """Start the deadline of a caller that reads too slowly."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._settings.gateway_write_timeout_seconds, self._abort, "not_read")

    def resume_writing(self) -> None:
        """End that deadline: the caller has read."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def shutdown(self) -> None:
        """Close, because the gateway stops."""
        if self._phase is Phase.LINGER:
            self.transport.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not an HTTP request, or one that breaks a limit."""
        self._pool.note("malformed")
        self._refuse(self.conn.fault or RequestFaultError(HTTPStatus.BAD_REQUEST, msg))

    def evict(self) -> None:
        """Close to admit another connection."""
        self.transport.abort()

    def _look(self) -> None:
        """Enter the phase that the state of the connection implies."""
        if self._phase is Phase.LINGER or self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY:
            self._enter(Phase.BODY)
        elif self.conn.their_state is not h11.IDLE:
            self._enter(Phase.RESPONSE)
        elif self._phase is not Phase.HEAD:
            self._enter(Phase.HEAD if self.conn.trailing_data[0] else Phase.IDLE)

    def _enter(self, phase: Phase) -> None:
        if phase is self._phase:
            return
        self._phase = phase
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = {
            Phase.HEAD: self._settings.gateway_head_timeout_seconds,
            Phase.BODY: self._settings.gateway_body_timeout_seconds,
            Phase.LINGER: _LINGER_SECONDS,
        }.get(phase)
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._late, seconds)
        self._pool.waits(self, is_waiting=phase is not Phase.RESPONSE)

    def _late(self, seconds: float) -> None:
        part = "head" if self._phase is Phase.HEAD else "body"
        if self._phase is Phase.LINGER or (part == "head" and not self.conn.trailing_data[0]):
            self.transport.abort()
            return
        self._pool.note(f"late_{part}")
        text = f"the {part} of the request was not there within {seconds:g} s"
        self._refuse(RequestFaultError(HTTPStatus.REQUEST_TIMEOUT, text))

    def _refuse(self, fault: RequestFaultError) -> None:
        """Send a failure, if no response has begun, and close."""
        can_respond = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if self.cycle is not None and not self.cycle.response_complete:
            # The route sees a disconnect; nothing that it still sends reaches the caller.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not can_respond or self.transport.is_closing():
            self.transport.abort()
            return
        self._unset_keepalive_if_required()
        self._write_failure(fault)
        self._enter(Phase.LINGER)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _write_failure(self, fault: RequestFaultError) -> None:
        body = failure_body(fault.text, reason=fault.reason, field=fault.field, next_step=fault.next_step)
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(raw)).encode()),
            (b"connection", b"close"),
        ]
        events: list[Any] = [
            h11.Response(status_code=fault.status, headers=headers, reason=STATUS_PHRASES[fault.status]),
            h11.Data(data=b"" if self.conn.method == b"HEAD" else raw),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")

    def _abort(self, what: str) -> None:
        self._pool.note(what)
        self.transport.abort()

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._stalled):
            if timer is not None:
                timer.cancel()
