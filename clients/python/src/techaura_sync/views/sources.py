"""What a test of a source found."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypedDict

from techaura.sync.v1 import sync_service_pb2

from techaura_sync.views.errors import RejectedRowView, rejected_row_view
from techaura_sync.views.values import Count, Facets


class SourceTestView(TypedDict):
    """What a source holds at its beginning."""

    itemCount: Count
    whole: bool
    fields: Annotated[list[str], Facets(maxItems=200)]
    samples: Annotated[
        list[dict[str, Any]],
        "The first records as the source has them. Texts are cut at 500 characters, and what is or holds a secret is `***`.",
        Facets(maxItems=5),
    ]
    detected: dict[str, str]
    rows: Annotated[
        list[dict[str, str]],
        "The first records as they would be loaded, without the rejected ones: target column to its value as text; columns "
        "without a value are absent.",
        Facets(maxItems=5),
    ]
    rejected: Annotated[
        list[RejectedRowView], "Of the first records, those that would be rejected.", Facets(maxItems=5)
    ]
    notices: list[str]


def source_test_view(response: sync_service_pb2.TestSourceResponse) -> SourceTestView:
    """What a test of a source found."""
    return {
        "itemCount": response.item_count,
        "whole": response.whole,
        "fields": list(response.fields),
        "samples": [json.loads(sample, parse_float=_number) for sample in response.samples],
        "detected": dict(response.detected),
        "rows": [dict(row.values) for row in response.rows],
        "rejected": [rejected_row_view(error) for error in response.rejected],
        "notices": list(response.notices),
    }


def _number(text: str) -> float | str:
    """A JSON number with a fraction or an exponent; as its text where a double has other digits."""
    value = float(text)
    return value if repr(value) == text or f"{value:g}" == text else text
