"""The verdict on a run that is over for this worker: a pure function of what ended it and of what stands in its row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from db.errors import DatabaseError, TransientDatabaseError
from db.records import ErrorRow, Ledger, RunFailure
from server.core.config import Settings
from server.core.errors import FatalError, RetryableError, SyncError
from server.core.file_errors import file_error
from server.core.reasons import NOT_RETRYABLE_CATEGORIES, REASONS, Category, Reason, next_step_for
from server.execution.row_faults import NO_FAULTS, RowFaults
from server.execution.stop_signal import RunStoppedError
from server.sources.throttle.circuit import HostPausedError

_WAIT_SECONDS_MIN: Final = 0.001


class Ending(StrEnum):
    """How a run ends for its worker."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    # Pending again, with its checkpoint: it continues when a caller says so, at once elsewhere, or after a while.
    PAUSED = "paused"
    RELEASED = "released"
    POSTPONED = "postponed"
    # Another worker owns it by now: nothing is stored.
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is stored of a run's end.

    Args:
        failure: of a failed run, as its row tells it.
        error: of a failed run, as the list of its errors tells it.
        notices: added to the run's.
        delay_ms: of a postponed run: nobody claims it before that.
        starts_over: a retry reads the source from its start.
    """

    ending: Ending
    failure: RunFailure | None = None
    error: ErrorRow | None = None
    notices: tuple[str, ...] = ()
    delay_ms: int = 0
    starts_over: bool = False


LOST: Final = Verdict(Ending.LOST)


class ErrorBudgetError(FatalError):
    """More rows were rejected than a run may have; the verdict finds the words."""

    def __init__(self) -> None:
        super().__init__(Reason.ERROR_BUDGET_EXCEEDED, "too many rows were rejected", category=Category.VALIDATION)


def verdict_on(
    error: BaseException | None,
    *,
    is_cancelled: bool,
    ledger: Ledger,
    retry_count: int,
    settings: Settings,
    waited_ms: int = 0,
    faults: RowFaults = NO_FAULTS,
) -> Verdict:
    """How a run ends.

    Args:
        error: what ended it, or None when the source was read to its end.
        is_cancelled: whether a caller was told that it is cancelled.
        ledger: its counts.
        retry_count: how often it was retried at night.
        waited_ms: how long it has waited for its source, since it began or was retried.
        faults: what was wrong with its rows.
    """
    if error is None:
        error = _ledger_fault(ledger, faults, settings)
    elif is_cancelled:
        # The caller was told that the run is cancelled, so that wins over whatever else stopped it.
        return Verdict(Ending.CANCELLED)
    match error:
        case None:
            return Verdict(Ending.COMPLETED, notices=faults.notices(ledger, settings.error_ratio_max))
        case RunStoppedError():
            stopped = {"release": Ending.RELEASED, "pause": Ending.PAUSED, "lease_lost": Ending.LOST}
            return Verdict(stopped.get(error.reason, Ending.CANCELLED))
        case ErrorBudgetError():
            error = _budget_fault(ledger, faults, settings)
        case HostPausedError():
            postponed = _postponed(error, waited_ms, settings)
            if postponed is not None:
                return postponed
            error = _waited_too_long(error, waited_ms, settings)
    notices = faults.notices(replace(ledger, rejected=0), settings.error_ratio_max)
    return _failed(failure_of(error), retry_count, settings, notices)


def _postponed(error: HostPausedError, waited_ms: int, settings: Settings) -> Verdict | None:
    """The run waits for its source; None where it would wait for longer than it may.

    Not a failure of the run, and not counted as a retry. Whoever takes it up again sees whether the wait is over.
    """
    wait_ms = round(max(_WAIT_SECONDS_MIN, error.retry_after_seconds or 0.0) * 1000)
    if waited_ms + wait_ms > settings.http_run_wait_seconds_max * 1000:
        return None
    delay_ms = min(wait_ms, round(settings.http_wait_seconds_max * 1000))
    return Verdict(Ending.POSTPONED, notices=(f"waited: {error.message}",), delay_ms=delay_ms)


def _waited_too_long(error: HostPausedError, waited_ms: int, settings: Settings) -> RetryableError:
    asked_seconds = round(error.retry_after_seconds or 0.0)
    return RetryableError(
        Reason(error.reason),
        f"{error.message}. It wants to be asked again in {asked_seconds} s; the run has waited for {waited_ms // 1000} s, and "
        f"TECHAURA_SYNC_HTTP_RUN_WAIT_SECONDS_MAX allows {settings.http_run_wait_seconds_max:g} s. It goes on from here with "
        f"the nightly retry ({settings.retry_cron})",
        category=error.category,
        next_step="wait for the nightly retry; ask the source for a higher limit, or set options.requestsPerSecond so that it is "
        "asked more slowly",
    )


def _failed(failure: RunFailure, retry_count: int, settings: Settings, notices: tuple[str, ...]) -> Verdict:
    error = ErrorRow(failure.category, failure.reason, failure.message, failure.retryable)
    if failure.retryable and retry_count >= settings.retry_count_max > 0:
        failure = _given_up(failure, retry_count)
        notices = (*notices, f"given up after {retry_count} nightly retries")
    # What was read belongs to the previous content; a retry must not continue in the middle of the new one.
    return Verdict(Ending.FAILED, failure, error, notices, starts_over=failure.reason == Reason.SOURCE_CHANGED)


def failure_of(error: BaseException) -> RunFailure:
    """The verdict on a run that ended with this error; the text is fit for the caller."""
    if isinstance(error, OSError):
        error = file_error(error)
    if isinstance(error, SyncError):
        # The contract's rule: a wrong request or wrong data stays wrong, everything else may pass.
        retryable = error.category not in NOT_RETRYABLE_CATEGORIES
        return RunFailure(error.reason, error.category, error.message, retryable, error.next_step)
    if isinstance(error, DatabaseError):
        return _database_failure(error)
    return RunFailure(
        Reason.INTERNAL,
        "system",
        f"a fault of the service ({type(error).__name__}); its log has the cause",
        retryable=True,
        next_step=next_step_for(Reason.INTERNAL),
    )


def _database_failure(error: DatabaseError) -> RunFailure:
    """Only passing faults are retried at night: a lock, a restart, a full disk, but not a missing privilege."""
    next_step = error.next_step or next_step_for(error.reason)
    if isinstance(error, TransientDatabaseError):
        message = f"{error.message}. What was committed stays; the run goes on from there when it is retried"
        return RunFailure(error.reason, "system", message, retryable=True, next_step=next_step)
    reason = REASONS[Reason(error.reason)]
    return RunFailure(error.reason, reason.category, error.message, reason.retryable, next_step)


def _given_up(failure: RunFailure, retry_count: int) -> RunFailure:
    """The verdict on a run that was retried as often as it may be."""
    return replace(
        failure,
        retryable=False,
        message=f"{failure.message}. Given up after {retry_count} nightly retries",
        next_step=f"{failure.next_step}; then trigger the source again, since no retry follows",
    )


def _ledger_fault(ledger: Ledger, faults: RowFaults, settings: Settings) -> FatalError | None:
    """What is wrong with the counts of a run whose source was read to its end."""
    if not ledger.balanced:
        return FatalError(
            Reason.LEDGER_MISMATCH, f"the counts of the run do not add up: {ledger}", category=Category.SYSTEM
        )
    if is_over_budget(ledger, settings):
        return _budget_fault(ledger, faults, settings)
    return None


def is_over_budget(ledger: Ledger, settings: Settings) -> bool:
    """Whether more rows were rejected than a run may have."""
    return ledger.rejected > settings.error_ratio_max * ledger.read or ledger.rejected > settings.error_count_max


def _budget_fault(ledger: Ledger, faults: RowFaults, settings: Settings) -> FatalError:
    return FatalError(
        Reason.ERROR_BUDGET_EXCEEDED,
        f"{ledger.rejected} of {ledger.read} rows were rejected{faults.why_rejected()}; TECHAURA_SYNC_ERROR_RATIO_MAX "
        f"allows a share of {settings.error_ratio_max:g} and TECHAURA_SYNC_ERROR_COUNT_MAX {settings.error_count_max} "
        "rows. The good rows are written",
        category=Category.VALIDATION,
    )
