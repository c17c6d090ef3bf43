"""What a test of a source found."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypedDict

from techaura.sync.v1 import sync_service_pb2

from techaura_sync.spec import options_json
from techaura_sync.views.errors import RejectedRowView, rejected_row_view
from techaura_sync.views.values import Count, Facets, Id


class ReadingRecordView(TypedDict):
    """A record in one reading. Values are cut at 60 characters, and characters that cannot be seen are escaped."""

    line: Annotated[Id, "Where it begins in the source."]
    sample: Annotated[dict[str, str | None] | None, "As the source has it; null where it has no such form."]
    row: Annotated[dict[str, str] | None, "As it would be loaded; null where it would be rejected."]
    rejected: Annotated[str | None, "Why it would be rejected; null where it would not."]


class ReadingView(TypedDict):
    """A way to read the source that loads its first records."""

    name: Annotated[str, "What sets it apart, in words."]
    options: Annotated[dict[str, Any], "The complete `options` of a trigger for it."]
    command: Annotated[str, "The same as a command line."]
    fields: Annotated[list[str], Facets(maxItems=200)]
    records: Annotated[
        list[ReadingRecordView],
        "The first records; where one of several readings is to be chosen, the first in which they differ.",
        Facets(maxItems=5),
    ]
    itemCount: Annotated[Count, "Records of the beginning, rejected ones included."]
    rejectedCount: Annotated[Count, "How many of them would be rejected."]


class ReadingsView(TypedDict):
    """Other ways to read the source, where the options do not fit it or not wholly."""

    readings: Annotated[list[ReadingView], "The likeliest first.", Facets(maxItems=4)]
    proposedOptions: Annotated[
        dict[str, Any] | None,
        "The `options` of the first reading; null where there is none, where the source does not settle which reading is meant, "
        "and where too many records would be rejected.",
    ]
    findings: Annotated[list[str], "What was found out by trying other readings, and what a person is to decide."]


class SourceTestView(ReadingsView):
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
        **readings_view(response),
    }


def readings_view(response: sync_service_pb2.TestSourceResponse) -> ReadingsView:
    """What other readings of a source bring."""
    return {
        "readings": [_reading_view(reading) for reading in response.readings],
        "proposedOptions": options_json(response.proposed) if response.HasField("proposed") else None,
        "findings": list(response.findings),
    }


def _reading_view(reading: sync_service_pb2.SourceReading) -> ReadingView:
    return {
        "name": reading.name,
        "options": options_json(reading.spec),
        "command": reading.command,
        "fields": list(reading.fields),
        "records": [
            {
                "line": record.line,
                "sample": json.loads(record.sample) if record.sample else None,
                "row": dict(record.row.values) if record.HasField("row") else None,
                "rejected": record.rejected or None,
            }
            for record in reading.records
        ],
        "itemCount": reading.item_count,
        "rejectedCount": reading.rejected_count,
    }


def _number(text: str) -> float | str:
    """A JSON number with a fraction or an exponent; as its text where a double has other digits."""
    value = float(text)
    return value if repr(value) == text or f"{value:g}" == text else text
