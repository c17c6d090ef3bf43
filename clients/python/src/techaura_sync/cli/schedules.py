"""techaura-sync schedules create|list|show|update|delete|run."""

from __future__ import annotations

from typing import Annotated

import typer
from techaura.sync.v1 import schedules_pb2

from techaura_sync.cli.options import spec_of
from techaura_sync.cli.session import session_of
from techaura_sync.json_form import JsonFormError, from_json
from techaura_sync.spec import source_type_of
from techaura_sync.views.schedules import schedule_view

commands = typer.Typer(help="Recurring syncs.", no_args_is_help=True)

_COLUMNS = ("scheduleId", "enabled", "cron", "timeZone", "sourceType", "sourceIdentifier", "nextFireAt", "lastOutcome")

ScheduleId = Annotated[int, typer.Argument(metavar="SCHEDULE_ID", min=0, max=2**63 - 1, help="Id of the schedule.")]
Cron = Annotated[str | None, typer.Option(help="Five fields, such as '0 3 * * *'.")]
TimeZone = Annotated[str | None, typer.Option(metavar="NAME", help="IANA name; default: the service's own.")]
Overlap = Annotated[str | None, typer.Option(help="skip or queue, when the source is being synced at a fire.")]
CatchUp = Annotated[int | None, typer.Option(metavar="SECONDS", help="A missed fire comes late, within this.")]
Options = Annotated[
    str | None,
    typer.Option(
        metavar="JSON", help='Options of the source type, as over REST, such as \'{"contentType": "video"}\'.'
    ),
]
Enabled = Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it fires.")]


@commands.command()
def create(
    context: typer.Context,
    source_type: Annotated[str, typer.Argument(help="csv, api, or a custom source type.")],
    source_identifier: Annotated[str, typer.Argument(help="A file in the data roots, or a URL.")],
    cron: Annotated[str, typer.Option(help="Five fields, such as '0 3 * * *'.")],
    time_zone: TimeZone = None,
    overlap: Overlap = None,
    catch_up: CatchUp = None,
    options: Options = None,
    enabled: Enabled = None,
) -> None:
    """Store a recurring sync."""
    schedule = _schedule(source_type, source_identifier, cron, time_zone, overlap, catch_up, options, enabled)
    session = session_of(context)
    with session.client() as client:
        made = client.schedules.create(schedule)
    view = schedule_view(made)
    session.output.value(view, f"schedule {made.sync_schedule_id} fires next at {view['nextFireAt']}")


@commands.command("list")
def list_(context: typer.Context, limit: Annotated[int, typer.Option(min=1, max=1000)] = 50) -> None:
    """List the schedules, newest first."""
    session = session_of(context)
    with session.client() as client:
        page = client.schedules.page(limit)
    session.output.table("schedules", _COLUMNS, [schedule_view(schedule) for schedule in page.schedules])


@commands.command()
def show(context: typer.Context, schedule_id: ScheduleId) -> None:
    """Show one schedule."""
    session = session_of(context)
    with session.client() as client:
        view = schedule_view(client.schedules.get(schedule_id))
    session.output.value(view, *(f"{key:<18}{'' if value is None else value}" for key, value in view.items()))


@commands.command()
def update(
    context: typer.Context,
    schedule_id: ScheduleId,
    source_identifier: Annotated[str | None, typer.Option("--source", help="Another file or URL.")] = None,
    cron: Cron = None,
    time_zone: TimeZone = None,
    overlap: Overlap = None,
    catch_up: CatchUp = None,
    options: Options = None,
    enabled: Enabled = None,
) -> None:
    """Change a schedule; what is not given stays."""
    session = session_of(context)
    with session.client() as client:
        kind = source_type_of(client.schedules.get(schedule_id).spec) if options is not None else ""
        schedule = _schedule(kind, source_identifier, cron, time_zone, overlap, catch_up, options, enabled)
        schedule.sync_schedule_id = schedule_id
        changed = client.schedules.update(schedule)
    session.output.value(schedule_view(changed), f"schedule {schedule_id} is changed")


@commands.command()
def delete(context: typer.Context, schedule_id: ScheduleId) -> None:
    """Remove a schedule; its runs stay."""
    session = session_of(context)
    with session.client() as client:
        client.schedules.delete(schedule_id)
    session.output.value({"scheduleId": schedule_id}, f"schedule {schedule_id} is removed")


@commands.command()
def run(context: typer.Context, schedule_id: ScheduleId) -> None:
    """Start what a schedule syncs, now."""
    session = session_of(context)
    with session.client() as client:
        sync_run_id = client.schedules.run_now(schedule_id)
    session.output.value({"syncRunId": sync_run_id}, f"run {sync_run_id} is scheduled")


def _schedule(
    source_type: str,
    source_identifier: str | None,
    cron: str | None,
    time_zone: str | None,
    overlap: str | None,
    catch_up: int | None,
    options: str | None,
    enabled: bool | None,
) -> schedules_pb2.SyncSchedule:
    schedule = schedules_pb2.SyncSchedule(
        cron=cron or "", time_zone=time_zone or "", catch_up_seconds=catch_up, enabled=enabled
    )
    try:
        from_json(schedule, {"overlapPolicy": overlap}, keys=("overlapPolicy",))
    except JsonFormError as error:
        raise typer.BadParameter(error.text, param_hint="--overlap") from error
    if source_type:
        schedule.spec.CopyFrom(spec_of(source_type, source_identifier or "", options))
    elif source_identifier:
        schedule.spec.source_identifier = source_identifier
    return schedule
