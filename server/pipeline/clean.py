"""Takes the columns that a plan uses out of a source batch, and decides which of their values are no value.

Text loses the white space around it: every character with the Unicode property White_Space, so no-break and
ideographic spaces too, but neither the zero-width space nor U+001C to U+001F, which are content. What is empty then,
or a null token, is no value. With `strip_text` off, text and extras keep their white space and only the empty text is
none; the other kinds are stripped all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

from server.pipeline.plan import MappingPlan
from server.sources.contract import SourceBatch

# Working names have a colon, which no target column has.
LINE: Final = "at:line"
RECORD_NO: Final = "at:record_no"
BYTE_OFFSET: Final = "at:byte_offset"


def extra_name(index: int) -> str:
    """The working name of an extra column."""
    return f"extra:{index}"


def take_columns(batch: SourceBatch, plan: MappingPlan, targets: Iterable[str], *, extras: bool) -> pl.DataFrame:
    """The source columns of these target columns under the target's names, the extra columns, and where rows stand.

    Source columns are taken by their literal name: an expression would read a header such as `*` or `^a$` as a pattern.
    """
    taken = [batch.frame.get_column(plan.source_columns[name]).alias(name) for name in targets]
    if extras:
        names = enumerate(plan.extra_columns)
        taken += [batch.frame.get_column(source).alias(extra_name(index)) for index, source in names]
    offsets = batch.byte_offsets
    if offsets.is_empty():
        offsets = pl.repeat(None, batch.frame.height, dtype=pl.UInt64, eager=True)
    places = [batch.lines.alias(LINE), batch.record_nos.alias(RECORD_NO), offsets.alias(BYTE_OFFSET)]
    return pl.DataFrame([*taken, *places])


def value_expr(plan: MappingPlan, name: str) -> pl.Expr:
    """What stands for a target column over the canonical columns: the column, else the plan's constant, else null."""
    in_use = name in plan.source_columns or (name == plan.target.extras_column and plan.extra_columns)
    return pl.col(name) if in_use else pl.lit(plan.constants.get(name), dtype=pl.String)


def clean_expr(name: str, plan: MappingPlan, *, is_text: bool) -> pl.Expr:
    """The value of a taken column, or null where there is none."""
    raw = pl.col(name)
    stripped = raw.str.strip_chars()
    if plan.strip_text or not is_text:
        return stripped.replace(sorted({"", *plan.null_tokens}), None)
    has_value = raw != ""
    if plan.null_tokens:
        has_value &= ~stripped.is_in(sorted(plan.null_tokens))
    return pl.when(has_value).then(raw)
