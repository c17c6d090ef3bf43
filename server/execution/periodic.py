"""Loops of the service: a step is repeated until the service stops, whatever one step raises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from db.errors import DatabaseError
from server.core.waits import Wait

log = structlog.get_logger()


async def repeated(
    step: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[object]], wait: Wait
) -> NoReturn:
    """Do a step and pause, until cancelled.

    A database that does not respond is waited for, and logged once. Anything else that a step raises is a fault of
    the service, and goes into the log with its traceback; it may lie in one row, and the other rows must not stand still
    for it.

    Args:
        wait: of this loop; its action names the loop in the log.
    """
    while True:
        try:
            await step()
            wait.passed()
        except DatabaseError as error:
            wait.failed(error)
        except Exception:
            log.exception("loop_fault", action=wait.action)
        await pause()
