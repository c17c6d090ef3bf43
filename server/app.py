"""Composition root: builds everything, starts it, and stops it last in, first out.

Order of a stop: no new claims, batches in hand finish and their runs are given back, open streams get the last snapshot
and their end (SHUTTING_DOWN), the port closes, then the database.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import SecretStr

from db.engine import Database
from db.errors import DatabaseError, RefusedDatabaseError
from db.inspection.findings import Finding
from db.inspection.look import look_at
from db.migrate import HEAD_REVISION, current_revision, planned_statements
from db.url import parse_url
from server.access.call_records import CallRecords
from server.access.gate import Gate
from server.access.key_ring import KeyRing
from server.access.open_calls import OpenCalls
from server.access.pace import CallPace
from server.access.refusals import Refusals
from server.core.clock import Clock, SystemClock
from server.core.config import Settings
from server.core.errors import FatalError
from server.core.host_patterns import HostPatterns
from server.core.instruments import NO_INSTRUMENTS, Instruments
from server.core.reasons import Category, Reason
from server.core.secret_box import SecretBox, load_or_create_key
from server.core.tasks import owned_tasks
from server.core.waits import RunWaits, Wait
from server.execution.context import RunContext
from server.execution.local_runs import LocalRuns
from server.execution.periodic import repeated
from server.execution.source_keys import SourceKeys
from server.execution.source_state import SealedMemory
from server.execution.worker import Worker
from server.runs.service import Runs
from server.runs.source_test import Previews
from server.schedules.counting import RunCounting
from server.schedules.database_clock import DatabaseClock
from server.schedules.firing import RecurringSyncs
from server.schedules.nightly_retry import RetryScheduler
from server.schedules.retention import Retention
from server.schedules.service import Schedules
from server.service.admission import AdmissionInterceptor
from server.service.call_counter import CallCounter
from server.service.grpc_server import GrpcServer
from server.service.readiness import Readiness
from server.sources.page_cache import PageCache
from server.sources.throttle.circuit import Circuits
from server.sources.throttle.host_pace import HostPaces
from server.start import migrated

if TYPE_CHECKING:
    from server.metrics.exposition import Exposition

log = structlog.get_logger()

KEY_FILE_NAME: Final = "secret.key"
_IDLE_TRANSACTION_SECONDS_MIN: Final = 5
_NOT_MIGRATED: Final = "there is no database of this version at TECHAURA_SYNC_DATABASE_URL: check the URL, or run `techaura-syncd migrate` first"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts calls.

    Args:
        grpc_port: where it listens.
        runs: what its calls do, for the program around it.
        start_work: begins to claim runs and to fire the nightly retry; called once everything else is up.
    """

    grpc_port: int
    runs: Runs
    start_work: Callable[[], None]


def open_database(settings: Settings) -> Database:
    """The database of the settings; nothing is connected yet.

    Raises:
        DatabaseUrlError: the URL is wrong.
        DatabaseError: the folder of an embedded database cannot be made.
    """
    return Database(
        settings.database_url.get_secret_value(),
        pool_size_max=settings.database_pool_size_max,
        timeout_seconds=settings.database_timeout_seconds,
        connect_timeout_seconds=settings.database_connect_timeout_seconds,
        lock_wait_seconds=settings.database_lock_wait_seconds,
        # A session that is idle for longer has lost its lease: its locks must be free for the next owner.
        idle_transaction_seconds=max(_IDLE_TRANSACTION_SECONDS_MIN, math.ceil(settings.lease_ttl_seconds)),
    )


def secret_box(settings: Settings, database: Database) -> SecretBox:
    """The secret box with the configured key, or else with a key file beside the embedded database.

    Raises:
        FatalError: SECRET_UNAVAILABLE.
    """
    files_dir = Path(settings.secrets_dir) if settings.secrets_dir else None
    trusted = HostPatterns.parse(settings.allowed_hosts)
    if settings.secret_key is not None:
        return SecretBox(settings.secret_key.get_secret_value(), files_dir=files_dir, trusted=trusted)
    if database.file is None:
        raise FatalError(
            Reason.SECRET_UNAVAILABLE,
            "TECHAURA_SYNC_SECRET_KEY is not set; with a database server it must be, the same for every replica: "
            "print one with `techaura-syncd make-key`",
            category=Category.SYSTEM,
        )
    return SecretBox(load_or_create_key(database.file.parent / KEY_FILE_NAME), files_dir=files_dir, trusted=trusted)


def _nobody_ends(_fault: DatabaseError) -> None:
    pass


@asynccontextmanager
async def server_running(
    settings: Settings,
    *,
    clock: Clock | None = None,
    end: Callable[[DatabaseError], None] = _nobody_ends,
    exposition: Exposition | None = None,
) -> AsyncIterator[RunningServer]:
    """Migrate the database and serve gRPC while the block runs.

    Args:
        end: called when the server cannot go on, with the reason; the block should end then.
        exposition: where its metrics go; None for none.

    Raises:
        FatalError, DatabaseError, DatabaseUrlError: it cannot start; the text names what is wrong.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        database = open_database(settings)
        stack.push_async_callback(database.close)
        box = secret_box(settings, database)
        keys = SourceKeys(settings, box)
        instruments, watching = _instruments(stack, settings, database, clock, keys, exposition)
        if await migrated(database, clock, settings):
            log.info("migrated", action="migrate", revision=HEAD_REVISION)
        for root in settings.data_root_paths:
            if not root.is_dir():
                log.warning("data_root_missing", action="serve", setting="TECHAURA_SYNC_DATA_ROOTS", folder=str(root))

        local_runs, waits = LocalRuns(), RunWaits(clock, instruments)
        reveal, memory, paces = partial(box.reveal, environ=os.environ), SealedMemory(database, box), HostPaces()
        records = CallRecords(database, key_days_max=settings.idempotency_key_days_max)
        runs = Runs(database, settings, clock, box, keys, local_runs, waits, records)
        context = RunContext(
            database,
            settings,
            clock,
            keys,
            reveal,
            runs.changed,
            waits,
            circuits=Circuits.from_settings(settings),
            memory=memory,
            paces=paces,
            kept_pages=_page_caches(database, settings, box),
            instruments=instruments,
        )
        worker = Worker(context, local_runs, runs.load_source)
        schedules = Schedules(database, settings, clock, box, keys, runs, records)
        refusals = Refusals(database, clock)
        admission = AdmissionInterceptor(
            _gate(settings, database, clock),
            OpenCalls(settings.calls_open_max, settings.calls_open_per_key_max),
            refusals,
            box.digest,
            clock,
            call_seconds_max=settings.grpc_call_seconds_max,
            asked_again_seconds=settings.api_key_refresh_seconds,
        )
        previews = Previews(settings, clock, reveal, memory, paces)
        observers = [] if exposition is None else [CallCounter(instruments, clock)]
        grpc_server = GrpcServer(settings, runs, schedules, previews, admission, observers)

        async def tell(fault: Exception | None) -> None:
            instruments.readiness_seen(is_ready=fault is None)
            await grpc_server.health.ready(fault)

        readiness = Readiness(database, settings, clock, tell, end)
        fire_time = DatabaseClock(database, clock).now
        loops = (
            RetryScheduler(database, settings, clock, local_runs.wake, fire_time, instruments).run,
            RecurringSyncs(database, settings, clock, keys, local_runs.wake, fire_time, instruments).run,
            Retention(database, settings, clock).run,
            RunCounting(database, clock).run,
            *watching,
        )
        stack.push_async_callback(refusals.write_last)

        await grpc_server.start()
        stack.push_async_callback(grpc_server.stop, 1.0)
        stack.push_async_callback(runs.end_watches)
        start_worker = await stack.enter_async_context(worker.running())
        stack.push_async_callback(grpc_server.drain)
        tasks = await stack.enter_async_context(owned_tasks())
        tasks.start(readiness.run(), name="readiness")
        tasks.start(repeated(refusals.write, refusals.pause, Wait(clock, "audit")), name="audit")
        # The first run should not wait for its imports.
        tasks.start(asyncio.to_thread(importlib.import_module, "server.execution.run_loop"), name="warming")

        def start_work() -> None:
            start_worker()
            for loop in loops:
                tasks.start(loop(), name=loop.__qualname__)

        log.info("serving", action="serve", grpc_port=grpc_server.port)
        yield RunningServer(grpc_server.port, runs, start_work)
        log.info("stopping", action="stop")


def _gate(settings: Settings, database: Database, clock: Clock) -> Gate:
    """What lets callers in."""
    ring = judge = None
    if settings.auth == "required":
        ring = KeyRing(
            database, clock, keys_max=settings.api_keys_max, refresh_seconds=settings.api_key_refresh_seconds
        )
    if settings.oidc_issuer:
        # Comes with the first provider: a start without one needs neither joserfc nor httpx.
        from server.access.oidc import TokenJudge

        judge = TokenJudge.from_settings(settings, clock)
    return Gate(ring, judge, CallPace(clock, settings.calls_per_second_max))


def _instruments(
    stack: AsyncExitStack,
    settings: Settings,
    database: Database,
    clock: Clock,
    keys: SourceKeys,
    exposition: Exposition | None,
) -> tuple[Instruments, Sequence[Callable[[], Coroutine[Any, Any, None]]]]:
    """Who counts what this server does, and the loops of that; scrapes stop asking the database before it is closed."""
    if exposition is None:
        return NO_INSTRUMENTS, ()
    # Imported only where metrics are switched on.
    from server.metrics.database_metrics import observe_database
    from server.metrics.server_metrics import ServerMetrics
    from server.metrics.stored_values import StoredValues
    from server.metrics.watched_schedules import WatchedSchedules

    observe_database(exposition.registry, database, clock)
    schedules = WatchedSchedules(database, settings, clock, keys)
    stored = StoredValues(exposition.registry, database, settings, clock, schedules)
    exposition.before_scrape.append(stored.refresh)
    stack.callback(exposition.before_scrape.remove, stored.refresh)
    return ServerMetrics(exposition.registry, queue_runs_max=settings.queue_runs_max), (schedules.run,)


def _page_caches(database: Database, settings: Settings, box: SecretBox) -> Callable[[int], PageCache]:
    """What makes the page cache of a run."""

    def page_cache(run_id: int) -> PageCache:
        # Imported with the first run: the start does not need zstd.
        from server.execution.page_cache import StoredPages

        return StoredPages(database, settings, run_id, box)

    return page_cache


async def migrate_only(settings: Settings) -> bool:
    """Bring the database to the newest revision; return whether anything had to be done.

    Raises:
        DatabaseUrlError, DatabaseError
    """
    database = open_database(settings)
    try:
        return await migrated(database, SystemClock(), settings)
    finally:
        await database.close()


async def with_database(
    settings: Settings, work: Callable[[Database, Settings], Awaitable[None]], *, migrates: bool
) -> None:
    """Do something on the database.

    Args:
        migrates: bring it to the newest revision first, and make it where there is none; else nothing is changed but by `work`.

    Raises:
        DatabaseUrlError, DatabaseError, and whatever `work` raises.
    """
    if not migrates and _is_file_to_be_made(settings):
        raise RefusedDatabaseError(_NOT_MIGRATED)
    database = open_database(settings)
    try:
        if migrates:
            await migrated(database, SystemClock(), settings)
        elif await current_revision(database) != HEAD_REVISION:
            raise RefusedDatabaseError(_NOT_MIGRATED)
        await work(database, settings)
    finally:
        await database.close()


async def check_only(settings: Settings) -> list[Finding]:
    """Look at the database and change nothing; return what will not work.

    Raises:
        DatabaseUrlError, DatabaseError
    """
    if _is_file_to_be_made(settings):
        # There is nothing to look at, and to open it would make its file.
        return []
    database = open_database(settings)
    try:
        return await look_at(database)
    finally:
        await database.close()


async def plan_only(settings: Settings) -> list[str]:
    """The statements with which `migrate_only` would begin and end; nothing is changed, and no file is made.

    Raises:
        DatabaseUrlError, DatabaseError
    """
    with TemporaryDirectory() as folder:
        if _is_file_to_be_made(settings):
            # What an empty database would get; to open this one would make its file.
            settings = settings.model_copy(update={"database_url": SecretStr(f"sqlite+aiosqlite:///{folder}/sync.db")})
        database = open_database(settings)
        try:
            return await planned_statements(database)
        finally:
            await database.close()


def _is_file_to_be_made(settings: Settings) -> bool:
    url = parse_url(settings.database_url.get_secret_value())
    return url.is_sqlite and not Path(url.database).exists()
