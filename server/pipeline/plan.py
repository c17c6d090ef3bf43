"""Shapes that go into and come out of the pipeline.

The pipeline is pure: the same batch and the same plan give the same rows, rejects and digests, on every machine and in
every version, and independently of how records are cut into batches. Nothing here is touched by a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from server.core.number_format import NO_NUMBER_OPTIONS, NumberOptions
from server.sources.contract import Reject
from server.targets.base import Target

if TYPE_CHECKING:
    import polars as pl

# How a row's identity column is filled:
#   mapped      from a source column; a row without a value there is identified by its content
#   content     from a digest of the content key, with an ordinal for true duplicates
#   row_number  row_<n>, for a source whose rows already stand in the table that way
#   natural     the key consists of mapped columns only
IdentityRule = Literal["mapped", "content", "row_number", "natural"]


@dataclass(frozen=True, slots=True)
class MappingPlan:
    """How source columns become target columns; made once per run by `mapping.plan_mapping`.

    Args:
        target: the table.
        source_columns: target column -> source column.
        extra_columns: source columns kept as JSON in the target's extras column; empty when that one is mapped.
        constants: target column -> canonical text, for every row whose source column is unmapped or has no value.
        identity: how the identity column is filled.
        row_number_base: with row_number: the number of the first record, 0 or 1.
        numbers: how numbers are written, and by which options.
        null_tokens: values that mean "no value", beside the empty one; compared after stripping, exact case.
        strip_text: whether text loses its surrounding white space; False keeps text and extras as they stand.
        checked_json: target columns whose texts the source made of parsed JSON, strictly by RFC 8259; of these only
            the limits of the databases are left to check.
        notices: what a person should know of the mapping.
    """

    target: Target
    source_columns: Mapping[str, str]
    extra_columns: tuple[str, ...]
    constants: Mapping[str, str]
    identity: IdentityRule
    row_number_base: int = 1
    numbers: NumberOptions = NO_NUMBER_OPTIONS
    null_tokens: frozenset[str] = field(default_factory=frozenset)
    strip_text: bool = True
    checked_json: frozenset[str] = frozenset()
    notices: tuple[str, ...] = field(default=(), compare=False)

    def __hash__(self) -> int:
        """A hash that agrees with equality, so that what is compiled from a plan can be kept per plan."""
        mapped = frozenset(self.source_columns.items())
        return hash((self.target.name, mapped, self.extra_columns, frozenset(self.constants.items()), self.identity))


@dataclass(frozen=True, slots=True)
class CurrencyMet:
    """A currency beside amounts of a batch.

    Args:
        column: the source column.
        currency: as it is written.
        count: rows.
        first_line: the line of the first of them.
    """

    column: str
    currency: str
    count: int
    first_line: int


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """Rows ready to be written.

    Args:
        rows: String columns in canonical text (booleans 0/1, decimals with all their digits, JSON valid), or null:
            the target's constants and columns, in that order, without the columns that are neither mapped, nor in
            `constants`, nor the identity or the extras column in use;
            then `row_hash` (Int64, stable across versions, over the filled columns), `column_marks` (see hashing.marks_expr), `key_high` and `key_low` (UInt64,
            the 128-bit digest of the key, before ordinals), `line`, `record_no` and `byte_offset` (UInt64; the last
            is null for a source without bytes).
        rejects: the batch's own rejects and those that validation added, in source order.
        raw_text: the record behind a row as it stands in the source, by its record_no, cut as in a reject; for rows
            that are refused only later, by the table.
        currencies: those beside the amounts of the rows, where several are declared.
    """

    rows: pl.DataFrame
    rejects: tuple[Reject, ...]
    raw_text: Callable[[int], str]
    currencies: tuple[CurrencyMet, ...] = ()
