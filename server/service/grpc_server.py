"""The gRPC server: SyncService, health and reflection on one port."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from techaura.sync.v1 import sync_service_pb2, sync_service_pb2_grpc

from server.core.config import Settings
from server.core.descriptors import grpc_connections_max
from server.core.errors import FatalError
from server.core.listening import grpc_address
from server.core.reasons import Category, Reason
from server.runs.service import Runs
from server.runs.source_test import Previews
from server.schedules.service import Schedules
from server.service.admission import AdmissionInterceptor
from server.service.health import Health
from server.service.interceptor import ErrorInterceptor
from server.service.reflection import add_reflection
from server.service.sync_service import SyncServicer

SERVICE_NAME = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"].full_name


class GrpcServer:
    """Serves until it is stopped.

    Args:
        settings: host, port and limits.
        runs, schedules, previews: what the calls do.
        admission: lets callers in.
        observers: see every call first, and the status that it ends with.
    """

    def __init__(
        self,
        settings: Settings,
        runs: Runs,
        schedules: Schedules,
        previews: Previews,
        admission: AdmissionInterceptor,
        observers: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._settings = settings
        self.port = 0
        self.health = Health(SERVICE_NAME)
        self._server = grpc.aio.server(
            interceptors=[*observers, ErrorInterceptor(), admission],
            options=[
                ("grpc.so_reuseport", 0),
                # Connections over the limit are closed at once; those that stay silent are closed after the handshake
                # timeout.
                ("grpc.max_allowed_incoming_connections", grpc_connections_max(settings.grpc_connections_max)),
                ("grpc.server_handshake_timeout_ms", round(settings.grpc_handshake_timeout_seconds * 1000)),
                ("grpc.max_receive_message_length", settings.grpc_request_bytes_max),
                ("grpc.max_send_message_length", settings.grpc_message_bytes_max),
                # Watchers may ping while nothing happens; without this they get GOAWAY too_many_pings.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
            ],
        )
        sync_service_pb2_grpc.add_SyncServiceServicer_to_server(SyncServicer(runs, schedules, previews), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        add_reflection(self._server, (SERVICE_NAME, health.SERVICE_NAME))

    async def start(self) -> None:
        """Listen, and report SERVING.

        Raises:
            FatalError: the port is taken or may not be used.
        """
        address = grpc_address(self._settings.grpc_host, self._settings.grpc_port)
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise FatalError(
                Reason.INTERNAL,
                f"cannot listen on {address}: the port is in use or may not be used; set TECHAURA_SYNC_GRPC_PORT",
                category=Category.SYSTEM,
            )
        await self._server.start()
        await self.health.alive()

    async def drain(self) -> None:
        """Report NOT_SERVING; calls in hand continue."""
        await self.health.drain()

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more calls, let those in hand finish within the time, then cancel them."""
        await self._server.stop(grace_seconds)
