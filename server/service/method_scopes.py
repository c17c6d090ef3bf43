"""Which scope each RPC needs: one table, held against the descriptors at the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from techaura.sync.v1 import sync_service_pb2

from server.core.callers import Scope

SYNC_SERVICE: Final = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"]
HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"]
REFLECTION: Final = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]

# None: whoever is let in.
SCOPES: Final[Mapping[str, Scope | None]] = {
    "GetCaller": None,
    "GetSyncStatus": Scope.READ,
    "GetSyncStats": Scope.READ,
    "ListSyncRuns": Scope.READ,
    "ListSyncErrors": Scope.READ,
    "ExportSyncRejects": Scope.READ,
    "GetSyncSchedule": Scope.READ,
    "ListSyncSchedules": Scope.READ,
    "TriggerSync": Scope.TRIGGER,
    "TestSource": Scope.TRIGGER,
    "RunSyncSchedule": Scope.TRIGGER,
    "ResumeSyncs": Scope.OPERATE,
    "CancelSync": Scope.OPERATE,
    "PauseSync": Scope.OPERATE,
    "ContinueSync": Scope.OPERATE,
    "CreateSyncSchedule": Scope.OPERATE,
    "UpdateSyncSchedule": Scope.OPERATE,
    "DeleteSyncSchedule": Scope.OPERATE,
}
# Probes of containers and load balancers carry no credential, and learn nothing but whether it serves.
PUBLIC_PATHS: Final = frozenset(f"/{HEALTH.full_name}/{method.name}" for method in HEALTH.methods)
_REFLECTION_NAMES: Final = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")


def scopes_by_path(services: Iterable[ServiceDescriptor] = (SYNC_SERVICE,)) -> dict[str, Scope | None]:
    """The scope of each RPC by its path, `/package.Service/Method`; None for one that whoever is let in may call.

    Raises:
        LookupError: an RPC has no scope, or a scope no RPC.
    """
    paths = {f"/{service.full_name}/{method.name}": method.name for service in services for method in service.methods}
    if differing := set(paths.values()) ^ SCOPES.keys():
        raise LookupError(f"service/method_scopes.py and the protos differ in {', '.join(sorted(differing))}")
    found = {path: SCOPES[name] for path, name in paths.items()}
    return found | {f"/{name}/{method.name}": Scope.READ for name in _REFLECTION_NAMES for method in REFLECTION.methods}
