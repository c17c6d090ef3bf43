"""Finds the key of each row: the digest by which duplicates are found, and the identity column's text.

| identity | key digest over | identity column |
|---|---|---|
| natural | the target's key columns | none |
| mapped | the identity column | as mapped; the content digest where the row has no value |
| content | the content key | the content digest, 32 hexadecimal digits |
| row_number | the identity column | `row_<n>` |

Columns that the run fills with the same text for every row (the target's constants) are left out of the digest.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from server.pipeline.clean import RECORD_NO, value_expr
from server.pipeline.hashing import digest_expr, digest_text
from server.pipeline.plan import MappingPlan

# The working column that holds the 16 bytes of the key digest.
DIGEST: Final = "key:digest"

# As spreadsheets show numbers of twelve digits and more, with either decimal mark: 7.70212E+12, 1E+15, 7,7E+012.
_SHORTENED: Final = r"^[+-]?[0-9](?:[.,][0-9]+)?[eE]\+0?[1-9][0-9]$"


def key_columns(plan: MappingPlan) -> tuple[str, ...]:
    """The target columns that the digest of every row needs, in order."""
    target = plan.target
    match plan.identity:
        case "natural":
            return tuple(name for name in target.key if name not in target.constants)
        case "content":
            return target.content_key
        case "mapped":
            return (identity_column(plan),)
        case "row_number":
            return ()


def text_keys(plan: MappingPlan) -> tuple[str, ...]:
    """The text columns of the source by which rows are known again; none where their content is what identifies them."""
    if plan.identity not in ("mapped", "natural"):
        return ()
    return tuple(name for name in identifying_texts(plan) if name in plan.source_columns)


def identifying_texts(plan: MappingPlan) -> tuple[str, ...]:
    """The text columns of the target in which damage makes another row: those of the key; none where rows are numbered."""
    return tuple(name for name in key_columns(plan) if plan.target.by_name[name].kind == "text")


def looks_shortened(name: str) -> pl.Expr:
    """True for a key that looks like a number which a spreadsheet has shortened, such as 7.70212E+12."""
    key = pl.col(name)
    # Nearly no key has a plus, and looking for one is fast.
    return key.str.contains("+", literal=True).and_(key.str.contains(_SHORTENED)).fill_null(False)


def identity_column(plan: MappingPlan) -> str:
    """The target's identity column.

    Raises:
        ValueError: the key is natural.
    """
    if plan.target.identity_column is None:
        raise ValueError(f"{plan.target.name} has no identity column")
    return plan.target.identity_column


def needs_content(frame: pl.DataFrame, plan: MappingPlan) -> bool:
    """Whether some row of the canonical columns has no mapped identity, so that its content must identify it."""
    if plan.identity != "mapped" or not plan.target.content_key:
        return False
    return frame.get_column(identity_column(plan)).null_count() > 0


def key_digest_expr(plan: MappingPlan, *, with_content: bool) -> pl.Expr:
    """The key digest of each row over the canonical columns; `with_content` as `needs_content` says."""
    if plan.identity == "row_number":
        return digest_expr([_row_number_expr(plan)])
    digest = digest_expr([value_expr(plan, name) for name in key_columns(plan)])
    if plan.identity == "mapped" and with_content:
        content = digest_expr([value_expr(plan, name) for name in plan.target.content_key])
        return pl.when(value_expr(plan, identity_column(plan)).is_null()).then(content).otherwise(digest)
    return digest


def identity_expr(plan: MappingPlan, *, with_content: bool) -> pl.Expr:
    """The identity column's text over the canonical columns and `DIGEST`.

    Raises:
        ValueError: the key is natural.
    """
    match plan.identity:
        case "content":
            return digest_text(pl.col(DIGEST))
        case "row_number":
            return _row_number_expr(plan)
        case "mapped" | "natural":
            mapped = value_expr(plan, identity_column(plan))
            return pl.coalesce(mapped, digest_text(pl.col(DIGEST))) if with_content else mapped


def apply_ordinals(rows: pl.DataFrame, ordinals: pl.Series, *, column: str = "external_id") -> pl.DataFrame:
    """Tell true duplicates apart: the second row of one content gets the identity `<id>-2`, and so on.

    Args:
        rows: `PreparedBatch.rows`.
        ordinals: per row, from 1, its number among the rows with the same key digest; 1 leaves the row as it is.
        column: the identity column.

    Returns:
        The rows with another identity column; row hash and key digest stay.
    """
    if ordinals.is_empty() or ordinals.max() == 1:
        return rows
    ordinal = pl.lit(ordinals)
    text = pl.concat_str([pl.col(column), pl.lit("-"), ordinal.cast(pl.String)])
    return rows.with_columns(pl.when(ordinal > 1).then(text).otherwise(pl.col(column)).alias(column))


def _row_number_expr(plan: MappingPlan) -> pl.Expr:
    number = pl.col(RECORD_NO).cast(pl.Int64) + (plan.row_number_base - 1)
    return pl.concat_str([pl.lit("row_"), number.cast(pl.String)])
