"""What a part of the service waits for, logged once when the wait begins and once when it ends.

A wait is a series of tries that fail for a reason which may pass. However long it takes and however the faults
change meanwhile, the log has two lines of it: the first fault in words, and the end with the number of tries.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

import structlog

from server.core.clock import Clock
from server.core.instruments import NO_INSTRUMENTS, Instruments

log = structlog.get_logger()

# A shorter wait is logged but adds no notice to the run.
_NOTED_SECONDS_MIN: Final = 1.0


class Fault(Protocol):
    """The fault of a failed try, such as a DatabaseError (db/errors.py).

    Args:
        message: what is waited for, fit for a caller.
    """

    message: str
    code: int
    statement: str

    @property
    def reason(self) -> str:
        """What is wrong, by name."""


class Wait:
    """The successive waits of one run, or of one loop.

    Args:
        action: names the waiting part in the log.
        run_id: the run that waits, if it is one.
        instruments: who counts waits.
    """

    def __init__(
        self, clock: Clock, action: str, run_id: int | None = None, instruments: Instruments = NO_INSTRUMENTS
    ) -> None:
        self._clock = clock
        self._instruments = instruments
        self.action = action
        self._log = log.bind(action=action) if run_id is None else log.bind(action=action, run_id=run_id)
        self._since = 0.0
        self._codes: Counter[int] = Counter()
        self.text = ""

    @property
    def is_first_try(self) -> bool:
        """Whether no wait has begun."""
        return not self.text

    def failed(self, fault: Fault) -> None:
        """A try failed, and another one follows."""
        if self.is_first_try:
            self.text, self._since = fault.message, self._clock.monotonic_seconds()
            self._log.warning(
                "waiting", reason=fault.reason, error=fault.message, code=fault.code, statement=fault.statement
            )
            self._instruments.wait_began(self.action, fault.reason)
        self._codes[fault.code] += 1

    def passed(self) -> str:
        """A try succeeded; return a notice about the wait, empty when there was none or a short one."""
        if self.is_first_try:
            return ""
        seconds, tries, text = self._clock.monotonic_seconds() - self._since, self._codes.total(), self.text
        codes = {str(code): count for code, count in self._codes.items() if code}
        self._log.info("wait_over", seconds=round(seconds, 1), tries=tries, codes=codes, error=text)
        self._instruments.wait_ended(self.action, seconds)
        self.text = ""
        self._codes.clear()
        return f"waited {seconds:.0f} s ({tries} tries): {text}" if seconds >= _NOTED_SECONDS_MIN else ""


class RunWaits:
    """What runs wait for: those that this replica executes, and those that it cannot claim.

    A run whose lease expired during a wait has no owner, and still waits for the same thing until it can be claimed
    again.
    """

    def __init__(self, clock: Clock, instruments: Instruments = NO_INSTRUMENTS) -> None:
        self._clock = clock
        self._instruments = instruments
        self._waits: dict[int, Wait] = {}
        self._lost: dict[int, str] = {}
        self.claiming = Wait(clock, "claim", instruments=instruments)

    def of(self, run_id: int) -> Wait:
        """The waits of a run that executes here."""
        return self._waits.setdefault(run_id, Wait(self._clock, "run", run_id, self._instruments))

    def end(self, run_id: int, *, lease_lost: bool = False) -> None:
        """The run does not execute here any more."""
        wait = self._waits.pop(run_id, None)
        if wait is not None and wait.text and lease_lost:
            self._lost[run_id] = wait.text

    def claimed(self) -> None:
        """Runs can be claimed again: a worker will claim those without an owner."""
        self._lost.clear()

    def text(self, run_id: int, *, is_pending: bool) -> str:
        """What the run waits for now; empty for nothing, or when it executes elsewhere.

        Args:
            is_pending: whether it waits to be claimed.
        """
        wait = self._waits.get(run_id)
        if wait is not None:
            return wait.text
        return self.claiming.text if is_pending else self._lost.get(run_id, "")
