"""The command techaura-sync against a real gRPC server: what it sends, prints and answers with its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from techaura.sync.v1 import api_source_pb2, csv_source_pb2, resources_pb2, sync_service_pb2, sync_spec_pb2
from techaura_sync.cli.app import app
from techaura_sync.json_form import to_json
from typer.testing import CliRunner, Result

from tests.clients.scripted_service import CONNECTION_LOST, Refusal, Script, snapshot

COMPLETED = resources_pb2.SYNC_STATUS_COMPLETED
FAILED = resources_pb2.SYNC_STATUS_FAILED
LEDGER = resources_pb2.Ledger(rows_read=12, inserted=10, rejected=2)

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(target: str) -> Run:
    """Run one command against the scripted service."""

    async def run_command(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["--target", target, *arguments])

    return run_command


def progress(status: resources_pb2.SyncStatus.ValueType, sequence: int = 1) -> resources_pb2.SyncProgress:
    return resources_pb2.SyncProgress(
        sync_run_id=41, sequence=sequence, status=status, ledger=LEDGER, bytes_done=5, bytes_total=10
    )


async def test_a_file_of_rejects_is_there_whole_or_not_at_all(run: Run, script: Script, tmp_path: Path) -> None:
    script.errors = [resources_pb2.SyncError(code="bad_cast", line=2, raw="a,b")]
    target = tmp_path / "rejects.csv"
    await asyncio.to_thread(target.write_text, "from before")
    script.export_break = CONNECTION_LOST
    assert (await run("errors", "41", "--csv", str(target))).exit_code != 0
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["rejects.csv"]
    assert await asyncio.to_thread(target.read_text) == "from before"
    script.export_break = None
    result = await run("--json", "errors", "41", "--csv", str(target))
    assert json.loads(result.stdout) == {"file": str(target), "rejects": 1, "notStored": 0}
    assert (await asyncio.to_thread(target.read_bytes)).splitlines()[1] == b'2,,bad_cast,,,"a,b"'


async def test_trigger_csv_sends_its_options_and_prints_the_id(run: Run, script: Script) -> None:
    result = await run(
        *("trigger", "csv", "/data/a.csv", "--table", "catalog_items", "--delimiter", ";", "--no-header"),
        *("--encoding", "cp1252", "--content-type", "movie", "--map", "title=Song = Name"),
    )

    assert (result.exit_code, result.stdout) == (0, "run 41 is scheduled\n")
    options = csv_source_pb2.CsvOptions(
        delimiter=";",
        has_header=False,
        encoding="cp1252",
        column_mapping={"title": "Song = Name"},
    )
    assert script.requests == [
        sync_service_pb2.TriggerSyncRequest(
            spec=sync_spec_pb2.SyncSpec(
                source_identifier="/data/a.csv",
                csv=options,
                target_table="catalog_items",
                write=sync_spec_pb2.WriteOptions(content_type=sync_spec_pb2.CONTENT_TYPE_MOVIE),
            ),
            detach=True,
        )
    ]


async def test_options_that_are_not_given_are_left_to_the_service(run: Run, script: Script) -> None:
    await run("trigger", "csv", "/data/a.csv")

    assert script.requests == [
        sync_service_pb2.TriggerSyncRequest(
            spec=sync_spec_pb2.SyncSpec(source_identifier="/data/a.csv", csv=csv_source_pb2.CsvOptions()), detach=True
        )
    ]


async def test_trigger_api_names_secrets_by_their_variable(run: Run, script: Script) -> None:
    result = await run(
        *("trigger", "api", "https://a.example/items", "--method", "post", "--bearer-env", "SOURCE_TOKEN"),
        *("--header", "Accept: application/json", "--header-env", "X-Tenant:SOURCE_TENANT"),
        *("--data-path", "result.rows", "--map", "title=name", "--pagination", "cursor", "--max-pages", "3"),
    )

    assert result.exit_code == 0
    pagination = api_source_pb2.ApiPagination(enabled=True, type=api_source_pb2.PAGINATION_TYPE_CURSOR, max_pages=3)
    options = api_source_pb2.ApiOptions(
        method=api_source_pb2.HTTP_METHOD_POST,
        headers={
            "Accept": api_source_pb2.SecretText(value="application/json"),
            "X-Tenant": api_source_pb2.SecretText(env="SOURCE_TENANT"),
        },
        auth=api_source_pb2.ApiAuth(
            bearer=api_source_pb2.BearerAuth(token=api_source_pb2.SecretText(env="SOURCE_TOKEN"))
        ),
        data_path="result.rows",
        field_mapping={"title": "name"},
        pagination=pagination,
    )
    assert script.requests == [
        sync_service_pb2.TriggerSyncRequest(
            spec=sync_spec_pb2.SyncSpec(source_identifier="https://a.example/items", api=options), detach=True
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "auth"),
    [
        (
            ["--basic-env", "ana:SOURCE_PW"],
            api_source_pb2.ApiAuth(
                basic=api_source_pb2.BasicAuth(username="ana", password=api_source_pb2.SecretText(env="SOURCE_PW"))
            ),
        ),
        (
            ["--api-key-env", "X-Key:SOURCE_KEY"],
            api_source_pb2.ApiAuth(
                api_key=api_source_pb2.ApiKeyAuth(header="X-Key", value=api_source_pb2.SecretText(env="SOURCE_KEY"))
            ),
        ),
    ],
)
async def test_trigger_api_sends_each_kind_of_auth(
    run: Run, script: Script, arguments: list[str], auth: api_source_pb2.ApiAuth
) -> None:
    await run("trigger", "api", "https://a.example", *arguments)

    (request,) = script.requests
    assert isinstance(request, sync_service_pb2.TriggerSyncRequest)
    assert request.spec.api.auth == auth


@pytest.mark.parametrize(
    "arguments",
    [
        ["trigger", "csv", "/data/a.csv", "--map", "title"],
        ["trigger", "csv", "/data/a.csv", "--map", "a=b", "--map", "a=c"],
        ["trigger", "api", "https://a.example", "--method", "PUT"],
        ["trigger", "api", "https://a.example", "--pagination", "none"],
        ["trigger", "api", "https://a.example", "--bearer-env", "SOURCE_A", "--api-key-env", "X:SOURCE_B"],
        ["status", "abc"],
        ["status", "-1"],
        ["runs", "--status", "done"],
        ["runs", "--limit", "0"],
        ["nonsense"],
    ],
)
async def test_malformed_arguments_end_with_2_before_any_call(run: Run, script: Script, arguments: list[str]) -> None:
    result = await run(*arguments)

    assert result.exit_code == 2
    assert script.requests == []


@pytest.mark.parametrize(("status", "code"), [(COMPLETED, 0), (FAILED, 1), (resources_pb2.SYNC_STATUS_CANCELLED, 1)])
async def test_a_watched_trigger_ends_with_the_runs_fate(
    run: Run, script: Script, status: resources_pb2.SyncStatus.ValueType, code: int
) -> None:
    script.progress = [progress(resources_pb2.SYNC_STATUS_IN_PROGRESS), progress(status, 2)]

    result = await run("trigger", "csv", "/data/a.csv", "--watch")

    assert result.exit_code == code
    assert "12 read, 10 inserted, 0 updated, 0 unchanged, 2 rejected, 0 skipped" in result.stdout


async def test_a_watched_trigger_whose_stream_breaks_follows_the_run_to_its_end(run: Run, script: Script) -> None:
    script.progress = [progress(resources_pb2.SYNC_STATUS_IN_PROGRESS, 4)]
    script.watch_breaks = [(1, CONNECTION_LOST)]
    script.snapshots[41] = [snapshot(4), snapshot(6, COMPLETED, ledger=LEDGER)]

    result = await run("trigger", "csv", "/data/a.csv", "--watch")

    assert result.exit_code == 0
    request = script.requests[-1]
    assert isinstance(request, sync_service_pb2.GetSyncStatusRequest)
    assert (request.sync_run_id, request.after_sequence) == (41, 4)


async def test_json_prints_one_value_a_line_and_no_bar(run: Run, script: Script) -> None:
    script.progress = [progress(resources_pb2.SYNC_STATUS_IN_PROGRESS), progress(COMPLETED, 2)]

    result = await run("--json", "trigger", "csv", "/data/a.csv", "--watch")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["status"], line["sequence"], line["bytesDone"]) for line in lines] == [
        ("in_progress", 1, 5),
        ("completed", 2, 5),
    ]
    assert result.stderr == ""


async def test_status_prints_counts_errors_and_notices(run: Run, script: Script) -> None:
    error = resources_pb2.SyncError(type="validation", message="line 3: no price")
    script.snapshots[41] = [snapshot(1, COMPLETED, ledger=LEDGER, errors=(error,))]
    script.snapshots[41][0].run.notices.append("numbered rows were kept")

    result = await run("status", "41")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == ["numbered rows were kept", "validation: line 3: no price"]


@pytest.mark.parametrize(("status", "code"), [(COMPLETED, 0), (FAILED, 1)])
async def test_status_watch_ends_with_the_runs_fate(
    run: Run, script: Script, status: resources_pb2.SyncStatus.ValueType, code: int
) -> None:
    script.snapshots[41] = [snapshot(1), snapshot(2, status)]

    assert (await run("status", "41", "--watch")).exit_code == code


async def test_stats_runs_errors_resume_and_cancel_answer_in_json(run: Run, script: Script) -> None:
    script.stats = resources_pb2.SyncStats(total=3, completed=3)
    script.runs = [resources_pb2.SyncRun(sync_run_id=41, status=resources_pb2.SYNC_STATUS_PENDING)]
    script.errors = [resources_pb2.SyncError(line=3, code="bad_cast", raw="a,b")]
    script.pending_count = 2

    answers = {
        command[0]: json.loads((await run("--json", *command)).stdout)
        for command in (["stats"], ["runs", "--status", "pending"], ["errors", "41"], ["resume"], ["cancel", "41"])
    }

    assert answers["stats"]["completed"] == 3
    assert answers["runs"]["syncRunId"] == 41
    assert (answers["errors"]["line"], answers["errors"]["raw"]) == (3, "a,b")
    assert answers["resume"] == {"pendingCount": 2}
    assert answers["cancel"]["status"] == "pending"
    assert script.requests[1] == sync_service_pb2.ListSyncRunsRequest(
        page_size=20, status=resources_pb2.SYNC_STATUS_PENDING
    )


async def test_tables_for_people_hold_the_same_facts(run: Run, script: Script) -> None:
    script.runs = [resources_pb2.SyncRun(sync_run_id=41, source_type="csv", status=FAILED)]
    script.errors = [resources_pb2.SyncError(line=3, code="bad_cast", type="validation")]

    runs, errors = await run("runs"), await run("errors", "41")

    assert all(word in runs.stdout for word in ("41", "csv", "failed"))
    assert all(word in errors.stdout for word in ("3", "bad_cast"))


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal(grpc.StatusCode.INVALID_ARGUMENT, "no such column", "INVALID_MAPPING", "options.columnMapping"), 2),
        (Refusal(grpc.StatusCode.FAILED_PRECONDITION, "the run has ended", "RUN_ENDED"), 2),
        (Refusal(grpc.StatusCode.INTERNAL, "a fault", "INTERNAL"), 1),
        (Refusal(grpc.StatusCode.UNAVAILABLE, "the database is down", "DATABASE_UNAVAILABLE"), 1),
    ],
)
async def test_a_refused_call_is_one_line_and_an_exit_code(
    run: Run, script: Script, refusal: Refusal, code: int
) -> None:
    script.refusal = refusal

    result = await run("stats")

    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert refusal.message in result.stderr
    assert refusal.field in result.stderr


def test_the_installed_command_says_that_nothing_answers() -> None:
    command = [sys.executable, "-c", "from techaura_sync.cli import main; main()", "--target", "127.0.0.1:1", "stats"]

    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 3
    assert "127.0.0.1:1" in result.stderr
    assert "next step: start the service" in result.stderr
    assert result.stdout == ""


async def test_options_as_json_are_those_of_the_contract_for_runs_and_schedules(run: Run, script: Script) -> None:
    options = {
        "method": "POST",
        "headers": {"X-Tenant": {"env": "SOURCE_TENANT"}},
        "auth": {"type": "apikey", "apiKeyParam": "key", "apiKeyValue": {"file": "key"}},
        "pagination": {"enabled": True, "type": "cursor"},
    }
    source = ("api", "https://a.example", "--options", json.dumps(options))

    triggered = await run("trigger", *source)
    stored = await run("schedules", "create", *source, "--cron", "0 3 * * *")

    assert (triggered.exit_code, stored.exit_code) == (0, 0), triggered.output + stored.output
    requests: list[Any] = script.requests
    trigger, create = requests
    assert trigger.spec.api == create.schedule.spec.api
    assert to_json(trigger.spec.api) == options
    refused = await run("schedules", "create", "api", "a", "--cron", "0 3 * * *", "--options", '{"pageSize": "5"}')
    assert refused.exit_code == 2
    assert len(script.requests) == 2
