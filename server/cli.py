"""techaura-syncd: the program that serves. `serve` runs server and gateway in one process.

Exit codes: 0 after a stop by signal, 2 for a wrong setting, a busy port or a folder that cannot be used, with one line
that names it; 1 for a fault while serving.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import structlog
import typer
from pydantic import ValidationError

from server.cli_callers import add_callers
from server.core.config import Settings
from server.core.descriptors import raise_limit
from server.core.listening import bare_host, grpc_target, is_local
from server.core.logs import configure_logging
from server.core.memory import limit_arenas

if TYPE_CHECKING:
    from db.engine import Database
    from db.inspection.findings import Finding
    from gateway.instruments import GatewayInstruments
    from server.metrics.serving import ServedMetrics

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
log = structlog.get_logger()
S = TypeVar("S")
_READY_HELP = "Ask for readiness instead: whether calls can be served, database and all."
_STOP_MARGIN_SECONDS = 1.5
# Pages of an API are some thousand small objects each. With the interpreter's default of 700 the collector looks through
# them and everything imported again and again; measured, that was a third of the time that reading a page takes.
_COLLECT_AFTER_OBJECTS = 50_000


def main() -> None:
    """Entry point of techaura-syncd."""
    # The C core of grpc writes lines of its own to standard error, beside the log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    limit_arenas()
    raise_limit()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 20, 20)
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"techaura-syncd {version('techaura-sync')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def serve() -> None:
    """Serve gRPC and the REST gateway in one process (the default way to run)."""
    _run(_serve(with_server=True, with_gateway=True))


@app.command()
def server() -> None:
    """Serve gRPC only."""
    _run(_serve(with_server=True, with_gateway=False))


@app.command()
def gateway() -> None:
    """Serve the REST gateway only; it calls the gRPC server at TECHAURA_SYNC_GRPC_TARGET."""
    _run(_serve(with_server=False, with_gateway=True))


@app.command()
def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="change nothing: say in a table what will not work, and what mends it")
    ] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="change nothing: print the statements that would be sent to this database")
    ] = False,
) -> None:
    """Create or adopt the tables, then exit. Safe to run at any time, by several replicas at once.

    With --check it exits with 2 where the service could not work.
    """
    from server.app import check_only, migrate_only, plan_only

    if check and sql:
        _exit(2, "--check and --sql are two questions; ask one at a time")
    settings = _settings(Settings)
    configure_logging(settings)

    async def work() -> None:
        _end_by_signals()
        if check:
            _print_findings(await check_only(settings))
            return
        if sql:
            _print_statements(await plan_only(settings))
            return
        done = await migrate_only(settings)
        print("the database was brought to the newest revision" if done else "the database is at the newest revision")

    _run(work())


def _print_statements(statements: list[str]) -> None:
    for statement in statements:
        print(statement if statement.startswith("--") else f"{statement};", end="\n\n")
    if not statements:
        print("-- the database is at the newest revision")


def _print_findings(findings: list[Finding]) -> None:
    """One table of what a look at the database found; ends with exit code 2 where the service could not work."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not findings:
        print("nothing is in the way")
        return
    table = Table("", "area", "what", "what to do", box=None, pad_edge=False)
    for finding in findings:
        # Table names may contain brackets, which must not be read as markup.
        table.add_row(*(Text(part) for part in (finding.severity, finding.area, finding.text, finding.remedy)))
    Console().print(table)
    if any(finding.severity == "refuses" for finding in findings):
        _exit(2, "the service cannot work on this database; what has to be done stands above")


@app.command()
def health(ready: Annotated[bool, typer.Option("--ready", help=_READY_HELP)] = False) -> None:
    """Exit with 0 when the gRPC server at TECHAURA_SYNC_GRPC_TARGET lives, with 1 when it does not or is stopping.

    This is what a container's health check asks: it stays 0 while the database is away, which no restart would mend.
    """
    from techaura_sync import SyncClient, SyncServiceError

    from gateway.config import GatewaySettings

    target = _settings(GatewaySettings).grpc_target
    with SyncClient(target) as client:
        if not ready:
            if not client.serving():
                _exit(1, f"{target} is not serving")
            return
        try:
            client.check_ready()
        except SyncServiceError as error:
            _exit(1, f"{target} is not ready: {error.message}" + (f" [{error.reason}]" if error.reason else ""))


@app.command("make-key")
def make_key() -> None:
    """Print a new key for TECHAURA_SYNC_SECRET_KEY."""
    from cryptography.fernet import Fernet

    print(Fernet.generate_key().decode("ascii"))


def _on_database(work: Callable[[Database, Settings], Awaitable[None]], migrates: bool) -> None:
    from server.app import with_database

    settings = _settings(Settings)
    configure_logging(settings)
    _run(with_database(settings, work, migrates=migrates))


add_callers(app, _on_database)


async def _serve(*, with_server: bool, with_gateway: bool) -> None:
    _end_by_signals()
    async with AsyncExitStack() as stack:
        ports: dict[str, int] = {}
        stop, faults = asyncio.Event(), list[Exception]()

        def end(fault: Exception) -> None:
            faults.append(fault)
            stop.set()

        start_work: Callable[[], None] | None = None
        metrics = None
        if with_gateway:
            from gateway.config import GatewaySettings

            own = _settings(GatewaySettings)
            _check_listening("HTTP_HOST", own.http_host)
        if with_server:
            from server.app import server_running

            settings = _settings(Settings)
            _check_listening("GRPC_HOST", settings.grpc_host)
            configure_logging(settings)
            metrics = await _metrics(stack, settings, ports)
            exposition = None if metrics is None else metrics.exposition
            running = await stack.enter_async_context(server_running(settings, end=end, exposition=exposition))
            ports["grpc_port"], start_work = running.grpc_port, running.start_work
        if with_gateway:
            from gateway.serving import gateway_running

            if with_server:
                own = own.model_copy(update={"grpc_target": grpc_target(settings.grpc_host, ports["grpc_port"])})
            else:
                configure_logging(_settings(Settings))
                metrics = await _metrics(stack, _settings(Settings), ports)
            gateway = gateway_running(own, _gateway_instruments(metrics))
            ports["http_port"] = await _listening(stack, gateway, "HTTP", own.http_host, own.http_port)
        _on_signals(stop.set)
        # Not before every port is open: a program that cannot start must not have claimed a run.
        if start_work is not None:
            start_work()
        _warn_of_unknown_settings()
        print(json.dumps({"event": "SERVING", **ports}), flush=True)
        await stop.wait()
        _exit_at_the_latest(_settings(Settings).shutdown_timeout_seconds + _STOP_MARGIN_SECONDS)
        if faults:
            raise faults[0]


async def _metrics(stack: AsyncExitStack, settings: Settings, ports: dict[str, int]) -> ServedMetrics | None:
    """Serve the metrics of this process, if that is wanted; nothing of them is imported otherwise."""
    port = settings.metrics_port
    if port is None:
        return None
    _check_listening("METRICS_HOST", settings.metrics_host)
    from gateway.callers import AllowedHosts
    from server.metrics.serving import metrics_running

    hosts = AllowedHosts(bare_host(settings.metrics_host), settings.metrics_allowed_hosts)
    running = metrics_running(settings, hosts.allows)
    served = await _listening(stack, running, "METRICS", settings.metrics_host, port)
    ports["metrics_port"] = served.port
    return served


def _gateway_instruments(metrics: ServedMetrics | None) -> GatewayInstruments | None:
    if metrics is None:
        return None
    from server.metrics.gateway_metrics import GatewayMetrics

    return GatewayMetrics(metrics.exposition.registry)


def _check_listening(setting: str, host: str) -> None:
    if not is_local(host) and not _settings(Settings).allow_open_listen:
        _exit(
            2,
            f"TECHAURA_SYNC_{setting}={host} lets other machines in, and the service encrypts nothing, nor asks who they are "
            "unless TECHAURA_SYNC_AUTH is required: listen on 127.0.0.1 behind a proxy that does both, or, where the network lets in nobody else, set "
            "TECHAURA_SYNC_ALLOW_OPEN_LISTEN=true",
        )


def _on_signals(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


def _end_by_signals() -> None:
    """From now on a signal cancels this task: nothing has started yet that needs an orderly stop."""
    if (task := asyncio.current_task()) is not None:
        _on_signals(task.cancel)


def _warn_of_unknown_settings() -> None:
    from gateway.config import GatewaySettings

    # TARGET and TOKEN belong to the client's command.
    known = {"target", "token", *Settings.model_fields, *GatewaySettings.model_fields}
    for name in sorted(os.environ):
        if name.startswith("TECHAURA_SYNC_") and name.removeprefix("TECHAURA_SYNC_").lower() not in known:
            log.warning("unknown_setting", action="serve", setting=name)


def _exit_at_the_latest(seconds: float) -> None:
    """End the process when an orderly stop takes longer: a crash loses nothing, a hang blocks the restart."""

    def end() -> None:
        print("techaura-syncd: the stop took too long; the process ends now, runs go on elsewhere", file=sys.stderr)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


async def _listening(
    stack: AsyncExitStack, running: AbstractAsyncContextManager[S], setting: str, host: str, port: int
) -> S:
    try:
        return await stack.enter_async_context(running)
    except (OSError, socket.gaierror) as error:
        reason = error.strerror or type(error).__name__
        raise OSError(f"cannot listen on {host}:{port} ({reason}); set TECHAURA_SYNC_{setting}_PORT") from error


def _settings(kind: Callable[[], S]) -> S:
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "TECHAURA_SYNC_" + "_".join(str(part) for part in first["loc"]).upper()
        _exit(2, f"{name} {first['msg'].removeprefix('Value error, ')}")


def _run(work: Awaitable[None]) -> None:
    from db.errors import DatabaseError, DatabaseUrlError
    from server.core.errors import SyncError

    async def awaited() -> None:
        try:
            await work
        except DatabaseError:
            # A signal in the middle of a statement may surface as a fault of the database layer.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise

    try:
        asyncio.run(awaited())
    except (SyncError, DatabaseError) as error:
        _exit(2, error.message)
    except DatabaseUrlError as error:
        _exit(2, f"TECHAURA_SYNC_DATABASE_URL {error}")
    except OSError as error:
        _exit(2, str(error))
    except asyncio.CancelledError:
        # Stopped by a signal before it served: a normal stop.
        return


def _exit(code: int, message: str) -> NoReturn:
    print(f"techaura-syncd: {message}", file=sys.stderr)
    sys.exit(code)
