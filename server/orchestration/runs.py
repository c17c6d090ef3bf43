"""What callers may do with runs: start, look, list, cancel, wake. Everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from db.engine import Database
from db.records import PENDING, TERMINAL_STATUSES, ErrorRow, Run
from db.repositories import runs
from db.repositories.errors import list_errors
from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import Conflict, Invalid, NotFound
from server.core.secret_box import SecretBox
from server.events import ProgressHub
from server.orchestration.planning import find_target, plan_for
from server.sources.base import SourceContext
from server.sources.registry import Source, source_type

IDENTIFIER_CHARS_MAX: Final = 255
RUN_ID_MAX: Final = 2**32 - 1  # sync_runs.id is INT UNSIGNED
RECENT_ERRORS: Final = 10
PENDING_IDS_MAX: Final = 10_000
_STATS: Final = 0  # the subject under which the hub shares counts; run ids begin at 1


class Runs:
    """The runs of one database.

    Args:
        box: seals secrets before options are stored.
        wake: makes the worker look for pending runs.
        cancel_here: stops a run that this replica executes.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        box: SecretBox,
        wake: Callable[[], None],
        cancel_here: Callable[[int], None],
    ) -> None:
        self._database = database
        self._context = SourceContext(settings, clock)
        self._box = box
        self._wake = wake
        self._cancel_here = cancel_here
        intervals = {
            "progress_interval_seconds": settings.progress_interval_seconds,
            "follow_interval_seconds": settings.follow_interval_seconds,
        }
        self._runs_hub: ProgressHub[Run] = ProgressHub(self.get, clock, **intervals)
        self._stats_hub: ProgressHub[dict[str, int]] = ProgressHub(self._count, clock, **intervals)

    async def trigger(self, source_type_name: str, source_identifier: str, options: Mapping[str, Any]) -> int:
        """Check a request, store it as a pending run, answer its id.

        Raises:
            Invalid: the request is wrong; nothing is stored.
            DatabaseError
        """
        if not source_type_name or not source_identifier:
            raise Invalid("INVALID_REQUEST", "sourceType and sourceIdentifier are required", field="sourceType")
        kind = source_type(source_type_name)
        if len(source_identifier) > IDENTIFIER_CHARS_MAX:
            raise Invalid(
                "INVALID_REQUEST",
                f"sourceIdentifier has more than {IDENTIFIER_CHARS_MAX} characters",
                field="sourceIdentifier",
            )
        source = kind.load(source_identifier, options, True)
        find_target(source.mapping.target)
        columns = await source.check(self._context)
        if columns is not None:
            plan_for(source.mapping, columns, source_type=kind.name, source_identifier=source_identifier)
        sealed = self._box.seal(options, kind.secret_places())
        async with self._database.write() as connection:
            run_id = await runs.insert_run(
                connection, source_type=kind.name, source_identifier=source_identifier, options=sealed
            )
        self.changed(run_id)
        self._wake()
        return run_id

    async def load_source(self, run: Run) -> Source:
        """The source of a stored run. Secrets that the bot stored in clear are sealed in place first.

        Raises:
            Invalid: the row is wrong; the run ends as failed, not retryable.
        """
        kind = source_type(run.source_type)
        options = run.options if run.options is not None else {}
        if not isinstance(options, Mapping):
            raise Invalid("INVALID_OPTION", "sync_metadata is no JSON object", field="options")
        sealed = self._box.seal(options, kind.secret_places())
        if sealed != options:
            async with self._database.write() as connection:
                await runs.replace_options(connection, run.id, sealed)
        return kind.load(run.source_identifier, sealed, False)

    async def get(self, run_id: int) -> Run:
        """The run, with live counts.

        Raises:
            NotFound
        """
        if 0 < run_id <= RUN_ID_MAX:
            async with self._database.read() as connection:
                run = await runs.get_run(connection, run_id)
            if run is not None:
                return run
        raise NotFound("RUN_NOT_FOUND", "Sync run not found", field="syncRunId")

    async def watch(self, run_id: int, after_sequence: int = 0) -> AsyncGenerator[Run]:
        """The run now and at each later change (latest wins), until it has ended. The last value is terminal.

        Raises:
            NotFound, DatabaseError
        """
        async with aclosing(self._runs_hub.watch(run_id)) as values:
            async for run in values:
                terminal = run.status in TERMINAL_STATUSES
                if run.sequence > after_sequence or terminal:
                    after_sequence = run.sequence
                    yield run
                if terminal:
                    return

    async def recent_errors(self, run_id: int) -> list[ErrorRow]:
        """At most RECENT_ERRORS errors of a run, newest first."""
        async with self._database.read() as connection:
            return await list_errors(connection, run_id, limit=RECENT_ERRORS)

    async def errors(self, run_id: int, before_id: int | None, limit: int) -> list[ErrorRow]:
        """A page of errors of a run, newest first.

        Raises:
            NotFound
        """
        await self.get(run_id)
        async with self._database.read() as connection:
            return await list_errors(connection, run_id, before_id=before_id, limit=limit)

    async def page(self, before_id: int | None, limit: int, status: str, source_type_name: str) -> list[Run]:
        """A page of runs, newest first."""
        async with self._database.read() as connection:
            return await runs.list_runs(
                connection, before_id=before_id, limit=limit, status=status, source_type=source_type_name
            )

    async def stats(self) -> dict[str, int]:
        """Runs by status."""
        return await self._count(_STATS)

    async def watch_stats(self) -> AsyncGenerator[dict[str, int]]:
        """Runs by status, now and at each change."""
        seen: dict[str, int] | None = None
        async with aclosing(self._stats_hub.watch(_STATS)) as values:
            async for counts in values:
                if counts != seen:
                    seen = counts
                    yield counts

    async def resume(self) -> list[int]:
        """Wake the worker; answer the ids of the runs that are pending."""
        async with self._database.read() as connection:
            ids = await runs.pending_ids(connection, PENDING_IDS_MAX)
        self._wake()
        return ids

    async def waiting_among(self, run_ids: list[int]) -> tuple[int, int]:
        """Of those runs, how many are pending and how many in progress."""
        async with self._database.read() as connection:
            counts = await runs.count_among(connection, run_ids)
        return counts.get("pending", 0), counts.get("in_progress", 0)

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

    async def cancel(self, run_id: int) -> Run:
        """Ask a run to stop; answer it as it stands.

        Raises:
            NotFound
            Conflict: it has ended already.
        """
        await self.get(run_id)
        async with self._database.write() as connection:
            status = await runs.request_cancel(connection, run_id)
        if status in TERMINAL_STATUSES:
            raise Conflict("RUN_ENDED", f"run {run_id} has already ended ({status})", field="syncRunId")
        if status != PENDING:
            self._cancel_here(run_id)
        self.changed(run_id)
        return await self.get(run_id)

    def changed(self, run_id: int) -> None:
        """A run changed here: those who watch it look now."""
        self._runs_hub.poke(run_id)
        self._stats_hub.poke(_STATS)

    async def _count(self, _subject: int) -> dict[str, int]:
        async with self._database.read() as connection:
            return await runs.count_by_status(connection)
