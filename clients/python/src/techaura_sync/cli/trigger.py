"""techaura-sync trigger csv PATH, trigger api URL, trigger custom TYPE SOURCE; and `test` in place of `trigger`, which only looks.

Both groups hold the very same commands, so what was tested is what a run gets.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from techaura.sync.v1 import sync_service_pb2

from techaura_sync.cli import exits
from techaura_sync.cli.flags import options_of, with_flags
from techaura_sync.cli.follow import accepted_run_id, follow_trigger
from techaura_sync.cli.options import auth, pairs, spec_of
from techaura_sync.cli.output import Output, source_test_lines
from techaura_sync.cli.readings import print_readings
from techaura_sync.cli.session import session_of
from techaura_sync.errors import refused
from techaura_sync.json_form import to_json
from techaura_sync.views.sources import readings_view, source_test_view

commands = typer.Typer(help="Start a run.", no_args_is_help=True)
tests = typer.Typer(help="Look at a source without a run; nothing is written.", no_args_is_help=True)

Watch = Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")]
More = Annotated[
    str | None, typer.Option("--options", metavar="JSON", help="Further options, as over REST; flags win over them.")
]


@tests.command()
@commands.command()
@with_flags("csv")
def csv(
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="A file in the data roots of the service.")],
    more: More = None,
    watch: Watch = False,
    **flags: Any,
) -> None:
    """Load a CSV file."""
    _start(context, "csv", path, more, options_of("csv", flags), watch)


@tests.command()
@commands.command()
@with_flags("api")
def api(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="An http(s) URL.")],
    header: Annotated[list[str], typer.Option(metavar="NAME:VALUE", help="Sent with every request.")] = [],  # noqa: B006 - typer copies it
    header_env: Annotated[
        list[str], typer.Option(metavar="NAME:SOURCE_VAR", help="A header whose value the service has in SOURCE_VAR.")
    ] = [],  # noqa: B006
    bearer_env: Annotated[str | None, typer.Option(metavar="SOURCE_VAR", help="Bearer token.")] = None,
    basic_env: Annotated[str | None, typer.Option(metavar="USER:SOURCE_VAR", help="User and password.")] = None,
    api_key_env: Annotated[str | None, typer.Option(metavar="HEADER:SOURCE_VAR", help="Key in a header.")] = None,
    more: More = None,
    watch: Watch = False,
    **flags: Any,
) -> None:
    """Load the items of a REST API."""
    options = options_of("api", flags)
    headers = options.get("headers", {}) | pairs(header, ":", "--header")
    headers |= {name: {"env": env} for name, env in pairs(header_env, ":", "--header-env").items()}
    options |= {"headers": headers, "auth": auth(bearer_env, basic_env, api_key_env)}
    _start(context, "api", url, more, options, watch)


@tests.command()
@commands.command()
@with_flags("custom")
def custom(
    context: typer.Context,
    source_type: Annotated[str, typer.Argument(metavar="TYPE", help="The name that it was installed with.")],
    source_identifier: Annotated[str, typer.Argument(metavar="SOURCE", help="As the source type wants it.")],
    more: More = None,
    watch: Watch = False,
    **flags: Any,
) -> None:
    """Load a source of a type that was installed beside the service's own."""
    _start(context, source_type, source_identifier, more, options_of("custom", flags), watch)


def _start(
    context: typer.Context,
    source_type: str,
    source_identifier: str,
    more: str | None,
    flags: dict[str, Any],
    watch: bool,
) -> None:
    spec = spec_of(source_type, source_identifier, more, flags)
    session = session_of(context)
    if context.parent is not None and context.parent.info_name == "test":
        if watch:
            raise typer.BadParameter("a test starts no run that could be followed", param_hint="--watch")
        with session.client() as client:
            found = client.test_source(spec, answer_refusal=True)
            _print_test(session.output, found)
            if found.HasField("refusal"):
                raise refused(found.refusal)
        return
    with session.client() as client:
        responses = client.trigger(spec, detach=not watch)
        if watch:
            status = follow_trigger(client, responses, source_identifier, session.output)
            raise typer.Exit(exits.code_of_status(status))
        sync_run_id = accepted_run_id(responses)
        session.output.value({"syncRunId": sync_run_id}, f"run {sync_run_id} is scheduled")


def _print_test(output: Output, found: sync_service_pb2.TestSourceResponse) -> None:
    if output.as_json:
        refusal = {"refusal": to_json(found.refusal)} if found.HasField("refusal") else {}
        output.value({**refusal, **(readings_view(found) if refusal else source_test_view(found))})
        return
    if not found.HasField("refusal"):
        output.lines(*source_test_lines(found))
    print_readings(output, found)
