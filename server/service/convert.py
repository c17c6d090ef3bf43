"""Converts between proto messages and our own records: the only place that knows both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from techaura.sync.v1 import resources_pb2 as pb
from techaura.sync.v1 import sync_service_pb2
from techaura.sync.v1.sync_spec_pb2 import SyncSpec
from techaura_sync.command_line import command_line
from techaura_sync.json_form import JsonFormError
from techaura_sync.spec import options_json, sync_spec

from db import records
from server.core.errors import InvalidRequestError
from server.core.reasons import Reason, next_step_for
from server.core.tally import Kind, Tally
from server.runs.readings import Reading
from server.runs.source_test import Preview
from server.sources.contract import Reject

STATUS_TO_PROTO: Final[Mapping[str, pb.SyncStatus.ValueType]] = {
    records.RunStatus.PENDING: pb.SYNC_STATUS_PENDING,
    records.RunStatus.IN_PROGRESS: pb.SYNC_STATUS_IN_PROGRESS,
    records.RunStatus.COMPLETED: pb.SYNC_STATUS_COMPLETED,
    records.RunStatus.FAILED: pb.SYNC_STATUS_FAILED,
    records.RunStatus.CANCELLED: pb.SYNC_STATUS_CANCELLED,
}
STATUS_FROM_PROTO: Final = {STATUS_TO_PROTO[status]: status for status in records.RunStatus}


def options_document(spec: SyncSpec) -> dict[str, Any]:
    """The options of a request in the contract's JSON form, the one form in which options are checked and stored.

    Raises:
        InvalidRequestError: JSON cannot hold one of them.
    """
    try:
        return options_json(spec)
    except JsonFormError as error:
        raise InvalidRequestError(Reason.INVALID_OPTION, error.text, field=error.path) from error


def run_message(run: records.Run) -> pb.SyncRun:
    """A run for the wire."""
    return pb.SyncRun(
        sync_run_id=run.id,
        source_type=run.source_type,
        source_identifier=run.source_identifier,
        status=status_message(run.status),
        ledger=ledger_message(run.ledger),
        retry_count=run.retry_count,
        created_at=timestamp(run.created_at),
        started_at=timestamp(run.started_at),
        completed_at=timestamp(run.completed_at),
        failure=_failure(run.failure),
        notices=run.notices,
        paused=run.paused,
        sync_schedule_id=run.schedule_id or 0,
        conflicts=run.conflicts,
        deactivated=run.deactivated,
        same_as_sync_run_id=run.same_as_run_id or 0,
        detected=[_format(found) for found in run.detected.get("formats", ())],
        reject_groups=[_group(kind) for kind in Tally.from_json(run.tally).groups()],
    )


def _group(kind: Kind) -> pb.RejectGroup:
    return pb.RejectGroup(
        reason=kind.code, column=kind.column, count=kind.count, first_line=kind.first_line, skipped=kind.is_skipped
    )


def _format(found: Mapping[str, Any]) -> pb.DetectedFormat:
    """How files are read. What only text has is missing from other formats, and `format` from runs of earlier versions."""
    return pb.DetectedFormat(
        # A run of an earlier version may hold a name that is no text.
        file_name=found["name"].encode("utf-8", "backslashreplace").decode("utf-8"),
        file_count=found["fileCount"],
        encoding=found.get("encoding", ""),
        encoding_how=found.get("encodingHow", ""),
        encoding_confidence=found.get("encodingConfidence", 0),
        delimiter=found.get("delimiter", ""),
        delimiter_how=found.get("delimiterHow", ""),
        delimiter_confidence=found.get("delimiterConfidence", 0),
        quote=found.get("quote", ""),
        line_break=found.get("lineBreak", ""),
        preamble_lines=found.get("preambleLines", 0),
        header_line=found.get("headerLine", 0),
        column_count=found["columns"],
        compression=found["compression"],
        format=found.get("format", "csv"),
        sheet=found.get("sheet", ""),
    )


def progress_message(run: records.Run) -> pb.SyncProgress:
    """A snapshot of a run for the wire."""
    return pb.SyncProgress(
        sync_run_id=run.id,
        sequence=run.sequence,
        status=status_message(run.status),
        ledger=ledger_message(run.ledger),
        bytes_done=run.bytes_done,
        bytes_total=run.bytes_total,
        failure=_failure(run.failure),
        paused=run.paused,
    )


def status_message(status: str) -> pb.SyncStatus.ValueType:
    """A status; one that this version does not know (the bot's own) is UNSPECIFIED."""
    return STATUS_TO_PROTO.get(status, pb.SYNC_STATUS_UNSPECIFIED)


def ledger_message(ledger: records.Ledger) -> pb.Ledger:
    """A ledger for the wire."""
    # While a mirror looks a second time, what its first look wrote has not been met again yet.
    unchanged = max(ledger.unchanged, 0)
    return pb.Ledger(
        rows_read=ledger.read,
        inserted=ledger.inserted,
        updated=ledger.updated,
        unchanged=unchanged,
        rejected=ledger.rejected,
        skipped=ledger.skipped,
    )


def error_message(run_id: int, error: records.ErrorRow) -> pb.SyncError:
    """An error for the wire."""
    return pb.SyncError(
        sync_error_id=error.id,
        sync_run_id=run_id,
        type=error.error_type,
        code=error.error_code,
        message=error.message,
        line=error.line or 0,
        byte_offset=error.byte_offset,
        column=error.column or "",
        raw=error.raw or "",
        retryable=error.retryable,
        created_at=timestamp(error.created_at),
    )


def preview_message(preview: Preview, source_type: str, source_identifier: str) -> sync_service_pb2.TestSourceResponse:
    """What a test of a source found, for the wire."""
    found = preview.found
    proposed = None if found.proposed is None else sync_spec(source_type, source_identifier, dict(found.proposed))
    return sync_service_pb2.TestSourceResponse(
        item_count=preview.item_count,
        whole=preview.is_whole,
        fields=preview.fields,
        samples=preview.samples,
        detected=preview.detected,
        rows=[sync_service_pb2.MappedRow(values=row) for row in preview.rows],
        rejected=[_reject_message(reject) for reject in preview.rejects],
        notices=preview.notices,
        refusal=_refusal(preview.refusal),
        readings=[
            _reading(one, sync_spec(source_type, source_identifier, dict(one.options))) for one in found.readings
        ],
        proposed=proposed,
        findings=found.findings,
    )


def _refusal(error: InvalidRequestError | None) -> sync_service_pb2.SourceRefusal | None:
    if error is None:
        return None
    return sync_service_pb2.SourceRefusal(
        reason=error.reason, message=error.message, field=error.field, next_step=error.next_step
    )


def _reading(reading: Reading, spec: SyncSpec) -> sync_service_pb2.SourceReading:
    return sync_service_pb2.SourceReading(
        name=reading.name,
        spec=spec,
        command=command_line(spec),
        fields=reading.fields,
        records=[
            sync_service_pb2.ReadingRecord(
                line=record.line,
                sample="" if record.sample is None else json.dumps(record.sample, ensure_ascii=False),
                row=None if record.row is None else sync_service_pb2.MappedRow(values=record.row),
                rejected=record.rejected,
            )
            for record in reading.records
        ],
        item_count=reading.item_count,
        rejected_count=reading.rejected_count,
    )


def _reject_message(reject: Reject) -> pb.SyncError:
    return pb.SyncError(
        type=reject.category,
        code=reject.kind,
        message=reject.message,
        line=reject.line,
        byte_offset=reject.byte_offset,
        column=reject.column or "",
        raw=reject.raw,
    )


def stats_message(counts: dict[str, int]) -> pb.SyncStats:
    """Counts for the wire."""
    return pb.SyncStats(total=sum(counts.values()), **counts)


def _failure(failure: records.RunFailure | None) -> pb.RunFailure | None:
    if failure is None:
        return None
    return pb.RunFailure(
        reason=failure.reason,
        category=failure.category,
        message=failure.message,
        retryable=failure.retryable,
        # A row that an older version or the old service ended has no next step stored.
        next_step=failure.next_step or next_step_for(failure.reason),
    )


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A time of the database as a Timestamp, or None."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment.replace(tzinfo=UTC))
    return stamp
