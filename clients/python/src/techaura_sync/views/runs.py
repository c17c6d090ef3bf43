"""Runs, and how many there are."""

from __future__ import annotations

from typing import Annotated, TypedDict

from techaura.sync.v1 import resources_pb2, sync_service_pb2

from techaura_sync.views.values import Count, Facets, Id, Share, TimeText, optional_time


def status_name(status: resources_pb2.SyncStatus.ValueType) -> str:
    """`pending`, `in_progress`, `completed`, `failed` or `cancelled`; `unspecified` when not set."""
    return resources_pb2.SyncStatus.Name(status).removeprefix("SYNC_STATUS_").lower()


class LedgerView(TypedDict):
    """The counts of a run. At its end rowsRead = inserted + updated + unchanged + rejected + skipped."""

    rowsRead: Count
    inserted: Count
    updated: Count
    unchanged: Count
    rejected: Count
    skipped: Count


def _ledger_view(ledger: resources_pb2.Ledger) -> LedgerView:
    return {
        "rowsRead": ledger.rows_read,
        "inserted": ledger.inserted,
        "updated": ledger.updated,
        "unchanged": ledger.unchanged,
        "rejected": ledger.rejected,
        "skipped": ledger.skipped,
    }


class CountsView(TypedDict):
    """The counts under the names that old callers know, and in full."""

    itemsProcessed: Annotated[Count, "Rows inserted, updated or unchanged."]
    itemsFailed: Annotated[Count, "Rows rejected."]
    itemsSkipped: Annotated[Count, "Rows left out on purpose."]
    ledger: LedgerView


def ledger_view(ledger: resources_pb2.Ledger) -> CountsView:
    """The counts under the names that old callers know, and in full."""
    return {
        "itemsProcessed": ledger.inserted + ledger.updated + ledger.unchanged,
        "itemsFailed": ledger.rejected,
        "itemsSkipped": ledger.skipped,
        "ledger": _ledger_view(ledger),
    }


class RunFailureView(TypedDict):
    """Why a run failed."""

    reason: str
    category: str
    message: str
    retryable: bool
    nextStep: str


def failure_view(failure: resources_pb2.RunFailure) -> RunFailureView:
    """Why a run failed."""
    return {
        "reason": failure.reason,
        "category": failure.category,
        "message": failure.message,
        "retryable": failure.retryable,
        "nextStep": failure.next_step,
    }


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


def _format_view(found: resources_pb2.DetectedFormat) -> DetectedFormatView:
    return {
        "fileName": found.file_name,
        "fileCount": found.file_count,
        "encoding": found.encoding,
        "encodingHow": found.encoding_how,
        "encodingConfidence": found.encoding_confidence,
        "delimiter": found.delimiter,
        "delimiterHow": found.delimiter_how,
        "delimiterConfidence": found.delimiter_confidence,
        "quote": found.quote,
        "lineBreak": found.line_break,
        "preambleLines": found.preamble_lines,
        "headerLine": found.header_line or None,
        "columnCount": found.column_count,
        "compression": found.compression,
        "format": found.format,
        "sheet": found.sheet or None,
    }


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


def run_view(run: resources_pb2.SyncRun) -> RunView:
    """One run."""
    return {
        "syncRunId": run.sync_run_id,
        "sourceType": run.source_type,
        "sourceIdentifier": run.source_identifier,
        "status": status_name(run.status),
        "paused": run.paused,
        **ledger_view(run.ledger),
        "retryCount": run.retry_count,
        "createdAt": optional_time(run, "created_at"),
        "startedAt": optional_time(run, "started_at"),
        "completedAt": optional_time(run, "completed_at"),
        "failure": failure_view(run.failure) if run.HasField("failure") else None,
        "notices": list(run.notices),
        "scheduleId": run.sync_schedule_id or None,
        "conflicts": run.conflicts,
        "deactivated": run.deactivated,
        "sameAsSyncRunId": run.same_as_sync_run_id or None,
        "detected": [_format_view(found) for found in run.detected],
    }


class RecentErrorView(TypedDict):
    """The gist of an error; its record is in the list of errors only."""

    type: str
    message: str


def _recent_error(error: resources_pb2.SyncError) -> RecentErrorView:
    return {"type": error.type, "message": error.message}


class RejectGroupView(TypedDict):
    """Rows of a run that were not loaded for one reason and one column; all count, whether they are stored or not."""

    reason: Annotated[str, "The `code` of their errors; `other` for all beyond 31 reasons and columns."]
    column: Annotated[str | None, "The source column; null when none is at fault."]
    count: Count
    firstLine: Annotated[Id | None, "Line on which the first of them begins, from 1; null when unknown."]
    skipped: bool


def reject_group_view(group: resources_pb2.RejectGroup) -> RejectGroupView:
    """Rows that were not loaded for one reason."""
    return {
        "reason": group.reason,
        "column": group.column or None,
        "count": group.count,
        "firstLine": group.first_line or None,
        "skipped": group.skipped,
    }


class RunStatusView(RunView):
    """One run with why its rows were not loaded, and with its newest errors."""

    rejectGroups: Annotated[
        list[RejectGroupView], "Why rows were not loaded, those of most rows first.", Facets(maxItems=34)
    ]
    errors: Annotated[list[RecentErrorView], "The newest errors, newest first.", Facets(maxItems=10)]
    sequence: Count


def status_view(response: sync_service_pb2.GetSyncStatusResponse) -> RunStatusView:
    """One run with its newest errors; without their raw rows, which only `error_view` shows."""
    return {
        **run_view(response.run),
        "rejectGroups": [reject_group_view(group) for group in response.run.reject_groups],
        "errors": [_recent_error(error) for error in response.recent_errors],
        "sequence": response.sequence,
    }


class ProgressView(CountsView):
    """A snapshot of a run."""

    syncRunId: Id
    status: str
    paused: bool
    bytesDone: Count
    bytesTotal: Count
    failure: Annotated[RunFailureView | None, "Why it failed; null unless it did."]
    sequence: Count


def progress_view(progress: resources_pb2.SyncProgress) -> ProgressView:
    """One snapshot of a run."""
    return {
        "syncRunId": progress.sync_run_id,
        "status": status_name(progress.status),
        "paused": progress.paused,
        **ledger_view(progress.ledger),
        "bytesDone": progress.bytes_done,
        "bytesTotal": progress.bytes_total,
        "failure": failure_view(progress.failure) if progress.HasField("failure") else None,
        "sequence": progress.sequence,
    }


class StatsView(TypedDict):
    """Counts of runs by status."""

    total: Count
    pending: Count
    in_progress: Count
    completed: Count
    failed: Count
    cancelled: Count


def stats_view(stats: resources_pb2.SyncStats) -> StatsView:
    """Counts of runs by status; these keys keep their snake_case."""
    return {
        "total": stats.total,
        "pending": stats.pending,
        "in_progress": stats.in_progress,
        "completed": stats.completed,
        "failed": stats.failed,
        "cancelled": stats.cancelled,
    }
