"""Writes docs/reference.md and .env.example from the code; --check compares instead. Run by scripts/generate."""

from __future__ import annotations

import re
import sys
import typing

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from gateway.config import GatewaySettings
from gateway.openapi import document
from server.core.config import PROJECT_DIR, Settings
from server.core.reasons import REASONS
from server.sources.api.options import ApiOptions
from server.sources.csv.options import CsvOptions

PROTOS = PROJECT_DIR / "protos" / "techaura" / "sync" / "v1"
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


def commented(text: str, pattern: str) -> list[tuple[re.Match[str], str]]:
    """Each match of a pattern in a .proto file with the comment above it."""
    found = []
    for match in re.finditer(rf"((?:^[ ]*//.*\n)+)[ ]*{pattern}", text, re.MULTILINE):
        comment = " ".join(line.strip().removeprefix("//").strip() for line in match[1].splitlines())
        found.append((match, comment.strip()))
    return found


def options(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Table rows of an options model, nested models included."""
    lines = []
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        nameless = field.default in (PydanticUndefined, None) or isinstance(field.default, BaseModel)
        default = "" if nameless else f"`{field.default}`"
        lines.append(f"| `{key}` | {default} | {field.description or ''} |")
        for nested in _models(field.annotation):
            lines += options(nested, f"{key}.")
    return lines


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def reference() -> str:
    """The whole of docs/reference.md."""
    service = (PROTOS / "sync_service.proto").read_text()
    reasons = (PROTOS / "error_reasons.proto").read_text()
    calls = commented(service, r"rpc (?P<name>\w+)")
    named = commented(reasons, r"ERROR_REASON_(?P<name>\w+) = [1-9]\d*;")
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
        *(f"| `{match['name']}` | {comment} |" for match, comment in calls),
        "",
        "## REST routes",
        "",
        "| route | meaning |",
        "|---|---|",
    ]
    for path, verbs in document()["paths"].items():
        lines += [f"| `{verb.upper()} {path}` | {operation.get('summary', '')} |" for verb, operation in verbs.items()]
    lines += ["", 'Failures are `{"success": false, "error": "...", "reason": "...", "nextStep": "..."}`.', ""]
    for title, model in (("csv", CsvOptions), ("api", ApiOptions)):
        lines += [f"## Options of source type {title}", "", "| option | default | meaning |", "|---|---|---|"]
        lines += [*dict.fromkeys(options(model)), ""]
    schedule = (PROTOS / "schedules.proto").read_text().partition("message SyncSchedule {")[2].partition("\n}")[0]
    fields = commented(schedule, r"(?:optional )?[\w.]+ (?P<name>\w+) = \d+;")
    policies = commented((PROTOS / "schedules.proto").read_text(), r"OVERLAP_POLICY_(?P<name>SKIP|QUEUE) = \d+;")
    lines += [
        "## Fields of a recurring sync",
        "",
        "Over REST in camelCase; `overlapPolicy` is `skip` or `queue`, `options` stands for the options of either type, and",
        "`scheduleId` for the id.",
        "",
        "| field | meaning |",
        "|---|---|",
        *(f"| `{match['name']}` | {comment} |" for match, comment in fields),
        *(f"| `overlap_policy` {match['name']} | {comment} |" for match, comment in policies),
        "",
        "## Error reasons",
        "",
        "A run that fails carries one of these, and so does a call that is refused. Runs of the categories validation,",
        "parsing and authentication are not retried at night; an error may have another category than the usual one.",
        "",
        "| reason | meaning | category | retried at night | next step |",
        "|---|---|---|---|---|",
    ]
    for match, comment in named:
        reason = REASONS[match["name"]]
        retried = "yes" if reason.retryable else "no"
        lines.append(f"| `{match['name']}` | {comment} | {reason.category} | {retried} | {reason.next_step} |")
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


def main() -> int:
    """Write the files, or with --check say which are stale."""
    files = {PROJECT_DIR / "docs" / "reference.md": reference(), PROJECT_DIR / ".env.example": env_example()}
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is stale: run scripts/generate", file=sys.stderr)
        return 1 if stale else 0
    for path, text in files.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
