"""What callers may do with runs: start, look, list, cancel, pause, wake."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from db.engine import Database
from db.records import EVERY_ERROR, LIVE_STATUSES, TERMINAL_STATUSES, ErrorFilter, ErrorRow, Run, RunStatus
from db.repositories import runs
from db.repositories.errors import list_errors
from db.repositories.run_counts import count_by_status
from server.access.call_records import CallRecords
from server.core.callers import ANYONE, Call, Caller
from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import InvalidRequestError, NotFoundError, RetryableError, StateConflictError
from server.core.reasons import Category, Reason
from server.core.secret_box import SecretBox
from server.core.waits import RunWaits
from server.events import ProgressHub
from server.execution.local_runs import LocalRuns
from server.execution.source_keys import SourceKeys
from server.runs.reach import require_everything, within_reach
from server.runs.reject_pages import RejectPage, reject_pages
from server.runs.storing import stored
from server.runs.triggers import RunRequest, Triggers
from server.sources.registry import source_type
from server.sources.source_type import Source

RUN_ID_MAX: Final = 2**32 - 1  # sync_runs.id is INT UNSIGNED
RECENT_ERRORS: Final = 10
PENDING_IDS_MAX: Final = 10_000
# Where a caller does not reach every source, a page is looked for among so many runs, some at a time.
_RUNS_LOOKED_AT_MAX: Final = 2_000
_RUNS_AT_ONCE: Final = 200
_STATS: Final = 0  # the subject under which the hub shares counts; run ids begin at 1


class Runs:
    """The runs of one database.

    Args:
        box: seals secrets before options are stored.
        keys: tells which runs are of one source.
        local_runs: the runs that this replica executes.
        waits: what the runs that this replica executes wait for.
        records: keeps who changed what.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        box: SecretBox,
        keys: SourceKeys,
        local_runs: LocalRuns,
        waits: RunWaits,
        records: CallRecords,
    ) -> None:
        self._database = database
        self._settings = settings
        self._records = records
        self._clock = clock
        self._box = box
        self._local_runs = local_runs
        self._waits = waits
        self._triggers = Triggers(database, settings, clock, box, keys, records)
        intervals = {
            "progress_interval_seconds": settings.progress_interval_seconds,
            "follow_interval_seconds": settings.follow_interval_seconds,
        }
        self._runs_hub: ProgressHub[Run] = ProgressHub(self.get, clock, **intervals)
        self._stats_hub: ProgressHub[dict[str, int]] = ProgressHub(self._count, clock, **intervals)

    async def trigger(
        self, source_type_name: str, source_identifier: str, options: Mapping[str, Any], call: Call | None = None
    ) -> int:
        """Check a request, store it as a pending run or find the live run that does the same; return its id.

        Args:
            call: that asks for it; sent again, it finds the run that it has started, ended or not.

        Raises:
            InvalidRequestError: the request is wrong; nothing is stored.
            DatabaseError
        """

        async def start() -> int:
            caller = ANYONE if call is None else call.caller
            request = await self._triggers.checked(source_type_name, source_identifier, options, caller)
            return await self.start(request, call)

        run_id = await self._records.once(call, start)
        if call is not None and call.caller.reach.is_narrow:
            # An earlier call of its name may have reached further.
            await self.get(run_id, call.caller)
        return run_id

    async def start(self, request: RunRequest, call: Call | None) -> int:
        """Store a checked request as a pending run, or find the live run that does the same; return its id.

        Raises:
            DatabaseError
        """
        run_id = await self._triggers.store(request, call)
        self.changed(run_id)
        self._local_runs.wake()
        return run_id

    async def load_source(self, run: Run) -> Source:
        """The source of a stored run. Secrets that the bot stored in clear are sealed in place first.

        Raises:
            InvalidRequestError: the row is wrong; the run ends as failed, not retryable.
        """
        kind = source_type(run.source_type)
        options = run.options if run.options is not None else {}
        if not isinstance(options, Mapping):
            raise InvalidRequestError(Reason.INVALID_OPTION, "sync_metadata is no JSON object", field="options")
        sealed = self._box.seal(options, kind.secret_places())
        if sealed != options:
            async with self._database.write() as connection:
                await runs.replace_options(connection, run.id, sealed)
        return kind.load(run.source_identifier, sealed, False)

    async def get(self, run_id: int, caller: Caller = ANYONE) -> Run:
        """The run, with live counts.

        Raises:
            NotFoundError: there is none, or it is out of the caller's reach.
        """
        if 0 < run_id <= RUN_ID_MAX:
            async with self._database.read() as connection:
                run = await runs.get_run(connection, run_id)
            if run is not None and await within_reach(caller, [run], self._settings):
                waiting = self._waits.text(run_id, is_pending=run.status == RunStatus.PENDING and not run.paused)
                return replace(run, notices=(*run.notices, f"waiting: {waiting}")) if waiting else run
        raise NotFoundError(Reason.RUN_NOT_FOUND, "Sync run not found", field="syncRunId")

    async def watch(self, run_id: int, after_sequence: int = 0, caller: Caller = ANYONE) -> AsyncGenerator[Run]:
        """The run now and at each later change (latest wins), until it has ended. The last value is terminal.

        Raises:
            NotFoundError, DatabaseError
        """
        if caller.reach.is_narrow:
            await self.get(run_id, caller)
        notices: tuple[str, ...] | None = None
        async with aclosing(self._runs_hub.watch(run_id)) as values:
            async for run in values:
                terminal = run.status in TERMINAL_STATUSES
                # A new wait is sent at once, even when the run itself has not changed.
                news = notices is not None and run.notices != notices
                notices = run.notices
                if run.sequence > after_sequence or terminal or news:
                    after_sequence = run.sequence
                    yield run
                if terminal:
                    return

    async def recent_errors(self, run_id: int) -> list[ErrorRow]:
        """At most RECENT_ERRORS errors of a run, newest first."""
        async with self._database.read() as connection:
            return await list_errors(connection, run_id, limit=RECENT_ERRORS)

    async def errors(
        self,
        run_id: int,
        before_id: int | None,
        limit: int,
        chosen: ErrorFilter = EVERY_ERROR,
        caller: Caller = ANYONE,
    ) -> list[ErrorRow]:
        """A page of errors of a run, newest first.

        Raises:
            NotFoundError
        """
        await self.get(run_id, caller)
        async with self._database.read() as connection:
            return await list_errors(connection, run_id, before_id=before_id, limit=limit, chosen=chosen)

    async def rejects(self, run_id: int, chosen: ErrorFilter, caller: Caller = ANYONE) -> AsyncGenerator[RejectPage]:
        """The stored rejects of a run in the order of its source, behind a page that says how many are not stored.

        Raises:
            NotFoundError, DatabaseError
        """
        await self.get(run_id, caller)
        async with aclosing(reject_pages(self._database, run_id, chosen)) as pages:
            async for page in pages:
                yield page

    async def page(
        self,
        before_id: int | None,
        limit: int,
        status: RunStatus | None,
        source_type_name: str,
        caller: Caller = ANYONE,
    ) -> tuple[list[Run], int]:
        """A page of runs within the caller's reach, newest first, and the id at which the search for more was given up.

        That id is 0 where there are no more, or where the page is full.
        """
        found: list[Run] = []
        at_once = _RUNS_AT_ONCE if caller.reach.is_narrow else limit
        for _look in range(_RUNS_LOOKED_AT_MAX // _RUNS_AT_ONCE):
            async with self._database.read() as connection:
                looked_at = await runs.list_runs(
                    connection, before_id=before_id, limit=at_once, status=status, source_type=source_type_name
                )
            found += await within_reach(caller, looked_at, self._settings)
            if len(found) >= limit or len(looked_at) < at_once:
                return found[:limit], 0
            before_id = looked_at[-1].id
        return found, before_id or 0

    async def stats(self, caller: Caller = ANYONE) -> dict[str, int]:
        """Runs by status.

        Raises:
            PermissionDeniedError: the caller does not reach all of them.
        """
        require_everything(caller, "these counts are of")
        return await self._count(_STATS)

    async def watch_stats(self, caller: Caller = ANYONE) -> AsyncGenerator[dict[str, int]]:
        """Runs by status, now and at each change.

        Raises:
            PermissionDeniedError: the caller does not reach all of them.
        """
        require_everything(caller, "these counts are of")
        seen: dict[str, int] | None = None
        async with aclosing(self._stats_hub.watch(_STATS)) as values:
            async for counts in values:
                if counts != seen:
                    seen = counts
                    yield counts

    async def resume(self, call: Call | None = None) -> list[int]:
        """Wake the worker; return the ids of the runs that are pending.

        Raises:
            PermissionDeniedError: the caller does not reach all runs.
            DatabaseError
        """
        require_everything(ANYONE if call is None else call.caller, "this wakes the runs of")
        await self._records.once(call, lambda: stored(lambda: self._make_due(call), self._clock))
        self._local_runs.wake()
        async with self._database.read() as connection:
            return await runs.pending_ids(connection, PENDING_IDS_MAX)

    async def _make_due(self, call: Call | None) -> int:
        """It changes rows that workers claim at the same moment, and either may have to give way."""
        async with self._database.write() as connection:
            await runs.make_due(connection)
            await self._records.record(connection, call)
            return 0

    async def waiting_among(self, run_ids: list[int]) -> tuple[int, int]:
        """Of those runs, how many are pending and how many in progress."""
        async with self._database.read() as connection:
            counts = await runs.count_among(connection, run_ids)
        return counts.get(RunStatus.PENDING, 0), counts.get(RunStatus.IN_PROGRESS, 0)

    async def watch_waiting(self, run_ids: list[int]) -> AsyncGenerator[tuple[int, int]]:
        """`waiting_among` at each change of any run, until none of them waits or runs."""
        seen: tuple[int, int] | None = None
        async with aclosing(self._stats_hub.watch(_STATS)) as values:
            async for _counts in values:
                waiting = await self.waiting_among(run_ids)
                if waiting != seen:
                    seen = waiting
                    yield waiting
                if waiting == (0, 0):
                    return

    async def cancel(self, run_id: int, call: Call | None = None) -> Run:
        """Ask a run to stop; return it as it stands.

        Raises:
            NotFoundError
            StateConflictError: it has ended already.
        """
        return await self._after(call, lambda: self._cancel(run_id, call))

    async def _cancel(self, run_id: int, call: Call | None) -> int:
        await self._check_reached(run_id, call)
        async with self._database.write() as connection:
            status = await runs.request_cancel(connection, run_id)
            if status is not None and status not in LIVE_STATUSES:
                raise _ended(run_id, status)
            await self._records.record(connection, call, run_id=run_id)
        if status != RunStatus.PENDING:
            self._local_runs.stop([run_id], "cancel")
        # A run that waited behind this one may be free now.
        self._local_runs.wake()
        self.changed(run_id)
        return run_id

    async def pause(self, run_id: int, call: Call | None = None) -> Run:
        """Hold a run until it is continued; return it as it stands. Its committed batches stay.

        Raises:
            NotFoundError
            StateConflictError: it has ended already.
        """
        return await self._after(call, lambda: self._set_paused(run_id, True, call))

    async def continue_run(self, run_id: int, call: Call | None = None) -> Run:
        """Continue a paused run; return it as it stands. One that is not paused stays as it is.

        Raises:
            NotFoundError
            StateConflictError: it has ended already.
        """
        return await self._after(call, lambda: self._set_paused(run_id, False, call))

    async def _set_paused(self, run_id: int, paused: bool, call: Call | None) -> int:
        await self._check_reached(run_id, call)
        async with self._database.write() as connection:
            before = await runs.set_paused(connection, run_id, paused)
            if before is not None and before[0] not in LIVE_STATUSES:
                raise _ended(run_id, before[0])
            await self._records.record(connection, call, run_id=run_id)
        if paused:
            self._local_runs.stop([run_id], "pause")
        else:
            self._local_runs.wake()
        self.changed(run_id)
        return run_id

    async def _after(self, call: Call | None, change: Callable[[], Awaitable[int]]) -> Run:
        """The run of a change, once it has been made."""
        return await self.get(await self._records.once(call, change), ANYONE if call is None else call.caller)

    async def _check_reached(self, run_id: int, call: Call | None) -> None:
        """Look for a run that a call wants to change.

        Raises:
            NotFoundError: there is none, or it is out of the caller's reach.
        """
        await self.get(run_id, ANYONE if call is None else call.caller)

    async def end_watches(self) -> None:
        """Send every stream its last value, and end it: the service is stopping."""
        stopping = RetryableError(
            Reason.SHUTTING_DOWN, "the service is stopping; the run goes on when it is back", category=Category.SYSTEM
        )
        await self._runs_hub.close(stopping)
        await self._stats_hub.close(stopping)

    def changed(self, run_id: int) -> None:
        """Notify the watchers of a run that it changed here."""
        self._runs_hub.notify(run_id)
        self._stats_hub.notify(_STATS)

    async def _count(self, _subject: int) -> dict[str, int]:
        async with self._database.read() as connection:
            return await count_by_status(connection)


def _ended(run_id: int, status: str) -> StateConflictError:
    if status not in TERMINAL_STATUSES:
        text = (
            f"run {run_id} has the status {status[:50]!r}, which another program gave it and this service does not know"
        )
        return StateConflictError(Reason.RUN_ENDED, text, field="syncRunId")
    return StateConflictError(Reason.RUN_ENDED, f"run {run_id} has already ended ({status})", field="syncRunId")
