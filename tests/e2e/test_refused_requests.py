"""Large requests over gRPC that are refused: their memory is given back, and over the limit none is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from techaura.sync.v1 import api_source_pb2, sync_service_pb2, sync_service_pb2_grpc
from techaura.sync.v1.sync_spec_pb2 import SyncSpec

from tests.e2e.test_grpc_edges import failed
from tests.support.service import Service


@pytest.fixture(scope="module")
def stub(live_server: Service) -> Iterator[Any]:
    with grpc.insecure_channel(live_server.grpc_target) as opened:
        yield sync_service_pb2_grpc.SyncServiceStub(opened)


def resident_mib(service: Service) -> float:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def large(kind: str) -> SyncSpec:
    """A request that is refused, of about 900 KB."""
    spec = SyncSpec(source_identifier="songs.csv")
    if kind == "texts":
        spec.csv.null_tokens.extend(str(number % 10) for number in range(300_000))
    elif kind == "entries":
        spec.csv.column_mapping.update({f"c{number}": "x" for number in range(60_000)})
    else:
        spec = SyncSpec(source_identifier="http://127.0.0.1/", api=api_source_pb2.ApiOptions())
        spec.api.body.update({"a": [{"b": number} for number in range(45_000)], "method": {"deep": "x" * 70_000}})
    return spec


@pytest.mark.parametrize("kind", ["texts", "entries", "values"])
def test_the_memory_of_refused_requests_is_given_back(live_server: Service, stub: Any, kind: str) -> None:
    request = sync_service_pb2.TriggerSyncRequest(spec=large(kind))
    assert 700_000 < request.ByteSize() < 1_000_000
    answered = {failed(lambda: stub.TriggerSync(request, timeout=20), True).code() for _ in range(3)}
    assert answered == {grpc.StatusCode.INVALID_ARGUMENT}
    before_mib = resident_mib(live_server)
    for _ in range(30):
        failed(lambda: stub.TriggerSync(request, timeout=20), True)
    # Kept, these are 600 MiB and more.
    assert resident_mib(live_server) - before_mib < 64


def test_a_message_over_the_limit_is_refused_before_it_is_read(stub: Any) -> None:
    spec = SyncSpec(source_identifier="x" * 1_100_000)
    error = failed(lambda: stub.TriggerSync(sync_service_pb2.TriggerSyncRequest(spec=spec), timeout=20), True)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
