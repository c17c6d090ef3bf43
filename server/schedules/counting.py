"""Keeps the numbers of ended runs, so that `stats` costs the same however many there are.

Each second a replica moves runs that have ended to the numbers where they belong, and compares one block of numbers with
its runs. Neither is needed for `stats` to be right about anything that is stored or changed, by whatever program; the
second is, about runs that another program removes: those are counted for as many seconds more as there are blocks.
Replicas do the same work without an agreement: a run that one of them has locked the others leave to it, and numbers
that changed since they were compared stay as they are.
"""

from __future__ import annotations

from typing import Final

import structlog

from db.engine import Database
from db.repositories.run_counts import count_ended, mend, next_block, uncounted_ids, wrong_numbers
from server.core.clock import Clock
from server.core.waits import Wait
from server.execution.periodic import repeated

log = structlog.get_logger()

_INTERVAL_SECONDS: Final = 1.0
# Of one transaction; a history that comes with a database is gone through at once, and gives way after each.
RUNS_AT_ONCE: Final = 1_000
_GIVE_WAY_SECONDS: Final = 0.02
_BEFORE_THE_FIRST: Final = -1


class RunCounting:
    """Counts the ended runs of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._block_no = _BEFORE_THE_FIRST

    async def run(self) -> None:
        """Count, until cancelled."""
        await repeated(self.step, lambda: self._clock.sleep(_INTERVAL_SECONDS), Wait(self._clock, "count_runs"))

    async def step(self) -> None:
        """Count what has ended, and check the next block.

        Raises:
            DatabaseError: what was counted stays counted.
        """
        while await self.count() == RUNS_AT_ONCE:
            await self._clock.sleep(_GIVE_WAY_SECONDS)
        await self.check()

    async def count(self) -> int:
        """Count some of what has ended; return how many.

        Raises:
            DatabaseError
        """
        async with self._database.read() as connection:
            ids = await uncounted_ids(connection, RUNS_AT_ONCE)
        if not ids:
            return 0
        async with self._database.write() as connection:
            return await count_ended(connection, ids)

    async def check(self) -> int:
        """Compare the next block of numbers with its runs; return how many were wrong and have been mended.

        Raises:
            DatabaseError
        """
        async with self._database.read() as connection:
            block_no = await next_block(connection, self._block_no)
            wrong = [] if block_no is None else await wrong_numbers(connection, block_no)
        self._block_no = _BEFORE_THE_FIRST if block_no is None else block_no
        if not wrong:
            return 0
        async with self._database.write() as connection:
            mended = await mend(connection, wrong)
        log.info("run_counts_mended", action="count_runs", block_no=block_no, numbers=mended)
        return mended
