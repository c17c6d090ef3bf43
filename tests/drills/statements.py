"""Names the statements that a replica sends to MariaDB, so that a drill can strike at a certain one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# In this order: the first that fits gives the name. Patterns look at the statement without quotes around names.
_KINDS: Final = [
    (name, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for name, pattern in (
        ("begin_batch", r"^SELECT.*FROM sync_batches\s+WHERE.*batch_no = \d+"),
        ("load_staging", r"^LOAD DATA"),
        ("make_staging", r"^CREATE TEMPORARY TABLE sync_staging"),
        ("make_changes", r"^CREATE TEMPORARY TABLE sync_changes"),
        ("drop_staging", r"^DROP TEMPORARY"),
        ("compare", r"^INSERT INTO sync_changes"),
        ("insert_staged", r"^INSERT INTO content_index.*SELECT"),
        ("insert_direct", r"^INSERT INTO content_index"),
        ("refresh_rows", r"^UPDATE content_index.*differs = 0"),
        ("update_rows", r"^UPDATE content_index"),
        ("checkpoint", r"^INSERT INTO sync_batches"),
        ("insert_errors", r"^INSERT INTO sync_errors"),
        ("hold_lease", r"^SELECT.*FROM sync_runs.*LOCK IN SHARE MODE"),
        ("look_for_run", r"^SELECT.*FROM sync_runs.*SKIP LOCKED"),
        ("claim", r"^UPDATE sync_runs SET.*status='in_progress'"),
        ("complete", r"^UPDATE sync_runs SET.*status='completed'"),
        ("fail", r"^UPDATE sync_runs SET.*status='failed'"),
        ("release", r"^UPDATE sync_runs SET.*status='pending'"),
        ("renew", r"^UPDATE sync_runs SET.*lease_expires_at_ms"),
        ("note_source", r"^UPDATE sync_runs SET.*source_fingerprint"),
        ("note_digest", r"^UPDATE sync_runs SET.*content_digest"),
        ("lock_run", r"^SELECT.*FROM sync_runs.*FOR UPDATE"),
        ("look_at_run", r"^SELECT.*FROM sync_runs\s+WHERE sync_runs\.id = \d+\s*$"),
        ("count_errors", r"^SELECT count.*FROM sync_errors"),
        ("count_target", r"^SELECT count.*FROM content_index"),
        ("is_target_empty", r"^SELECT.*FROM content_index"),
        ("sum_batches", r"^SELECT.*sum\(.*FROM sync_batches"),
        ("last_checkpoint", r"^SELECT.*FROM sync_batches"),
        ("source_lock", r"sync_sources"),
        ("warnings", r"^SHOW WARNINGS"),
        ("release_savepoint", r"^RELEASE SAVEPOINT"),
        ("savepoint", r"^SAVEPOINT"),
        ("commit", r"^COMMIT"),
        ("rollback", r"^ROLLBACK"),
    )
]
# What a COMMIT is named after: the telling statement of its transaction.
_TELLING: Final = frozenset(
    {"checkpoint", "claim", "complete", "fail", "release", "renew", "note_source", "note_digest"}
)
_BATCH: Final = re.compile(r"sync_run_id = (\d+).*batch_no = (\d+)", re.DOTALL)
_HEAD_CHARS: Final = 400


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement on its way.

    Args:
        kind: its name, as above; "other" for what has none.
        replica: index of the replica that sends it.
        is_in_batch: whether its transaction is one that writes a batch.
        batch: (run id, batch number), for begin_batch.
    """

    kind: str
    replica: int
    is_in_batch: bool
    batch: tuple[int, int] | None = None


class Reader:
    """Reads the statements of one connection."""

    def __init__(self, replica: int) -> None:
        self._replica = replica
        self._told = ""
        self._is_in_batch = False

    def read(self, payload: bytes) -> Statement:
        """The statement of a COM_QUERY's text."""
        kind, batch = "other", None
        # A multi-row INSERT is told by its beginning; only short statements need their end.
        text = payload[: _HEAD_CHARS * 20].decode("utf-8", "replace").lstrip().replace("`", "")
        looked = text[:_HEAD_CHARS] if text.startswith("INSERT INTO content_index") and "VALUES" in text else text
        for name, pattern in _KINDS:
            if pattern.search(looked):
                kind = name
                break
        if kind == "begin_batch":
            self._is_in_batch = True
            found = _BATCH.search(text)
            batch = (int(found[1]), int(found[2])) if found else None
        if kind in _TELLING:
            self._told = kind
        is_in_batch = self._is_in_batch
        if kind in ("commit", "rollback"):
            kind = f"{kind}_{self._told}" if self._told else kind
            self._told, self._is_in_batch = "", False
        return Statement(kind, self._replica, is_in_batch, batch)
