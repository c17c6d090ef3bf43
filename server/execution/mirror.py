"""The end of a run in mirror mode: rows that the source has no more are switched off, if the guards allow it.

A wrong file must not empty a shop. So nothing is switched off when

    the source had no row at all        the run fails, unless the request says mirrorAllowEmpty
    too many rows are gone              the run fails, above mirrorGoneRatioMax of the rows that were active
    some record was rejected            a notice says so: a row that could not be read is not a row that is gone
    the reading was in doubt            a notice says so: a value holds lines that would be records, more rows than the
                                        error budget's share were skipped for a key that repeats, keys look as if a
                                        spreadsheet had shortened them, rows look like totals or messages instead of
                                        records, what is gone looks like a row whose key was damaged (`damaged_keys.py`),
                                        the header lacks a column that filled one of the table the last time
                                        (`lost_columns.py`), a list moved while it was read, or the reader doubts its
                                        own choice: a declared encoding that the bytes contradict or a guessed one,
                                        comments behind the header, a file that ends within a record, a sheet among
                                        several (`SourceReader.doubts`)

The rows that the source has are written by then, and stay.

What came in pages is read a second time before any row is switched off. Where one item is deleted and another added while
the list is read, its total stays, and an item slips from a page that is still to come to one that came: no reading can see
that by itself, and a row is gone only when neither has met it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.loaders.mirror import Looks, count_gone, count_seen, deactivate_gone, forget_seen
from db.loaders.refusals import Refusal
from db.records import Batch, ErrorRow, Lease, Ledger, LoadSpec
from db.repositories import runs
from db.repositories.batches import get_batch, insert_batch, last_batch, read_totals
from db.repositories.errors import insert_errors
from db.repositories.leases import lock_run_shared
from server.core.errors import FatalError, LeaseLostError
from server.core.reasons import Category, Reason
from server.core.reject_kinds import RejectKind
from server.core.tally import NO_RECORD_CODE, SHORTENED_CODE, Tally
from server.execution.damaged_keys import damaged_keys_doubt
from server.sources.contract import POSITION_SAME_PAGE, POSITION_SECOND_LOOK
from server.sources.write_options import WriteOptions

_RULES_NAMED_MAX: Final = 3
# Rows that stay switched on, as errors of the run; the notice counts all.
_ERRORS_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class MirrorReading:
    """How a run has read its source.

    Args:
        restart_no: how many times it began again.
        came_in_parts: see `SourceReader`.
        doubts: what the source's reader doubts of its own reading, and which columns it lost.
    """

    run_id: int
    restart_no: int
    came_in_parts: bool
    doubts: Sequence[str]


async def finish_mirror(
    database: Database,
    lease: Lease,
    reading: MirrorReading,
    spec: LoadSpec,
    options: WriteOptions,
    skipped_ratio_max: float,
    key_texts: Sequence[str],
) -> bool:
    """Switch off what is gone, in one transaction, and note how many rows that were.

    Args:
        skipped_ratio_max: the share of rows that may be skipped for a key that repeats.
        key_texts: the columns whose texts make a row's key; none where texts do not.

    Returns:
        False when nothing was switched off yet, and the source is to be read a second time, as its run now records.

    Raises:
        FatalError: MIRROR_GUARD; nothing was switched off.
        LeaseLostError: another worker owns the run; nothing was switched off.
    """
    is_finished = True
    async with database.write() as connection:
        looks = await _looks(connection, reading)
        is_second_look = len(looks.restart_nos) > 1
        if is_second_look:
            await _settle_counts(connection, lease, reading)
        found = await count_gone(connection, spec, looks)
        if found.gone:
            read = await _what_was_read(connection, reading, looks)
            doubt = next(iter(reading.doubts), "") or await _doubt(connection, read, skipped_ratio_max)
            doubt = doubt or await damaged_keys_doubt(connection, spec, looks, read.tally, key_texts)
            if doubt:
                await _hold_back(connection, lease.run_id, found.gone, doubt)
            else:
                _guard(found.active, found.gone, read.ledger.read, options)
                if reading.came_in_parts and not is_second_look:
                    await _begin_second_look(connection, lease, reading, spec, found.gone)
                    is_finished = False
                else:
                    await _switch_off(connection, spec, looks)
        if not await lock_run_shared(connection, lease):
            raise LeaseLostError(lease.run_id)
    return is_finished


async def _hold_back(connection: AsyncConnection, run_id: int, gone: int, doubt: str) -> None:
    notice = (
        f"{gone} rows of the table were not seen in the source, and {doubt}; because one may be the other, nothing was "
        "switched off"
    )
    await runs.add_notices(connection, run_id, (notice,))
    # The same source with other options or a larger budget is to be read again, and not taken for done.
    await runs.forget_reading(connection, run_id)


def _second_look_notice(gone: int) -> str:
    rows = "1 row of the table was" if gone == 1 else f"{gone} rows of the table were"
    return (
        f"{rows} not seen in the source; its pages were read a second time, since an item may slip from one page to another "
        "while the list changes"
    )


async def _looks(connection: AsyncConnection, reading: MirrorReading) -> Looks:
    """The readings that a row must be missing from to be gone: this one, and the first look if this is the second.

    A reading that began again for any other reason stands alone: its source was another one before.
    """
    begun = await get_batch(connection, reading.run_id, reading.restart_no, 1)
    first = begun.position.get(POSITION_SECOND_LOOK) if begun is not None else None
    nos = (reading.restart_no,) if first is None else (int(first), reading.restart_no)
    return Looks(reading.run_id, nos)


async def _begin_second_look(
    connection: AsyncConnection, lease: Lease, reading: MirrorReading, spec: LoadSpec, gone: int
) -> None:
    """Have the source read again from its start, in the transaction that found rows gone.

    The second look meets what the first one wrote as unchanged. So its first batch, which has no records, carries what the
    first one did, and takes as many rows from those that are unchanged: the counts are right wherever the run ends.
    """
    done = await read_totals(connection, reading.run_id)
    inserted, updated = done.ledger.inserted, done.ledger.updated
    await runs.start_over(connection, lease.run_id, _second_look_notice(gone))
    begun = Batch(
        batch_no=1,
        ledger=Ledger(inserted=inserted, updated=updated, unchanged=-inserted - updated),
        position={POSITION_SECOND_LOOK: reading.restart_no},
        bytes_done=0,
        # Those of which the source won are no conflicts any more; the others are met again.
        conflicts=done.conflicts if spec.conflict_policy == "source_wins" else 0,
    )
    await insert_batch(connection, lease, reading.restart_no + 1, begun)


async def _settle_counts(connection: AsyncConnection, lease: Lease, reading: MirrorReading) -> None:
    """Where rows changed between the looks too, fewer are unchanged than the first look wrote: count these once."""
    ledger = (await read_totals(connection, reading.run_id)).ledger
    last = await last_batch(connection, reading.run_id, reading.restart_no)
    if last is None or ledger.unchanged >= 0:
        return
    excess = -ledger.unchanged
    updated = min(excess, ledger.updated)
    difference = Ledger(updated=-updated, inserted=updated - excess, unchanged=excess)
    await insert_batch(
        connection, lease, reading.restart_no, replace(last, batch_no=last.batch_no + 1, ledger=difference, conflicts=0)
    )


async def _switch_off(connection: AsyncConnection, spec: LoadSpec, looks: Looks) -> None:
    done = await deactivate_gone(connection, spec, looks)
    await runs.record_deactivated(connection, looks.run_id, done.count)
    if done.refused:
        refusals = list(done.refused.items())[:_ERRORS_MAX]
        rules = sorted({refusal.name for refusal in done.refused.values()})[:_RULES_NAMED_MAX]
        notice = (
            f"{len(done.refused)} rows that the source has no more are still switched on, because the table refused "
            f"to switch them off ({'; '.join(rules)})"
        )
        await runs.add_notices(connection, looks.run_id, (notice,))
        await insert_errors(connection, looks.run_id, looks.restart_nos[-1], [_still_on(each) for each in refusals])
        await runs.forget_reading(connection, looks.run_id)


@dataclass(frozen=True, slots=True)
class _Read:
    """What a reading has come to."""

    looks: Looks
    ledger: Ledger
    tally: Tally
    position: Mapping[str, Any]


async def _what_was_read(connection: AsyncConnection, reading: MirrorReading, looks: Looks) -> _Read:
    ledger = (await read_totals(connection, reading.run_id)).ledger
    batch = await last_batch(connection, reading.run_id, reading.restart_no)
    if batch is None:
        return _Read(looks, ledger, Tally(), {})
    return _Read(looks, ledger, Tally.from_json(batch.tally), batch.position)


async def _doubt(connection: AsyncConnection, read: _Read, skipped_ratio_max: float) -> str:
    """Why what was not seen may be there all the same; empty when nothing says so."""
    ledger, tally = read.ledger, read.tally
    if ledger.rejected:
        return f"{ledger.rejected} records of the source were rejected"
    skipped = tally.count(RejectKind.DUPLICATE_KEY)
    if skipped > skipped_ratio_max * ledger.read:
        return (
            f"{skipped} of {ledger.read} rows of the source were skipped because a later row has the same key, more than "
            f"TECHAURA_SYNC_ERROR_RATIO_MAX ({skipped_ratio_max:g}) allows"
        )
    if POSITION_SAME_PAGE in read.position:
        # Each record meets one row, so fewer rows than records are records that came more than once. The reader knows of
        # those that it remembers; this counts all, across whatever interrupted the run.
        seen = await count_seen(connection, read.looks)
        repeated = ledger.read - seen - int(read.position[POSITION_SAME_PAGE])
        if repeated > 0:
            items = "1 item" if repeated == 1 else f"{repeated} items"
            return f"{items} came on more than one page, so others may be missing"
    no_records = tally.count(NO_RECORD_CODE)
    if no_records:
        rows = "1 row of the source looks" if no_records == 1 else f"{no_records} rows of the source look"
        return f"{rows} like a total, a page number, a message or another header, so records may be missing"
    shortened = tally.count(SHORTENED_CODE)
    if shortened:
        return f"{shortened} keys of the source look like numbers that a spreadsheet has shortened, such as 7.70212E+12"
    return ""


async def forget_ended(database: Database) -> None:
    """Remove the rows noted as seen by ended mirrors. A run that has not ended may still need them."""
    more = True
    while more:
        async with database.write() as connection:
            more = await forget_seen(connection)


def _still_on(refused: tuple[int, Refusal]) -> ErrorRow:
    """A row of the table, not of the source, that could not be switched off."""
    target_id, refusal = refused
    return ErrorRow(
        error_type=Category.VALIDATION,
        error_code=refusal.kind,
        message=f"row {target_id} of the table is gone from the source and still switched on: {refusal.text}",
        retryable=False,
    )


def _guard(active: int, gone: int, read: int, options: WriteOptions) -> None:
    if read == 0:
        if not options.mirror_allow_empty:
            raise FatalError(
                Reason.MIRROR_GUARD,
                f"the source has no row, and a mirror of it would switch off all {gone} rows of the table; nothing was "
                "switched off. If that is what you want, sync with options.mirrorAllowEmpty true",
                category=Category.VALIDATION,
            )
    elif gone > options.mirror_gone_ratio_max * active:
        raise FatalError(
            Reason.MIRROR_GUARD,
            f"{gone} of {active} active rows are gone from the source, more than options.mirrorGoneRatioMax "
            f"({options.mirror_gone_ratio_max:g}) allows; nothing was switched off, the rows that the source has are written. "
            "Look at the source, or sync again with a higher options.mirrorGoneRatioMax",
            category=Category.VALIDATION,
        )
