"""The verdict on a run, as a function of what ended it."""

from __future__ import annotations

import pytest

from db.errors import RefusedDatabaseError, TransientDatabaseError
from db.records import Ledger
from server.core.config import Settings
from server.core.errors import FatalError, InvalidRequestError, RetryableError
from server.core.reasons import Category, Reason
from server.execution.stop_signal import RunStoppedError
from server.execution.verdict import Ending, Verdict, verdict_on
from server.sources.throttle.circuit import HostPausedError

GOOD = Ledger(read=10, inserted=6, updated=1, unchanged=2, rejected=1)
UNBALANCED = Ledger(read=10, inserted=6)
SETTINGS = Settings(error_ratio_max=0.1, retry_count_max=3)


def verdict(
    error: BaseException | None, *, is_cancelled: bool = False, ledger: Ledger = GOOD, retries: int = 0
) -> Verdict:
    return verdict_on(error, is_cancelled=is_cancelled, ledger=ledger, retry_count=retries, settings=SETTINGS)


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (None, Ending.COMPLETED),
        (RunStoppedError("cancel"), Ending.CANCELLED),
        (RunStoppedError("pause"), Ending.PAUSED),
        (RunStoppedError("release"), Ending.RELEASED),
        (RunStoppedError("lease_lost"), Ending.LOST),
        (HostPausedError(Reason.SOURCE_UNAVAILABLE, "later", retry_after_seconds=2.5), Ending.POSTPONED),
        (RetryableError(Reason.SOURCE_UNAVAILABLE, "away"), Ending.FAILED),
        (TransientDatabaseError("locked", 1205), Ending.FAILED),
        (ValueError("a fault of ours"), Ending.FAILED),
    ],
)
def test_what_ended_a_run_decides_how_it_ends(error: BaseException | None, ending: Ending) -> None:
    found = verdict(error)
    assert found.ending is ending
    assert (found.failure is not None) == (found.error is not None) == (ending is Ending.FAILED)


@pytest.mark.parametrize(
    "error", [RunStoppedError("release"), RetryableError(Reason.SOURCE_UNAVAILABLE, "away"), ValueError("x")]
)
def test_a_cancel_that_a_caller_was_promised_counts_whatever_else_happened(error: BaseException) -> None:
    assert verdict(error, is_cancelled=True) == Verdict(Ending.CANCELLED)


def test_a_run_that_has_read_all_is_completed_though_a_cancel_came_meanwhile() -> None:
    assert verdict(None, is_cancelled=True) == Verdict(Ending.COMPLETED)


def test_counts_that_do_not_add_up_complete_no_run() -> None:
    for is_cancelled in (False, True):
        found = verdict(None, is_cancelled=is_cancelled, ledger=UNBALANCED)
        assert found.failure is not None
        assert (found.ending, found.failure.reason) == (Ending.FAILED, "LEDGER_MISMATCH")


def test_more_rejected_rows_than_allowed_complete_no_run() -> None:
    found = verdict(None, ledger=Ledger(read=9, inserted=8, rejected=1))
    assert found.failure is not None
    assert (found.failure.reason, found.failure.retryable) == ("ERROR_BUDGET_EXCEEDED", False)


def test_a_postponed_run_waits_as_long_as_it_was_asked_to() -> None:
    found = verdict(HostPausedError(Reason.SOURCE_UNAVAILABLE, "later", retry_after_seconds=2.5))
    assert (found.delay_ms, found.notices) == (2500, ("waited: later",))


@pytest.mark.parametrize(
    ("asked_seconds", "waited_seconds", "delay_ms"),
    [(35.0, 0, 35_000), (3600.0, 0, 900_000), (900.0, 20_700, 900_000), (901.0, 20_700, None), (21_601.0, 0, None)],
)
def test_waits_have_a_longest_one_and_a_longest_sum(
    asked_seconds: float, waited_seconds: int, delay_ms: int | None
) -> None:
    """15 minutes a wait, after which the source is looked at again, and 6 hours a run."""
    error = HostPausedError(Reason.SOURCE_UNAVAILABLE, "page 2 answered 429", retry_after_seconds=asked_seconds)
    found = verdict_on(
        error, is_cancelled=False, ledger=GOOD, retry_count=0, settings=SETTINGS, waited_ms=waited_seconds * 1000
    )
    if delay_ms is not None:
        assert (found.ending, found.delay_ms) == (Ending.POSTPONED, delay_ms)
        return
    assert found.failure is not None
    assert (found.ending, found.failure.retryable) == (Ending.FAILED, True)
    assert "page 2 answered 429" in found.failure.message and "nightly retry" in found.failure.message


@pytest.mark.parametrize(("retries", "is_retryable"), [(2, True), (3, False), (4, False)])
def test_nightly_retries_have_an_end(retries: int, is_retryable: bool) -> None:
    found = verdict(RetryableError(Reason.SOURCE_UNAVAILABLE, "away"), retries=retries)
    assert found.failure is not None
    assert found.error is not None
    assert found.failure.retryable is is_retryable
    assert found.error.retryable
    assert bool(found.notices) is not is_retryable


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (TransientDatabaseError("locked", 1205), True),
        (RefusedDatabaseError("no privilege", 1142), False),
        (InvalidRequestError(Reason.INVALID_OPTION, "wrong"), False),
        (FatalError(Reason.SOURCE_MALFORMED, "no JSON", category=Category.VALIDATION), False),
    ],
)
def test_only_what_time_can_mend_is_retried(error: BaseException, is_retryable: bool) -> None:
    failure = verdict(error).failure
    assert failure is not None
    assert failure.retryable is is_retryable


def test_a_source_that_changed_is_read_from_its_start() -> None:
    assert verdict(RetryableError(Reason.SOURCE_CHANGED, "another file")).starts_over
    assert not verdict(RetryableError(Reason.SOURCE_UNAVAILABLE, "away")).starts_over
