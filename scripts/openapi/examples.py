"""Examples: what callers send, and what the views make of messages with these values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from techaura.sync.v1 import resources_pb2, sync_service_pb2
from techaura_sync.views.errors import RunErrorView, error_view
from techaura_sync.views.runs import RunStatusView, RunView, StatsView, run_view, stats_view, status_view
from techaura_sync.views.schedules import ScheduleView
from techaura_sync.views.sources import SourceTestView, source_test_view
from techaura_sync.views.values import time_text

from gateway import answers
from gateway.errors import failure_body

_NOW: Final = datetime(2026, 11, 26, 13, 15, 33, 419000, tzinfo=UTC)
TIME_TEXT: Final = time_text(_NOW)

CSV: Final = {"sourceType": "csv", "sourceIdentifier": "sample_music_catalog.csv", "options": {"contentType": "music"}}
API: Final = {
    "sourceType": "api",
    "sourceIdentifier": "https://api.example.com/v1/songs",
    "options": {
        "auth": {"type": "bearer", "token": {"env": "SOURCE_TOKEN"}},
        "dataPath": "result.songs",
        "fieldMapping": {"title": "name", "artist": "artist.name"},
        "pagination": {"enabled": True, "type": "cursor"},
    },
}
SCHEDULE: Final = CSV | {"cron": "30 4 * * *", "timeZone": "America/Bogota"}
CHANGE: Final = {"enabled": False, "revision": 1}
REJECTS_FILE: Final = (
    "line,byte_offset,reason,column,message,raw\r\n"
    '3,22,too_many_columns,,"the record has 3 fields, 2 are expected","bad,row,here"\r\n'
)
EVENT: Final = 'id: 5\ndata: {"syncRunId":41,"status":"completed","sequence":5}\n\n'


def _time(minutes: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(_NOW + timedelta(minutes=minutes))
    return stamp


_FORMAT: Final = resources_pb2.DetectedFormat(
    file_name="sample_music_catalog.csv",
    file_count=1,
    encoding="utf-8",
    encoding_how="declared",
    encoding_confidence=1,
    delimiter=",",
    delimiter_how="declared",
    delimiter_confidence=1,
    quote='"',
    line_break="lf",
    header_line=1,
    column_count=3,
    compression="none",
)
_RUN: Final = resources_pb2.SyncRun(
    sync_run_id=41,
    source_type="csv",
    source_identifier="sample_music_catalog.csv",
    status=resources_pb2.SYNC_STATUS_COMPLETED,
    ledger=resources_pb2.Ledger(rows_read=12, inserted=11, rejected=1),
    created_at=_time(-2),
    started_at=_time(-2),
    completed_at=_time(-1),
    detected=[_FORMAT],
)
_ERROR: Final = resources_pb2.SyncError(
    sync_error_id=7,
    sync_run_id=41,
    type="parsing",
    code="too_many_columns",
    message="the record has 4 fields, 3 are expected",
    line=3,
    byte_offset=22,
    raw="a,b,c,d",
    created_at=_time(-1),
)
# Maps of messages have no order, so each of these has one entry.
_SEEN: Final = sync_service_pb2.TestSourceResponse(
    item_count=1,
    whole=True,
    fields=["title", "artist"],
    samples=['{"title":"La Tierra del Olvido","artist":"Carlos Vives"}'],
    detected={"encoding": "utf-8"},
    rows=[sync_service_pb2.MappedRow(values={"title": "La Tierra del Olvido"})],
)
_SCHEDULE: Final[ScheduleView] = {
    "scheduleId": 5,
    "sourceType": "csv",
    "sourceIdentifier": "sample_music_catalog.csv",
    "options": {"contentType": "music"},
    "cron": "30 4 * * *",
    "timeZone": "America/Bogota",
    "overlapPolicy": "skip",
    "catchUpSeconds": 3600,
    "enabled": True,
    "revision": 1,
    "nextFireAt": "2026-11-27T09:30:00.000Z",
    "lastFireAtLocal": None,
    "lastOutcome": None,
    "lastSyncRunId": None,
    "createdAt": TIME_TEXT,
    "updatedAt": TIME_TEXT,
}
# Of the type that an answer carries as its data; of one that is not here, an example is made of those of its fields.
DATA: Final[dict[Any, Any]] = {
    StatsView: stats_view(resources_pb2.SyncStats(total=41, in_progress=1, completed=40)),
    RunView: run_view(_RUN),
    RunStatusView: status_view(sync_service_pb2.GetSyncStatusResponse(run=_RUN, recent_errors=[_ERROR], sequence=5)),
    RunErrorView: error_view(_ERROR),
    SourceTestView: source_test_view(_SEEN),
    ScheduleView: _SCHEDULE,
    answers.RunId: answers.RunId(syncRunId=41),
    answers.StartedRun: answers.StartedRun(syncRunId=41),
    answers.ScheduleId: answers.ScheduleId(scheduleId=5),
}
FAILURE: Final = failure_body(
    "Sync run not found",
    reason="RUN_NOT_FOUND",
    field="syncRunId",
    next_step="list the runs to find the id",
)
