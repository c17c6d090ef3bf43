"""Removes old ended runs with their errors and checkpoints, a little at a time, once an hour by one replica.

Each transaction removes at most `retention_rows_per_transaction` rows, and one clean-up makes at most
`retention_transactions_max` of them; the next hour continues. A run goes last, after the rows that refer to it, so a
clean-up that is cut short leaves an ended run with fewer errors and never errors without a run. The last completed run
of each source stays: the next one may find its source unchanged. Which replica cleans up is decided by a row of
sync_schedule_fires.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Final

import structlog

from db.engine import Database
from db.repositories import audit, fires, idempotency_keys, kept_pages
from db.repositories.retention import old_runs, remove_batches, remove_errors
from db.repositories.run_counts import remove_runs
from db.repositories.sources import forget_sources
from server.core.clock import Clock
from server.core.config import Settings
from server.core.waits import Wait
from server.execution.periodic import repeated
from server.sources.registry import source_types

log = structlog.get_logger()

RETENTION_SCHEDULE: Final = "retention"
_LOOK_AGAIN_SECONDS: Final = 60.0
_RUNS_AT_ONCE: Final = 100
_FIRES_KEPT_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Removed:
    """What one clean-up removed, in rows."""

    runs: int = 0
    errors: int = 0
    batches: int = 0
    transactions: int = 0


class Retention:
    """Cleans up one database."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._last_seen = ""

    async def run(self) -> None:
        """Clean up once an hour, until cancelled."""
        await repeated(
            self.clean_if_due, lambda: self._clock.sleep(_LOOK_AGAIN_SECONDS), Wait(self._clock, "retention")
        )

    async def clean_if_due(self) -> Removed | None:
        """Clean up unless a replica has done so in this hour; return what was removed.

        Raises:
            DatabaseError: what was removed stays removed.
        """
        hour = self._clock.now().astimezone(UTC).strftime("%Y-%m-%d %H:00")
        if hour == self._last_seen:
            return None
        async with self._database.write() as connection:
            is_ours = await fires.try_fire(connection, RETENTION_SCHEDULE, hour)
        self._last_seen = hour
        return await self.clean() if is_ours else None

    async def clean(self) -> Removed:
        """Remove what is old; return what was removed.

        Raises:
            DatabaseError: what was removed stays removed.
        """
        settings = self._settings
        left = settings.retention_transactions_max
        runs = errors = batches = after_id = 0
        while left > 0:
            async with self._database.read() as connection:
                ids = await old_runs(
                    connection,
                    source_types=source_types(),
                    age_days=settings.retention_days,
                    after_id=after_id,
                    limit=_RUNS_AT_ONCE,
                )
            if not ids:
                break
            found = await self._remove(ids, left)
            left -= found.transactions
            runs, errors, batches = runs + found.runs, errors + found.errors, batches + found.batches
            after_id = ids[-1]
        async with self._database.write() as connection:
            await forget_sources(
                connection,
                age_minutes=settings.retention_days * 24 * 60,
                limit=settings.retention_rows_per_transaction,
            )
            await kept_pages.forget_before(
                connection,
                age_minutes=settings.http_kept_page_days_max * 24 * 60,
                limit=settings.retention_rows_per_transaction,
            )
        left = await self._forget(left)
        removed = Removed(runs, errors, batches, settings.retention_transactions_max - left)
        if removed.transactions:
            log.info("cleaned_up", action="retention", runs=runs, errors=errors, batches=batches)
        return removed

    async def _forget(self, transactions_max: int) -> int:
        """Remove old fires, and old records of what callers did; return how many transactions are left."""
        settings, left = self._settings, transactions_max
        limit = settings.retention_rows_per_transaction
        ages = (
            (fires.forget_before, _FIRES_KEPT_DAYS * 24 * 60),
            (audit.forget_before, settings.audit_days_max * 86_400_000),
            (idempotency_keys.forget_before, settings.idempotency_key_days_max * 24 * 60),
        )
        for forget, age in ages:
            count = limit
            while left > 0 and count == limit:
                async with self._database.write() as connection:
                    count = await forget(connection, age, limit)
                left -= count > 0
        return left

    async def _remove(self, run_ids: list[int], transactions_max: int) -> Removed:
        """Remove some runs, or as many of the rows that refer to them as the transactions allow."""
        limit = self._settings.retention_rows_per_transaction
        counts = [0, 0]
        transactions = 0
        for place, remove in enumerate((remove_errors, remove_batches)):
            count = limit
            while count == limit:
                if transactions >= transactions_max:
                    return Removed(0, counts[0], counts[1], transactions)
                async with self._database.write() as connection:
                    count = await remove(connection, run_ids, limit)
                counts[place] += count
                transactions += 1
        async with self._database.write() as connection:
            gone = await remove_runs(connection, run_ids)
        return Removed(gone, counts[0], counts[1], transactions + 1)
