"""The metrics of one server, in one registry: what `Instruments` is told becomes numbers.

Where the first event of a kind matters to an alert, its series is there from the start with 0: Prometheus sees no increase in
a series that begins.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from db.error_numbers import DatabaseReason
from db.records import FireOutcome
from server.core.instruments import Instruments
from server.core.reasons import Reason
from server.core.reject_kinds import RejectKind
from server.core.tally import OTHER_CODE
from server.execution.verdict import Ending
from server.metrics import definitions
from server.sources.registry import source_types
from server.targets.registry import TARGETS

_OUTCOMES: Final = ("inserted", "updated", "unchanged", "rejected", "skipped")
_STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "timeout", "failed")
_REASONS: Final = frozenset(Reason)
_KINDS: Final = frozenset(RejectKind)
_PARTS: Final = ("run", "claim")


class ServerMetrics(Instruments):
    """Counts what one server does.

    Args:
        registry: where its metrics are registered.
        queue_runs_max: the limit of the queue, to be shown beside it.
    """

    def __init__(self, registry: CollectorRegistry, *, queue_runs_max: int) -> None:
        self._source_types = frozenset(source_types())
        self._rpc_started = definitions.RPC_STARTED.counter(registry)
        self._rpc_handled = definitions.RPC_HANDLED.counter(registry)
        self._rpc_seconds = definitions.RPC_SECONDS.histogram(registry)
        self._rpc_streams = definitions.RPC_STREAMS.gauge(registry)
        self._ready = definitions.READY.gauge(registry)
        self._claimed = definitions.RUNS_CLAIMED.counter(registry)
        self._takeovers = definitions.TAKEOVERS.counter(registry)
        self._ended = _begun(definitions.RUNS_ENDED.counter(registry), sorted(self._source_types), Ending)
        self._failures = _begun(definitions.RUN_FAILURES.counter(registry), Reason)
        self._run_seconds = definitions.RUN_SECONDS.histogram(registry)
        self._retried = definitions.RUNS_RETRIED.counter(registry)
        self._waits = _begun(definitions.WAITS.counter(registry), _PARTS, DatabaseReason)
        self._wait_seconds = _begun(definitions.WAIT_SECONDS.counter(registry), _PARTS)
        self._rows = _begun(definitions.ROWS.counter(registry), TARGETS, _OUTCOMES)
        self._rejects = _begun(definitions.REJECTS.counter(registry), RejectKind)
        self._bytes = _begun(definitions.BYTES.counter(registry), TARGETS)
        self._batch_seconds = definitions.BATCH_SECONDS.histogram(registry)
        self._batch_retries = _begun(definitions.BATCH_RETRIES.counter(registry), TARGETS, DatabaseReason)
        self._lease_seconds = definitions.LEASE_SECONDS.histogram(registry)
        self._lease_failures = definitions.LEASE_FAILURES.counter(registry)
        self._source_requests = _begun(definitions.SOURCE_REQUESTS.counter(registry), _STATUSES)
        self._source_seconds = definitions.SOURCE_SECONDS.histogram(registry)
        self._source_wait_seconds = definitions.SOURCE_WAIT_SECONDS.counter(registry)
        self._fires = _begun(definitions.SCHEDULE_FIRES.counter(registry), FireOutcome)
        definitions.QUEUE_MAX.gauge(registry).set(queue_runs_max)

    def call_started(self, method: str) -> None:
        """Count a call."""
        self._rpc_started.labels(method).inc()

    def call_handled(self, method: str, code: str, seconds: float) -> None:
        """Count the end of a call."""
        self._rpc_handled.labels(method, code).inc()
        self._rpc_seconds.labels(method).observe(seconds)

    def stream_handled(self, method: str, code: str) -> None:
        """Count the end of a stream."""
        self._rpc_handled.labels(method, code).inc()

    def streams_changed(self, method: str, change: int) -> None:
        """Keep the number of open streams."""
        self._rpc_streams.labels(method).inc(change)

    def readiness_seen(self, *, is_ready: bool) -> None:
        """Keep what the last look said."""
        self._ready.set(is_ready)

    def run_claimed(self, *, is_takeover: bool) -> None:
        """Count an attempt, and a takeover."""
        self._claimed.inc()
        if is_takeover:
            self._takeovers.inc()

    def run_ended(self, source_type: str, ending: str, reason: str, seconds: float) -> None:
        """Count the end of an attempt."""
        known = source_type if source_type in self._source_types else OTHER_CODE
        self._ended.labels(known, ending).inc()
        self._run_seconds.labels(known, ending).observe(seconds)
        if reason:
            self._failures.labels(reason if reason in _REASONS else Reason.INTERNAL).inc()

    def batch_committed(
        self, target: str, rows: Mapping[str, int], rejects: Mapping[str, int], size_bytes: int
    ) -> None:
        """Count a batch's records and bytes."""
        for outcome, count in rows.items():
            self._rows.labels(target, outcome).inc(count)
        for kind, count in rejects.items():
            self._rejects.labels(kind if kind in _KINDS else OTHER_CODE).inc(count)
        self._bytes.labels(target).inc(size_bytes)

    def batch_written(self, target: str, seconds: float) -> None:
        """Keep how long a batch took."""
        self._batch_seconds.labels(target).observe(seconds)

    def batch_retried(self, target: str, reason: str) -> None:
        """Count a try that failed."""
        self._batch_retries.labels(target, reason).inc()

    def wait_began(self, part: str, reason: str) -> None:
        """Count a wait."""
        self._waits.labels(part, reason).inc()

    def wait_ended(self, part: str, seconds: float) -> None:
        """Add its time."""
        self._wait_seconds.labels(part).inc(seconds)

    def lease_renewed(self, seconds: float) -> None:
        """Keep the time since the renewal before."""
        self._lease_seconds.observe(seconds)

    def lease_not_renewed(self) -> None:
        """Count a renewal that failed."""
        self._lease_failures.inc()

    def source_answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        status_class = f"{status // 100}xx"
        self._source_requests.labels(status_class if status_class in _STATUSES else "failed").inc()
        self._source_seconds.observe(seconds)

    def source_failed(self, *, is_timeout: bool) -> None:
        """Count a request without one."""
        self._source_requests.labels("timeout" if is_timeout else "failed").inc()

    def host_waited(self, seconds: float) -> None:
        """Add the time."""
        self._source_wait_seconds.inc(max(0.0, seconds))

    def runs_retried(self, count: int) -> None:
        """Count the runs of a nightly retry."""
        self._retried.inc(count)

    def schedule_fired(self, outcome: str) -> None:
        """Count a fire."""
        self._fires.labels(outcome).inc()


def _begun(counter: Counter, *values: Iterable[str]) -> Counter:
    """A counter whose series begin with 0, for every combination of its labels' values."""
    for combination in itertools.product(*values):
        counter.labels(*combination)
    return counter
