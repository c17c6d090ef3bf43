"""The head of a request: its limits, and unambiguous framing."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import h11

from gateway.config import GatewaySettings
from gateway.errors import RequestFaultError

_TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class BoundedConnection(h11.Connection):
    """A connection's parser that refuses a head over a limit; `fault` then says why."""

    def __init__(self, settings: GatewaySettings) -> None:
        super().__init__(h11.SERVER, settings.http_head_bytes_max)
        self._settings = settings
        self.fault: RequestFaultError | None = None
        self.method = b""

    def next_event(self) -> Any:
        """The next event.

        Raises:
            h11.RemoteProtocolError: the bytes are not an HTTP request, or one that is refused.
        """
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.fault = self._fault_of(error)
            raise
        if isinstance(event, h11.Request):
            self.method = event.method
            self.fault = self._fault_in(event)
        elif isinstance(event, h11.EndOfMessage):
            # Trailers are headers after the body; the same limits hold.
            self.fault = self._fault_of_headers(event.headers, 0)
        if self.fault is not None:
            raise h11.RemoteProtocolError(self.fault.text)
        return event

    def _fault_of(self, error: h11.RemoteProtocolError) -> RequestFaultError:
        if error.error_status_hint == _TOO_LARGE:
            return self._too_large()
        return RequestFaultError(HTTPStatus(error.error_status_hint), f"this is no HTTP request: {error}")

    def _fault_in(self, request: h11.Request) -> RequestFaultError | None:
        settings = self._settings
        target_bytes, target_bytes_max = len(request.target), settings.http_target_bytes_max
        if target_bytes > target_bytes_max:
            text = f"the request's target is longer than {target_bytes_max} bytes"
            return RequestFaultError(HTTPStatus.REQUEST_URI_TOO_LONG, text)
        # The request line also has the method, two spaces, HTTP/1.1 and a line end.
        if fault := self._fault_of_headers(request.headers, target_bytes + len(request.method) + 12):
            return fault
        names = {name for name, _value in request.headers}
        if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
            text = "the request has both Content-Length and Transfer-Encoding, or the latter in HTTP/1.0"
            return RequestFaultError(HTTPStatus.BAD_REQUEST, text, field="Transfer-Encoding")
        return None

    def _fault_of_headers(self, headers: Iterable[tuple[bytes, bytes]], before_bytes: int) -> RequestFaultError | None:
        # Each header also has a colon, a space and a line end.
        sizes = [len(name) + len(value) + 4 for name, value in headers]
        if len(sizes) > self._settings.http_headers_max:
            return RequestFaultError(_TOO_LARGE, f"the request has more than {self._settings.http_headers_max} headers")
        return self._too_large() if before_bytes + sum(sizes) > self._settings.http_head_bytes_max else None

    def _too_large(self) -> RequestFaultError:
        return RequestFaultError(
            _TOO_LARGE,
            f"the head of the request, or a part of it, is larger than {self._settings.http_head_bytes_max} bytes",
        )
