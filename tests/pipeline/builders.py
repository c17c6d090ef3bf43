"""Builders with defaults for batches, targets and plans, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from server.core.number_format import DECIMAL_COMMA, PLAIN, NumberFormat, NumberOptions
from server.pipeline.mapping import plan_mapping
from server.pipeline.plan import MappingPlan
from server.sources.contract import Reject, SourceBatch
from server.targets.base import Target, TargetColumn

SOURCE = {"source_type": "csv", "source_identifier": "/data/catalog.csv"}


def by_comma(decimal_comma: bool) -> NumberOptions:
    """What options.decimalComma says of the numbers of a csv source."""
    return NumberOptions(DECIMAL_COMMA if decimal_comma else PLAIN, decimal_comma=decimal_comma, has_format=True)


def by_format(decimal: str = ".", grouping: str = "", *currency: str) -> NumberOptions:
    """What options.numberFormat says of them."""
    return NumberOptions(NumberFormat(decimal, grouping, currency), has_format=True)


def make_batch(
    columns: Mapping[str, Sequence[str | None]],
    *,
    first_record_no: int = 1,
    rejects: tuple[Reject, ...] = (),
    with_bytes: bool = True,
) -> SourceBatch:
    """A batch of text columns; record n begins on line n + 1 and at byte 100 n."""
    frame = pl.DataFrame(dict(columns), schema=dict.fromkeys(columns, pl.String))
    record_nos = pl.Series(range(first_record_no, first_record_no + frame.height), dtype=pl.UInt64)
    return SourceBatch(
        batch_no=1,
        frame=frame,
        lines=record_nos + 1,
        record_nos=record_nos,
        byte_offsets=record_nos * 100 if with_bytes else pl.Series([], dtype=pl.UInt64),
        rejects=rejects,
        position={},
        raw_text=lambda row: "|".join(value or "" for value in frame.row(row)),
    )


def make_target(*columns: TargetColumn, **changes: Any) -> Target:
    """A table with these columns and a natural key of its first one."""
    settings: dict[str, Any] = {"name": "things", "columns": columns, "constants": (), "key": (columns[0].name,)}
    return Target(**(settings | changes))


def make_plan(target: Target, columns: Sequence[str], **changes: Any) -> MappingPlan:
    """A plan that maps by name."""
    constants = changes.pop("constants", {name: SOURCE[name] for name in target.constants})
    return plan_mapping(target, columns, changes.pop("requested", {}), constants, **changes)
