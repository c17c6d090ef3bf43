"""Messages as plain JSON values: camelCase keys, numbers as numbers, times as ISO 8601 UTC with milliseconds and Z.

The REST gateway and `techaura-sync --json` answer with these, so that a caller reads the same words in both.
Pure functions; each returns a new dict, of a type in `view_types`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from techaura.sync.v1 import resources_pb2, schedules_pb2, sync_service_pb2

from techaura_sync.json_form import whole_numbers
from techaura_sync.spec import source_type_of
from techaura_sync.view_types import (
    CountsView,
    DetectedFormatView,
    ProgressView,
    RecentErrorView,
    RejectedRowView,
    RunErrorView,
    RunFailureView,
    RunStatusView,
    RunView,
    ScheduleView,
    SourceTestView,
    StatsView,
)


def status_name(status: resources_pb2.SyncStatus.ValueType) -> str:
    """`pending`, `in_progress`, `completed`, `failed` or `cancelled`; `unspecified` when not set."""
    return resources_pb2.SyncStatus.Name(status).removeprefix("SYNC_STATUS_").lower()


def time_text(moment: datetime) -> str:
    """An aware time in UTC, such as `2025-01-31T08:15:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ledger_view(ledger: resources_pb2.Ledger) -> CountsView:
    """The counts under the names that old callers know, and in full."""
    return {
        "itemsProcessed": ledger.inserted + ledger.updated + ledger.unchanged,
        "itemsFailed": ledger.rejected,
        "itemsSkipped": ledger.skipped,
        "ledger": {
            "rowsRead": ledger.rows_read,
            "inserted": ledger.inserted,
            "updated": ledger.updated,
            "unchanged": ledger.unchanged,
            "rejected": ledger.rejected,
            "skipped": ledger.skipped,
        },
    }


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
        "createdAt": _optional_time(run, "created_at"),
        "startedAt": _optional_time(run, "started_at"),
        "completedAt": _optional_time(run, "completed_at"),
        "failure": _failure_view(run),
        "notices": list(run.notices),
        "scheduleId": run.sync_schedule_id or None,
        "conflicts": run.conflicts,
        "deactivated": run.deactivated,
        "sameAsSyncRunId": run.same_as_sync_run_id or None,
        "detected": [_format_view(found) for found in run.detected],
    }


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


def status_view(response: sync_service_pb2.GetSyncStatusResponse) -> RunStatusView:
    """One run with its newest errors; without their raw rows, which only `error_view` shows."""
    errors: list[RecentErrorView] = [{"type": error.type, "message": error.message} for error in response.recent_errors]
    return {**run_view(response.run), "errors": errors, "sequence": response.sequence}


def progress_view(progress: resources_pb2.SyncProgress) -> ProgressView:
    """One snapshot of a run."""
    return {
        "syncRunId": progress.sync_run_id,
        "status": status_name(progress.status),
        "paused": progress.paused,
        **ledger_view(progress.ledger),
        "bytesDone": progress.bytes_done,
        "bytesTotal": progress.bytes_total,
        "failure": _failure_view(progress),
        "sequence": progress.sequence,
    }


def error_view(error: resources_pb2.SyncError) -> RunErrorView:
    """One error, with the record as it stands in the source."""
    return {
        "syncErrorId": error.sync_error_id,
        "syncRunId": error.sync_run_id,
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "line": error.line or None,
        "byteOffset": error.byte_offset if error.HasField("byte_offset") else None,
        "column": error.column or None,
        "raw": error.raw,
        "retryable": error.retryable,
        "createdAt": _optional_time(error, "created_at"),
    }


def source_test_view(response: sync_service_pb2.TestSourceResponse) -> SourceTestView:
    """What a test of a source found."""
    rejected: list[RejectedRowView] = [
        {
            "type": error.type,
            "code": error.code,
            "message": error.message,
            "line": error.line or None,
            "column": error.column or None,
            "raw": error.raw,
        }
        for error in response.rejected
    ]
    return {
        "itemCount": response.item_count,
        "whole": response.whole,
        "fields": list(response.fields),
        "samples": [json.loads(sample, parse_float=_number) for sample in response.samples],
        "detected": dict(response.detected),
        "rows": [dict(row.values) for row in response.rows],
        "rejected": rejected,
        "notices": list(response.notices),
    }


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


def schedule_view(schedule: schedules_pb2.SyncSchedule) -> ScheduleView:
    """One schedule; its secrets are not shown."""
    return {
        "scheduleId": schedule.sync_schedule_id,
        "sourceType": source_type_of(schedule.spec),
        "sourceIdentifier": schedule.spec.source_identifier,
        "options": whole_numbers(MessageToDict(schedule.stored_options)),
        "cron": schedule.cron,
        "timeZone": schedule.time_zone,
        "overlapPolicy": overlap_policy_name(schedule.overlap_policy),
        "catchUpSeconds": schedule.catch_up_seconds,
        "enabled": schedule.enabled,
        "revision": schedule.revision,
        "nextFireAt": _optional_time(schedule, "next_fire_at"),
        "lastFireAtLocal": schedule.last_fire_at_local or None,
        "lastOutcome": schedule.last_outcome or None,
        "lastSyncRunId": schedule.last_sync_run_id or None,
        "createdAt": _optional_time(schedule, "created_at"),
        "updatedAt": _optional_time(schedule, "updated_at"),
    }


def overlap_policy_name(policy: schedules_pb2.OverlapPolicy.ValueType) -> str:
    """`skip` or `queue`."""
    return schedules_pb2.OverlapPolicy.Name(policy).removeprefix("OVERLAP_POLICY_").lower()


def _optional_time(
    message: resources_pb2.SyncRun | resources_pb2.SyncError | schedules_pb2.SyncSchedule, field: str
) -> str | None:
    if not message.HasField(field):  # type: ignore[arg-type]  # the generated overloads take literals only
        return None
    timestamp: Timestamp = getattr(message, field)
    return time_text(timestamp.ToDatetime(tzinfo=UTC))


def _failure_view(message: resources_pb2.SyncRun | resources_pb2.SyncProgress) -> RunFailureView | None:
    if not message.HasField("failure"):
        return None
    failure = message.failure
    return {
        "reason": failure.reason,
        "category": failure.category,
        "message": failure.message,
        "retryable": failure.retryable,
        "nextStep": failure.next_step,
    }


def _number(text: str) -> float | str:
    """A JSON number with a fraction or an exponent; as its text where a double has other digits."""
    value = float(text)
    return value if repr(value) == text or f"{value:g}" == text else text
