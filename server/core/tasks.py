"""Tasks that live as long as a block of code.

An `asyncio.TaskGroup`, with two differences that a service needs: tasks that still run at the end of the block are
cancelled, since most of them run until then; and what ends the block is raised as itself and not within an
ExceptionGroup, since callers handle errors by their class.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger()


class OwnedTasks:
    """The tasks of one block; see `owned_tasks`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[Any]] = set()
        self.fault: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Do `work` beside the block. When it raises, the block is cancelled."""
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel every task that still runs."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if self.fault is None and not task.cancelled():
            self.fault = task.exception()


@asynccontextmanager
async def owned_tasks() -> AsyncIterator[OwnedTasks]:
    """Give a block tasks of its own; at its end they are cancelled, and waited for.

    The first fault, of a task or of the block, ends the block and is raised. Faults that come after it are logged. A
    cancel from outside is passed on, whatever the tasks raise as they end.
    """
    ending: BaseException | None = None
    raised: tuple[BaseException, ...] = ()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = OwnedTasks(group)
            try:
                yield tasks
            except BaseException as error:
                # The group cancels its block for the fault of a task; any other cancel comes from outside.
                is_for_task = isinstance(error, asyncio.CancelledError) and tasks.fault is not None
                ending = tasks.fault if is_for_task else error
                raise
            finally:
                tasks.cancel()
    except BaseExceptionGroup as faults:
        raised = faults.exceptions
    ending = ending or next(iter(raised), None)
    for fault in raised:
        if fault is not ending:
            log.error("task_fault", action="task", exc_info=fault)
    if ending is not None:
        raise ending
