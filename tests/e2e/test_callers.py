"""Who may call: keys and scopes, through gRPC and REST, on the real program with TECHAURA_SYNC_AUTH=required."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from techaura.sync.v1 import resources_pb2, sync_service_pb2
from techaura_sync import SyncClient, SyncServiceError, sync_spec

from server.core.callers import Scope
from server.service.method_scopes import SCOPES
from tests.conftest import DATABASES, service_on
from tests.support.callers import ask, make_key, revoke
from tests.support.service import PROGRAM, Service

METHODS = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"].methods
REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
OPENAPI = json.loads((Path(__file__).parents[2] / "gateway/openapi.json").read_text())
ROUTES = [
    (verb.upper(), path.replace("{syncRunId}", "1").replace("{scheduleId}", "1"))
    for path, verbs in OPENAPI["paths"].items()
    if path.startswith("/v1/")
    for verb in verbs
]


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real program, which asks its callers who they are."""
    settings = {"AUTH": "required", "API_KEY_REFRESH_SECONDS": 0.2, "CALLS_PER_SECOND_MAX": 10_000}
    with service_on(request, tmp_path_factory, **settings) as running:
        (running.data_root / "songs.csv").write_text("external_id,title\n1,One\n")
        yield running


@pytest.fixture(scope="module")
def admin(service: Service) -> str:
    """A key for everything."""
    return make_key(service, "admin", Scope.ADMIN)


def keys(service: Service, *arguments: str) -> str:
    """What `techaura-syncd keys` prints."""
    done = subprocess.run(
        [PROGRAM, "keys", *arguments],
        env=dict(service.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def serialized(message: Message) -> bytes:
    return message.SerializeToString()


def called(channel: grpc.Channel, method: MethodDescriptor, authorization: str | None) -> str:
    """The reason with which a call with an empty message fails; empty where it does not."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    codec = GetMessageClass(method.output_type).FromString
    metadata = None if authorization is None else (("authorization", authorization),)
    message = GetMessageClass(method.input_type)()
    try:
        if method.server_streaming:
            list(channel.unary_stream(path, serialized, codec)(message, metadata=metadata, timeout=30))
        else:
            channel.unary_unary(path, serialized, codec)(message, metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        return reason_of(error)
    return ""


def reason_of(error: grpc.RpcError) -> str:
    """The reason in the one ErrorInfo of a failed call."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    infos = [detail for detail in status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    info = error_details_pb2.ErrorInfo()
    assert len(infos) == 1
    assert infos[0].Unpack(info)
    assert info.metadata["request_id"]
    return str(info.reason)


def wrong_scopes(method_name: str) -> list[Scope]:
    needed = SCOPES[method_name]
    return [scope for scope in Scope if needed is not None and scope not in (needed, Scope.ADMIN)]


def test_every_rpc_refuses_whoever_may_not_call_it(service: Service) -> None:
    good = make_key(service, "reader", Scope.READ)
    expired = make_key(service, "expired", *Scope, lifetime_seconds=0)
    revoked = make_key(service, "revoked", *Scope)
    keys(service, "revoke", "revoked")
    by_scope = {scope: make_key(service, f"only-{scope}", scope) for scope in Scope}
    flipped = good[:-1] + ("0" if good[-1] != "0" else "1")
    bad = [None, "", "Bearer", "Bearer ", f"Basic {good}", good, f"Bearer {good}x", f"Bearer {flipped}"]
    bad += [f"Bearer {expired}", f"Bearer {revoked}", f"Bearer tas_{'0' * 12}_{'0' * 64}", "Bearer " + "x" * 4000]
    asked: list[tuple[MethodDescriptor, str | None, str]] = []
    for method in METHODS:
        asked += [(method, authorization, "UNAUTHENTICATED") for authorization in bad]
        asked += [(method, f"Bearer {by_scope[scope]}", "PERMISSION_DENIED") for scope in wrong_scopes(method.name)]
    # At once: each look for a key that is not known takes up to a second, and they share it.
    with grpc.insecure_channel(service.grpc_target) as channel, ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda one: called(channel, one[0], one[1]), asked))
        for (method, authorization, reason), answered in zip(asked, found, strict=True):
            assert answered == reason, (method.name, authorization)
        for method in METHODS:
            for scope in (SCOPES[method.name] or Scope.READ, Scope.ADMIN):
                assert called(channel, method, f"bearer {by_scope[scope]}") not in REFUSED, method.name


def test_every_route_refuses_whoever_may_not_call_it(service: Service) -> None:
    nothing = make_key(service, "nobody-in-particular", Scope.READ)
    keys(service, "revoke", "nobody-in-particular")
    assert len(ROUTES) > len(METHODS)
    asked = [(verb, path, key) for verb, path in ROUTES for key in ("", "x", nothing)]
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda one: ask(service, *one), asked))
    for one, (status, body, headers) in zip(asked, found, strict=True):
        assert (status, body["reason"], headers["WWW-Authenticate"]) == (401, "UNAUTHENTICATED", "Bearer"), one
    # A body is not even read.
    status, body, _ = ask(service, "POST", "/v1/sync/trigger", body={"sourceType": 7})
    assert (status, body["reason"]) == (401, "UNAUTHENTICATED")


def test_a_refusal_says_nothing_of_what_there_is(service: Service, admin: str) -> None:
    body = {"sourceType": "csv", "sourceIdentifier": "songs.csv"}
    _, answer, _ = ask(service, "POST", "/v1/sync/trigger", admin, body)
    run_id = answer["data"]["syncRunId"]
    trigger_only = make_key(service, "starter", Scope.TRIGGER)
    for key in ("", "tas_x", trigger_only):
        there, not_there = (ask(service, "GET", f"/v1/sync/{one}", key)[:2] for one in (run_id, 4_000_000))
        assert there == not_there
    body_of = {"sourceType": "csv"}
    reads = make_key(service, "reads", Scope.READ)
    names = ("songs.csv", "nothing-of-that-name.csv")
    refusals = [
        ask(service, "POST", "/v1/sync/trigger", reads, body_of | {"sourceIdentifier": name})[:2] for name in names
    ]
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == 403


def test_what_anybody_may_ask(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert ask(service, "GET", path)[0] == 200
    with grpc.insecure_channel(service.grpc_target) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            list(reflection.ServerReflectionInfo(iter([asked]), timeout=30))
        assert reason_of(refused.value) == "UNAUTHENTICATED"
        metadata = (("authorization", f"Bearer {make_key(service, 'looks', Scope.READ)}"),)
        assert list(reflection.ServerReflectionInfo(iter([asked]), metadata=metadata, timeout=30))


def test_unknown_methods_are_refused_as_all_others_are(service: Service, admin: str) -> None:
    with grpc.insecure_channel(service.grpc_target) as channel:
        for path in ("/techaura.sync.v1.SyncService/DropTables", "/no.Such/Thing"):
            for metadata, reason in (
                (None, "UNAUTHENTICATED"),
                (("authorization", f"Bearer {admin}"), "UNKNOWN_METHOD"),
            ):
                call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
                with pytest.raises(grpc.RpcError) as refused:
                    call(b"", metadata=None if metadata is None else (metadata,), timeout=30)
                assert reason_of(refused.value) == reason


def test_keys_by_the_command(service: Service) -> None:
    key = keys(service, "create", "bot-7", "--scope", "read", "--expires", "1h")
    with SyncClient(service.grpc_target, token=key) as client:
        client.stats()
        listed = {one["name"]: one for one in json.loads(keys(service, "list", "--json"))}["bot-7"]
        assert (listed["state"], listed["scopes"]) == ("usable", "read")
        assert listed["expires"]
        second = keys(service, "rotate", "bot-7", "--overlap", "1h")
        assert second != key
        client.stats()
        with SyncClient(service.grpc_target, token=second) as other:
            other.stats()
            keys(service, "revoke", listed["id"])
            assert is_soon_refused(client)
            other.stats()
    states = [one["state"] for one in json.loads(keys(service, "list", "--all", "--json")) if one["name"] == "bot-7"]
    assert sorted(states) == ["revoked", "usable"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "a b", "--scope", "read"], "a name is"),
        (["create", "x", "--scope", "read", "--expires", "soon"], "no duration"),
        (["create", "x", "--scope", "read", "--source", "https://shop.test*"], "no pattern"),
        (["create", "x", "--scope", "read", "--source", "a*b"], "no pattern"),
        (["create", "x", "--scope", "read", "--root", "data"], "not an absolute path"),
        (["create", "x", "--scope", "read", "--host", "https://shop.example/"], "is no host"),
        (["create", "x", "--scope", "read", "--host", "b\u00fccher.example"], "is no host"),
        (["create", "x", "--scope", "read", "--expires", "999999999d"], "a hundred years"),
        (["rotate", "who"], "no key in use"),
        (["revoke", "who"], "no key in use"),
    ],
)
def test_keys_that_cannot_be(live_server: Service, arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [PROGRAM, "keys", *arguments],
        env=dict(live_server.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def is_soon_refused(client: SyncClient) -> bool:
    """Whether a client that was let in is refused, within as many calls as take far longer than the refresh."""
    for _call in range(20_000):
        try:
            client.stats()
        except SyncServiceError as error:
            return error.reason == "UNAUTHENTICATED"
    return False


def test_a_stream_ends_when_its_key_is_revoked(service: Service, admin: str) -> None:
    key = make_key(service, "watcher", Scope.READ)
    with SyncClient(service.grpc_target, token=key) as client, SyncClient(service.grpc_target, token=admin) as other:
        watched = client.watch_stats()
        next(watched)
        keys(service, "revoke", "watcher")
        assert is_soon_refused(client)
        changed = reason_of_end(watched, lambda: list(other.trigger(sync_spec("csv", "songs.csv"))))
        assert changed == "UNAUTHENTICATED"


def test_a_stream_that_says_nothing_ends_too(service: Service, admin: str) -> None:
    with SyncClient(service.grpc_target, token=admin) as other:
        run_id = next(iter(other.trigger(sync_spec("csv", "songs.csv"), detach=True))).accepted.sync_run_id
        key = make_key(service, "silent", Scope.READ)
        with grpc.insecure_channel(service.grpc_target) as channel:
            watch: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
                "/techaura.sync.v1.SyncService/GetSyncStats"
            )
            metadata = (("authorization", f"Bearer {key}"),)
            request = sync_service_pb2.GetSyncStatsRequest(watch=True).SerializeToString()
            call = watch(request, metadata=metadata, timeout=60)
            next(call)
            for _update in other.watch(run_id):
                pass
            revoke(service, "silent")
            with pytest.raises(grpc.RpcError) as ended:
                list(call)
    assert reason_of(ended.value) == "UNAUTHENTICATED"


def test_a_trigger_that_waits_needs_no_more_than_its_scope(service: Service) -> None:
    key = make_key(service, "trigger-only", Scope.TRIGGER)
    body = {"sourceType": "csv", "sourceIdentifier": "songs.csv"}
    status, answer, _ = ask(service, "POST", "/v1/sync/trigger?wait=30", key, body)
    # It may not see how the run goes; the run is started all the same, and said to be.
    assert (status, answer["data"].keys()) == (200, {"syncRunId"})


def test_keys_are_not_looked_for_in_a_database_that_is_not_there(tmp_path: Path, live_server: Service) -> None:
    environ = dict(live_server.environ) | {"TECHAURA_SYNC_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/none.db"}
    for command in (["keys", "list"], ["keys", "revoke", "x"], ["audit"]):
        done = subprocess.run([PROGRAM, *command], env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "techaura-syncd migrate" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def reason_of_end(watched: Iterator[object], change: Callable[[], object]) -> str:
    """The reason with which a stream ends that gets a message with each change."""
    for _change in range(1000):
        change()
        try:
            next(watched)
        except SyncServiceError as error:
            return error.reason
    return ""


def test_the_keys_themselves_are_nowhere(service: Service, admin: str) -> None:
    key = make_key(service, "canary", Scope.READ)
    for secret in (key, f"{key}x", f"tas_{'1' * 12}_{'2' * 64}"):
        ask(service, "GET", "/v1/sync/stats", secret)
        ask(service, "POST", "/v1/sync/trigger", secret, {"sourceType": "csv", "sourceIdentifier": "songs.csv"})
    with SyncClient(service.grpc_target, token=key) as client, pytest.raises(SyncServiceError) as refused:
        client.cancel(1)
    secret_part = key.rpartition("_")[2]
    assert secret_part not in f"{refused.value!r} {refused.value.message} {refused.value.next_step}"
    assert secret_part not in service.log()
    assert secret_part not in keys(service, "list", "--json")
    assert "2" * 64 not in service.log()


def test_the_command_line_sends_the_key_of_its_variable(service: Service) -> None:
    key = make_key(service, "operator", Scope.READ)
    environ = dict(service.environ) | {"TECHAURA_SYNC_TARGET": service.grpc_target}
    command = [str(PROGRAM.with_name("techaura-sync")), "stats"]
    refused = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "TECHAURA_SYNC_TOKEN" in refused.stderr
    let_in = subprocess.run(
        command, env=environ | {"TECHAURA_SYNC_TOKEN": key}, capture_output=True, text=True, timeout=60, check=False
    )
    assert let_in.returncode == 0, let_in.stderr
    assert resources_pb2.SyncStats.DESCRIPTOR.fields[0].name in let_in.stdout
