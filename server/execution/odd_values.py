"""Values that are loaded as they stand and that a person should look at: how many, in which column, and since which line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from server.core.tally import (
    CURRENCY_PREFIX,
    NULL_WORD_CODE,
    SHORTENED_CODE,
    SINGLE_QUOTED_CODE,
    TWICE_DECODED_CODE,
    Kind,
)
from server.pipeline.keys import looks_shortened, text_keys
from server.pipeline.odd_texts import null_words, single_quoted, twice_decoded
from server.pipeline.plan import MappingPlan, PreparedBatch

_ODD_TEXTS: Final = (
    (NULL_WORD_CODE, null_words),
    (TWICE_DECODED_CODE, twice_decoded),
    (SINGLE_QUOTED_CODE, single_quoted),
)


def odd_values(prepared: PreparedBatch, plan: MappingPlan) -> Iterator[Kind]:
    """The kinds of such values in a batch, by source column; where several currencies are declared, each that was met."""
    for met in prepared.currencies:
        yield Kind(f"{CURRENCY_PREFIX}{met.currency}", met.column, met.count, met.first_line)
    lines = prepared.rows["line"]
    for name in text_keys(plan):
        shortened = prepared.rows.filter(looks_shortened(name))
        if shortened.height:
            yield Kind(SHORTENED_CODE, plan.source_columns[name], shortened.height, int(shortened["line"][0]))
    for name, source in plan.source_columns.items():
        if plan.target.by_name[name].kind == "text":
            texts = prepared.rows[name]
            for code, find in _ODD_TEXTS:
                places = find(texts)
                if len(places):
                    yield Kind(code, source, len(places), int(lines[places[0]] or 0))
