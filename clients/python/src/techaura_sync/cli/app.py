"""The commands of techaura-sync; each makes one call of SyncService and prints the response.

Exit codes: see exits.py. `trigger` and `test` are in trigger.py.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from techaura.sync.v1 import resources_pb2, sync_service_pb2

from techaura_sync.cli import exits, schedules, trigger
from techaura_sync.cli.follow import follow_run
from techaura_sync.cli.output import Output, counts_text, format_text, reject_group_lines
from techaura_sync.cli.rejects import write_rejects
from techaura_sync.cli.session import Session, session_of
from techaura_sync.views.callers import caller_view
from techaura_sync.views.errors import error_view
from techaura_sync.views.runs import run_view, stats_view, status_name, status_view

_PIPED_WIDTH = 240

app = typer.Typer(help="Talk to a TechAura Sync service.", no_args_is_help=True, add_completion=False)
app.add_typer(trigger.commands, name="trigger")
app.add_typer(schedules.commands, name="schedules")
app.add_typer(trigger.tests, name="test")

RunId = Annotated[int, typer.Argument(metavar="RUN_ID", min=0, max=2**63 - 1, help="Id of the run.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Lines at the most.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"techaura-sync {version('techaura-sync-client')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    target: Annotated[
        str, typer.Option(envvar="TECHAURA_SYNC_TARGET", metavar="HOST:PORT", help="The gRPC service.")
    ] = "127.0.0.1:50051",
    token: Annotated[
        str,
        typer.Option(envvar="TECHAURA_SYNC_TOKEN", metavar="KEY", help="API key; better in the variable than here."),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON value a line instead of text for people.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    # What is piped on has no edge at which a table must be cut.
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    context.obj = Session(target, Output(json, Console(width=width), Console(stderr=True)), token.strip())


@app.command()
def status(
    context: typer.Context,
    run_id: RunId,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")] = False,
) -> None:
    """Tell where a run stands."""
    session = session_of(context)
    with session.client() as client:
        # Asked first also for a watch, which would go on trying for a while to reach a service that is down.
        response = client.status(run_id)
        if watch:
            raise typer.Exit(exits.code_of_status(follow_run(client, run_id, "sync", session.output)))
        paused = " (paused)" if response.run.paused else ""
        lines = [f"run {run_id}{paused} {counts_text(response.run.status, response.run.ledger)}"]
        lines += [format_text(found) for found in response.run.detected]
        lines += response.run.notices
        lines += reject_group_lines(response.run.reject_groups)
        # What ended a failed run is one of these too.
        lines += [f"{error.type}: {error.message}" for error in response.recent_errors]
        lines += [f"next step: {response.run.failure.next_step}"] if response.run.failure.next_step else []
        session.output.value(status_view(response), *lines)


@app.command()
def stats(context: typer.Context) -> None:
    """Count runs by status."""
    session = session_of(context)
    with session.client() as client:
        view = stats_view(client.stats())
    session.output.value(view, *(f"{name:<12}{count:>10}" for name, count in view.items()))


@app.command()
def whoami(context: typer.Context) -> None:
    """Tell as whom the service knows you, and what you may do."""
    session = session_of(context)
    with session.client() as client:
        view = caller_view(client.caller())
    narrowed = ", with some of the sources" if view["narrowed"] else ""
    session.output.value(view, f"{view['name']} may {', '.join(view['scopes'])}{narrowed}")


@app.command()
def runs(
    context: typer.Context,
    status: Annotated[str, typer.Option(help="Only runs with this status.")] = "",
    source_type: Annotated[str, typer.Option(help="Only runs of this source type.")] = "",
    limit: Limit = 20,
) -> None:
    """List runs, newest first."""
    session = session_of(context)
    known = {status_name(value): value for value in resources_pb2.SyncStatus.values() if value}
    if status and status not in known:
        raise typer.BadParameter(f"{status!r} is none of {', '.join(known)}", param_hint="--status")
    request = sync_service_pb2.ListSyncRunsRequest(
        page_size=limit, status=known.get(status, resources_pb2.SYNC_STATUS_UNSPECIFIED), source_type=source_type
    )
    with session.client() as client:
        page = client.list_runs(request)
    columns = ("syncRunId", "status", "sourceType", "sourceIdentifier", "itemsProcessed", "itemsFailed", "createdAt")
    session.output.table("runs", columns, [run_view(run) for run in page.runs])


@app.command()
def errors(
    context: typer.Context,
    run_id: RunId,
    limit: Limit = 20,
    reason: Annotated[str, typer.Option(metavar="CODE", help="Only errors of this code, such as bad_cast.")] = "",
    column: Annotated[str, typer.Option(metavar="NAME", help="Only errors of this source column.")] = "",
    file: Annotated[
        str,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write all stored rejects to a CSV file, in the order of the source; `-` is stdout. --limit does not count.",
        ),
    ] = "",
) -> None:
    """List the errors of a run, newest first, or write its rejects to a file."""
    session = session_of(context)
    if file:
        chosen = sync_service_pb2.ExportSyncRejectsRequest(sync_run_id=run_id, reason=reason, column=column)
        with session.client() as client:
            write_rejects(client, chosen, file, session.output)
        return
    request = sync_service_pb2.ListSyncErrorsRequest(sync_run_id=run_id, page_size=limit, reason=reason, column=column)
    with session.client() as client:
        page = client.list_errors(request)
    columns = ("line", "type", "code", "column", "message")
    session.output.table(f"errors of run {run_id}", columns, [error_view(error) for error in page.errors])


@app.command()
def resume(context: typer.Context) -> None:
    """Wake the workers, so that pending runs start now."""
    session = session_of(context)
    with session.client() as client:
        count = client.resume().pending_count
    session.output.value({"pendingCount": count}, f"{count} pending")


@app.command()
def cancel(context: typer.Context, run_id: RunId) -> None:
    """Cancel a run that is pending or in progress."""
    session = session_of(context)
    with session.client() as client:
        run = client.cancel(run_id)
    session.output.value(run_view(run), f"run {run_id} {counts_text(run.status, run.ledger)}")


@app.command()
def pause(context: typer.Context, run_id: RunId) -> None:
    """Hold a run until it is continued."""
    session = session_of(context)
    with session.client() as client:
        run = client.pause(run_id)
    session.output.value(run_view(run), f"run {run_id} is paused")


@app.command("continue")
def continue_run(context: typer.Context, run_id: RunId) -> None:
    """Continue a paused run."""
    session = session_of(context)
    with session.client() as client:
        run = client.continue_run(run_id)
    session.output.value(run_view(run), f"run {run_id} goes on")


def main() -> None:
    """Entry point of techaura-sync."""
    app(prog_name="techaura-sync")
