"""The schedule routes of the OpenAPI document."""

from __future__ import annotations

from gateway import openapi as base
from gateway.openapi import FLAG, NUMBER, TEXT, Schema

_POLICY: Schema = {"enum": ["skip", "queue"]}
_TIME: Schema = {"anyOf": [TEXT, {"type": "null"}]}


def schedule_paths() -> Schema:
    """The routes under /v1/sync/schedules."""
    one = base.success_schema({"data": _schedule()})
    schedule_id = base.parameter_schema("scheduleId", "path", NUMBER | {"minimum": 0})
    started = base.success_schema({"data": base.object_schema({"syncRunId": NUMBER})})
    removed = base.success_schema({"data": base.object_schema({"scheduleId": NUMBER})})
    return {
        "/v1/sync/schedules": {
            "get": base.operation_schema(
                "List recurring syncs, newest first.", base.page_schema(_schedule()), 400, query=base.page_query()
            ),
            "post": base.operation_schema("Store a recurring sync.", one, 400, 409, 413)
            | _body("sourceType", "sourceIdentifier", "cron"),
        },
        "/v1/sync/schedules/{scheduleId}": {
            "get": base.operation_schema("Tell what one recurring sync is.", one, 400, 404, query=(schedule_id,)),
            "patch": base.operation_schema(
                "Change the fields of a recurring sync that the body has.",
                one,
                400,
                404,
                409,
                413,
                query=(schedule_id,),
            )
            | _body(),
            "delete": base.operation_schema(
                "Remove a recurring sync; its runs stay.", removed, 400, 404, query=(schedule_id,)
            ),
        },
        "/v1/sync/schedules/{scheduleId}/run": {
            "post": base.operation_schema("Run a recurring sync now.", started, 400, 404, 413, query=(schedule_id,))
        },
    }


def _body(*required: str) -> Schema:
    options = {"anyOf": [base.csv_options(), base.api_options(), {"type": "null"}]}
    schema = {
        "type": "object",
        "required": list(required),
        "properties": {
            "sourceType": TEXT,
            "sourceIdentifier": TEXT,
            "options": options,
            "cron": TEXT,
            "timeZone": TEXT,
            "overlapPolicy": _POLICY,
            "catchUpSeconds": NUMBER,
            "enabled": FLAG,
            "revision": NUMBER,
        },
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _schedule() -> Schema:
    nullable_number: Schema = {"anyOf": [NUMBER, {"type": "null"}]}
    return base.object_schema(
        {"scheduleId": NUMBER, "sourceType": TEXT, "sourceIdentifier": TEXT, "options": {"type": "object"}}
        | {"cron": TEXT, "timeZone": TEXT, "overlapPolicy": _POLICY, "catchUpSeconds": NUMBER, "enabled": FLAG}
        | {"revision": NUMBER, "nextFireAt": _TIME, "lastFireAtLocal": _TIME, "lastOutcome": _TIME}
        | {"lastSyncRunId": nullable_number, "createdAt": _TIME, "updatedAt": _TIME}
    )
