"""Writes docs/reference.md, .env.example, gateway/openapi.json and the help of the command's flags from the code; --check compares.

Run by scripts/generate.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor
from pydantic import SecretStr
from techaura.sync.v1 import error_reasons_pb2, schedules_pb2, sync_service_pb2, sync_spec_pb2

from gateway.config import GatewaySettings
from scripts.openapi.components import Schema
from scripts.openapi.document import document, text_of
from scripts.proto_comments import comments, described_field, one_line
from server.core.config import PROJECT_DIR, Settings
from server.core.reasons import REASONS, Reason

PREFIX = "TECHAURA_SYNC_"


def settings() -> list[tuple[str, str, str]]:
    """Name, default and meaning of every setting, server first."""
    rows = []
    for model in (Settings, GatewaySettings):
        for name, field in model.model_fields.items():
            value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
            text = "" if value is None else str(value).replace(str(PROJECT_DIR), "/path/to/this/project")
            rows.append((PREFIX + name.upper(), text, field.description or ""))
    return list(dict.fromkeys(rows))


def named(parent: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """Each name in a part of the protos with its comment as one line."""
    return [(name, one_line(comments()[f"{parent}.{name}"])) for name in names]


def options(described: Schema, name: str) -> list[str]:
    """The tables of an object of options and of the objects in it, from the schemas of the OpenAPI document."""
    return [*_table(described[name], ""), *_nested_tables(described, described[name], "")]


def secret_forms(secret: Schema) -> list[tuple[str, str]]:
    """Each way to write a secret, and what it means."""
    forms = []
    for form in secret["anyOf"]:
        if "properties" in form:
            ((key, value),) = form["properties"].items()
            forms.append((f'`{{"{key}": "..."}}`', value["description"]))
        else:
            forms.append(("a text", form["description"]))
    return forms


def _table(schema: Schema, prefix: str) -> list[str]:
    rows = ["| option | default | meaning |", "|---|---|---|"]
    for key, value in schema["properties"].items():
        default = f"`{json.dumps(value['default'])}`" if "default" in value else ""
        names = value.get("enum", ())
        choice = f" One of {', '.join(f'`{name}`' for name in names if name is not None)}." if names else ""
        rows.append(f"| `{prefix}{key}` | {default} | {value['description']}{choice} |")
    return [*rows, ""]


def _nested_tables(described: Schema, schema: Schema, prefix: str) -> list[str]:
    lines = []
    for key, value in schema["properties"].items():
        for kind in _objects(described, value):
            chosen = kind["properties"].get("type", {}).get("const")
            title = f"### `{prefix}{key}`" + (f" of type `{chosen}`" if chosen else "")
            lines += [title, "", kind["description"], "", *_table(kind, f"{prefix}{key}.")]
            lines += _nested_tables(described, kind, f"{prefix}{key}.")
    return lines


def _objects(described: Schema, schema: Schema) -> list[Schema]:
    """The objects with named keys that a schema refers to."""
    if "$ref" in schema:
        schema = described[schema["$ref"].rpartition("/")[2]]
        if "properties" in schema:
            return [schema]
    return [
        part for kind in ("anyOf", "oneOf") for inner in schema.get(kind, ()) for part in _objects(described, inner)
    ]


def reference() -> str:
    """The whole of docs/reference.md."""
    service = sync_service_pb2.DESCRIPTOR.services_by_name["SyncService"]
    schedule = schedules_pb2.SyncSchedule.DESCRIPTOR
    policies = schedules_pb2.OverlapPolicy.DESCRIPTOR
    reasons = error_reasons_pb2.ErrorReason.DESCRIPTOR
    lines = [
        "# Reference",
        "",
        "Written by `scripts/generate` from the code; don't edit.",
        "",
        "## Settings",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |" for name, default, meaning in settings()),
        "",
        "## gRPC calls (`techaura.sync.v1.SyncService`)",
        "",
        "| call | meaning |",
        "|---|---|",
        *(f"| `{name}` | {text} |" for name, text in named(service.full_name, (call.name for call in service.methods))),
        "",
        "## REST routes",
        "",
        "| route | meaning |",
        "|---|---|",
    ]
    described = document()
    for path, verbs in described["paths"].items():
        lines += [f"| `{verb.upper()} {path}` | {operation.get('summary', '')} |" for verb, operation in verbs.items()]
    lines += ["", 'Failures are `{"success": false, "error": "...", "reason": "...", "nextStep": "..."}`.', ""]
    schemas = described["components"]["schemas"]
    for member in sync_spec_pb2.SyncSpec.DESCRIPTOR.oneofs_by_name["source"].fields:
        if member.message_type is not None and member.message_type.name in schemas:
            lines += [f"## Options of source type {member.name}", "", *options(schemas, member.message_type.name)]
    lines += ["## Secrets", "", schemas["SecretText"]["description"], "", "| form | meaning |", "|---|---|"]
    lines += [f"| {form} | {meaning} |" for form, meaning in secret_forms(schemas["SecretText"])] + [""]
    lines += [
        "## Fields of a recurring sync",
        "",
        "Over REST in camelCase; `overlapPolicy` is `skip` or `queue`, `options` stands for the options of either type, and",
        "`scheduleId` for the id.",
        "",
        "| field | meaning |",
        "|---|---|",
        *(
            f"| `{name}` | {text} |"
            for name, text in named(schedule.full_name, (part.name for part in schedule.fields))
        ),
        *(
            f"| `overlap_policy` {name.removeprefix('OVERLAP_POLICY_')} | {text} |"
            for name, text in named(policies.full_name, (value.name for value in policies.values if value.number))
        ),
        "",
        "## Error reasons",
        "",
        "A run that fails carries one of these, and so does a call that is refused. Runs of the categories validation,",
        "parsing and authentication are not retried at night; an error may have another category than the usual one.",
        "",
        "| reason | meaning | category | retried at night | next step |",
        "|---|---|---|---|---|",
    ]
    for value, text in named(reasons.full_name, (value.name for value in reasons.values if value.number)):
        name = value.removeprefix("ERROR_REASON_")
        reason = REASONS[Reason(name)]
        retried = "yes" if reason.retryable else "no"
        lines.append(f"| `{name}` | {text} | {reason.category} | {retried} | {reason.next_step} |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """The whole of .env.example."""
    lines = [
        "# Every setting with its default; written by scripts/generate. Copy to .env and change what you need.",
        "",
    ]
    for name, default, meaning in settings():
        lines += [f"# {meaning}", f"#{name}={default}", ""]
    return "\n".join(lines)


def option_help() -> str:
    """The whole of the module that holds what each option's flag means."""
    lines = [
        '"""What each option means, by the full name of its field; written by scripts/generate from protos/."""',
        "# ruff: noqa: Q003",
        "# fmt: off",
        "",
        "OPTION_HELP: dict[str, str] = {",
        *(
            f"    {json.dumps(name)}: {json.dumps(text)},"
            for name, text in _meanings(sync_spec_pb2.SyncSpec.DESCRIPTOR).items()
        ),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _meanings(message: Descriptor) -> dict[str, str]:
    """Full name and meaning of the fields of a message and of the messages in it that are no maps."""
    found: dict[str, str] = {}
    for field in message.fields:
        part = field.message_type
        if part is not None and part.file.package == message.file.package and not part.GetOptions().map_entry:
            found |= _meanings(part)
        if field.full_name in comments():
            found[field.full_name] = one_line(described_field(field))
    return found


def main() -> int:
    """Write the files, or with --check say which are stale."""
    files = {
        PROJECT_DIR / "docs" / "reference.md": reference(),
        PROJECT_DIR / ".env.example": env_example(),
        PROJECT_DIR / "gateway" / "openapi.json": text_of(document()),
        PROJECT_DIR / "clients/python/src/techaura_sync/cli/option_help.py": option_help(),
    }
    stale = [path for path, wanted in files.items() if not path.exists() or path.read_text() != wanted]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is stale: run scripts/generate", file=sys.stderr)
        return 1 if stale else 0
    for path, wanted in files.items():
        path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
