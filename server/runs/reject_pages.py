"""The rejects of a run, all that are stored, a page at a time: no transaction is open while a page is taken.

What was committed when the first page was read is what there is: batches that a live run commits later are left out, so
that the count of what is not stored fits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.records import CountedReading, ErrorFilter, ErrorRow
from db.repositories.batches import counted_reading
from db.repositories.errors import count_rejects, list_rejects
from server.core.reject_kinds import RejectKind
from server.core.tally import Tally

# Each may have a raw text of 64 Ki characters.
_PAGE_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class RejectPage:
    """Some rejects; the first page has none, and says how many rejects of the run, whatever their reason, are not stored."""

    rejects: Sequence[ErrorRow] = ()
    not_stored: int = 0


async def reject_pages(database: Database, run_id: int, chosen: ErrorFilter) -> AsyncGenerator[RejectPage]:
    """The first page, then those with rejects, in the order of the source.

    Raises:
        DatabaseError
    """
    async with database.read() as connection:
        reading = await counted_reading(connection, run_id)
        not_stored = await _not_stored(connection, run_id, reading) if reading is not None else 0
    yield RejectPage(not_stored=not_stored)
    rejects: Sequence[ErrorRow] = ()
    while reading is not None:
        after_id = rejects[-1].id if rejects else 0
        async with database.read() as connection:
            rejects = await list_rejects(connection, run_id, reading, chosen, after_id=after_id, limit=_PAGE_ROWS)
        if rejects:
            yield RejectPage(rejects)
        if len(rejects) < _PAGE_ROWS:
            return


async def _not_stored(connection: AsyncConnection, run_id: int, reading: CountedReading) -> int:
    # A row that is kept as it was edited is listed only where the request asks for it, so it is none that lacks.
    code = RejectKind.CONFLICT
    counted = sum(kind.count for kind in Tally.from_json(reading.tally).groups() if kind.code != code)
    return max(0, counted - await count_rejects(connection, run_id, reading, without_code=code))
