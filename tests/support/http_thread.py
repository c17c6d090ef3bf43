"""An HTTP server on loopback, in a thread, for APIs that tests answer for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_STOP_SECONDS_MAX = 0.02


class Http11Handler(BaseHTTPRequestHandler):
    """Keeps connections and logs nothing."""

    protocol_version = "HTTP/1.1"
    # Headers and body are written apart: with Nagle's algorithm each body would wait for a delayed ACK.
    disable_nagle_algorithm = True

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hangs up in the middle is no fault of the test; any other error is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def http_thread(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address, without a slash at its end, of a server that runs while the block does."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _STOP_SECONDS_MAX})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
