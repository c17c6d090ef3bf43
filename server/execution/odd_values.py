"""Values and rows that are loaded as they stand and that a person should look at: how many, in which column, since which line."""

from __future__ import annotations

from collections.abc import Iterator

from server.core.tally import CURRENCY_PREFIX, NO_RECORD_CODE, SHORTENED_CODE, Kind
from server.pipeline.keys import looks_shortened, text_keys
from server.pipeline.odd_rows import no_records
from server.pipeline.odd_texts import odd_texts
from server.pipeline.plan import MappingPlan, PreparedBatch


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
            for code, places in odd_texts(prepared.rows[name]):
                yield Kind(code, source, len(places), int(lines[places[0]] or 0))
    places = no_records(prepared.rows, plan)
    if len(places):
        yield Kind(NO_RECORD_CODE, "", len(places), int(lines[places[0]] or 0))
