"""Which rows of a batch are written when keys are duplicated: one way for files, one for sources read only once.

mapped or natural key   the last row with a key wins; earlier ones are skipped, each with a warning row
content key             repeated rows are true duplicates; each is kept, told apart by its ordinal
row number              keys cannot repeat
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import polars as pl

from server.execution.key_survey import DuplicateKeys
from server.pipeline.keys import apply_ordinals
from server.pipeline.plan import MappingPlan, PreparedBatch


@dataclass(frozen=True, slots=True)
class Distinct:
    """A batch with one row per key.

    Args:
        rows: rows to write.
        superseded: those of them that a later row with the same key supersedes, with its `last_record_no` (UInt64).
    """

    rows: pl.DataFrame
    superseded: pl.DataFrame


class KeyRule(Protocol):
    """Makes the keys of batches distinct."""

    @property
    def is_exact(self) -> bool:
        """Whether every row of the whole source gets a key of its own, so that batches never touch the same target row."""
        ...

    def distinct(self, prepared: PreparedBatch) -> Distinct:
        """The rows to write. Batches come in order."""
        ...


class SurveyedKeys:
    """For a source whose duplicates are known beforehand."""

    is_exact = True

    def __init__(self, plan: MappingPlan, repeats: DuplicateKeys) -> None:
        self._plan = plan
        self._repeats = repeats

    def distinct(self, prepared: PreparedBatch) -> Distinct:
        """The rows to write: exact, in whichever batch a duplicate is."""
        rows = prepared.rows
        if rows.is_empty() or self._repeats.rows.is_empty():
            return _all(rows)
        found = self._repeats.between(int(rows["record_no"][0]), int(rows["record_no"][-1]))
        if found.is_empty():
            return _all(rows)
        joined = rows.join(
            found.select("record_no", "ordinal", "last_record_no"), on="record_no", how="left", maintain_order="left"
        )
        return _resolved(self._plan, joined.with_columns(pl.col("ordinal").fill_null(1)))


class StreamedKeys:
    """For a source that is read only once: duplicates are found as they come, so a later row overwrites an earlier one.

    Within a batch this is exact as above. Across batches the earlier row was written already and counted; the later one
    is written over it. After a resume the rows before it are not remembered: a repeat then counts as an update.
    """

    def __init__(self, plan: MappingPlan) -> None:
        self._plan = plan
        self._counts: dict[tuple[int, int], int] = {}

    @property
    def is_exact(self) -> bool:
        """Row numbers are unique; any other key may be duplicated."""
        return self._plan.identity == "row_number"

    def distinct(self, prepared: PreparedBatch) -> Distinct:
        """The rows to write."""
        rows = prepared.rows
        if rows.is_empty() or self._plan.identity == "row_number":
            return _all(rows)
        last = pl.col("record_no").max().over("key_high", "key_low")
        joined = rows.with_columns(self._ordinals(rows), last.alias("last_record_no"))
        return _resolved(self._plan, joined)

    def _ordinals(self, rows: pl.DataFrame) -> pl.Series:
        ordinals = []
        for pair in rows.select("key_high", "key_low").iter_rows():
            self._counts[pair] = self._counts.get(pair, 0) + 1
            ordinals.append(self._counts[pair])
        return pl.Series("ordinal", ordinals, dtype=pl.UInt32)


def _all(rows: pl.DataFrame) -> Distinct:
    return Distinct(rows, rows.clear().with_columns(pl.col("record_no").alias("last_record_no")))


def _resolved(plan: MappingPlan, joined: pl.DataFrame) -> Distinct:
    """Keep what is to be written of rows with their `ordinal` and the `last_record_no` of their key (or null)."""
    rows = joined.drop("ordinal", "last_record_no")
    superseded = joined["last_record_no"].is_not_null() & (joined["last_record_no"] != joined["record_no"])
    by_content = _identified_by_content(plan, joined, superseded | (joined["ordinal"] > 1))
    ordinals = pl.select(pl.when(by_content).then(joined["ordinal"]).otherwise(1)).to_series()
    if plan.identity in ("content", "mapped"):
        rows = apply_ordinals(rows, ordinals)
    superseded &= ~by_content
    return Distinct(rows.filter(~superseded), joined.filter(superseded))


def _identified_by_content(plan: MappingPlan, rows: pl.DataFrame, repeated: pl.Series) -> pl.Series:
    """Rows whose identity is the digest of their content: all, none, or where a mapped identity has no value."""
    if plan.identity != "mapped" or not repeated.any():
        return pl.Series([plan.identity == "content"] * rows.height, dtype=pl.Boolean)
    column = plan.target.identity_column or ""
    flags = [
        is_repeated and identity == f"{high:016x}{low:016x}"
        for is_repeated, identity, high, low in zip(
            repeated, rows[column], rows["key_high"], rows["key_low"], strict=True
        )
    ]
    return pl.Series(flags, dtype=pl.Boolean)
