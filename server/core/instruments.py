"""What the service tells of its work to whoever counts it: small calls with typed arguments.

`Instruments` forgets everything, and is what the service has where metrics are off; server/metrics counts. No call waits or
raises, and none is made for a row: a batch, a request or a run is the smallest thing that is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


class Instruments:
    """Told of what happens; this one forgets it."""

    def call_started(self, method: str) -> None:
        """A gRPC call began; `method` is that of a known one, such as `package.Service/Method`, or `unknown`."""

    def call_handled(self, method: str, code: str, seconds: float) -> None:
        """A call that answers once ended with a status, named as gRPC does."""

    def stream_handled(self, method: str, code: str) -> None:
        """A call that streams its answers ended with a status."""

    def streams_changed(self, method: str, change: int) -> None:
        """That many calls more, or fewer, stream their answers now."""

    def readiness_seen(self, *, is_ready: bool) -> None:
        """A look at the database said whether calls can be served."""

    def run_claimed(self, *, is_takeover: bool) -> None:
        """A worker of this replica claimed a run."""

    def run_ended(self, source_type: str, ending: str, reason: str, seconds: float) -> None:
        """An attempt ended.

        Args:
            ending: one of `verdict.Ending`.
            reason: why it failed, one of `Reason`; empty where it has not.
        """

    def batch_committed(
        self, target: str, rows: Mapping[str, int], rejects: Mapping[str, int], size_bytes: int
    ) -> None:
        """A batch was committed.

        Args:
            rows: what became of its records, by the names of the ledger.
            rejects: rejected ones by kind.
            size_bytes: of the source.
        """

    def batch_written(self, target: str, seconds: float) -> None:
        """Writing a batch took so long, with every try."""

    def batch_retried(self, target: str, reason: str) -> None:
        """A try to write a batch failed on a passing fault of the database, one of `DatabaseReason`."""

    def wait_began(self, part: str, reason: str) -> None:
        """A part of the service (a run, or claiming) waits for the database."""

    def wait_ended(self, part: str, seconds: float) -> None:
        """That wait is over."""

    def lease_renewed(self, seconds: float) -> None:
        """A lease was renewed, so long after it was renewed the last time."""

    def lease_not_renewed(self) -> None:
        """A try to renew a lease failed."""

    def source_answered(self, status: int, seconds: float) -> None:
        """A source API sent the head of an answer."""

    def source_failed(self, *, is_timeout: bool) -> None:
        """A request to a source API got no whole answer."""

    def host_waited(self, seconds: float) -> None:
        """A request to a source API waited for its turn: for the budget of its host, or for what the host asked for."""

    def runs_retried(self, count: int) -> None:
        """The nightly retry took up that many runs."""

    def schedule_fired(self, outcome: str) -> None:
        """A schedule fired; one of `FireOutcome` came of it."""


NO_INSTRUMENTS: Final = Instruments()
