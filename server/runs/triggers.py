"""From a request to a run: everything is checked before anything is written, and one source has one live run.

A request for what a live run of the source already does (same options) is answered with that run. A request with other
options is stored behind it; `leases.claim` passes it over until the earlier run has ended. Both are decided under the
lock of the source, so that requests that come at once, on whichever replicas, end in one run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.records import FireOutcome, RunStatus, Schedule
from db.repositories import runs
from db.repositories.sources import count_waiting, is_busy, last_live_before, live_runs, lock_source
from server.access.call_records import CallRecords
from server.core.callers import ANYONE, Call, Caller
from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import QueueFullError
from server.core.reasons import Reason
from server.core.secret_box import SecretBox
from server.execution.advised_plan import advised_plan
from server.execution.source_keys import SourceKeys
from server.runs.reach import check_reach
from server.runs.request_checks import checked_source
from server.runs.storing import stored
from server.sources.contract import SourceContext
from server.sources.registry import source_type, source_types
from server.sources.source_type import Source

_QUEUE_RETRY_AFTER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A checked request.

    Args:
        options: with their secrets sealed.
        source_key, options_digest: see execution/source_keys.py.
        schedule_id: the schedule that asks, or None for a caller.
    """

    source_type: str
    source_identifier: str
    options: Mapping[str, Any]
    source_key: str
    options_digest: str
    schedule_id: int | None = None


class Triggers:
    """Checks requests and stores them as runs.

    Args:
        box: seals secrets before options are stored.
        keys: tells which runs are of one source.
        records: keeps who asked.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        box: SecretBox,
        keys: SourceKeys,
        records: CallRecords,
    ) -> None:
        self._database = database
        self._context = SourceContext(settings, clock)
        self._clock = clock
        self._box = box
        self._keys = keys
        self._records = records

    async def checked(
        self, source_type_name: str, source_identifier: str, options: Mapping[str, Any], caller: Caller = ANYONE
    ) -> RunRequest:
        """Check a request, and look whether its source is there and has the columns that are mapped.

        Raises:
            InvalidRequestError
        """
        name, source = checked_source(source_type_name, source_identifier, options)
        kind = source_type(name)
        await check_reach(caller, name, source_identifier, options, self._context.settings)
        await self._look(kind.name, source_identifier, source)
        return RunRequest(
            source_type=kind.name,
            source_identifier=source_identifier,
            options=self._box.seal(options, kind.secret_places()),
            source_key=await asyncio.to_thread(self._keys.source_key, kind.name, source_identifier),
            options_digest=self._keys.options_digest(options),
        )

    async def _look(self, source_type_name: str, source_identifier: str, source: Source) -> None:
        columns = await source.check(self._context)
        if columns is not None:
            await advised_plan(
                source, columns, self._context, source_type=source_type_name, source_identifier=source_identifier
            )

    async def store(self, request: RunRequest, call: Call | None = None) -> int:
        """Store a request as a pending run, or find the live run that does the same; return its id.

        Args:
            call: that asks for it; None for the service itself.

        Raises:
            QueueFullError: nothing is stored.
            DatabaseError: nothing is stored, or (after a fault at the commit itself) a run that the next try finds.
        """
        await self._keys.assign_missing_keys(self._database)
        return await stored(lambda: self._store(request, call), self._clock)

    async def _store(self, request: RunRequest, call: Call | None) -> int:
        async with self._database.write() as connection:
            await lock_source(connection, request.source_key)
            live = await live_runs(connection, request.source_key, request.options_digest)
            if live:
                run_id = live[0][0]
                # A nightly retry that is not due yet is made due by the request.
                await runs.make_due(connection, run_id)
            else:
                await self._check_queue(connection, request.source_key)
                run_id = await insert(connection, request)
                await _say_what_it_waits_for(connection, request.source_key, run_id)
            await self._records.record(connection, call, run_id=run_id)
            return run_id

    async def _check_queue(self, connection: AsyncConnection, source_key: str) -> None:
        """Requests that come at once may each find the last place free: the limit is for floods, not for one too many."""
        settings = self._context.settings
        of_source, of_all = settings.queue_runs_per_source_max, settings.queue_runs_max
        if await count_waiting(connection, source_types(), of_source, source_key) >= of_source:
            what = f"{of_source} runs of this source wait already (TECHAURA_SYNC_QUEUE_RUNS_PER_SOURCE_MAX)"
        elif await count_waiting(connection, source_types(), of_all) >= of_all:
            what = f"{of_all} runs wait already (TECHAURA_SYNC_QUEUE_RUNS_MAX)"
        else:
            return
        raise QueueFullError(
            Reason.QUEUE_FULL, f"{what}; nothing was stored", retry_after_seconds=_QUEUE_RETRY_AFTER_SECONDS
        )


async def _say_what_it_waits_for(connection: AsyncConnection, source_key: str, run_id: int) -> None:
    before = await last_live_before(connection, source_key, run_id)
    if before is not None:
        await runs.add_notices(connection, run_id, (f"waits until run {before} of the same source has ended",))


async def schedule_request(schedule: Schedule, keys: SourceKeys) -> RunRequest:
    """What a schedule asks for."""
    return RunRequest(
        source_type=schedule.source_type,
        source_identifier=schedule.source_identifier,
        options=schedule.options,
        # Resolved each time: a symbolic link may point elsewhere by now.
        source_key=await asyncio.to_thread(keys.source_key, schedule.source_type, schedule.source_identifier),
        options_digest=schedule.options_digest,
        schedule_id=schedule.id,
    )


async def insert(connection: AsyncConnection, request: RunRequest) -> int:
    """Store a pending run; return its id."""
    return await runs.insert_run(
        connection,
        source_type=request.source_type,
        source_identifier=request.source_identifier,
        options=request.options,
        source_key=request.source_key,
        options_digest=request.options_digest,
        schedule_id=request.schedule_id,
    )


async def insert_for_schedule(
    connection: AsyncConnection, request: RunRequest, *, queues: bool
) -> tuple[FireOutcome, int | None]:
    """What a fire of a schedule starts, in the fire's own transaction: what came of it, with its run if it has one.

    Args:
        queues: whether a run is stored behind a live one of the source; one that waits there with the same options
            already is enough.
    """
    await lock_source(connection, request.source_key)
    if not await is_busy(connection, request.source_key):
        return FireOutcome.STARTED, await insert(connection, request)
    if not queues:
        return FireOutcome.SKIPPED, None
    waiting = [
        run_id
        for run_id, status in await live_runs(connection, request.source_key, request.options_digest)
        if status == RunStatus.PENDING
    ]
    return FireOutcome.QUEUED, waiting[0] if waiting else await insert(connection, request)
