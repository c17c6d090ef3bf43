"""A SAVEPOINT within a transaction, behind which a part of the work is undone alone.

A server that ends a transaction (it chose it to break a deadlock, say) forgets its savepoints, and need not say so in words:
MariaDB reports a deadlock over AUTO_INCREMENT as 1467, as if there were no number left. So the next statement about the
savepoint is where the end comes to light, and nothing after it may be taken for a part of the transaction.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.error_numbers import MEANINGS
from db.errors import TransientDatabaseError

_NO_SUCH_SAVEPOINT: Final = 1305
_DEADLOCK: Final = 1213


class Savepoint:
    """One savepoint; each method raises TransientDatabaseError where the server has ended the transaction meanwhile.

    Args:
        name: an identifier, not taken from outside.
    """

    def __init__(self, connection: AsyncConnection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def begin(self) -> None:
        """What is written from here on can be undone."""
        await self._say("SAVEPOINT")

    async def release(self) -> None:
        """Keep what was written since `begin`."""
        await self._say("RELEASE SAVEPOINT")

    async def undo(self) -> None:
        """Undo what was written since `begin`; the savepoint stays."""
        await self._say("ROLLBACK TO SAVEPOINT")

    async def _say(self, statement: str) -> None:
        try:
            await self._connection.exec_driver_sql(f"{statement} {self._name}")
        except DBAPIError as error:
            arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
            if arguments[:1] != (_NO_SUCH_SAVEPOINT,):
                raise
            meaning = MEANINGS[_DEADLOCK]
            text = f"{meaning.text.format(on='')} (error {_NO_SUCH_SAVEPOINT})"
            raise TransientDatabaseError(text, _NO_SUCH_SAVEPOINT, meaning.reason, statement=statement) from None
