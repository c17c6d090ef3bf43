"""The blocking client, driven call by call through grpc_testing's channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import Any, TypeVar

import grpc
import grpc_testing
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from techaura.sync.v1 import resources_pb2, sync_service_pb2
from techaura_sync import CallLimits, SyncClient, SyncServiceError, sync_spec

from tests.clients.scripted_service import snapshot

SERVICE = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"]
T = TypeVar("T")


class Wire:
    """The far end of a blocking client: takes its calls one by one and answers them."""

    def __init__(self) -> None:
        self._channel = grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())
        self.waits: list[float] = []
        limits = CallLimits(watch_retries_max=2, retry_wait_seconds_first=1.0, retry_wait_seconds_max=1.5)
        self.client = SyncClient(self._channel, limits=limits, sleep=self.waits.append)
        self._pool = ThreadPoolExecutor(1)

    def start(self, work: Callable[[SyncClient], T]) -> Future[T]:
        """Run work that uses the client beside the test."""
        return self._pool.submit(work, self.client)

    def take_stream(self, method: str) -> tuple[Any, Any]:
        """The request of the next streaming call, and the call."""
        _, request, call = self._channel.take_unary_stream(SERVICE.methods_by_name[method])
        return request, call

    def take_unary(self, method: str) -> tuple[Any, Any]:
        """The request of the next unary call, and the call."""
        _, request, call = self._channel.take_unary_unary(SERVICE.methods_by_name[method])
        return request, call

    def close(self) -> None:
        """Wait for the work to end."""
        self._pool.shutdown()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A client and its far end."""
    wire = Wire()
    yield wire
    wire.close()


def refusal_metadata(reason: str) -> tuple[tuple[str, bytes], ...]:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="sync.techaura", metadata={"field": "source_type"}))
    return (("grpc-status-details-bin", status_pb2.Status(code=3, details=[detail]).SerializeToString()),)


def test_trigger_hands_out_every_message_in_order(wire: Wire) -> None:
    result = wire.start(lambda client: list(client.trigger(sync_spec("csv", "/data/a.csv"))))
    request, call = wire.take_stream("TriggerSync")
    accepted = sync_service_pb2.TriggerSyncResponse(accepted=sync_service_pb2.SyncAccepted(sync_run_id=7))
    progress = sync_service_pb2.TriggerSyncResponse(progress=resources_pb2.SyncProgress(sync_run_id=7, sequence=1))
    call.send_response(accepted)
    call.send_response(progress)
    call.terminate((), grpc.StatusCode.OK, "")

    assert result.result(10) == [accepted, progress]
    assert request == sync_service_pb2.TriggerSyncRequest(spec=sync_spec("csv", "/data/a.csv"))


def test_a_refusal_carries_reason_and_field(wire: Wire) -> None:
    result = wire.start(lambda client: list(client.trigger(sync_spec("xml", "/data/a.xml"))))
    _, call = wire.take_stream("TriggerSync")
    call.terminate(refusal_metadata("UNKNOWN_SOURCE_TYPE"), grpc.StatusCode.INVALID_ARGUMENT, "no such source type")

    with pytest.raises(SyncServiceError, match="no such source type") as caught:
        result.result(10)
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_SOURCE_TYPE", "source_type")


@pytest.mark.parametrize("value", [b"", b"\xff\xff\xff"])
def test_details_that_cannot_be_read_leave_the_message(wire: Wire, value: bytes) -> None:
    result = wire.start(lambda client: client.stats())
    _, call = wire.take_stream("GetSyncStats")
    call.terminate((("grpc-status-details-bin", value),), grpc.StatusCode.INTERNAL, "went wrong")

    with pytest.raises(SyncServiceError, match="went wrong") as caught:
        result.result(10)
    assert caught.value.reason == ""


def test_an_empty_stream_is_a_fault_of_the_service(wire: Wire) -> None:
    result = wire.start(lambda client: client.stats())
    _, call = wire.take_stream("GetSyncStats")
    call.terminate((), grpc.StatusCode.OK, "")

    with pytest.raises(SyncServiceError) as caught:
        result.result(10)
    assert caught.value.code == grpc.StatusCode.INTERNAL


def test_calls_that_answer_once_carry_a_message_each(wire: Wire) -> None:
    run = resources_pb2.SyncRun(sync_run_id=7, status=resources_pb2.SYNC_STATUS_CANCELLED)
    result = wire.start(lambda client: client.cancel(7))
    request, call = wire.take_unary("CancelSync")
    call.terminate(sync_service_pb2.CancelSyncResponse(run=run), (), grpc.StatusCode.OK, "")

    assert result.result(10) == run
    assert request == sync_service_pb2.CancelSyncRequest(sync_run_id=7)

    found = sync_service_pb2.TestSourceResponse(item_count=3)
    looking = wire.start(lambda client: client.test_source(sync_spec("csv", "/a.csv")))
    request, call = wire.take_unary("TestSource")
    call.terminate(found, (), grpc.StatusCode.OK, "")
    assert looking.result(10) == found
    assert request == sync_service_pb2.TestSourceRequest(spec=sync_spec("csv", "/a.csv"))


def test_a_broken_watch_waits_longer_each_time_and_goes_on_where_it_was(wire: Wire) -> None:
    seen: Queue[int] = Queue()

    def follow(client: SyncClient) -> str:
        for answer in client.watch(41):
            seen.put(answer.sequence)
        return "ended"

    result = wire.start(follow)
    _, call = wire.take_stream("GetSyncStatus")
    call.send_response(snapshot(3))
    # grpc_testing forgets what was not read when the call fails, so the failure waits for the reader.
    assert seen.get(timeout=10) == 3
    call.terminate((), grpc.StatusCode.UNAVAILABLE, "gone")
    second, call = wire.take_stream("GetSyncStatus")
    call.terminate((), grpc.StatusCode.UNAVAILABLE, "still gone")
    third, call = wire.take_stream("GetSyncStatus")
    call.send_response(snapshot(6, resources_pb2.SYNC_STATUS_FAILED))
    call.terminate((), grpc.StatusCode.OK, "")

    assert result.result(10) == "ended"
    assert seen.get(timeout=10) == 6
    assert (second.after_sequence, third.after_sequence) == (3, 3)
    assert 0.5 <= wire.waits[0] <= 1.0
    assert 0.75 <= wire.waits[1] <= 1.5


def test_a_watch_that_ends_before_its_run_is_taken_up_again_and_at_last_given_up(wire: Wire) -> None:
    result = wire.start(lambda client: list(client.watch(41)))
    for _ in range(3):
        _, call = wire.take_stream("GetSyncStatus")
        call.terminate((), grpc.StatusCode.OK, "")

    with pytest.raises(SyncServiceError, match="before the run"):
        result.result(10)
