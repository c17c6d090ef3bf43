"""The schedule routes of the OpenAPI document."""

from __future__ import annotations

from gateway import openapi as base
from gateway.openapi_options import FLAG, IDENTIFIER, NUMBER, TEXT, Schema, by_source_type, options_schema

_POLICY: Schema = {"enum": ["skip", "queue"]}
_TIME: Schema = {"anyOf": [TEXT, {"type": "null"}]}


def schedule_paths() -> Schema:
    """The routes under /v1/sync/schedules."""
    one = base.success_schema({"data": _schedule()})
    schedule_id = base.parameter_schema("scheduleId", "path", NUMBER | {"minimum": 1, "maximum": 10**18 - 1})
    started = base.success_schema({"data": base.object_schema({"syncRunId": NUMBER})})
    removed = base.success_schema({"data": base.object_schema({"scheduleId": NUMBER})})
    return {
        "/v1/sync/schedules": {
            "get": base.operation_schema(
                "List recurring syncs, newest first.", base.page_schema(_schedule()), query=base.page_query()
            ),
            "post": base.operation_schema("Store a recurring sync.", one, 409, *base.WITH_BODY)
            | base.json_body(by_source_type(_times(), "sourceIdentifier", "cron")),
        },
        "/v1/sync/schedules/{scheduleId}": {
            "get": base.operation_schema("Tell what one recurring sync is.", one, 404, query=(schedule_id,)),
            "patch": base.operation_schema(
                "Change the fields of a recurring sync that the body has.",
                one,
                404,
                409,
                *base.WITH_BODY,
                query=(schedule_id,),
            )
            | base.json_body(_change()),
            "delete": base.operation_schema(
                "Remove a recurring sync; its runs stay.", removed, 404, query=(schedule_id,)
            ),
        },
        "/v1/sync/schedules/{scheduleId}/run": {
            "post": base.operation_schema(
                "Run a recurring sync now.", started, 404, *base.WITH_BODY, query=(schedule_id,)
            )
            | base.EMPTY_BODY
        },
    }


def _times() -> dict[str, Schema]:
    return {
        "cron": {"type": "string", "minLength": 1},
        "timeZone": TEXT,
        "overlapPolicy": _POLICY,
        "catchUpSeconds": NUMBER | {"minimum": 0, "maximum": 7 * 86_400},
        "enabled": FLAG,
        "revision": NUMBER | {"minimum": 0, "maximum": 2**31 - 1},
    }


def _change() -> Schema:
    """What a change may say: a source type with what is of it, or other fields, of which one must be there and not null."""
    # Without a source type the options are those of the schedule's own, which no document knows.
    fields = {"sourceIdentifier": IDENTIFIER, "options": {"type": "object"}, **_times()}
    null = {"sourceType": {"type": "null"}}
    others = [options_schema(fields, name) for name in fields if name != "revision"]
    others = [schema | {"properties": schema["properties"] | null} for schema in others]
    return {"anyOf": [*by_source_type(_times())["anyOf"], *others]}


def _schedule() -> Schema:
    nullable_number: Schema = {"anyOf": [NUMBER, {"type": "null"}]}
    return base.object_schema(
        {"scheduleId": NUMBER, "sourceType": TEXT, "sourceIdentifier": TEXT, "options": {"type": "object"}}
        | {"cron": TEXT, "timeZone": TEXT, "overlapPolicy": _POLICY, "catchUpSeconds": NUMBER, "enabled": FLAG}
        | {"revision": NUMBER, "nextFireAt": _TIME, "lastFireAtLocal": _TIME, "lastOutcome": _TIME}
        | {"lastSyncRunId": nullable_number, "createdAt": _TIME, "updatedAt": _TIME}
    )
