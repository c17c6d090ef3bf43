"""sync_sources: the lock of a source, under which its runs are triggered and claimed.

Taking the lock changes the row, so that it also decides on a cluster, where row locks are per node and the later of two
changes is refused at its COMMIT.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, delete, func, select, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from db.dialect import as_text, minutes_before_now, now
from db.records import RunStatus
from db.schema import content_index, sync_runs, sync_sources

_R = sync_runs.c
_S = sync_sources.c
LIVE = (RunStatus.PENDING, RunStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class UnkeyedRun:
    """A live run that another program stored, which has no source key yet."""

    id: int
    source_type: str
    source_identifier: str
    options: Any


def source_key_of(source_type: str, identity: str) -> str:
    """The key of a source.

    Args:
        identity: what the source is, however it was spelled.
    """
    return hashlib.sha256(f"{source_type}\n{identity}".encode("utf-8", "surrogatepass")).hexdigest()


async def lock_source(connection: AsyncConnection, source_key: str) -> None:
    """Hold the source until the transaction ends."""
    values = {"source_key": source_key, "locked_count": 1, "locked_at": now()}
    again = {"locked_count": _S.locked_count + 1, "locked_at": now()}
    if connection.dialect.name == "sqlite":
        await connection.execute(
            sqlite.insert(sync_sources).values(values).on_conflict_do_update(index_elements=["source_key"], set_=again)
        )
    else:
        await connection.execute(mysql.insert(sync_sources).values(values).on_duplicate_key_update(again))


async def live_runs(connection: AsyncConnection, source_key: str, options_digest: str) -> list[tuple[int, str]]:
    """Id and status of the source's runs with those options that have not ended and are not about to, oldest first."""
    rows = await connection.execute(
        select(_R.id, _R.status)
        .where(
            _R.source_key == source_key,
            _R.options_digest == options_digest,
            _R.status.in_(LIVE),
            _R.cancel_requested.is_(False),
        )
        .order_by(_R.id)
    )
    return [(int(row.id), str(row.status)) for row in rows]


async def count_waiting(
    connection: AsyncConnection, source_types: Collection[str], count_max: int, source_key: str = ""
) -> int:
    """Pending runs that will be executed here, counted up to a number; of one source, or of all.

    Args:
        source_types: those that are executed here: rows of others belong to other workers.
        count_max: where counting ends: there may be very many.
    """
    waiting = select(_R.id).where(
        _R.status == RunStatus.PENDING,
        _R.cancel_requested.is_(False),
        _R.paused.is_(False),
        _R.source_type.in_(source_types),
    )
    if source_key:
        waiting = waiting.where(_R.source_key == source_key)
    query = select(func.count()).select_from(waiting.limit(count_max).subquery())
    return int((await connection.execute(query)).scalar_one())


async def row_identifier(connection: AsyncConnection, run_id: int) -> tuple[str, bool]:
    """The spelling of the run's source under which its rows are stored in content_index, else the run's own.

    One file has many spellings (a.csv, ./a.csv, its absolute path); its rows must not be stored once for each. The one
    that the last run wrote under is remembered; only where none is are all that runs of the source ever had looked at.
    They are looked for as values: columns of two tables may have two collations, which the database does not compare.

    Returns:
        The spelling, and whether it is the remembered one; if not, `remember_row_identifier` is to be called.
    """
    own = (
        await connection.execute(
            select(_R.source_key, _R.source_type, _R.source_identifier, _S.row_identifier)
            .select_from(sync_runs.outerjoin(sync_sources, _S.source_key == _R.source_key))
            .where(_R.id == run_id)
        )
    ).one()
    is_own = as_text(own.source_type), as_text(own.source_identifier)
    if own.row_identifier is None:
        spellings = await _spellings(connection, own.source_key)
    else:
        spellings = [(is_own[0], as_text(own.row_identifier))]
    for source_type, source_identifier in dict.fromkeys([*spellings, is_own]):
        stored = select(content_index.c.id).where(
            content_index.c.source_type == source_type, content_index.c.source_identifier == source_identifier
        )
        if (await connection.execute(stored.limit(1))).one_or_none() is not None:
            return source_identifier, source_identifier == own.row_identifier
    return is_own[1], is_own[1] == own.row_identifier


async def _spellings(connection: AsyncConnection, source_key: str | None) -> list[tuple[str, str]]:
    """Type and identifier of each run of a source, oldest first."""
    rows = await connection.execute(
        select(_R.source_type, _R.source_identifier).where(_R.source_key == source_key).order_by(_R.id)
    )
    return [(as_text(row.source_type), as_text(row.source_identifier)) for row in rows]


async def remember_row_identifier(connection: AsyncConnection, run_id: int, identifier: str) -> None:
    """Let later runs of the source write under this spelling too."""
    key = select(_R.source_key).where(_R.id == run_id).scalar_subquery()
    await connection.execute(update(sync_sources).where(_S.source_key == key).values(row_identifier=identifier))


async def is_busy(connection: AsyncConnection, source_key: str) -> bool:
    """Whether any run of the source is pending or in progress."""
    found = await connection.execute(select(_R.id).where(_R.source_key == source_key, _R.status.in_(LIVE)).limit(1))
    return found.one_or_none() is not None


async def last_live_before(connection: AsyncConnection, source_key: str, run_id: int) -> int | None:
    """The newest live run of the source that is older than this one, or None."""
    older = select(func.max(_R.id)).where(_R.source_key == source_key, _R.status.in_(LIVE), _R.id < run_id)
    found = (await connection.execute(older)).scalar_one()
    return None if found is None else int(found)


async def unkeyed_runs(connection: AsyncConnection, source_types: Collection[str], limit: int) -> list[UnkeyedRun]:
    """Live runs without a key, rows of other programs: those of these types first, oldest first."""
    is_known = case((_R.source_type.in_(source_types), 0), else_=1)
    rows = await connection.execute(
        select(_R.id, _R.source_type, _R.source_identifier, _R.sync_metadata)
        .where(_R.status.in_(LIVE), _R.source_key.is_(None))
        .order_by(is_known, _R.id)
        .limit(limit)
    )
    return [
        UnkeyedRun(row.id, as_text(row.source_type), as_text(row.source_identifier), row.sync_metadata) for row in rows
    ]


async def set_keys(connection: AsyncConnection, run_id: int, source_key: str, options_digest: str) -> None:
    """Give a run the keys that it lacks."""
    await connection.execute(
        update(sync_runs)
        .where(_R.id == run_id, _R.source_key.is_(None))
        # Named, because the bot's own column may change itself on every update, and the grace time counts from it.
        .values(source_key=source_key, options_digest=options_digest, updated_at=_R.updated_at)
    )


async def forget_sources(connection: AsyncConnection, *, age_minutes: int, limit: int) -> int:
    """Remove locks of sources that have neither runs nor use; return how many. One that is needed again is made anew."""
    used = select(_R.id).where(_R.source_key == _S.source_key).exists()
    rows = await connection.execute(
        select(_S.source_key).where(_S.locked_at < minutes_before_now(age_minutes), ~used).limit(limit)
    )
    keys: Sequence[str] = [str(key) for (key,) in rows]
    if keys:
        await connection.execute(
            delete(sync_sources).where(and_(_S.source_key.in_(keys), _S.locked_at < minutes_before_now(age_minutes)))
        )
    return len(keys)
