"""Errors of runs."""

from __future__ import annotations

from typing import Annotated, TypedDict

from techaura.sync.v1 import resources_pb2

from techaura_sync.views.values import Count, Id, TimeText, optional_time


class RejectedRowView(TypedDict):
    """A record that would be rejected."""

    type: str
    code: str
    message: str
    line: Annotated[Id | None, "Line in the source on which the record begins, from 1; null when unknown."]
    column: Annotated[str | None, "The source column; null when none is at fault."]
    raw: str


def rejected_row_view(error: resources_pb2.SyncError) -> RejectedRowView:
    """One rejected record."""
    return {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "line": error.line or None,
        "column": error.column or None,
        "raw": error.raw,
    }


class RunErrorView(RejectedRowView):
    """A record that was rejected, or what ended a run."""

    syncErrorId: Id
    syncRunId: Id
    byteOffset: Annotated[Count | None, "Where the record begins, in bytes from the start; null when unknown."]
    retryable: bool
    createdAt: Annotated[TimeText | None, "When it was stored."]


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
        "createdAt": optional_time(error, "created_at"),
    }
