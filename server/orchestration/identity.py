"""Which source a run is of, and whether two runs ask for the same: the keys of a run.

Two runs are of one source when their identifiers mean the same file or URL, however they are spelled. They ask for the
same when their options are equal too. Rows that other programs stored get their keys from `give_keys`, before a worker
claims and before a trigger looks for a live run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from db.engine import Database
from db.repositories.sources import UnkeyedRun, key_of, set_keys, unkeyed_runs
from server.core.config import Settings
from server.core.secret_box import SecretBox
from server.sources.registry import SOURCE_TYPES

_UNKEYED_AT_ONCE_MAX: Final = 500


class SourceKeys:
    """Makes the keys of runs.

    Args:
        box: its key goes into the digests, since options may hold secrets that could be guessed.
    """

    def __init__(self, settings: Settings, box: SecretBox) -> None:
        self._settings = settings
        self._box = box

    def source_key(self, source_type: str, source_identifier: str) -> str:
        """The key of a source; one of an unknown type is its spelling. Looks at the disk."""
        known = SOURCE_TYPES.get(source_type)
        identity = known.identity(source_identifier, self._settings) if known else source_identifier
        return key_of(source_type, identity)

    def options_digest(self, options: Any) -> str:
        """Equal for equal options."""
        return self._box.digest(options if isinstance(options, Mapping) else {"": options} if options else {})

    async def give_keys(self, database: Database) -> None:
        """Give keys to the live runs that have none.

        Raises:
            DatabaseError
        """
        async with database.read() as connection:
            found = await unkeyed_runs(connection, _UNKEYED_AT_ONCE_MAX)
        if found:
            keys = await asyncio.to_thread(_keys, self.source_key, found)
            async with database.write() as connection:
                for run in found:
                    await set_keys(connection, run.id, keys[run.id], self.options_digest(run.options))


def _keys(source_key: Callable[[str, str], str], found: list[UnkeyedRun]) -> dict[int, str]:
    return {run.id: source_key(run.source_type, run.source_identifier) for run in found}
