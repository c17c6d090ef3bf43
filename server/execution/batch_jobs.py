"""From a batch of source text to a job for the writer: mapped, validated, one row per key. Runs in a thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import polars as pl

from db.records import ErrorRow, Ledger
from server.core.reasons import Category
from server.core.reject_kinds import RejectKind
from server.core.tally import Kind
from server.execution.duplicate_keys import KeyRule
from server.execution.odd_values import odd_values
from server.pipeline.plan import MappingPlan, PreparedBatch
from server.pipeline.prepare import prepare
from server.sources.contract import Reject, SourceBatch
from server.writer import Origin, WriteJob


def make_job(batch: SourceBatch, plan: MappingPlan, keys: KeyRule, errors_max: int) -> WriteJob:
    """Prepare a batch. Batches must come in order, because of `keys`.

    Args:
        errors_max: error rows of one run that are stored at most; no more are made.
    """
    prepared = prepare(batch, plan)
    distinct = keys.distinct(prepared)
    errors = [_rejected(reject, batch.batch_no) for reject in prepared.rejects[:errors_max]]
    superseded = distinct.superseded.head(max(0, errors_max - len(errors)))
    errors += [
        _superseded(batch.batch_no, _origin(superseded, prepared, index), last_record_no)
        for index, last_record_no in enumerate(superseded["last_record_no"])
    ]
    return WriteJob(
        batch_no=batch.batch_no,
        rows=distinct.rows,
        rejects=errors,
        ledger=Ledger(
            read=prepared.rows.height + len(prepared.rejects),
            rejected=len(prepared.rejects),
            skipped=distinct.superseded.height,
        ),
        position=batch.position,
        bytes_done=batch.bytes_done,
        kinds=tuple(_kinds(prepared, distinct.superseded, plan)),
        origin=partial(_origin, distinct.rows.select("line", "record_no", "byte_offset"), prepared),
    )


def _kinds(prepared: PreparedBatch, superseded: pl.DataFrame, plan: MappingPlan) -> Iterator[Kind]:
    """What is wrong with rows of the batch, and which of its values are odd."""
    counts = Counter((reject.kind, reject.column or "") for reject in prepared.rejects)
    # Read backwards, so that the first line of each kind is what stays.
    lines = {(reject.kind, reject.column or ""): reject.line for reject in reversed(prepared.rejects)}
    for (code, column), count in counts.items():
        yield Kind(code, column, count, lines[code, column])
    if superseded.height:
        yield Kind(RejectKind.DUPLICATE_KEY, "", superseded.height, int(superseded["line"][0]))
    yield from odd_values(prepared, plan)


def _origin(rows: pl.DataFrame, prepared: PreparedBatch, index: int) -> Origin:
    """Where a prepared row stands in the source."""
    return Origin(rows["line"][index], rows["byte_offset"][index], prepared.raw_text(rows["record_no"][index]))


def _rejected(reject: Reject, batch_no: int) -> ErrorRow:
    return ErrorRow(
        error_type=reject.category,
        error_code=reject.kind,
        message=reject.message,
        retryable=False,
        line=reject.line,
        byte_offset=reject.byte_offset,
        column=reject.column,
        raw=reject.raw,
        batch_no=batch_no,
    )


def _superseded(batch_no: int, origin: Origin, last_record_no: int) -> ErrorRow:
    """A warning, not a row to be tried again."""
    return ErrorRow(
        error_type=Category.VALIDATION,
        error_code=RejectKind.DUPLICATE_KEY,
        message=f"a later row (record {last_record_no}) has the same key; the last one wins, this one is skipped",
        retryable=False,
        line=origin.line,
        byte_offset=origin.byte_offset,
        raw=origin.raw,
        batch_no=batch_no,
    )
