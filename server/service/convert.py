"""Between the wire and the service: the only place where proto messages and our own records meet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from techaura.sync.v1 import resources_pb2 as pb
from techaura.sync.v1 import schedules_pb2, sources_pb2, sync_service_pb2

from db import records
from server.core.errors import Invalid
from server.core.reasons import next_step_for
from server.runs.source_test import Preview
from server.sources.contract import Reject

STATUS_TO_PROTO: Final = {
    records.PENDING: pb.SYNC_STATUS_PENDING,
    records.IN_PROGRESS: pb.SYNC_STATUS_IN_PROGRESS,
    records.COMPLETED: pb.SYNC_STATUS_COMPLETED,
    records.FAILED: pb.SYNC_STATUS_FAILED,
    records.CANCELLED: pb.SYNC_STATUS_CANCELLED,
}
STATUS_FROM_PROTO: Final = {value: name for name, value in STATUS_TO_PROTO.items()}
_PAGINATION: Final = {
    sources_pb2.PAGINATION_TYPE_PAGE: "page",
    sources_pb2.PAGINATION_TYPE_OFFSET: "offset",
    sources_pb2.PAGINATION_TYPE_CURSOR: "cursor",
    sources_pb2.PAGINATION_TYPE_LINK: "link",
    sources_pb2.PAGINATION_TYPE_AUTO: "auto",
}
_WRITE_NAMES: Final = {
    "mode": "mode",
    "conflict_policy": "conflictPolicy",
    "mirror_gone_ratio_max": "mirrorGoneRatioMax",
    "mirror_allow_empty": "mirrorAllowEmpty",
}
_GRANTS: Final = {
    sources_pb2.O_AUTH2_GRANT_CLIENT_CREDENTIALS: "clientCredentials",
    sources_pb2.O_AUTH2_GRANT_REFRESH_TOKEN: "refreshToken",
}
_METHODS: Final = {sources_pb2.HTTP_METHOD_GET: "GET", sources_pb2.HTTP_METHOD_POST: "POST"}


def options_document(
    request: sync_service_pb2.TriggerSyncRequest | sync_service_pb2.TestSourceRequest | schedules_pb2.SyncSchedule,
) -> dict[str, Any]:
    """The request's options in the contract's JSON form, the one form in which options are checked and stored.

    Raises:
        Invalid: the options are those of another source type.
    """
    which = request.WhichOneof("options")
    if which is not None and which != request.source_type:
        raise Invalid("INVALID_OPTION", f"options of source type {which} don't fit this sourceType", field="options")
    if which == "csv":
        return _csv_document(request.csv)
    if which == "api":
        return _api_document(request.api)
    return {}


def _csv_document(options: sources_pb2.CsvOptions) -> dict[str, Any]:
    names = {
        "target_table": "targetTable",
        "content_type": "contentType",
        "delimiter": "delimiter",
        "has_header": "hasHeader",
        "encoding": "encoding",
        "header_lines": "headerLines",
        "quote": "quote",
        "escape": "escape",
        "stray_quotes": "strayQuotes",
        "preamble_lines": "preambleLines",
        "comment_prefix": "commentPrefix",
        "decimal_comma": "decimalComma",
        "strip_text": "stripText",
    }
    document = _set_fields(options, names | _WRITE_NAMES)
    if options.column_mapping:
        document["columnMapping"] = dict(options.column_mapping)
    if options.null_tokens:
        document["nullTokens"] = list(options.null_tokens)
    if options.column_aliases:
        document["columnAliases"] = {name: list(value.names) for name, value in options.column_aliases.items()}
    return document


def _api_document(options: sources_pb2.ApiOptions) -> dict[str, Any]:
    document = _set_fields(options, _WRITE_NAMES)
    if options.method:
        document["method"] = _METHODS.get(options.method, str(options.method))
    if options.headers:
        document["headers"] = {name: _secret(value) for name, value in options.headers.items()}
    if options.HasField("auth"):
        document["auth"] = _auth(options.auth)
    names = {
        "data_path": "dataPath",
        "content_type": "contentType",
        "format": "format",
        "csv_delimiter": "csvDelimiter",
        "requests_per_second": "requestsPerSecond",
        "conditional": "conditional",
    }
    document |= _set_fields(options, names)
    if options.field_mapping:
        document["fieldMapping"] = dict(options.field_mapping)
    if options.HasField("pagination"):
        document["pagination"] = _pagination(options.pagination)
    if options.HasField("incremental"):
        document["incremental"] = _incremental(options.incremental)
    if options.HasField("body"):
        document["body"] = _body(options.body)
    return document


def _auth(auth: sources_pb2.ApiAuth) -> dict[str, Any]:
    match auth.WhichOneof("method"):
        case "bearer":
            return {"type": "bearer", "token": _secret(auth.bearer.token)}
        case "basic":
            return {"type": "basic", "username": auth.basic.username, "password": _secret(auth.basic.password)}
        case "api_key":
            key = {"type": "apikey", "apiKeyValue": _secret(auth.api_key.value)}
            places = {"apiKeyHeader": auth.api_key.header, "apiKeyParam": auth.api_key.param}
            return key | {name: place for name, place in places.items() if place}
        case "oauth2":
            return _oauth2(auth.oauth2)
        case _:
            raise Invalid(
                "INVALID_OPTION", "auth names no method: bearer, basic, apikey or oauth2", field="options.auth"
            )


def _oauth2(auth: sources_pb2.OAuth2Auth) -> dict[str, Any]:
    document: dict[str, Any] = {"type": "oauth2", "tokenUrl": auth.token_url, "clientId": auth.client_id}
    if auth.grant:
        document["grant"] = _GRANTS.get(auth.grant, str(auth.grant))
    for name, key in (("client_secret", "clientSecret"), ("refresh_token", "refreshToken")):
        if auth.HasField(name):  # type: ignore[arg-type] # both are its fields
            document[key] = _secret(getattr(auth, name))
    return document | _set_fields(auth, {"scope": "scope", "client_auth": "clientAuth"})


def _secret(secret: sources_pb2.SecretText) -> str | dict[str, str]:
    match secret.WhichOneof("source"):
        case "env":
            return {"env": secret.env}
        case "file":
            return {"file": secret.file}
        case _:
            return secret.value


def _body(body: struct_pb2.Struct) -> Any:
    try:
        return _whole_numbers(MessageToDict(body))
    except ValueError as error:
        raise Invalid(
            "INVALID_OPTION", "options.body holds a number that JSON does not have", field="options.body"
        ) from error


def _whole_numbers(value: Any) -> Any:
    """A Struct knows only doubles: a whole one was a whole number in the caller's JSON."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pagination(pagination: sources_pb2.ApiPagination) -> dict[str, Any]:
    document: dict[str, Any] = {"enabled": pagination.enabled}
    if pagination.type:
        document["type"] = _PAGINATION.get(pagination.type, str(pagination.type))
    names = {
        "limit_param": "limitParam",
        "offset_param": "offsetParam",
        "page_param": "pageParam",
        "cursor_param": "cursorParam",
        "max_pages": "maxPages",
        "first_page": "firstPage",
        "page_size": "pageSize",
        "params_in": "paramsIn",
        "cursor_path": "cursorPath",
        "cursor_header": "cursorHeader",
        "next_url_path": "nextUrlPath",
    }
    return document | _set_fields(pagination, names)


def _incremental(incremental: sources_pb2.ApiIncremental) -> dict[str, Any]:
    names = {
        "format": "format",
        "lookback_seconds": "lookbackSeconds",
        "initial": "initial",
        "full_after_days": "fullAfterDays",
    }
    document = {"cursorField": incremental.cursor_field, "param": incremental.param}
    return document | _set_fields(incremental, names)


def _set_fields(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the caller set, under their names in the contract."""
    return {key: getattr(message, name) for name, key in names.items() if message.HasField(name)}


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
    )


def _format(found: Mapping[str, Any]) -> pb.DetectedFormat:
    return pb.DetectedFormat(
        file_name=found["name"],
        file_count=found["fileCount"],
        encoding=found["encoding"],
        encoding_how=found["encodingHow"],
        encoding_confidence=found["encodingConfidence"],
        delimiter=found["delimiter"],
        delimiter_how=found["delimiterHow"],
        delimiter_confidence=found["delimiterConfidence"],
        quote=found["quote"],
        line_break=found["lineBreak"],
        preamble_lines=found["preambleLines"],
        header_line=found.get("headerLine", 0),
        column_count=found["columns"],
        compression=found["compression"],
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
    return pb.Ledger(
        rows_read=ledger.read,
        inserted=ledger.inserted,
        updated=ledger.updated,
        unchanged=ledger.unchanged,
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


def preview_message(preview: Preview) -> sync_service_pb2.TestSourceResponse:
    """What a test of a source found, for the wire."""
    return sync_service_pb2.TestSourceResponse(
        item_count=preview.item_count,
        whole=preview.is_whole,
        fields=preview.fields,
        samples=preview.samples,
        detected=preview.detected,
        rows=[sync_service_pb2.MappedRow(values=row) for row in preview.rows],
        rejected=[_reject_message(reject) for reject in preview.rejects],
        notices=preview.notices,
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
        # A row that an older version or the old service ended has none of its own.
        next_step=failure.next_step or next_step_for(failure.reason),
    )


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A time of the database for the wire; None for none."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment.replace(tzinfo=UTC))
    return stamp
