"""What the service does again and again, for as long as it runs: no fault of one step keeps the next from coming."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from db.errors import DatabaseError

log = structlog.get_logger()


async def repeated(
    step: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[object]], *, action: str
) -> NoReturn:
    """Do a step and pause, until cancelled.

    A database that does not answer is a warning. Anything else that a step raises is a fault of the service, and goes
    into the log with its traceback; it may lie in one row, and the other rows must not stand still for it.

    Args:
        action: names the loop in the log.
    """
    while True:
        try:
            await step()
        except DatabaseError as error:
            log.warning("loop_step_failed", action=action, error=error.message)
        except Exception:
            log.exception("loop_fault", action=action)
        await pause()
