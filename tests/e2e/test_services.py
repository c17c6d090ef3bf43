"""Health and reflection of the real program: what a stranger's tool sees on the port."""

from __future__ import annotations

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.support.service import Service

SERVICE = "techaura.sync.v1.SyncService"


def test_the_service_says_that_it_serves(live_server: Service) -> None:
    with grpc.insecure_channel(live_server.grpc_target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_service_describes_itself(live_server: Service) -> None:
    with grpc.insecure_channel(live_server.grpc_target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert SERVICE in database.get_services()
        methods = DescriptorPool(database).FindServiceByName(SERVICE).methods_by_name
    assert {"TriggerSync", "ResumeSyncs", "GetSyncStatus", "GetSyncStats"} <= set(methods)
    assert {"ListSyncRuns", "ListSyncErrors", "CancelSync"} <= set(methods)
    assert methods["TriggerSync"].server_streaming
    assert not methods["CancelSync"].server_streaming
