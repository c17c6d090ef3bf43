"""Short changes of a caller's, tried again when the database asks one of two transactions to give way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from db.errors import TransientDatabaseError
from server.core.clock import Clock
from server.core.retry import Retries, RetryPolicy

T = TypeVar("T")
# A deadlock or a refused COMMIT passes at once; when the database is away, the caller tries again.
_STORING: Final = RetryPolicy(attempts_max=8, elapsed_seconds_max=5.0, wait_base_seconds=0.01, wait_seconds_max=0.2)


async def stored(work: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """What a transaction returns, once it has gone through.

    Args:
        work: the transaction; doing it again after a commit whose answer was lost must do no harm.

    Raises:
        TransientDatabaseError: it did not go through in any of the tries.
        whatever else `work` raises.
    """
    retries = Retries(_STORING, clock)
    while True:
        try:
            return await work()
        except TransientDatabaseError:
            if not await retries.wait():
                raise
