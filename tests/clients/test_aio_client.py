"""The asyncio client against a real gRPC server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing

import grpc
import pytest
from techaura.sync.v1 import csv_source_pb2, resources_pb2, sync_service_pb2
from techaura_sync import AsyncSyncClient, CallLimits, SyncServiceError, SyncSpec, sync_spec

from tests.clients.scripted_service import CONNECTION_LOST, Refusal, Script, serving, snapshot

COMPLETED = resources_pb2.SYNC_STATUS_COMPLETED


async def test_trigger_sends_the_options_of_its_source_type(script: Script, target: str) -> None:
    options = csv_source_pb2.CsvOptions(delimiter=";", column_mapping={"title": "Song"})
    spec = SyncSpec(source_identifier="/data/a.csv", csv=options)

    async with AsyncSyncClient(target) as client:
        responses = [answer async for answer in client.trigger(spec, detach=True)]

    assert [answer.accepted.sync_run_id for answer in responses] == [script.accepted_run_id]
    assert script.requests == [sync_service_pb2.TriggerSyncRequest(spec=spec, detach=True)]


async def test_trigger_streams_progress_to_the_terminal_status(script: Script, target: str) -> None:
    script.progress = [
        resources_pb2.SyncProgress(sync_run_id=41, sequence=1, status=resources_pb2.SYNC_STATUS_IN_PROGRESS),
        resources_pb2.SyncProgress(sync_run_id=41, sequence=2, status=COMPLETED),
    ]

    async with AsyncSyncClient(target) as client:
        responses = [answer async for answer in client.trigger(sync_spec("api", "http://a"))]

    assert [answer.WhichOneof("event") for answer in responses] == ["accepted", "progress", "progress"]
    assert [answer.progress for answer in responses[1:]] == script.progress
    (request,) = script.requests
    assert isinstance(request, sync_service_pb2.TriggerSyncRequest) and request.spec.HasField("api")


async def test_a_refusal_carries_reason_message_code_and_field(script: Script, target: str) -> None:
    script.refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "delimiter must be one character", "INVALID_OPTION", "options.delimiter"
    )

    async with AsyncSyncClient(target) as client:
        with pytest.raises(SyncServiceError, match="delimiter must be one character") as caught:
            await anext(client.trigger(sync_spec("csv", "/data/a.csv")))

    error = caught.value
    assert (error.reason, error.code, error.field) == (
        "INVALID_OPTION",
        grpc.StatusCode.INVALID_ARGUMENT,
        "options.delimiter",
    )
    assert not error.unreachable


async def test_a_service_that_is_not_there_is_unreachable() -> None:
    async with AsyncSyncClient("127.0.0.1:1") as client:
        with pytest.raises(SyncServiceError) as caught:
            await client.stats()
        assert not await client.serving()

    assert caught.value.unreachable


async def test_a_call_that_gets_no_answer_ends_at_its_deadline(script: Script, target: str) -> None:
    script.never_answers = True

    async with AsyncSyncClient(target, limits=CallLimits(call_timeout_seconds=0.05)) as client:
        with pytest.raises(SyncServiceError) as caught:
            await client.status(41)

    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_plain_calls_answer_what_the_service_says(script: Script, target: str) -> None:
    run = resources_pb2.SyncRun(sync_run_id=41, status=resources_pb2.SYNC_STATUS_CANCELLED)
    script.runs = [run]
    script.errors = [resources_pb2.SyncError(sync_error_id=1, line=3)]
    script.stats = resources_pb2.SyncStats(total=1, cancelled=1)
    script.snapshots[41] = [snapshot(7)]
    script.pending_count = 2
    script.source_test.item_count = 3

    async with AsyncSyncClient(target) as client:
        assert await client.test_source(sync_spec("csv", "/a.csv", {"delimiter": ";"})) == script.source_test
        asked = script.requests[-1]
        assert isinstance(asked, sync_service_pb2.TestSourceRequest) and asked.spec.csv.delimiter == ";"
        assert await client.stats() == script.stats
        assert await client.status(41) == script.snapshots[41][0]
        assert (await client.resume()).pending_count == 2
        assert list((await client.list_runs(sync_service_pb2.ListSyncRunsRequest())).runs) == [run]
        assert list((await client.list_errors(sync_service_pb2.ListSyncErrorsRequest())).errors) == script.errors
        assert await client.cancel(41) == run
        assert await client.serving()
        assert [answer.pending_count async for answer in client.watch_resume()] == [2, 0]
        assert [counts async for counts in client.watch_stats()] == [script.stats, script.stats]


async def test_a_broken_watch_goes_on_after_the_last_sequence_it_saw(script: Script, target: str) -> None:
    script.snapshots[41] = [snapshot(3), snapshot(5), snapshot(8, COMPLETED)]
    script.watch_breaks = [(1, CONNECTION_LOST), (1, CONNECTION_LOST)]
    waits: list[float] = []

    async def note_wait(seconds: float) -> None:
        waits.append(seconds)

    async with AsyncSyncClient(target, sleep=note_wait) as client:
        sequences = [answer.sequence async for answer in client.watch(41)]

    assert sequences == [3, 5, 8]
    after = [request.after_sequence for request in script.requests]  # type: ignore[attr-defined]
    assert after == [0, 3, 5]
    assert len(waits) == 2


async def test_a_watch_outlives_a_restart_of_the_service(script: Script) -> None:
    script.snapshots[41] = [snapshot(3)]
    script.run_goes_on = True
    async with AsyncExitStack() as first_life, AsyncExitStack() as second_life:
        address = await first_life.enter_async_context(serving(script))
        client = await second_life.enter_async_context(AsyncSyncClient(address))
        watch = await second_life.enter_async_context(aclosing(client.watch(41)))
        assert (await anext(watch)).sequence == 3

        next_answer = asyncio.ensure_future(anext(watch))
        await first_life.aclose()
        again = Script(snapshots={41: [snapshot(3), snapshot(9, COMPLETED)]})
        await second_life.enter_async_context(serving(again, address))

        assert (await next_answer).sequence == 9


async def test_a_watch_gives_up_after_its_tries(script: Script, target: str) -> None:
    script.snapshots[41] = [snapshot(3), snapshot(5, COMPLETED)]
    script.watch_breaks = [(0, CONNECTION_LOST)] * 10
    limits = CallLimits(watch_retries_max=2, retry_wait_seconds_first=0)

    async with AsyncSyncClient(target, limits=limits) as client:
        with pytest.raises(SyncServiceError) as caught:
            await anext(client.watch(41))

    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    assert len(script.requests) == 3


async def test_a_watch_of_an_unknown_run_is_refused_without_another_try(script: Script, target: str) -> None:
    async with AsyncSyncClient(target) as client:
        with pytest.raises(SyncServiceError) as caught:
            await anext(client.watch(41))

    assert caught.value.reason == "RUN_NOT_FOUND"
    assert len(script.requests) == 1


async def test_leaving_a_watch_ends_its_call(script: Script, target: str) -> None:
    script.snapshots[41] = [snapshot(3)]
    script.run_goes_on = True

    async with AsyncSyncClient(target) as client:
        async with aclosing(client.watch(41)) as watch:
            assert (await anext(watch)).sequence == 3
        async with asyncio.timeout(10):
            await script.watches_ended.wait()


async def test_a_channel_that_the_caller_brought_stays_open(script: Script, target: str) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        async with AsyncSyncClient(channel) as client:
            await client.stats()
        assert await AsyncSyncClient(channel).stats() == script.stats
