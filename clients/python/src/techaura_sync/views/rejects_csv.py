"""Rejects as CSV (RFC 4180), in UTF-8: what a person works through, and whose column `raw` can be sent in again.

No text is altered. So a value that a spreadsheet takes for a formula stands as it is; docs/guides/csv.md says so.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from techaura.sync.v1 import resources_pb2, sync_service_pb2

COLUMNS: Final = ("line", "byte_offset", "reason", "column", "message", "raw")
# The reason of a last record that stands for the rejects that are not stored.
NOT_STORED: Final = "not_stored"


class RejectsCsv:
    """Makes the pieces of one CSV file, each of whole records, of the messages of ExportSyncRejects.

    Args:
        is_narrowed: whether the messages have the rejects of one reason or column only.
    """

    def __init__(self, *, is_narrowed: bool) -> None:
        self._is_narrowed = is_narrowed
        self.not_stored = 0
        self.count = 0

    def head(self) -> bytes:
        """The names of the columns."""
        return _records([COLUMNS])

    def piece(self, message: sync_service_pb2.ExportSyncRejectsResponse) -> bytes:
        """The rejects of one message; may be empty."""
        self.not_stored += message.not_stored
        self.count += len(message.rejects)
        return _records(_fields(reject) for reject in message.rejects)

    def tail(self) -> bytes:
        """What the file does not hold, as a record; empty when it holds every reject."""
        return _records([("", "", NOT_STORED, "", self.not_stored_text, "")]) if self.not_stored else b""

    @property
    def not_stored_text(self) -> str:
        """How many rejects are not stored, for a person."""
        of = "of the run, for whatever reason, " if self._is_narrowed else ""
        return (
            f"{self.not_stored} more rejects {of}are counted and not stored: TECHAURA_SYNC_REJECTS_STORED_MAX of the service "
            "says how many are; the counts by reason hold all of them"
        )


def _fields(reject: resources_pb2.SyncError) -> tuple[str, ...]:
    offset = str(reject.byte_offset) if reject.HasField("byte_offset") else ""
    return str(reject.line or ""), offset, reject.code, reject.column, reject.message, reject.raw


def _records(records: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(records)
    return text.getvalue().encode()
