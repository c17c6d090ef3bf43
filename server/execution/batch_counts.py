"""What each committed batch adds to the counts of its run, for who counts: the numbers of a checkpoint are sums so far."""

from __future__ import annotations

from collections import Counter

from db.records import Batch
from server.core.instruments import Instruments
from server.core.tally import Tally


class BatchCounts:
    """Tells of the batches of one reading, which come in their order.

    Args:
        instruments: who is told.
        target: the table that they go into.
        checkpoint: the last batch before them; it was told of by whoever wrote it.
    """

    def __init__(self, instruments: Instruments, target: str, checkpoint: Batch | None) -> None:
        self._instruments = instruments
        self._target = target
        self._bytes_done = checkpoint.bytes_done if checkpoint else 0
        self._rejects = _rejects(checkpoint) if checkpoint else Counter[str]()

    def committed(self, batch: Batch) -> None:
        """Tell of a batch."""
        ledger = batch.ledger
        rows = {
            "inserted": ledger.inserted,
            "updated": ledger.updated,
            "unchanged": ledger.unchanged,
            "rejected": ledger.rejected,
            "skipped": ledger.skipped,
        }
        new = Counter[str]()
        if ledger.rejected:
            rejects = _rejects(batch)
            new, self._rejects = rejects - self._rejects, rejects
        self._instruments.batch_committed(self._target, rows, new, max(0, batch.bytes_done - self._bytes_done))
        self._bytes_done = max(self._bytes_done, batch.bytes_done)


def _rejects(batch: Batch) -> Counter[str]:
    """The rejected rows of the reading up to the end of a batch, by kind."""
    return Counter({kind.code: kind.count for kind in Tally.from_json(batch.tally).by_code() if kind.is_rejected})
