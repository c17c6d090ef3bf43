"""The asyncio client of SyncService. scripts/generate makes the blocking one of it (client.py).

Calls that response once have a deadline; streams that follow a run have none. A caller that leaves a stream, or is
cancelled, ends the call and never the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from techaura.sync.v1 import resources_pb2, sync_service_pb2, sync_service_pb2_grpc
from techaura.sync.v1.sync_spec_pb2 import SyncSpec

from techaura_sync import requests
from techaura_sync.aio_schedules import AsyncSyncSchedules
from techaura_sync.channels import Metadata, aio_answered, bearer
from techaura_sync.errors import SyncServiceError, no_answer, not_ready, translated
from techaura_sync.requests import CHANNEL_OPTIONS, DEFAULT_LIMITS, CallLimits
from techaura_sync.watch import WatchState

Message = TypeVar("Message")
Message_co = TypeVar("Message_co", covariant=True)


class AsyncSyncClient:
    """Talks to one service; made inside a running event loop.

    Args:
        target: `host:port`, or a channel that the caller owns and closes.
        token: an API key, or another bearer token, that every call carries; empty for none.
        metadata: what else every call carries.
        limits: deadlines and retries.
        sleep: waits between two tries of a watch.
    """

    def __init__(
        self,
        target: str | grpc.aio.Channel,
        *,
        token: str = "",
        metadata: Metadata = (),
        limits: CallLimits = DEFAULT_LIMITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,  # noqa: TID251 - what is injected, by default
    ) -> None:
        self._own_channel: grpc.aio.Channel | None = None
        if isinstance(target, str):
            target = self._own_channel = grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
        self._channel = target
        self._stub = sync_service_pb2_grpc.SyncServiceStub(target)
        self._health = health_pb2_grpc.HealthStub(target)
        self._limits = limits
        self._timeout = limits.call_timeout_seconds
        self._sleep = sleep
        self._metadata = (*bearer(token), *metadata)
        self.schedules = AsyncSyncSchedules(self._stub, self._timeout, self._metadata)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def carrying(self, metadata: Metadata) -> AsyncSyncClient:
        """A client over the same channel whose calls carry this metadata: `authorization`, `x-request-id`, say."""
        return AsyncSyncClient(self._channel, metadata=metadata, limits=self._limits, sleep=self._sleep)

    async def close(self) -> None:
        """Close the channel with its open calls, unless the caller brought it."""
        if self._own_channel is not None:
            await self._own_channel.close()

    def trigger(
        self, spec: SyncSpec, *, detach: bool = False, request_id: str = ""
    ) -> AsyncGenerator[sync_service_pb2.TriggerSyncResponse]:
        """Start a run: first `accepted`, then, unless `detach`, progress up to a terminal status.

        Args:
            request_id: makes it harmless to send this again; see SyncService.

        Raises:
            SyncServiceError: the request is wrong (nothing is stored), or the stream broke (the run goes on).
        """
        request = sync_service_pb2.TriggerSyncRequest(spec=spec, detach=detach, request_id=request_id)
        timeout = self._timeout if detach else None
        return _stream(lambda: self._stub.TriggerSync(request, timeout=timeout, metadata=self._metadata))

    async def test_source(self, spec: SyncSpec, *, answer_refusal: bool = False) -> sync_service_pb2.TestSourceResponse:
        """Look at a source without a run; nothing is written.

        Args:
            answer_refusal: whether a source that does not fit its options is answered, with `refusal` and other readings;
                otherwise it is raised.

        Raises:
            SyncServiceError: the request is wrong, or the source cannot be read.
        """
        with translated():
            request = sync_service_pb2.TestSourceRequest(spec=spec, answer_refusal=answer_refusal)
            return await self._stub.TestSource(request, timeout=self._timeout, metadata=self._metadata)

    async def resume(self, *, request_id: str = "") -> sync_service_pb2.ResumeSyncsResponse:
        """Wake the workers; returns how many runs were pending."""
        request = sync_service_pb2.ResumeSyncsRequest(request_id=request_id)
        return await _only(lambda: self._stub.ResumeSyncs(request, timeout=self._timeout, metadata=self._metadata))

    def watch_resume(self) -> AsyncGenerator[sync_service_pb2.ResumeSyncsResponse]:
        """Wake the workers and follow the runs that were pending until none of them is left."""
        request = sync_service_pb2.ResumeSyncsRequest(watch=True)
        return _stream(lambda: self._stub.ResumeSyncs(request, metadata=self._metadata))

    async def status(self, sync_run_id: int) -> sync_service_pb2.GetSyncStatusResponse:
        """Where a run stands now.

        Raises:
            SyncServiceError: RUN_NOT_FOUND.
        """
        request = sync_service_pb2.GetSyncStatusRequest(sync_run_id=sync_run_id)
        return await _only(lambda: self._stub.GetSyncStatus(request, timeout=self._timeout, metadata=self._metadata))

    async def watch(
        self, sync_run_id: int, *, after_sequence: int = 0
    ) -> AsyncGenerator[sync_service_pb2.GetSyncStatusResponse]:
        """Follow a run to its end, over broken connections too; the last message carries a terminal status.

        Raises:
            SyncServiceError: RUN_NOT_FOUND, or the service stayed away through all tries.
        """
        state = WatchState(sync_run_id, after_sequence, self._limits)
        while not state.ended:
            broken: SyncServiceError | None = None
            try:
                async with aclosing(
                    _stream(lambda: self._stub.GetSyncStatus(state.request(), metadata=self._metadata))
                ) as responses:
                    async for response in responses:
                        state.seen(response)
                        yield response
            except SyncServiceError as error:
                broken = error
            if not state.ended:
                await self._sleep(state.wait_after(broken))

    async def stats(self) -> resources_pb2.SyncStats:
        """How many runs there are, by status."""
        request = sync_service_pb2.GetSyncStatsRequest()
        response = await _only(lambda: self._stub.GetSyncStats(request, timeout=self._timeout, metadata=self._metadata))
        return response.stats

    async def watch_stats(self) -> AsyncGenerator[resources_pb2.SyncStats]:
        """The counts now and at each change; ends when the caller stops reading."""
        request = sync_service_pb2.GetSyncStatsRequest(watch=True)
        async with aclosing(_stream(lambda: self._stub.GetSyncStats(request, metadata=self._metadata))) as responses:
            async for response in responses:
                yield response.stats

    async def caller(self) -> sync_service_pb2.GetCallerResponse:
        """As whom the service knows this client, and what it may do.

        Raises:
            SyncServiceError: UNAUTHENTICATED.
        """
        with translated():
            request = sync_service_pb2.GetCallerRequest()
            return await self._stub.GetCaller(request, timeout=self._timeout, metadata=self._metadata)

    async def list_runs(self, request: sync_service_pb2.ListSyncRunsRequest) -> sync_service_pb2.ListSyncRunsResponse:
        """One page of runs, newest first."""
        with translated():
            return await self._stub.ListSyncRuns(request, timeout=self._timeout, metadata=self._metadata)

    async def list_errors(
        self, request: sync_service_pb2.ListSyncErrorsRequest
    ) -> sync_service_pb2.ListSyncErrorsResponse:
        """One page of a run's errors, newest first."""
        with translated():
            return await self._stub.ListSyncErrors(request, timeout=self._timeout, metadata=self._metadata)

    def export_rejects(
        self, request: sync_service_pb2.ExportSyncRejectsRequest
    ) -> AsyncGenerator[sync_service_pb2.ExportSyncRejectsResponse]:
        """The stored rejects of a run in the order of its source; the first message says how many are not stored.

        Raises:
            SyncServiceError: RUN_NOT_FOUND, or the stream broke.
        """
        return _stream(lambda: self._stub.ExportSyncRejects(request, metadata=self._metadata))

    async def cancel(self, sync_run_id: int, *, request_id: str = "") -> resources_pb2.SyncRun:
        """Cancel a run; returns it as it stands.

        Raises:
            SyncServiceError: RUN_NOT_FOUND or RUN_ENDED.
        """
        request = sync_service_pb2.CancelSyncRequest(sync_run_id=sync_run_id, request_id=request_id)
        with translated():
            response = await self._stub.CancelSync(request, timeout=self._timeout, metadata=self._metadata)
            return response.run

    async def pause(self, sync_run_id: int, *, request_id: str = "") -> resources_pb2.SyncRun:
        """Hold a run until it is continued; returns it as it stands.

        Raises:
            SyncServiceError: RUN_NOT_FOUND or RUN_ENDED.
        """
        request = sync_service_pb2.PauseSyncRequest(sync_run_id=sync_run_id, request_id=request_id)
        with translated():
            response = await self._stub.PauseSync(request, timeout=self._timeout, metadata=self._metadata)
            return response.run

    async def continue_run(self, sync_run_id: int, *, request_id: str = "") -> resources_pb2.SyncRun:
        """Continue a paused run (ContinueSync); returns it as it stands.

        Raises:
            SyncServiceError: RUN_NOT_FOUND or RUN_ENDED.
        """
        request = sync_service_pb2.ContinueSyncRequest(sync_run_id=sync_run_id, request_id=request_id)
        with translated():
            response = await self._stub.ContinueSync(request, timeout=self._timeout, metadata=self._metadata)
            return response.run

    async def serving(self) -> bool:
        """Whether the process of the service lives and is not stopping; False also when nothing answers."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=self._timeout)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def check_ready(self, timeout_seconds: float | None = None) -> None:
        """Return when the service can serve calls.

        Args:
            timeout_seconds: time for the response; None takes that of every call.

        Raises:
            SyncServiceError: it cannot, and why: DATABASE_UNAVAILABLE or SHUTTING_DOWN, say; no reason: nothing answers.
        """
        with translated():
            seconds = timeout_seconds or self._timeout
            answer, metadata = await aio_answered(self._health.Check, requests.readiness(), seconds)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise not_ready(metadata)


class _Call(Protocol[Message_co]):
    """What a call with a stream of responses is used for."""

    def __aiter__(self) -> AsyncIterator[Message_co]: ...

    def cancel(self) -> bool: ...


async def _stream(start: Callable[[], _Call[Message]]) -> AsyncGenerator[Message]:
    """Start a call at the first read and hand out its messages; leaving early ends the call."""
    with translated():
        call = start()
        try:
            async for message in call:
                yield message
        finally:
            call.cancel()


async def _only(start: Callable[[], _Call[Message]]) -> Message:
    """The one message of a stream that was not asked to go on."""
    messages = [message async for message in _stream(start)]
    if not messages:
        raise no_answer()
    return messages[0]
