"""Which source a run is of, and whether two runs ask for the same: the keys of a run.

Two runs are of one source when their identifiers mean the same file or URL, however they are spelled. They ask for the
same when their options are equal too. Rows that other programs stored get their keys from `assign_missing_keys`, before a worker
claims and before a trigger looks for a live run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog

from db.engine import Database
from db.repositories.sources import UnkeyedRun, set_keys, source_key_of, unkeyed_runs
from server.core.config import Settings
from server.core.secret_box import SecretBox
from server.sources.registry import source_type, source_types

log = structlog.get_logger()

_UNKEYED_AT_ONCE_MAX: Final = 500
# At most this many types are named in the log; the others are ignored as well.
_FOREIGN_TYPES_MAX: Final = 100


class SourceKeys:
    """Makes the keys of runs.

    Args:
        box: its key goes into the digests, since options may hold secrets that could be guessed.
    """

    def __init__(self, settings: Settings, box: SecretBox) -> None:
        self._settings = settings
        self._box = box
        self._foreign_types: set[str] = set()

    def source_key(self, name: str, source_identifier: str) -> str:
        """The key of a source by the name of its type; one of an unknown type is its spelling. Looks at the disk."""
        if name not in source_types():
            return source_key_of(name, source_identifier)
        return source_key_of(name, source_type(name).identity(source_identifier, self._settings))

    def options_digest(self, options: Any) -> str:
        """Equal for equal options."""
        return self._box.digest(options if isinstance(options, Mapping) else {"": options} if options else {})

    async def assign_missing_keys(self, database: Database) -> None:
        """Assign keys to the live runs that have none. Runs of an unknown type belong to another worker.

        Raises:
            DatabaseError
        """
        async with database.read() as connection:
            unkeyed = await unkeyed_runs(connection, source_types(), _UNKEYED_AT_ONCE_MAX)
        found = [run for run in unkeyed if run.source_type in source_types()]
        self._say_foreign({run.source_type for run in unkeyed} - source_types().keys())
        if found:
            keys = await asyncio.to_thread(lambda: [(run.id, *self._keys_of(run)) for run in found])
            async with database.write() as connection:
                for run_id, source_key, digest in keys:
                    await set_keys(connection, run_id, source_key, digest)

    def _say_foreign(self, types: set[str]) -> None:
        """Log once that there are live runs that this service ignores."""
        new = sorted(types - self._foreign_types)[: _FOREIGN_TYPES_MAX - len(self._foreign_types)]
        if new:
            self._foreign_types.update(new)
            log.warning("runs_of_other_workers", action="claim", source_types=[name[:50] for name in new])

    def _keys_of(self, run: UnkeyedRun) -> tuple[str, str]:
        """Keys for any row, even a malformed one: a row without a key would block the claim of all others."""
        try:
            return self.source_key(run.source_type, run.source_identifier), self.options_digest(run.options)
        except Exception as error:  # noqa: BLE001 - the run itself fails by what is wrong with it, once it is claimed
            log.warning("row_without_meaning", action="claim", run_id=run.id, error=type(error).__name__)
            return source_key_of(run.source_type, f"run {run.id}"), ""
