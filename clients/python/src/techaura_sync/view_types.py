"""Types of the JSON values that `techaura_sync.views` makes.

mypy checks the views against them, and /openapi.json is generated from them. The meaning of a field is its doc comment in the protos, where the field of the same JSON name stands. A text in
`Annotated` says it where the JSON differs (null where the message has 0 or an empty text, times, keys of its own).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict


@dataclass(frozen=True, slots=True)
class Facets:
    """What is known of a value beside its type, in the words of JSON Schema; None says nothing.

    Args:
        minimum, maximum: of a number, both included.
        maxItems: of a list.
        format: of a text.
        example: one value.
    """

    minimum: int | None = None
    maximum: int | None = None
    maxItems: int | None = None
    format: str | None = None
    example: str | None = None


Count = Annotated[int, Facets(minimum=0)]
Id = Annotated[int, Facets(minimum=1)]
Share = Annotated[float, Facets(minimum=0, maximum=1)]
# ISO 8601 UTC with milliseconds and Z.
TimeText = Annotated[str, Facets(format="date-time", example="2026-11-26T13:15:33.419Z")]


class LedgerView(TypedDict):
    """The counts of a run. At its end rowsRead = inserted + updated + unchanged + rejected + skipped."""

    rowsRead: Count
    inserted: Count
    updated: Count
    unchanged: Count
    rejected: Count
    skipped: Count


class CountsView(TypedDict):
    """The counts under the names that old callers know, and in full."""

    itemsProcessed: Annotated[Count, "Rows inserted, updated or unchanged."]
    itemsFailed: Annotated[Count, "Rows rejected."]
    itemsSkipped: Annotated[Count, "Rows left out on purpose."]
    ledger: LedgerView


class RunFailureView(TypedDict):
    """Why a run failed."""

    reason: str
    category: str
    message: str
    retryable: bool
    nextStep: str


class DetectedFormatView(TypedDict):
    """How files of a source are read: what was declared, and what was found out."""

    fileName: str
    fileCount: Count
    encoding: str
    encodingHow: str
    encodingConfidence: Share
    delimiter: str
    delimiterHow: str
    delimiterConfidence: Share
    quote: str
    lineBreak: str
    preambleLines: Count
    headerLine: Annotated[Id | None, "Line of the header, from 1; null when there is none."]
    columnCount: Count
    compression: str
    format: str
    sheet: Annotated[str | None, "The sheet that is read of a workbook; null for other formats."]


class RunView(CountsView):
    """One synchronisation of one source into one target table."""

    syncRunId: Id
    sourceType: str
    sourceIdentifier: str
    status: str
    paused: bool
    retryCount: Count
    createdAt: Annotated[TimeText | None, "When the run was stored."]
    startedAt: Annotated[TimeText | None, "When it was last started; null while pending."]
    completedAt: Annotated[TimeText | None, "When it ended; null before."]
    failure: Annotated[RunFailureView | None, "Why it failed; null unless it did."]
    notices: list[str]
    scheduleId: Annotated[Id | None, "The schedule that started it; null when a caller did."]
    conflicts: Count
    deactivated: Count
    sameAsSyncRunId: Annotated[
        Id | None,
        "The run whose reading this one repeats, because the source was the same; null when this run has read the source "
        "itself.",
    ]
    detected: Annotated[list[DetectedFormatView], Facets(maxItems=8)]


class RecentErrorView(TypedDict):
    """The gist of an error; its record is in the list of errors only."""

    type: str
    message: str


class RunStatusView(RunView):
    """One run with its newest errors."""

    errors: Annotated[list[RecentErrorView], "The newest errors, newest first.", Facets(maxItems=10)]
    sequence: Count


class ProgressView(CountsView):
    """A snapshot of a run."""

    syncRunId: Id
    status: str
    paused: bool
    bytesDone: Count
    bytesTotal: Count
    failure: Annotated[RunFailureView | None, "Why it failed; null unless it did."]
    sequence: Count


class RejectedRowView(TypedDict):
    """A record that would be rejected."""

    type: str
    code: str
    message: str
    line: Annotated[Id | None, "Line in the source on which the record begins, from 1; null when unknown."]
    column: Annotated[str | None, "The source column; null when none is at fault."]
    raw: str


class RunErrorView(RejectedRowView):
    """A record that was rejected, or what ended a run."""

    syncErrorId: Id
    syncRunId: Id
    byteOffset: Annotated[Count | None, "Where the record begins, in bytes from the start; null when unknown."]
    retryable: bool
    createdAt: Annotated[TimeText | None, "When it was stored."]


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


class StatsView(TypedDict):
    """Counts of runs by status."""

    total: Count
    pending: Count
    in_progress: Count
    completed: Count
    failed: Count
    cancelled: Count


class ScheduleView(TypedDict):
    """A sync that recurs."""

    scheduleId: Annotated[Id, "The schedule's id."]
    sourceType: Annotated[str, "`csv`, `api` or the name of a custom source type."]
    sourceIdentifier: str
    options: Annotated[dict[str, Any], "The options as they are stored, without secrets."]
    cron: str
    timeZone: str
    overlapPolicy: str
    catchUpSeconds: Count
    enabled: bool
    revision: Id
    nextFireAt: Annotated[
        TimeText | None,
        "When it fires next; null while it is not enabled, or its time zone is not known to the replica that answers.",
    ]
    lastFireAtLocal: Annotated[
        str | None, "Local wall time of the last fire, such as `2026-11-01 03:00`; null before the first."
    ]
    lastOutcome: Annotated[str | None, "What the last fire did: started, queued or skipped; null before the first."]
    lastSyncRunId: Annotated[Id | None, "The run of the last fire; null when it started none."]
    createdAt: Annotated[TimeText | None, "When it was made."]
    updatedAt: Annotated[TimeText | None, "When a caller last changed it."]
