"""Brings what callers ask of running runs to this replica, whichever replica they asked: cancel and pause.

One query a poll, for all runs that this replica executes; none while it executes nothing. A database that does not
respond is queried again at the next poll; the heartbeat finds out whether the leases still hold.
"""

from __future__ import annotations

from db.engine import Database
from db.repositories.leases import stop_requests
from server.core.clock import Clock
from server.core.config import Settings
from server.core.waits import Wait
from server.execution.local_runs import LocalRuns
from server.execution.periodic import repeated


class ControlWatch:
    """Polls for stop requests every control interval.

    Args:
        local_runs: the runs that this replica executes.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock, local_runs: LocalRuns) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._local_runs = local_runs

    async def run(self) -> None:
        """Poll until cancelled."""
        await repeated(
            self.poll, lambda: self._clock.sleep(self._settings.control_interval_seconds), Wait(self._clock, "control")
        )

    async def poll(self) -> None:
        """Signal the requests to the runs.

        Raises:
            DatabaseError
        """
        run_ids = self._local_runs.ids
        if not run_ids:
            return
        async with self._database.read() as connection:
            found = await stop_requests(connection, run_ids)
        for run_id, (cancel, pause) in found.items():
            if cancel or pause:
                self._local_runs.stop([run_id], "cancel" if cancel else "pause")
