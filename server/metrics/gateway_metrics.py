"""The metrics of one gateway, in one registry; what gateway/instruments.py asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from server.metrics import definitions

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class GatewayMetrics:
    """Counts what one gateway does.

    Args:
        registry: where its metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = definitions.HTTP_REQUESTS.counter(registry)
        self._seconds = definitions.HTTP_SECONDS.histogram(registry)
        self._refused = definitions.HTTP_REFUSED.counter(registry)
        self._connections = definitions.HTTP_CONNECTIONS.gauge(registry)
        self._streams = definitions.HTTP_STREAMS.gauge(registry)

    def request_handled(self, route: str, method: str, status: str, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, method if method in _METHODS else "other", status).inc()
        self._seconds.labels(route).observe(seconds)

    def connection_refused(self, why: str) -> None:
        """Count a connection."""
        self._refused.labels(why).inc()

    def pool_is(self, connections: Callable[[], int], streams: Callable[[], int]) -> None:
        """Ask these at a scrape."""
        self._connections.set_function(connections)
        self._streams.set_function(streams)
