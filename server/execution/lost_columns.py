"""Columns that the mapping found in the source the last time and does not find now: a doubt for a mirror.

A header that was renamed looks like a source that lacks something. The last time is the last completed run of the source
whose reading was in no doubt of its own, so the doubt stays until the column is back, the options no longer want it, or a
run that is no mirror has accepted the new header.
"""

from __future__ import annotations

from collections import Counter

from db.engine import Database
from db.records import Run
from db.repositories import runs
from server.core.errors import InvalidRequestError
from server.core.texts import listed
from server.execution.planning import plan_for
from server.pipeline.plan import MappingPlan
from server.sources.source_type import MappingRequest

_NAMES_MAX = 5


async def lost_columns(database: Database, run: Run, request: MappingRequest, plan: MappingPlan) -> tuple[str, ...]:
    """What to doubt: at most one sentence's end, which names the columns; none where the header gives all that it gave.

    Args:
        request: the options of this run, by which the earlier header is looked at too.
        plan: the mapping of this run.
    """
    async with database.read() as connection:
        earlier = await runs.last_header(connection, run.id)
    if earlier is None:
        return ()
    run_id, header = earlier
    # A name that stands twice fills nothing.
    names = tuple(name for name, times in Counter(header).items() if times == 1)
    try:
        before = plan_for(request, names, source_type=run.source_type, source_identifier=run.source_identifier)
    except InvalidRequestError:
        return ()
    lost = [source for target, source in before.source_columns.items() if target not in plan.source_columns]
    if not lost:
        return ()
    shown = listed(lost, names_max=_NAMES_MAX)
    text = (
        f"its header lacks {shown}, by which run {run_id} filled columns of the table (to accept the new header, sync "
        "once with options.mode upsert)"
    )
    return (text,)
