"""techaura-sync trigger csv PATH, trigger api URL, trigger custom TYPE SOURCE; and `test` in place of `trigger`, which only looks.

Both groups hold the very same commands, so what was tested is what a run gets.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from techaura_sync import views
from techaura_sync.cli import exits
from techaura_sync.cli.follow import accepted_run_id, follow_trigger
from techaura_sync.cli.options import auth, pairs, spec_of
from techaura_sync.cli.output import source_test_text
from techaura_sync.cli.session import session_of

commands = typer.Typer(help="Start a run.", no_args_is_help=True)
tests = typer.Typer(help="Look at a source without a run; nothing is written.", no_args_is_help=True)

Watch = Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")]
Table = Annotated[str | None, typer.Option(help="content_index or catalog_items.")]
ContentType = Annotated[str | None, typer.Option(help="music, video, movie, game or other.")]
Mapping = Annotated[list[str], typer.Option("--map", metavar="TARGET=SOURCE", help="A target column and its source.")]
More = Annotated[str | None, typer.Option("--options", metavar="JSON", help="Further options, as over REST.")]


@tests.command()
@commands.command()
def csv(
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="A file in the data roots of the service.")],
    table: Table = None,
    content_type: ContentType = None,
    delimiter: Annotated[str | None, typer.Option(help="One character.")] = None,
    header: Annotated[bool, typer.Option(help="Whether the first record names the columns.")] = True,
    encoding: Annotated[str | None, typer.Option(help="Such as utf-8 or cp1252.")] = None,
    mapping: Mapping = [],  # noqa: B006 - typer copies it
    more: More = None,
    watch: Watch = False,
) -> None:
    """Load a CSV file."""
    flags = {
        "targetTable": table,
        "contentType": content_type,
        "delimiter": delimiter,
        "hasHeader": None if header else False,
        "encoding": encoding,
        "columnMapping": pairs(mapping, "=", "--map"),
    }
    _start(context, "csv", path, more, flags, watch)


@tests.command()
@commands.command()
def api(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="An http(s) URL.")],
    method: Annotated[str | None, typer.Option(help="GET or POST; default: GET.")] = None,
    header: Annotated[list[str], typer.Option(metavar="NAME:VALUE", help="Sent with every request.")] = [],  # noqa: B006
    header_env: Annotated[
        list[str], typer.Option(metavar="NAME:SOURCE_VAR", help="A header whose value the service has in SOURCE_VAR.")
    ] = [],  # noqa: B006
    bearer_env: Annotated[str | None, typer.Option(metavar="SOURCE_VAR", help="Bearer token.")] = None,
    basic_env: Annotated[str | None, typer.Option(metavar="USER:SOURCE_VAR", help="User and password.")] = None,
    api_key_env: Annotated[str | None, typer.Option(metavar="HEADER:SOURCE_VAR", help="Key in a header.")] = None,
    data_path: Annotated[
        str | None, typer.Option(help="Path to the items, such as result.items or $.albums[*].songs.")
    ] = None,
    table: Table = None,
    content_type: ContentType = None,
    mapping: Mapping = [],  # noqa: B006
    answer_format: Annotated[str | None, typer.Option("--format", help="json, ndjson, csv or auto.")] = None,
    pagination: Annotated[
        str | None, typer.Option(help="page, offset, cursor, link or auto; without it one page.")
    ] = None,
    max_pages: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Pages at the most.")] = None,
    more: More = None,
    watch: Watch = False,
) -> None:
    """Load the items of a REST API."""
    headers: dict[str, Any] = dict(pairs(header, ":", "--header"))
    headers |= {name: {"env": env} for name, env in pairs(header_env, ":", "--header-env").items()}
    pages = {"enabled": True, "type": pagination, "maxPages": max_pages}
    flags = {
        "targetTable": table,
        "method": method.upper() if method is not None else None,
        "headers": headers,
        "auth": auth(bearer_env, basic_env, api_key_env),
        "dataPath": data_path,
        "contentType": content_type,
        "fieldMapping": pairs(mapping, "=", "--map"),
        "format": answer_format,
        "pagination": None if pagination is None else pages,
    }
    _start(context, "api", url, more, flags, watch)


@tests.command()
@commands.command()
def custom(
    context: typer.Context,
    source_type: Annotated[str, typer.Argument(metavar="TYPE", help="The name that it was installed with.")],
    source_identifier: Annotated[str, typer.Argument(metavar="SOURCE", help="As the source type wants it.")],
    table: Table = None,
    content_type: ContentType = None,
    more: More = None,
    watch: Watch = False,
) -> None:
    """Load a source of a type that was installed beside the service's own."""
    _start(context, source_type, source_identifier, more, {"targetTable": table, "contentType": content_type}, watch)


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
            found = client.test_source(spec)
        session.output.value(views.source_test_view(found), source_test_text(found))
        return
    with session.client() as client:
        responses = client.trigger(spec, detach=not watch)
        if watch:
            status = follow_trigger(client, responses, source_identifier, session.output)
            raise typer.Exit(exits.code_of_status(status))
        sync_run_id = accepted_run_id(responses)
        session.output.value({"syncRunId": sync_run_id}, f"run {sync_run_id} is scheduled")
