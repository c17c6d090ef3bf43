"""How many calls are open at once, of all callers and of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from server.core.errors import CallsLimitedError
from server.core.reasons import Reason

_RETRY_AFTER_SECONDS: Final = 5.0


class OpenCalls:
    """Counts them.

    Args:
        all_max: of all callers.
        caller_max: of each that is known by name.
    """

    def __init__(self, all_max: int, caller_max: int) -> None:
        self._all_max = all_max
        self._caller_max = caller_max
        self._of_caller: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """A call is open while the block runs.

        Args:
            caller: its name; empty where nobody is asked.

        Raises:
            CallsLimitedError: it is one too many.
        """
        if self._all >= self._all_max:
            raise _too_many(f"{self._all_max} calls are open (TECHAURA_SYNC_CALLS_OPEN_MAX)")
        if caller and self._of_caller[caller] >= self._caller_max:
            raise _too_many(f"{caller!r} has {self._caller_max} calls open (TECHAURA_SYNC_CALLS_OPEN_PER_KEY_MAX)")
        self._all += 1
        self._of_caller[caller] += 1
        try:
            yield
        finally:
            self._all -= 1
            self._of_caller[caller] -= 1
            if not self._of_caller[caller]:
                del self._of_caller[caller]


def _too_many(text: str) -> CallsLimitedError:
    return CallsLimitedError(
        Reason.CALLS_LIMITED, f"{text}, the most there may be at once", retry_after_seconds=_RETRY_AFTER_SECONDS
    )
