"""Request messages and call limits, shared by the blocking and the asyncio client.

Pure: nothing here talks to the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grpc_health.v1 import health_pb2
from techaura.sync.v1 import resources_pb2, schedules_pb2, sources_pb2, sync_service_pb2

from techaura_sync.json_form import JsonFormError, from_json

Options = sources_pb2.CsvOptions | sources_pb2.ApiOptions

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
        call_timeout_seconds: deadline of every call that answers once; a watch has none, it lasts as long as its run.
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


def trigger(
    source_type: str, source_identifier: str, options: Options | None, detach: bool
) -> sync_service_pb2.TriggerSyncRequest:
    """Build the request that starts one run; without options the source type's defaults hold."""
    request = sync_service_pb2.TriggerSyncRequest(
        source_type=source_type, source_identifier=source_identifier, detach=detach
    )
    if isinstance(options, sources_pb2.CsvOptions):
        request.csv.CopyFrom(options)
    elif options is not None:
        request.api.CopyFrom(options)
    return request


def test_source(
    source_type: str, source_identifier: str, options: Options | None
) -> sync_service_pb2.TestSourceRequest:
    """Build the request that looks at a source; without options the source type's defaults hold."""
    request = sync_service_pb2.TestSourceRequest(source_type=source_type, source_identifier=source_identifier)
    if isinstance(options, sources_pb2.CsvOptions):
        request.csv.CopyFrom(options)
    elif options is not None:
        request.api.CopyFrom(options)
    return request


def options_from_json(source_type: str, options: Any) -> Options | None:
    """The options of a source type from JSON as the REST contract has it; None for none, or for a type that is not known.

    Raises:
        JsonFormError: its path begins with `options`.
    """
    member = schedules_pb2.SyncSchedule.DESCRIPTOR.fields_by_name.get(source_type)
    if options is not None and not isinstance(options, dict):
        raise JsonFormError("options", "options must be an object")
    if options is None or member is None or member.containing_oneof is None:
        return None
    message: Options = getattr(schedules_pb2.SyncSchedule(), source_type)
    return from_json(message, options, "options")


def is_terminal(status: resources_pb2.SyncStatus.ValueType) -> bool:
    """Whether a run with this status has ended."""
    return status in TERMINAL_STATUSES
