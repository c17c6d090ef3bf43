"""Who may be holding a lock that a statement timed out on, as far as this user may see."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from db.engine import Database
from db.errors import DatabaseError, TransientDatabaseError

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


async def with_lock_holder(database: Database, error: TransientDatabaseError) -> TransientDatabaseError:
    """The fault, after a wait for a lock with a clause on the transaction that is open for longest, where one may look."""
    if error.code != LOCK_WAIT_CODE or database.is_sqlite:
        return error
    try:
        async with database.read(timeout_seconds=_LOOK_SECONDS_MAX) as connection:
            found = (await connection.execute(_LONGEST)).one_or_none()
    except DatabaseError:
        return error
    if found is None:
        return error
    who = f"connection {found.id} ({found.user}@{found.host}, {found.seconds} s)"
    return error.of(f"{error.message}; open for longest is the transaction of {who}")
