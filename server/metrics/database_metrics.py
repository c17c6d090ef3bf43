"""The database as this process meets it: its pool, its statements, their faults. Observed from outside, by SQLAlchemy's events."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.error_numbers import DatabaseReason
from db.errors import translate
from server.core.clock import Clock
from server.metrics import definitions

_BEGAN: Final = "techaura_sync_began_seconds"
_VERBS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "LOAD", "BEGIN"})
_OTHER: Final = "other"
# Only the beginning of a statement is looked at; a batch's may be megabytes long.
_HEAD_CHARACTERS: Final = 32


def observe_database(registry: CollectorRegistry, database: Database, clock: Clock) -> None:
    """Register the metrics of one database and its pool, for as long as it lives."""
    statement_seconds = definitions.STATEMENT_SECONDS.histogram(registry)
    faults = definitions.STATEMENT_FAULTS.counter(registry)
    for reason in DatabaseReason:
        faults.labels(reason)
    seconds_of = {verb: statement_seconds.labels(verb.lower()) for verb in _VERBS}
    seconds_of_others = statement_seconds.labels(_OTHER)
    engine = database.engine.sync_engine

    @event.listens_for(engine, "before_cursor_execute")
    def _before(connection: Any, *_statement: Any) -> None:
        connection.info[_BEGAN] = clock.monotonic_seconds()

    @event.listens_for(engine, "after_cursor_execute")
    def _after(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        began_seconds = connection.info.pop(_BEGAN, None)
        if began_seconds is not None:
            seconds = clock.monotonic_seconds() - began_seconds
            seconds_of.get(_verb(statement), seconds_of_others).observe(seconds)

    @event.listens_for(engine, "handle_error")
    def _fault(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        reason = translate(error).reason if isinstance(error, SQLAlchemyError) else DatabaseReason.UNAVAILABLE
        faults.labels(reason).inc()

    database.on_connection = definitions.POOL_SECONDS.histogram(registry).observe
    # A pool is made anew when it is disposed of.
    in_use = definitions.POOL_CONNECTIONS.gauge(registry)
    in_use.set_function(lambda: _checked_out(database))
    definitions.POOL_MAX.gauge(registry).set(database.pool_size_max)
    if database.file is not None:
        folder = database.file.parent
        definitions.DISK_FREE.gauge(registry).set_function(lambda: _free_bytes(folder))


def _free_bytes(folder: Path) -> float:
    """Free space; not a number where the disk does not say, so that the scrape has all the rest."""
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return math.nan


def _checked_out(database: Database) -> float:
    pool: Any = database.engine.pool
    return float(pool.checkedout())


def _verb(statement: str) -> str:
    return statement[:_HEAD_CHARACTERS].lstrip().partition(" ")[0].upper()
