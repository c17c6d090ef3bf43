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
    Orders    Cancel and pause are columns that the owner reads (control.py), and acts on; where there is none any more,
              whoever looks next does (settle). Pause gives the run back, pending and paused; nobody claims it until it
              is continued. An accepted cancel wins over whatever else stops the run: the end looks for it under the lock.
    End       completed, failed, cancelled and release change the row WHERE owner and epoch are the worker's own.

What each failure leaves behind
    Worker killed, machine lost      the run in_progress with a lease that expires; any replica claims it and goes on
                                     after the last committed batch. Time to takeover: at most the lease's time to live
                                     and one poll interval.
    Worker stopped and continued     its next write or renewal finds a newer epoch and does nothing. Stopped inside a
                                     transaction it holds locks that keep a takeover out; the database ends a
                                     transaction that stands still for as long as a lease (db/engine.py). So too when
                                     the worker's machine or network is lost without a word.
    Killed again and again           a run whose owners are lost in a row (settings.takeovers_max) without a batch is
                                     ended as failed (OWNERS_LOST): it may be what kills them.
    Killed inside a batch            the transaction is rolled back by the database; the batch is read again.
    Killed between COMMIT and answer the checkpoint stands; the next owner skips the batch.
    Database restarted               transactions roll back; renewals fail until it is back; the owner goes on when its
                                     lease has not expired, else whoever claims first.
    Clean stop                       the batch in hand is finished or rolled back, then the run is pending again.

GET_LOCK is not used: it is per node and dies with its session.
"""

from __future__ import annotations

from typing import Final

from db.engine import Database
from db.errors import DatabaseError
from db.records import Lease
from db.repositories import leases
from db.repositories.batches import read_totals
from server.core.clock import Clock
from server.core.config import Settings
from server.orchestration.identity import SourceKeys
from server.orchestration.signals import RunSignals

_SETTLED_AT_ONCE_MAX: Final = 100


async def claim(database: Database, settings: Settings, owner: str, keys: SourceKeys | None = None) -> Lease | None:
    """Take the next run that may be worked on; None when there is none.

    Args:
        keys: gives keys to rows that other programs stored; without it those rows wait.

    Raises:
        DatabaseError
    """
    if keys is not None:
        await keys.give_keys(database)
    async with database.write() as connection:
        return await leases.claim_next(
            connection,
            owner=owner,
            ttl_ms=round(settings.lease_ttl_seconds * 1000),
            legacy_grace_minutes=max(1, round(settings.legacy_grace_seconds / 60)),
        )


async def settle(database: Database) -> list[int]:
    """Cancel or pause, as was asked, the runs in progress that have no owner any more; answer their ids.

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

    def __init__(self, database: Database, settings: Settings, clock: Clock, lease: Lease, signals: RunSignals) -> None:
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
                # Past this the database has let the lease expire, whatever it answers later.
                if self._clock.monotonic_seconds() - renewed_at > self._settings.lease_ttl_seconds:
                    self._signals.stop("lease_lost")
                    return
                continue
            if cancel_requested is None:
                self._signals.stop("lease_lost")
                return
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
