"""The health service: whether the process lives, under the empty name; whether calls can be served, under the service's.

Both are NOT_SERVING from the moment the server drains. Where the second one is not SERVING, its check carries a
google.rpc.Status that says why in the trailing metadata `techaura-sync-readiness-bin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2

from server.core.errors import RetryableError
from server.core.reasons import Category, Reason
from server.service.errors import internal_status, status_of

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

LIVENESS: Final = ""
_STATUS_KEY: Final = "techaura-sync-readiness-bin"


class Health(health.aio.HealthServicer):  # type: ignore[misc] # published without types
    """The states of one server.

    Args:
        readiness: the name under which readiness is asked for.
    """

    def __init__(self, readiness: str) -> None:
        super().__init__()
        self._readiness = readiness
        self._status: status_pb2.Status | None = None

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Return a state, and for readiness the reason why it is not served."""
        if request.service == self._readiness and self._status is not None:
            context.set_trailing_metadata(((_STATUS_KEY, self._status.SerializeToString()),))
        return await super().Check(request, context)

    async def alive(self) -> None:
        """The process takes calls."""
        await self.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        await self.ready(None)

    async def ready(self, fault: Exception | None) -> None:
        """Calls can be served, or cannot because of a fault. Changes nothing once the server drains."""
        if self._gracefully_shutting_down:
            return
        self._status = None if fault is None else status_of(fault) or internal_status()
        state = health_pb2.HealthCheckResponse
        await self.set(self._readiness, state.SERVING if fault is None else state.NOT_SERVING)

    async def drain(self) -> None:
        """The server stops."""
        self._status = status_of(
            RetryableError(Reason.SHUTTING_DOWN, "the sync service is stopping", category=Category.SYSTEM)
        )
        await self.enter_graceful_shutdown()
