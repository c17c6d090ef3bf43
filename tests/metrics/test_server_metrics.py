"""What is counted: label values outside of the closed sets are one value, and each batch adds what it brought."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from db.records import Batch, Ledger
from server.core.cron import longest_gap_seconds
from server.execution.batch_counts import BatchCounts
from server.metrics.server_metrics import ServerMetrics

NAMES_OF_OTHERS = [f"name {number}" for number in range(50)]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ServerMetrics:
    return ServerMetrics(registry, queue_runs_max=7)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"techaura_sync_{name}", labels)


def test_names_that_others_choose_make_no_series_of_their_own(
    registry: CollectorRegistry, metrics: ServerMetrics
) -> None:
    for name in NAMES_OF_OTHERS:
        metrics.run_ended(name, "failed", name, 1.0)
        metrics.batch_committed("content_index", {}, {name: 2}, 0)
    metrics.source_answered(999, 0.1)
    assert value(registry, "runs_ended_total", source_type="other", ending="failed") == 50
    assert value(registry, "run_failures_total", reason="INTERNAL") == 50
    assert value(registry, "rejects_total", kind="other") == 100
    assert value(registry, "source_requests_total", status="failed") == 1
    samples = [sample for family in registry.collect() for sample in family.samples]
    assert not [sample for sample in samples if set(sample.labels.values()) & set(NAMES_OF_OTHERS)]


def test_what_alerts_look_at_begins_with_zero(registry: CollectorRegistry, metrics: ServerMetrics) -> None:
    assert value(registry, "run_failures_total", reason="SOURCE_REFUSED") == 0
    assert value(registry, "runs_ended_total", source_type="api", ending="lost") == 0
    assert value(registry, "takeovers_total") == 0
    assert value(registry, "batch_retries_total", target="content_index", reason="DATABASE_LOCKED") == 0
    assert value(registry, "queue_runs_max") == 7


def batch(batch_no: int, ledger: Ledger, bytes_done: int, *tally: tuple[str, int]) -> Batch:
    kinds = [[code, "title", count, 1] for code, count in tally]
    return Batch(batch_no, ledger, {}, bytes_done, tally=kinds)


def test_a_batch_adds_what_it_brought_to_a_reading_that_goes_on(
    registry: CollectorRegistry, metrics: ServerMetrics
) -> None:
    checkpoint = batch(3, Ledger(10, 8, rejected=2), 1000, ("bad_cast", 2))
    counts = BatchCounts(metrics, "content_index", checkpoint)
    counts.committed(batch(4, Ledger(5, 1, 1, 1, 1, 1), 1400, ("bad_cast", 2), ("too_long", 1)))
    counts.committed(batch(5, Ledger(2, 1, rejected=1), 1500, ("bad_cast", 3), ("too_long", 1), ("html_entity", 9)))
    rows = {
        outcome: value(registry, "rows_total", target="content_index", outcome=outcome)
        for outcome in ("inserted", "updated", "unchanged", "rejected", "skipped")
    }
    assert rows == {"inserted": 2, "updated": 1, "unchanged": 1, "rejected": 2, "skipped": 1}
    assert value(registry, "source_bytes_total", target="content_index") == 500
    assert value(registry, "rejects_total", kind="bad_cast") == 1
    assert value(registry, "rejects_total", kind="too_long") == 1
    assert value(registry, "rejects_total", kind="other") is None


@pytest.mark.parametrize(
    ("cron", "hours"),
    [
        ("* * * * *", 1 / 60),
        ("0 3 * * *", 24),
        ("0 9 * * 1-5", 72),
        ("*/30 9-17 * * *", 15.5),
        ("0 0 * * 0", 168),
        ("0 0 1 1 *", 365 * 24),
    ],
)
def test_the_interval_of_a_schedule_is_its_longest(cron: str, hours: float) -> None:
    assert longest_gap_seconds(cron, datetime(2026, 3, 2, 12, tzinfo=UTC)) == pytest.approx(hours * 3600)
