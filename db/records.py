"""Records of rows: plain frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl


class RunStatus(StrEnum):
    """The status of a run. A row that the bot wrote may have another one: `Run.status` is then that text."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE_STATUSES: Final = frozenset({RunStatus.PENDING, RunStatus.IN_PROGRESS})
TERMINAL_STATUSES: Final = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})

# The transitions of a run and their causes; no other change of status is made (repositories/transitions.py).
TRANSITIONS: Final[Mapping[tuple[RunStatus, RunStatus], str]] = {
    (RunStatus.PENDING, RunStatus.IN_PROGRESS): "a worker claims the run",
    (RunStatus.PENDING, RunStatus.CANCELLED): "a caller cancels it before it is claimed",
    (
        RunStatus.IN_PROGRESS,
        RunStatus.IN_PROGRESS,
    ): "its owner was silent past the lease, and another worker takes it over",
    (
        RunStatus.IN_PROGRESS,
        RunStatus.PENDING,
    ): "the worker stops, a caller pauses it, or its host is not to be asked now (not an attempt)",
    (RunStatus.IN_PROGRESS, RunStatus.COMPLETED): "its source was read to the end and the ledger adds up",
    (RunStatus.IN_PROGRESS, RunStatus.FAILED): "something ended it; its reason says what",
    (RunStatus.IN_PROGRESS, RunStatus.CANCELLED): "a caller cancels it",
    (RunStatus.FAILED, RunStatus.PENDING): "the nightly retry takes it up, a limited number of times",
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of the records of a run, in rows."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    skipped: int = 0

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(
            self.read + other.read,
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
            self.skipped + other.skipped,
        )

    @property
    def written(self) -> int:
        """Rows that stand in the target as the source has them."""
        return self.inserted + self.updated + self.unchanged

    @property
    def balanced(self) -> bool:
        """Whether every record that was read is accounted for exactly once."""
        return self.read == self.written + self.rejected + self.skipped


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run failed: see core/errors.py for the fields.

    Args:
        next_step: what a person does about it.
    """

    reason: str
    category: str
    message: str
    retryable: bool
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One row of sync_runs."""

    id: int
    source_type: str
    source_identifier: str
    status: str
    options: Mapping[str, Any] | None
    ledger: Ledger
    revision: int
    retry_count: int
    restart_no: int
    cancel_requested: bool
    source_fingerprint: str | None
    bytes_done: int
    bytes_total: int
    failure: RunFailure | None
    notices: tuple[str, ...]
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    batch_count: int = 0
    conflicts: int = 0
    deactivated: int = 0
    same_as_run_id: int | None = None
    source_digest: str = ""
    detected: Mapping[str, Any] = field(default_factory=dict)
    paused: bool = False
    schedule_id: int | None = None
    takeover_count: int = 0
    # Of its last checkpoint, where the run was asked for alone; see Batch.
    tally: Sequence[Sequence[Any]] = ()

    @property
    def sequence(self) -> int:
        """Grows with every change of status and with every committed batch; the same on every replica. From 1."""
        return 1 + self.revision + self.batch_count


class OverlapPolicy(StrEnum):
    """What a fire does when a run of the schedule's source is live."""

    SKIP = "skip"
    QUEUE = "queue"


class FireOutcome(StrEnum):
    """What came of a fire."""

    STARTED = "started"
    QUEUED = "queued"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of sync_schedules.

    Args:
        options: with their secrets sealed.
        catch_up_seconds: a fire that was missed happens late, but not later than this.
        starts_at_ms: fires before this do not count (when it was made, switched on, or given other times).
        revision: grows with every change by a caller.
        last_fire_at_local, last_outcome, last_run_id: the last fire: its local wall time, what came of it, and its run.
    """

    id: int
    source_type: str
    source_identifier: str
    options: Mapping[str, Any]
    options_digest: str
    cron: str
    time_zone: str
    overlap_policy: OverlapPolicy
    catch_up_seconds: int
    enabled: bool
    starts_at_ms: int
    revision: int = 0
    last_fire_at_local: str | None = None
    last_outcome: FireOutcome | None = None
    last_run_id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a run: only the holder of the newest epoch has it.

    Args:
        source_type: of the run.
        is_takeover: whether an owner before this one was silent past its lease.
    """

    run_id: int
    owner: str
    epoch: int
    source_type: str = ""
    is_takeover: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """One committed batch: the checkpoint.

    Args:
        conflicts: its rows that had been edited in the target.
        tally: what was wrong with the rows of the reading up to its end, JSON-able; see server/core/tally.py.
    """

    batch_no: int
    ledger: Ledger
    position: Mapping[str, Any]
    bytes_done: int
    conflicts: int = 0
    tally: Sequence[Sequence[Any]] = ()


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of sync_errors, to be written or as it was read (then with id and created_at)."""

    error_type: str
    error_code: str
    message: str
    retryable: bool
    line: int | None = None
    byte_offset: int | None = None
    column: str | None = None
    raw: str | None = None
    batch_no: int | None = None
    id: int = 0
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """Which errors of a run: empty texts leave none out.

    Args:
        reason: their code.
        column: the source column at fault.
    """

    reason: str = ""
    column: str = ""


EVERY_ERROR: Final = ErrorFilter()


@dataclass(frozen=True, slots=True)
class CountedReading:
    """The batches that the counts of a run are those of.

    Args:
        restart_no: the reading.
        last_batch_no: the last of them.
        tally: what was wrong with their rows; see Batch.
    """

    restart_no: int
    last_batch_no: int
    tally: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """What a load did to the target, in rows."""

    inserted: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """How a frame goes into a table.

    Args:
        table: a table of db/schema.py.
        columns: columns of the frame that are written.
        constants: columns with one value for all rows.
        key: the unique key; each name is in `columns` or in `constants`.
        synced_at_column: refreshed for every row of the frame, at least every `touch_after_hours`; None for none.
        audit_reason: text for catalog_change_log when changes are logged there, else None.
        availability_column: boolean that a mirror switches off for rows that are gone; None when there is none.
        conflict_policy: who wins where a row was edited in the table; see db/loaders/conflicts.py.
        source_modified_at: when the source last changed (UTC, naive), for newest_wins; None when unknown.
        marked_columns: every column of the table that a source may fill and that is no part of the key, whether written
            now or not, in an order that never changes; see db/loaders/column_hashes.py.
        mark_values: the marks of values (name, String) -> texts, as the rows bring them.
        ordered: groups of columns that must not fall from left to right.
        seen_by: run id and restart number under which the rows are noted as seen (mirror); None for not.
    """

    table: str
    columns: tuple[str, ...]
    constants: Mapping[str, str]
    key: tuple[str, ...]
    synced_at_column: str | None
    touch_after_hours: float
    audit_reason: str | None
    marked_columns: tuple[str, ...]
    mark_values: Callable[[str, pl.Series], list[str]]
    availability_column: str | None = None
    conflict_policy: str = "source_wins"
    source_modified_at: datetime | None = None
    ordered: tuple[tuple[str, ...], ...] = ()
    seen_by: tuple[int, int] | None = None
