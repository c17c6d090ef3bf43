"""The memory of sources (sources.base.SourceMemory) in the database: keys are digests, texts are sealed."""

from __future__ import annotations

from typing import Final

from db.engine import Database
from db.repositories import source_memory
from server.core.secret_box import SecretBox, SecretPlaces

_PLACES: Final = SecretPlaces(values=("text",))
# Most endpoints have expired a refresh token that was unused for so long.
_AGE_MINUTES_MAX: Final = 400 * 24 * 60


class SealedMemory:
    """Keeps texts for all replicas.

    Args:
        box: seals the texts; its key also makes the digests, since keys hold secrets.
    """

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def get(self, key: str) -> str | None:
        """The text that was kept under a key, or None.

        Raises:
            DatabaseError
            FatalError: SECRET_UNAVAILABLE, it was sealed with another key.
        """
        async with self._database.read() as connection:
            sealed = await source_memory.get(connection, self._digest(key))
        return None if sealed is None else self._box.open_text(sealed)

    async def put(self, key: str, text: str) -> None:
        """Keep a text in place of what was kept under the key. It is stored when this returns.

        Raises:
            DatabaseError
        """
        sealed = self._box.seal({"text": text}, _PLACES)["text"]["encrypted"]
        async with self._database.write() as connection:
            await source_memory.put(connection, self._digest(key), sealed)
            await source_memory.forget_before(connection, _AGE_MINUTES_MAX)

    def _digest(self, key: str) -> str:
        return self._box.digest({"memory": key})
