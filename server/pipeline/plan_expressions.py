"""A plan as Polars expressions, made once per plan and kept: a small batch would spend its time on building them.

The expressions work on three frames in turn: raw (source text under target names), cleaned (with the intermediate
columns of casts) and canonical (one column per mapped target column, and the extras).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Final

import polars as pl

from server.pipeline.casts import cast_column
from server.pipeline.checks import Cast, Check
from server.pipeline.clean import BYTE_OFFSET, LINE, RECORD_NO, clean_expr, extra_name, value_expr
from server.pipeline.extras import Named
from server.pipeline.hashing import digest_halves, marks_expr, row_hash_expr
from server.pipeline.keys import DIGEST, identity_expr, key_digest_expr
from server.pipeline.plan import MappingPlan
from server.pipeline.validate import any_fault, ordered_checks, required_check

_PLANS_KEPT_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class CastStage:
    """Raw columns to canonical columns.

    Args:
        mapped: target columns that are taken from the source.
        extras: the extra columns that are taken.
        clean: raw -> cleaned.
        waves: intermediate columns of the casts, each wave in terms of those before it.
        checks: over the cleaned frame, in the order in which they count.
        faulty: true for each row that a check refuses; None without checks.
        values: cleaned -> canonical, without the extras column, with `LINE`, `RECORD_NO` and `BYTE_OFFSET`.
    """

    mapped: tuple[str, ...]
    extras: tuple[Named, ...]
    clean: tuple[pl.Expr, ...]
    waves: tuple[tuple[pl.Expr, ...], ...]
    checks: tuple[Check, ...]
    faulty: pl.Expr | None
    values: tuple[pl.Expr, ...]


@dataclass(frozen=True, slots=True)
class RowStage:
    """Canonical columns to rows.

    Args:
        digest: canonical -> the column `DIGEST`.
        rows: canonical with `DIGEST` -> the columns of `PreparedBatch.rows`.
        keys: canonical with `DIGEST` -> key_high, key_low, record_no.
    """

    digest: pl.Expr
    rows: tuple[pl.Expr, ...]
    keys: tuple[pl.Expr, ...]


@lru_cache(maxsize=_PLANS_KEPT_MAX)
def compile_casts(plan: MappingPlan, mapped: tuple[str, ...], *, extras: bool) -> CastStage:
    """The expressions that take, clean, cast and check the given target columns.

    Raises:
        ValueError: the target describes a column that cannot be cast, or compares columns that cannot be.
    """
    target = plan.target
    columns = [target.by_name[name] for name in mapped]
    casts: dict[str, Cast] = {}
    checks: list[Check] = []
    values: list[pl.Expr] = []
    for column in columns:
        cast = casts[column.name] = cast_column(
            column, numbers=plan.numbers, is_checked=column.name in plan.checked_json
        )
        fallback = plan.constants.get(column.name, column.default)
        identifies = column.name == target.identity_column and not target.content_key
        if fallback is None and (column.required or identifies):
            checks.append(required_check(column.name))
        checks += cast.checks
        value = cast.value if fallback is None else cast.value.fill_null(pl.lit(fallback))
        values.append(value.alias(column.name))
    checks += ordered_checks(target, casts)
    named = tuple((extra_name(index), name) for index, name in enumerate(plan.extra_columns)) if extras else ()
    clean = [clean_expr(column.name, plan, is_text=column.kind == "text") for column in columns]
    clean += [clean_expr(working_name, plan, is_text=True) for working_name, _ in named]
    waves = zip_longest(*(cast.steps for cast in casts.values()))
    return CastStage(
        mapped=mapped,
        extras=named,
        clean=tuple(clean),
        waves=tuple(tuple(step for step in wave if step is not None) for wave in waves),
        checks=tuple(checks),
        faulty=any_fault(checks) if checks else None,
        values=(*values, pl.col(LINE), pl.col(RECORD_NO), pl.col(BYTE_OFFSET)),
    )


@lru_cache(maxsize=_PLANS_KEPT_MAX)
def compile_rows(plan: MappingPlan, *, with_content: bool) -> RowStage:
    """The expressions that key, hash and arrange rows; `with_content` as `keys.needs_content` says."""
    target = plan.target
    filled = {*plan.source_columns, *plan.constants} | ({target.extras_column} if plan.extra_columns else set())
    written = {column.name: value_expr(plan, column.name) for column in target.columns if column.name in filled}
    shown = [value_expr(plan, name).alias(name) for name in target.constants if name in plan.constants]
    for column in target.columns:
        if column.name == target.identity_column:
            shown.append(identity_expr(plan, with_content=with_content).alias(column.name))
        elif column.name in written:
            shown.append(written[column.name].alias(column.name))
    halves = digest_halves(pl.col(DIGEST))
    record_no = pl.col(RECORD_NO).alias("record_no")
    # A generated identity stays out of the row hash: an ordinal added to it later must not change the hash.
    row_hash = row_hash_expr(written).alias("row_hash")
    marks = marks_expr(target.marked_columns, written).alias("column_marks")
    return RowStage(
        digest=key_digest_expr(plan, with_content=with_content).alias(DIGEST),
        rows=(
            *shown,
            row_hash,
            marks,
            *halves,
            pl.col(LINE).alias("line"),
            record_no,
            pl.col(BYTE_OFFSET).alias("byte_offset"),
        ),
        keys=(*halves, record_no),
    )
