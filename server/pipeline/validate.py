"""Finds the rows that the target would refuse, and says of each which value is wrong first.

A row has at most one reject: the first fault in the target's column order, then of values that are out of order among
themselves. Only rows that are refused are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import polars as pl

from server.core.reasons import Category
from server.core.reject_kinds import RejectKind
from server.pipeline.checks import Cast, Check
from server.pipeline.clean import LINE
from server.pipeline.plan import MappingPlan
from server.sources.contract import REJECT_RAW_CHARS_MAX, Reject, SourceBatch
from server.targets.base import Target


def required_check(column: str) -> Check:
    """Refuses a row without a value."""
    return Check(
        RejectKind.REQUIRED_MISSING, column, f"{column} has no value and is required", pl.col(column).is_null()
    )


def ordered_checks(target: Target, casts: Mapping[str, Cast]) -> tuple[Check, ...]:
    """Refuse rows whose values fall within one of the target's ordered groups; a missing value is in order.

    Raises:
        ValueError: columns of one group are no numbers of the same scale.
    """
    checks = []
    for group in target.ordered:
        for low, high in combinations([name for name in group if name in casts], 2):
            left, right = casts[low], casts[high]
            if left.number is None or right.number is None or left.scale != right.scale:
                raise ValueError(f"{low} and {high} of {target.name} cannot be compared")
            message = f"{low} is greater than {high}"
            checks.append(Check(RejectKind.OUT_OF_RANGE, low, message, left.number > right.number))
    return tuple(checks)


def any_fault(checks: Sequence[Check]) -> pl.Expr:
    """True for each row that some check refuses; never null."""
    return pl.any_horizontal([check.mask for check in checks]).fill_null(False)


def rejects_of(
    frame: pl.DataFrame, faulty: pl.Series, checks: Sequence[Check], batch: SourceBatch, plan: MappingPlan
) -> list[Reject]:
    """One reject for each faulty row.

    Args:
        frame: the working frame that the checks' masks read, all rows of the batch.
        faulty: true for the rows to look at.
        checks: in the order in which they count.
        batch: where the rows come from.
        plan: how their columns are called in the source.
    """
    first = pl.coalesce([pl.when(check.mask).then(pl.lit(index)) for index, check in enumerate(checks)])
    explained = {check.column for check in checks if check.explain is not None}
    refused = frame.filter(faulty).select(first.alias("check"), pl.col(LINE), *map(pl.col, explained))
    has_offsets = not batch.byte_offsets.is_empty()
    rejects: list[Reject] = []
    for row, index, line in zip(faulty.arg_true(), refused["check"], refused[LINE], strict=True):
        check = checks[index]
        message = check.message
        if check.explain is not None:
            message = check.explain(refused[check.column][len(rejects)])
        rejects.append(
            Reject(
                kind=check.kind,
                category=Category.VALIDATION,
                message=message,
                line=line,
                byte_offset=batch.byte_offsets[row] if has_offsets else None,
                column=plan.source_columns.get(check.column, check.column),
                raw=batch.raw_text(row)[:REJECT_RAW_CHARS_MAX],
            )
        )
    return rejects
