"""What a stranger sends over gRPC: bytes that are no message, ids and masks that can never be right, either reflection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, field_mask_pb2, struct_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status
from techaura.sync.v1 import api_source_pb2, csv_source_pb2, schedules_pb2, sync_service_pb2, sync_service_pb2_grpc
from techaura.sync.v1.sync_spec_pb2 import SYNC_MODE_MIRROR, CustomSource, SyncSpec, WriteOptions
from techaura_sync import sync_spec

from tests.support.service import Service

SERVICE = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"]
GARBAGE = {
    "cut off in a field": b"\x0a\xff\x01abc",
    "a tag of field 0": b"\x00\x01",
    "an endless varint": b"\x08" + b"\xff" * 11,
    "a group that is not closed": b"\x0b",
    "wire type 7": b"\x0f",
}
METHODS = {f"/{SERVICE.full_name}/{name}": method.server_streaming for name, method in SERVICE.methods_by_name.items()}
# protobuf itself takes the bytes for a message where the message has no field.
del METHODS["/techaura.sync.v1.SyncService/GetCaller"]
METHODS |= {"/grpc.health.v1.Health/Check": False, "/grpc.health.v1.Health/Watch": True}
REFLECTION = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


@pytest.fixture(scope="module")
def channel(live_server: Service) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(live_server.grpc_target) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    return sync_service_pb2_grpc.SyncServiceStub(channel)


def refused(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, str]:
    """Code, reason and field of a call that was refused."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(request)
    field = request.field_violations[0].field if request.field_violations else ""
    return error.code(), info.reason, field


def failed(start: Callable[[], Any], streaming: bool) -> grpc.RpcError:
    """The error of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        list(start()) if streaming else start()
    return caught.value


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message_are_the_callers_error(channel: grpc.Channel, method: str, garbage: str) -> None:
    kind: Any = channel.unary_stream if METHODS[method] else channel.unary_unary
    error = failed(lambda: kind(method)(GARBAGE[garbage], timeout=10), METHODS[method])
    assert refused(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize("name", ["TriggerSync", "TestSource"])
def test_a_text_that_is_no_utf8_is_the_callers_error(channel: grpc.Channel, name: str) -> None:
    streaming = SERVICE.methods_by_name[name].server_streaming
    kind: Any = channel.unary_stream if streaming else channel.unary_unary
    error = failed(lambda: kind(f"/{SERVICE.full_name}/{name}")(b"\x0a\x02\xff\xfe", timeout=10), streaming)
    assert refused(error)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize("package", REFLECTION)
def test_a_stream_of_messages_ends_at_the_one_that_cannot_be_decoded(channel: grpc.Channel, package: str) -> None:
    good = reflection_pb2.ServerReflectionRequest(list_services="*").SerializeToString()
    answers: Any = channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo")(
        iter([good, GARBAGE["cut off in a field"]]), timeout=10
    )
    assert next(answers)
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert refused(caught.value)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_a_number_that_json_does_not_have_is_the_callers_error(stub: Any) -> None:
    options = api_source_pb2.ApiOptions()
    options.body["depth"] = float("inf")
    spec = SyncSpec(source_identifier="https://example.com/items", api=options)
    request = sync_service_pb2.TriggerSyncRequest(spec=spec)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.TriggerSync(request, timeout=10))
    assert refused(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_OPTION", "spec.api.body")


def test_none_of_this_left_a_traceback(live_server: Service) -> None:
    log = live_server.log()
    assert [word for word in ("Traceback", "call_fault", "DecodeError") if word in log] == []


RUN_CALLS = {
    "GetSyncStatus": sync_service_pb2.GetSyncStatusRequest,
    "ListSyncErrors": sync_service_pb2.ListSyncErrorsRequest,
    "CancelSync": sync_service_pb2.CancelSyncRequest,
    "PauseSync": sync_service_pb2.PauseSyncRequest,
    "ContinueSync": sync_service_pb2.ContinueSyncRequest,
}
SCHEDULE_CALLS = {
    "GetSyncSchedule": schedules_pb2.GetSyncScheduleRequest,
    "DeleteSyncSchedule": schedules_pb2.DeleteSyncScheduleRequest,
    "RunSyncSchedule": schedules_pb2.RunSyncScheduleRequest,
}


def call(stub: Any, name: str, request: Message) -> grpc.RpcError:
    """A call that must fail; answers its error."""
    return failed(lambda: getattr(stub, name)(request, timeout=10), SERVICE.methods_by_name[name].server_streaming)


@pytest.mark.parametrize("value", [None, 0, -1, -(2**63)])
@pytest.mark.parametrize("name", [*RUN_CALLS, *SCHEDULE_CALLS])
def test_an_id_that_no_row_can_have_is_refused_by_its_name(stub: Any, name: str, value: int | None) -> None:
    field = "sync_run_id" if name in RUN_CALLS else "sync_schedule_id"
    request = (RUN_CALLS | SCHEDULE_CALLS)[name](**({} if value is None else {field: value}))
    assert refused(call(stub, name, request)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", field)


@pytest.mark.parametrize("name", [*RUN_CALLS, *SCHEDULE_CALLS])
def test_an_id_that_a_row_could_have_is_looked_up(stub: Any, name: str) -> None:
    field = "sync_run_id" if name in RUN_CALLS else "sync_schedule_id"
    error = call(stub, name, (RUN_CALLS | SCHEDULE_CALLS)[name](**{field: 2**40}))
    assert (error.code(), refused(error)[2]) == (grpc.StatusCode.NOT_FOUND, field)


@pytest.fixture(scope="module")
def schedule(channel: grpc.Channel) -> schedules_pb2.SyncSchedule:
    asked = schedules_pb2.SyncSchedule(spec=sync_spec("csv", "later.csv"), cron="0 3 * * *")
    stub = sync_service_pb2_grpc.SyncServiceStub(channel)
    request = schedules_pb2.CreateSyncScheduleRequest(schedule=asked)
    return stub.CreateSyncSchedule(request, timeout=10).schedule


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["sync_schedule_id"],
        ["syncScheduleId"],
        ["revision"],
        ["cron", "created_at"],
        ["schedule.cron"],
        ["options"],
        ["spec.nothing"],
        ["spec.csv.delimiter"],
        [""],
        ["*"],
    ],
)
def test_a_mask_that_names_nothing_to_set_is_refused(
    stub: Any, schedule: schedules_pb2.SyncSchedule, paths: list[str]
) -> None:
    changed = schedules_pb2.SyncSchedule(sync_schedule_id=schedule.sync_schedule_id, cron="0 4 * * *", revision=1)
    mask = field_mask_pb2.FieldMask(paths=paths)
    request = schedules_pb2.UpdateSyncScheduleRequest(schedule=changed, update_mask=mask)
    code, _reason, field = refused(call(stub, "UpdateSyncSchedule", request))
    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "update_mask")
    read = schedules_pb2.GetSyncScheduleRequest(sync_schedule_id=schedule.sync_schedule_id)
    assert stub.GetSyncSchedule(read, timeout=10).schedule == schedule


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "schedule.sync_schedule_id"),
        ({"sync_schedule_id": -4, "cron": "0 4 * * *"}, "schedule.sync_schedule_id"),
        ({"sync_schedule_id": 2**40}, "update_mask"),
        ({"sync_schedule_id": 2**40, "last_outcome": "x"}, "schedule.last_outcome"),
    ],
)
def test_an_update_that_can_never_be_right_is_refused_before_the_schedule_is_looked_up(
    stub: Any, given: dict[str, Any], field: str
) -> None:
    request = schedules_pb2.UpdateSyncScheduleRequest(schedule=schedules_pb2.SyncSchedule(**given))
    assert refused(call(stub, "UpdateSyncSchedule", request))[::2] == (grpc.StatusCode.INVALID_ARGUMENT, field)


def updated(
    stub: Any, schedule: schedules_pb2.SyncSchedule, paths: list[str], **given: Any
) -> schedules_pb2.SyncSchedule:
    """A schedule after an update of what the mask names."""
    change = schedules_pb2.SyncSchedule(sync_schedule_id=schedule.sync_schedule_id, **given)
    mask = field_mask_pb2.FieldMask(paths=paths)
    request = schedules_pb2.UpdateSyncScheduleRequest(schedule=change, update_mask=mask)
    changed: schedules_pb2.SyncSchedule = stub.UpdateSyncSchedule(request, timeout=10).schedule
    return changed


def test_what_a_mask_names_and_the_message_leaves_out_gets_its_default(
    stub: Any, schedule: schedules_pb2.SyncSchedule
) -> None:
    fields = ["catch_up_seconds", "enabled", "time_zone", "overlap_policy"]
    changed = updated(stub, schedule, fields, catch_up_seconds=0, enabled=False, time_zone="UTC", overlap_policy=2)
    assert (changed.catch_up_seconds, changed.enabled, changed.time_zone) == (0, False, "UTC")
    again = updated(stub, schedule, fields)
    unchanged = (schedule.catch_up_seconds, schedule.enabled, schedule.time_zone, schedule.overlap_policy)
    assert (again.catch_up_seconds, again.enabled, again.time_zone, again.overlap_policy) == unchanged


def test_what_a_mask_does_not_name_is_not_looked_at(stub: Any, schedule: schedules_pb2.SyncSchedule) -> None:
    spec = SyncSpec(write=WriteOptions(mirror_gone_ratio_max=7))
    changed = updated(stub, schedule, ["cron"], cron="0 5 * * *", spec=spec)
    assert (changed.cron, changed.stored_options, changed.spec) == ("0 5 * * *", schedule.stored_options, schedule.spec)


@pytest.mark.parametrize(
    ("paths", "spec"),
    [
        (["spec.api"], sync_spec("csv", "a.csv")),
        (["spec.custom", "spec.source_identifier"], sync_spec("csv", "a.csv")),
        (["spec.csv", "spec.api"], sync_spec("csv", "a.csv")),
        (["spec"], SyncSpec()),
        (["spec"], SyncSpec(write=WriteOptions(mode=SYNC_MODE_MIRROR))),
        (["spec.write"], SyncSpec(write=WriteOptions(mode=SYNC_MODE_MIRROR))),
        (["spec.target_table"], SyncSpec(target_table="catalog_items")),
    ],
)
def test_a_mask_that_the_spec_does_not_bear_out_is_refused(
    stub: Any, schedule: schedules_pb2.SyncSchedule, paths: list[str], spec: SyncSpec
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        updated(stub, schedule, paths, spec=spec)
    assert refused(caught.value)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_a_mask_may_name_a_part_of_the_spec(stub: Any, schedule: schedules_pb2.SyncSchedule) -> None:
    moved = updated(stub, schedule, ["spec.source_identifier"], spec=SyncSpec(source_identifier="moved.csv"))
    assert (moved.spec.source_identifier, moved.stored_options) == ("moved.csv", schedule.stored_options)
    spec = sync_spec("csv", "not meant.csv", {"delimiter": ";", "mode": "mirror"})
    changed = updated(stub, schedule, ["spec.csv", "spec.write"], spec=spec)
    assert (changed.spec.source_identifier, dict(changed.stored_options)) == (
        "moved.csv",
        {"delimiter": ";", "mode": "mirror"},
    )


def trigger(source_type: str, **options: Message) -> sync_service_pb2.TriggerSyncRequest:
    spec = sync_spec(source_type, "https://example.com/items" if source_type == "api" else "songs.csv")
    spec.MergeFrom(SyncSpec(**options))  # type: ignore[arg-type]
    return sync_service_pb2.TriggerSyncRequest(spec=spec)


AUTH = api_source_pb2.ApiAuth(
    api_key=api_source_pb2.ApiKeyAuth(header="a b", value=api_source_pb2.SecretText(value="k"))
)
SPEC_ELSEWHERE = sync_service_pb2.TriggerSyncRequest(spec=sync_spec("csv", "songs.csv", {"targetTable": "nowhere"}))
CUSTOM = CustomSource(
    type="lines", options=struct_pb2.Struct(fields={"targetTable": struct_pb2.Value(string_value="t")})
)
NAMED: dict[str, tuple[str, Message, str]] = {
    "page size": ("ListSyncRuns", sync_service_pb2.ListSyncRunsRequest(page_size=-1), "page_size"),
    "token": ("ListSyncSchedules", schedules_pb2.ListSyncSchedulesRequest(page_token="9" * 19), "page_token"),
    "enum": ("ListSyncRuns", sync_service_pb2.ListSyncRunsRequest(status=99), "status"),  # type: ignore[arg-type]
    "source type": ("TriggerSync", trigger("ftp"), "spec.custom.type"),
    "no source": (
        "TriggerSync",
        sync_service_pb2.TriggerSyncRequest(spec=SyncSpec(source_identifier="a.csv")),
        "spec.source",
    ),
    "no source identifier": ("TestSource", sync_service_pb2.TriggerSyncRequest(), "spec.source"),
    "write option": (
        "TriggerSync",
        trigger("csv", write=WriteOptions(mirror_gone_ratio_max=2)),
        "spec.write.mirror_gone_ratio_max",
    ),
    "target table": ("TestSource", SPEC_ELSEWHERE, "spec.target_table"),
    "custom option": (
        "TestSource",
        trigger("csv", custom=CUSTOM),
        "spec.custom.options.targetTable",
    ),
    "csv option": (
        "TriggerSync",
        trigger("csv", csv=csv_source_pb2.CsvOptions(stray_quotes=7)),  # type: ignore[arg-type]
        "spec.csv.stray_quotes",
    ),
    "key of a map": (
        "TestSource",
        trigger("api", api=api_source_pb2.ApiOptions(field_mapping={"id": "["})),
        "spec.api.field_mapping.id",
    ),
    "nested option": (
        "TestSource",
        trigger(
            "api", api=api_source_pb2.ApiOptions(pagination=api_source_pb2.ApiPagination(enabled=True, max_pages=0))
        ),
        "spec.api.pagination.max_pages",
    ),
    "member of a oneof": (
        "TestSource",
        trigger("api", api=api_source_pb2.ApiOptions(auth=AUTH)),
        "spec.api.auth.api_key.header",
    ),
    "resource": (
        "CreateSyncSchedule",
        schedules_pb2.CreateSyncScheduleRequest(
            schedule=schedules_pb2.SyncSchedule(
                spec=sync_spec("csv", "a.csv"), cron="0 3 * * *", time_zone="Mars/Olympus"
            )
        ),
        "schedule.time_zone",
    ),
    "enum of a resource": (
        "CreateSyncSchedule",
        schedules_pb2.CreateSyncScheduleRequest(
            schedule=schedules_pb2.SyncSchedule(
                spec=sync_spec("csv", "a.csv"),
                cron="0 3 * * *",
                overlap_policy=7,  # type: ignore[arg-type]
            )
        ),
        "schedule.overlap_policy",
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_violation_names_the_field_as_the_proto_does(stub: Any, case: str) -> None:
    name, request, field = NAMED[case]
    if name == "TestSource":
        source = sync_service_pb2.TestSourceRequest()
        source.MergeFromString(request.SerializeToString())
        request = source
    assert refused(call(stub, name, request))[::2] == (grpc.StatusCode.INVALID_ARGUMENT, field)


def reflected(
    channel: grpc.Channel, package: str, *requests: reflection_pb2.ServerReflectionRequest
) -> list[reflection_pb2.ServerReflectionResponse]:
    method = channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return list(method(iter(requests), timeout=10))


@pytest.mark.parametrize("package", REFLECTION)
def test_either_reflection_describes_every_service_that_it_lists(channel: grpc.Channel, package: str) -> None:
    (listed,) = reflected(channel, package, reflection_pb2.ServerReflectionRequest(list_services="*"))
    names = {service.name for service in listed.list_services_response.service}
    assert names == {SERVICE.full_name, "grpc.health.v1.Health", *(f"{name}.ServerReflection" for name in REFLECTION)}

    for name in sorted(names):
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
        (answer,) = reflected(channel, package, request)
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(raw)
            for raw in answer.file_descriptor_response.file_descriptor_proto
        ]
        assert name in {f"{file.package}.{service.name}" for file in files for service in file.service}
        types = {f".{file.package}.{message.name}" for file in files for message in file.message_type}
        for method in [method for file in files for service in file.service for method in service.method]:
            assert {method.input_type, method.output_type} <= types


@pytest.mark.parametrize("package", REFLECTION)
def test_either_reflection_says_what_it_does_not_know(channel: grpc.Channel, package: str) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Thing")
    (answer,) = reflected(channel, package, request)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert answer.original_request == request
