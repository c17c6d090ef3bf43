"""Makes rows that can be written out of a batch of source text: clean, cast, check, keep extras, key, hash.

Every record of the batch ends in exactly one of `rows` and `rejects`. A row depends on its own record and the plan
alone, so how records are cut into batches does not show. Nothing is kept between calls but what a plan compiles to.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from server.pipeline.clean import take_columns
from server.pipeline.currencies_met import currencies_met
from server.pipeline.extras import extras_series
from server.pipeline.keys import key_columns, needs_content
from server.pipeline.plan import MappingPlan, PreparedBatch
from server.pipeline.plan_expressions import CastStage, compile_casts, compile_rows
from server.pipeline.validate import rejects_of
from server.sources.contract import REJECT_RAW_CHARS_MAX, SourceBatch


def prepare(batch: SourceBatch, plan: MappingPlan) -> PreparedBatch:
    """Rows and rejects of a batch.

    Args:
        batch: text as the source read it.
        plan: from `mapping.plan_mapping`, for this source's columns.

    Returns:
        Rows in source order, see `PreparedBatch`, and the batch's own rejects joined with those of validation.
    """
    stage = compile_casts(plan, tuple(plan.source_columns), extras=True)
    cleaned = _cleaned(batch, plan, stage)
    rejects = batch.rejects
    if stage.faulty is not None:
        faulty = cleaned.select(stage.faulty).to_series()
        if faulty.any():
            added = rejects_of(cleaned, faulty, stage.checks, batch, plan)
            rejects = tuple(sorted([*rejects, *added], key=lambda reject: reject.line))
            cleaned = cleaned.filter(~faulty)
    canonical = cleaned.select(stage.values)
    if stage.extras and plan.target.extras_column is not None:
        canonical = canonical.with_columns(extras_series(cleaned, stage.extras).alias(plan.target.extras_column))
    rows = compile_rows(plan, with_content=needs_content(canonical, plan))
    written = canonical.with_columns(rows.digest).select(rows.rows)
    return PreparedBatch(written, rejects, raw_texts(batch), currencies_met(cleaned, plan))


def key_digests(batch: SourceBatch, plan: MappingPlan) -> pl.DataFrame:
    """The key digest of every row of the batch, from the key columns alone.

    Returns:
        key_high, key_low, record_no (UInt64), for all rows, also those that validation would refuse; for the others
        the digests that `prepare` gives.
    """
    canonical = _key_values(batch, plan, key_columns(plan))
    with_content = needs_content(canonical, plan)
    if with_content:
        canonical = _key_values(batch, plan, (*key_columns(plan), *plan.target.content_key))
    rows = compile_rows(plan, with_content=with_content)
    return canonical.with_columns(rows.digest).select(rows.keys)


def raw_texts(batch: SourceBatch) -> Callable[[int], str]:
    """The raw record of a row of the batch, by its record_no."""
    return lambda record_no: batch.raw_text(int(batch.record_nos.search_sorted(record_no)))[:REJECT_RAW_CHARS_MAX]


def _key_values(batch: SourceBatch, plan: MappingPlan, names: tuple[str, ...]) -> pl.DataFrame:
    mapped = tuple(name for name in plan.source_columns if name in names)
    stage = compile_casts(plan, mapped, extras=False)
    return _cleaned(batch, plan, stage).select(stage.values)


def _cleaned(batch: SourceBatch, plan: MappingPlan, stage: CastStage) -> pl.DataFrame:
    frame = take_columns(batch, plan, stage.mapped, extras=bool(stage.extras)).with_columns(stage.clean)
    for wave in stage.waves:
        frame = frame.with_columns(wave)
    return frame
