"""Messages as JSON values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from techaura.sync.v1 import resources_pb2
from techaura_sync.views.errors import error_view
from techaura_sync.views.runs import ledger_view, run_view
from techaura_sync.views.values import time_text

from server.core.reasons import Category

COUNTS = st.integers(0, 2**50)


@given(inserted=COUNTS, updated=COUNTS, unchanged=COUNTS, rejected=COUNTS, skipped=COUNTS)
def test_the_old_counts_add_up_to_the_rows_read(
    inserted: int, updated: int, unchanged: int, rejected: int, skipped: int
) -> None:
    total = inserted + updated + unchanged + rejected + skipped
    ledger = resources_pb2.Ledger(
        rows_read=total,
        inserted=inserted,
        updated=updated,
        unchanged=unchanged,
        rejected=rejected,
        skipped=skipped,
    )

    view = ledger_view(ledger)

    assert view["itemsProcessed"] + view["itemsFailed"] + view["itemsSkipped"] == view["ledger"]["rowsRead"]
    assert json.loads(json.dumps(view)) == view


def test_a_run_that_has_not_begun_has_no_times_and_no_failure() -> None:
    view = run_view(resources_pb2.SyncRun(sync_run_id=1, status=resources_pb2.SYNC_STATUS_PENDING))

    assert (view["startedAt"], view["completedAt"], view["failure"]) == (None, None, None)


def test_a_failed_run_tells_why_and_when() -> None:
    failure = resources_pb2.RunFailure(
        reason="SOURCE_CHANGED", category=Category.PROCESSING, message="m", retryable=True
    )
    completed_at = Timestamp(seconds=1_735_689_599, nanos=999_999_999)
    run = resources_pb2.SyncRun(sync_run_id=1, failure=failure, completed_at=completed_at)

    view = run_view(run)

    assert view["failure"] == {
        "reason": "SOURCE_CHANGED",
        "category": "processing",
        "message": "m",
        "retryable": True,
        "nextStep": "",
    }
    assert view["completedAt"] == "2024-12-31T23:59:59.999Z"


@given(st.integers(0, 2**32 * 10**6), st.integers(-12, 14))
def test_times_are_utc_with_milliseconds_in_any_zone(microseconds: int, hours: int) -> None:
    utc = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)

    text = time_text(utc.astimezone(timezone(timedelta(hours=hours))))

    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def test_an_error_without_a_position_has_none() -> None:
    view = error_view(resources_pb2.SyncError(sync_error_id=1, type="network", message="m"))

    assert (view["line"], view["byteOffset"], view["column"]) == (None, None, None)


def test_byte_offset_zero_is_an_offset() -> None:
    assert error_view(resources_pb2.SyncError(line=1, byte_offset=0))["byteOffset"] == 0
