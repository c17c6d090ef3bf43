"""What must hold in every simulated story, looked at from outside: in the database, after each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from db.engine import Database
from db.records import FireOutcome, RunStatus
from db.schema import sync_batches, sync_runs, sync_schedule_fires
from server.core.config import Settings

_R = sync_runs.c
_ALLOWED: Final[Mapping[str, set[RunStatus]]] = {
    # A run can be claimed and ended, or given back, between two looks.
    RunStatus.PENDING: {RunStatus.PENDING, RunStatus.IN_PROGRESS, RunStatus.CANCELLED, RunStatus.COMPLETED},
    RunStatus.IN_PROGRESS: {
        RunStatus.IN_PROGRESS,
        RunStatus.PENDING,
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
    },
    RunStatus.COMPLETED: {RunStatus.COMPLETED},
    RunStatus.FAILED: {RunStatus.FAILED, RunStatus.PENDING},
    RunStatus.CANCELLED: {RunStatus.CANCELLED},
}


class ViolationError(Exception):
    """Something that must never happen has happened."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as it stood at the last look."""

    source_key: str | None
    status: str
    epoch: int
    retry_count: int
    paused: bool


class Oracle:
    """Watches one story.

    Args:
        batches: batches of a whole run.
    """

    def __init__(self, database: Database, settings: Settings, batches: int) -> None:
        self._database = database
        self._settings = settings
        self._batches = batches
        self._seen: dict[int, Seen] = {}
        self.takeovers = 0
        self.stale_writes_refused = 0
        self.fire_count = 0
        self.retries = 0

    @property
    def run_ids(self) -> list[int]:
        """Every run that was seen."""
        return sorted(self._seen)

    @property
    def left(self) -> dict[int, Seen]:
        """The runs that have not ended."""
        return {
            run_id: seen
            for run_id, seen in self._seen.items()
            if seen.status in (RunStatus.PENDING, RunStatus.IN_PROGRESS)
        }

    @property
    def is_anything_left(self) -> bool:
        """Whether a run has not ended."""
        return bool(self.left)

    async def live(self, source_key: str, options_digest: str) -> set[int]:
        """The live runs that a trigger may attach to."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(_R.id).where(
                    _R.source_key == source_key,
                    _R.options_digest == options_digest,
                    _R.status.in_((RunStatus.PENDING, RunStatus.IN_PROGRESS)),
                    _R.cancel_requested.is_(False),
                )
            )
            return {run_id for (run_id,) in rows}

    def triggered(self, live: set[int], run_id: int) -> None:
        """A trigger answered; `live` were the runs that it could attach to. Rows of the bot may have joined them."""
        if live and run_id not in live:
            raise ViolationError(f"a trigger made run {run_id} beside the live {live}")

    def retried(self, run_ids: list[int] | None) -> None:
        """The nightly retry answered."""
        if run_ids is not None:
            self.fire_count += 1
            self.retries += len(run_ids)

    def fired(self, fires: list[tuple[int, FireOutcome, int | None]]) -> None:
        """The schedules answered."""
        self.fire_count += len(fires)

    async def look(self) -> None:
        """Compare every run with the last look.

        Raises:
            ViolationError
        """
        async with self._database.read() as connection:
            rows = (
                await connection.execute(
                    select(_R.id, _R.source_key, _R.status, _R.lease_epoch, _R.retry_count, _R.paused)
                )
            ).all()
        now = {row.id: Seen(row.source_key, row.status, row.lease_epoch, row.retry_count, row.paused) for row in rows}
        for run_id, seen in now.items():
            self._check(run_id, self._seen.get(run_id), seen)
        # The old service could run a source twice; ours claims one of those at a time (epoch > 0).
        owned = Counter(seen.source_key for seen in now.values() if seen.status == RunStatus.IN_PROGRESS and seen.epoch)
        if any(count > 1 for count in owned.values()):
            raise ViolationError(f"two runs of one source in progress: {now}")
        self._seen = now

    def _check(self, run_id: int, before: Seen | None, seen: Seen) -> None:
        if before is None:
            return
        if seen.status not in _ALLOWED[before.status]:
            raise ViolationError(f"run {run_id} went from {before.status} to {seen.status}")
        if before.status == RunStatus.PENDING and seen.status == RunStatus.COMPLETED and seen.epoch == before.epoch:
            raise ViolationError(f"run {run_id} completed without an owner")
        if seen.epoch < before.epoch or seen.epoch > before.epoch + 1:
            raise ViolationError(f"run {run_id} went from epoch {before.epoch} to {seen.epoch}")
        if before.status == seen.status == RunStatus.IN_PROGRESS and seen.epoch > before.epoch:
            self.takeovers += 1
        if (
            before.status == RunStatus.FAILED
            and seen.status == RunStatus.PENDING
            and seen.retry_count != before.retry_count + 1
        ):
            raise ViolationError(f"run {run_id} was retried without being counted")
        if seen.retry_count > self._settings.retry_count_max:
            raise ViolationError(f"run {run_id} was retried {seen.retry_count} times")
        if (
            before.status == RunStatus.PENDING
            and before.paused
            and seen.paused
            and seen.status == RunStatus.IN_PROGRESS
        ):
            raise ViolationError(f"run {run_id} was started although it is paused")

    async def final(self) -> None:
        """Everything has ended: check every batch and every fire.

        Raises:
            ViolationError
        """
        async with self._database.read() as connection:
            batches = (
                await connection.execute(
                    select(sync_batches.c.sync_run_id, sync_batches.c.batch_no, sync_batches.c.lease_epoch).order_by(
                        sync_batches.c.id
                    )
                )
            ).all()
            stored = (await connection.execute(select(_R.id, _R.status, _R.rows_read, _R.cancel_requested))).all()
            fires = (await connection.execute(select(sync_schedule_fires))).all()
        by_run: dict[int, list[tuple[int, int]]] = {}
        for row in batches:
            by_run.setdefault(row.sync_run_id, []).append((row.batch_no, row.lease_epoch))
        for run in stored:
            if run.cancel_requested and run.status not in (RunStatus.CANCELLED, RunStatus.COMPLETED):
                raise ViolationError(f"run {run.id} was to be cancelled, and is {run.status}")
            self._check_batches(run.id, run.status, run.rows_read, by_run.get(run.id, []))
        names = Counter((row.schedule_name, row.fire_at_local) for row in fires)
        if any(count > 1 for count in names.values()) or len(names) != self.fire_count:
            raise ViolationError(f"{self.fire_count} fires happened, {len(names)} are stored: {sorted(names)}")

    def _check_batches(self, run_id: int, status: str, rows_read: int, batches: list[tuple[int, int]]) -> None:
        numbers, epochs = [number for number, _ in batches], [epoch for _, epoch in batches]
        if numbers != list(range(1, len(numbers) + 1)):
            raise ViolationError(f"run {run_id} committed the batches {numbers}")
        if epochs != sorted(epochs):
            raise ViolationError(f"run {run_id} was written by an owner that was taken over: epochs {epochs}")
        if status == RunStatus.COMPLETED and len(numbers) != self._batches:
            raise ViolationError(f"run {run_id} completed with {len(numbers)} of {self._batches} batches")
        if rows_read != len(numbers):
            raise ViolationError(f"run {run_id} ended with {rows_read} rows, but {len(numbers)} are committed")
