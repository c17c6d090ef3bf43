"""The health check and call limits, shared by the blocking and the asyncio client.

Pure: nothing here talks to the service.
"""

from __future__ import annotations

from dataclasses import dataclass

from grpc_health.v1 import health_pb2
from techaura.sync.v1 import resources_pb2, sync_service_pb2

# A service that restarts is found again within seconds; gRPC itself would wait up to two minutes between two tries.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A proxy of the environment would see every request, secrets included.
    ("grpc.enable_http_proxy", 0),
)

TERMINAL_STATUSES = frozenset(
    {
        resources_pb2.SYNC_STATUS_COMPLETED,
        resources_pb2.SYNC_STATUS_FAILED,
        resources_pb2.SYNC_STATUS_CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long a call may take and how often a broken watch is taken up again.

    Args:
        call_timeout_seconds: deadline of every call with one response; a watch has none, it lasts as long as its run.
        watch_retries_max: attempts in a row to take up a broken watch; a message that arrives starts the count over.
        retry_wait_seconds_first: wait before the first of them; each further one waits twice as long.
        retry_wait_seconds_max: longest of those waits.
    """

    call_timeout_seconds: float = 10.0
    watch_retries_max: int = 8
    retry_wait_seconds_first: float = 0.1
    retry_wait_seconds_max: float = 5.0


DEFAULT_LIMITS = CallLimits()


def readiness() -> health_pb2.HealthCheckRequest:
    """Build the health check that asks whether calls can be served; the empty name asks whether the process lives."""
    return health_pb2.HealthCheckRequest(service=sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"].full_name)


def is_terminal(status: resources_pb2.SyncStatus.ValueType) -> bool:
    """Whether a run with this status has ended."""
    return status in TERMINAL_STATUSES
