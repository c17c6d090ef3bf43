"""Which of several declared currencies stand beside the amounts of a batch: the table has no column that keeps them."""

from __future__ import annotations

from typing import Final

import polars as pl

from server.pipeline.clean import LINE
from server.pipeline.number_forms import currency_patterns
from server.pipeline.plan import CurrencyMet, MappingPlan

_TEXT: Final = "currency"


def currencies_met(cleaned: pl.DataFrame, plan: MappingPlan) -> tuple[CurrencyMet, ...]:
    """Each currency of each column, with the rows that it stands in; nothing where fewer than two are declared.

    Args:
        cleaned: texts of the rows that are loaded, in the order of the source.
    """
    if len(plan.numbers.format.currency) < 2:
        return ()
    found: list[CurrencyMet] = []
    for column in plan.target.columns:
        if column.kind != "decimal" or column.name not in plan.source_columns:
            continue
        texts = cleaned[column.name]
        sides = [texts.str.extract(pattern, 1) for pattern in currency_patterns(plan.numbers.format)]
        # What stands on both sides of one amount is one row of it.
        sides[1] = sides[1].zip_with((sides[1] != sides[0]).fill_null(value=True), pl.Series([None], dtype=pl.String))
        met = pl.DataFrame({_TEXT: pl.concat(sides), LINE: pl.concat([cleaned[LINE]] * 2)}).drop_nulls(_TEXT)
        counts = met.group_by(_TEXT).agg(pl.len().alias("count"), pl.col(LINE).min()).sort(LINE, _TEXT)
        source = plan.source_columns[column.name]
        found += [CurrencyMet(source, text, count, int(line or 0)) for text, count, line in counts.rows()]
    return tuple(found)
