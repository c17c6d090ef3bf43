"""Who may work on a run: the protocol of leases, and the keeper that renews one.

The protocol
    A run belongs to (owner, epoch) until lease_expires_at_ms, which is set and compared in the database's own clock;
    no worker's clock matters. `owner` names one worker process, `epoch` grows with every claim and never falls.

    Claim     One transaction selects the oldest run that is pending and due, or in_progress with an expired lease,
              under FOR UPDATE SKIP LOCKED, locks the run's source (db/repositories/sources.py), looks again, then sets
              owner, epoch + 1 and the expiry WHERE the epoch is still the one it read. A run whose source has another
              one in progress, or an older one pending, is passed over: one live run per source. On a cluster, where row
              locks are per node, those two changes and the cluster's own certification at COMMIT decide.
    Renew     Every heartbeat interval the owner moves the expiry WHERE owner and epoch are its own. No row changed
              means that the run was taken over: the worker stops and writes nothing more. When the database does not
              answer until the lease must have expired, the worker stops as well: it can no longer know.
    Write     Each batch transaction ends by locking the run's row (shared) WHERE owner and epoch are its own. A
              takeover needs that row exclusively: either it came before, and the batch finds nothing and rolls back;
              or it waits until the batch is committed, and the new owner sees its checkpoint.
    Stop      Cancel and pause are columns that the owner reads (stop_requests.py) and acts on; where there is none any more,
              whoever looks next does (apply_stop_requests). Pause gives the run back, pending and paused; nobody claims it
              until it is continued. An accepted cancel wins over whatever else stops the run: the end looks for it under the
              lock.
    End       completed, failed, cancelled and release change the row WHERE owner and epoch are the worker's own.

What each failure leaves behind
    Worker killed, machine lost      the run in_progress with a lease that expires; any replica claims it and goes on
                                     after the last committed batch. Time to takeover: at most the lease's time to live
                                     and one poll interval.
    Worker stopped and continued     its next write or renewal finds a newer epoch and does nothing. Stopped inside a
                                     transaction it holds locks that keep a takeover out: whoever finds the lease
                                     expired ends the sessions of the lost owner first (db/sessions.py). So too when
                                     the worker's machine or network is lost without a word.
    Killed again and again           a run whose owners are lost in a row (settings.takeovers_max) without a batch is
                                     ended as failed (OWNERS_LOST): it may be what kills them.
    Killed inside a batch            the transaction is rolled back by the database; the batch is read again.
    Killed between COMMIT and answer the checkpoint stands; the next owner skips the batch.
    Database restarted               transactions roll back; renewals fail until it is back; the owner continues when
    its
                                     lease has not expired, else whoever claims first.
    Clean stop                       the batch in hand is finished or rolled back, then the run is pending again.

GET_LOCK decides nothing here: it is per node and dies with its session. That is what makes it the name of a session.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from typing import Final

import structlog

from db.engine import Database
from db.errors import DatabaseError, RefusedDatabaseError
from db.records import Lease
from db.repositories import leases
from db.repositories.batches import read_totals
from db.sessions import end_sessions
from server.core.clock import Clock
from server.core.config import Settings
from server.core.instruments import NO_INSTRUMENTS, Instruments
from server.execution.source_keys import SourceKeys
from server.execution.stop_signal import RunSignals
from server.sources.registry import source_types

log = structlog.get_logger()

_SETTLED_AT_ONCE_MAX: Final = 100
_LOST_AT_ONCE_MAX: Final = 16


async def claim(
    database: Database,
    settings: Settings,
    owner: str,
    keys: SourceKeys | None = None,
    types: Collection[str] | None = None,
) -> Lease | None:
    """Take the next run that may be worked on; None when there is none.

    Args:
        keys: gives keys to rows that other programs stored; without it those rows wait.
        types: only runs of these source types; None for all.

    Raises:
        DatabaseError
    """
    if keys is not None:
        await keys.assign_missing_keys(database)
    async with database.write() as connection:
        return await leases.claim_next(
            connection,
            owner=owner,
            source_types=frozenset(source_types() if types is None else types),
            ttl_ms=round(settings.lease_ttl_seconds * 1000),
            legacy_grace_minutes=max(1, round(settings.legacy_grace_seconds / 60)),
        )


def owner_name(database: Database) -> str:
    """The name of this process as an owner of runs; it ends with that of its sessions at the database."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{database.session_name}"


class LostOwners:
    """Frees the locks that lost owners hold at the database, by ending their sessions.

    An owner that was only slow loses a transaction by it, as it has lost its lease, and tries again.

    Args:
        owner: the name of this process as an owner.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner
        self._left: set[str] = set()

    async def free(self) -> None:
        """End the sessions of owners that were silent past a lease.

        Raises:
            TransientDatabaseError
        """
        if self._database.is_sqlite:
            return
        async with self._database.read() as connection:
            lost = await leases.lost_owners(connection, _LOST_AT_ONCE_MAX)
        for name in lost:
            if name != self._owner:
                await self._end(name)
        self._left.intersection_update(lost)

    async def _end(self, name: str) -> None:
        try:
            async with self._database.read() as connection:
                ended = await end_sessions(connection, name.rpartition(":")[2])
        except RefusedDatabaseError as error:
            # What they have locked stays locked until the server times out.
            if name not in self._left:
                self._left.add(name)
                log.warning("sessions_not_ended", action="claim", owner=name, **error.facts)
            return
        if ended:
            log.warning("sessions_ended", action="claim", owner=name, sessions=ended)


async def apply_stop_requests(database: Database) -> list[int]:
    """Cancel or pause, as was asked, the runs in progress that have no owner any more; return their ids.

    Raises:
        DatabaseError
    """
    async with database.read() as connection:
        if not await leases.has_orphans(connection):
            return []
    async with database.write() as connection:
        return await leases.settle_orphans(connection, _SETTLED_AT_ONCE_MAX)


class LeaseKeeper:
    """Renews one lease for as long as its run is worked on, and tells the run when it has to stop."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        lease: Lease,
        signals: RunSignals,
        instruments: Instruments = NO_INSTRUMENTS,
    ) -> None:
        self._instruments = instruments
        self._database = database
        self._settings = settings
        self._clock = clock
        self._lease = lease
        self._signals = signals

    async def run(self) -> None:
        """Renew until cancelled, or until the lease is lost."""
        renewed_at = self._clock.monotonic_seconds()
        while True:
            await self._clock.sleep(self._settings.heartbeat_interval_seconds)
            asked_at = self._clock.monotonic_seconds()
            try:
                cancel_requested = await self._renew()
            except DatabaseError:
                self._instruments.lease_not_renewed()
                # Past this the database has let the lease expire, whatever it responds later.
                if self._clock.monotonic_seconds() - renewed_at > self._settings.lease_ttl_seconds:
                    self._signals.stop("lease_lost")
                    return
                continue
            if cancel_requested is None:
                self._signals.stop("lease_lost")
                return
            self._instruments.lease_renewed(self._clock.monotonic_seconds() - renewed_at)
            renewed_at = asked_at
            if cancel_requested:
                self._signals.stop("cancel")

    async def _renew(self) -> bool | None:
        async with self._database.write(timeout_seconds=self._settings.lease_ttl_seconds) as connection:
            totals = await read_totals(connection, self._lease.run_id)
            return await leases.renew(
                connection,
                self._lease,
                ttl_ms=round(self._settings.lease_ttl_seconds * 1000),
                ledger=totals.ledger,
                bytes_done=totals.bytes_done,
            )
