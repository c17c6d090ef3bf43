"""Who may be holding a lock that a statement waited for in vain, as far as the server tells this user."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from db.engine import Database
from db.errors import DatabaseError

# «Lock wait timeout exceeded».
LOCK_WAIT_CODE: Final = 1205
# Only a user with PROCESS may look; to any other the holder stays unknown.
_LONGEST: Final = text(
    "SELECT t.trx_mysql_thread_id AS id, p.user AS user, p.host AS host, "
    "TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS seconds "
    "FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
    "WHERE t.trx_mysql_thread_id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 1"
)
_LOOK_SECONDS_MAX: Final = 5.0


async def lock_holder(database: Database, error: DatabaseError) -> str:
    """A clause on the transaction that is open for longest, beginning with «; », after a wait for a lock; else empty."""
    if error.code != LOCK_WAIT_CODE or database.is_sqlite:
        return ""
    try:
        async with database.read(timeout_seconds=_LOOK_SECONDS_MAX) as connection:
            found = (await connection.execute(_LONGEST)).one_or_none()
    except DatabaseError:
        return ""
    if found is None:
        return ""
    return (
        f"; open for longest is the transaction of connection {found.id} ({found.user}@{found.host}, {found.seconds} s)"
    )
