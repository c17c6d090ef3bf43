"""techaura-syncd keys and audit: who may call, and what callers did. Both work on the database itself."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Final

import typer

from server.core.callers import Reach, Scope
from server.core.errors import InvalidRequestError
from server.core.host_patterns import HostPatterns
from server.core.reasons import Reason

if TYPE_CHECKING:
    from db.engine import Database
    from db.repositories.api_keys import ApiKey
    from db.repositories.audit import AuditEntry
    from server.core.config import Settings

    OnDatabase = Callable[[Callable[[Database, Settings], Awaitable[None]], bool], None]

AUDIT_ENTRIES_MAX: Final = 10_000
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION_SECONDS_MAX: Final = 36_500 * 86_400
_ENDED_KEYS_MAX: Final = 1_000
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])")


class KeyState(StrEnum):
    """Whether a key lets in."""

    USABLE = "usable"
    EXPIRED = "expired"
    REVOKED = "revoked"


def seconds_of(text: str) -> int:
    """The seconds of a duration such as `90d`, `24h`, `30m` or `45s`.

    Raises:
        InvalidRequestError
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidRequestError(Reason.INVALID_REQUEST, f"{text[:50]!r} is no duration: write 90d, 24h, 30m or 45s")
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds > _DURATION_SECONDS_MAX:
        raise InvalidRequestError(Reason.INVALID_REQUEST, f"{text[:50]!r} is more than a hundred years")
    return seconds


def reach_of(sources: list[str], roots: list[str], hosts: list[str], secrets: list[str]) -> Reach:
    """What flags narrow a key to; without any of a kind it is not narrowed by that."""
    return Reach(
        sources=tuple(sources) or None,
        roots=tuple(map(PurePosixPath, roots)) or None,
        hosts=HostPatterns.parse(",".join(hosts)) if hosts else None,
        secrets=frozenset(secrets) or None,
    )


def print_keys(keys: Iterable[ApiKey], now_ms: int, *, as_json: bool) -> None:
    """Every key, without the key itself."""
    rows = [
        {
            "id": key.key_id,
            "name": key.name,
            "state": _state(key, now_ms).value,
            "scopes": key.scopes,
            "narrowedTo": _narrowed_to(key.reach),
            "expires": _time(key.expires_at_ms),
            "lastUsed": _time(key.used_at_ms),
        }
        for key in keys
    ]
    _print(rows, ("id", "name", "state", "scopes", "narrowedTo", "expires", "lastUsed"), "there is no key", as_json)


def print_audit(entries: Iterable[AuditEntry], *, as_json: bool) -> None:
    """What callers did, newest first."""
    rows = [
        {
            "time": _time(entry.called_at_ms),
            "caller": entry.caller,
            "method": entry.method,
            "outcome": entry.outcome if entry.count == 1 else f"{entry.outcome} x{entry.count}",
            "about": _about(entry),
            "reason": entry.reason or "",
            "peer": entry.peer,
            "requestId": entry.request_id,
            "detail": entry.detail or "",
        }
        for entry in entries
    ]
    columns = ("time", "caller", "method", "outcome", "about", "reason", "detail")
    _print(rows, columns, "there is no entry", as_json)


def _state(key: ApiKey, now_ms: int) -> KeyState:
    if key.revoked_at_ms is not None:
        return KeyState.REVOKED
    return KeyState.EXPIRED if key.expires_at_ms is not None and key.expires_at_ms <= now_ms else KeyState.USABLE


def _narrowed_to(reach: Mapping[str, list[str]] | None) -> str:
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in (reach or {}).items())


def _about(entry: AuditEntry) -> str:
    if entry.run_id is not None:
        return f"run {entry.run_id}"
    return f"schedule {entry.schedule_id}" if entry.schedule_id is not None else ""


def _time(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(rows: list[dict[str, str]], columns: tuple[str, ...], nothing: str, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        print(nothing)
        return
    shown = [name for name in columns if any(row[name] for row in rows)]
    table = Table(box=None, pad_edge=False)
    for name in shown:
        # What is copied from here, or compared, is never cut.
        is_whole = name in ("id", "time", "expires", "lastUsed", "outcome", "requestId")
        table.add_column("narrowed to" if name == "narrowedTo" else name, no_wrap=is_whole, overflow="fold")
    for row in rows:
        # Texts of callers must not be read as markup.
        table.add_row(*(Text(row[name]) for name in shown))
    console = Console()
    # A pipe has no width: nothing is cut there.
    Console(width=None if console.is_terminal else 400).print(table)


Scopes = Annotated[
    list[Scope], typer.Option("--scope", help="What it may do; several times. admin: everything.", show_default=False)
]
Sources = Annotated[
    list[str], typer.Option("--source", help="Narrow it to this sourceIdentifier; * at its end stands for any rest.")
]
Roots = Annotated[list[str], typer.Option("--root", help="Narrow it to files in this folder.")]
Hosts = Annotated[list[str], typer.Option("--host", help="Narrow it to APIs at this host (host, host:port, *.domain).")]
Secrets = Annotated[
    list[str], typer.Option("--secret", help="Narrow it to this variable or secret file, of those that options name.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_callers(app: typer.Typer, on_database: OnDatabase) -> None:
    """Add the commands to the program.

    Args:
        on_database: does something on the database of the settings, migrated first if that is said, and ends the program with one
            line where it fails.
    """
    keys = typer.Typer(no_args_is_help=True, help="API keys: who may call, where TECHAURA_SYNC_AUTH is required.")
    app.add_typer(keys, name="keys")
    _add_key_changes(keys, on_database)

    @keys.command("list")
    def list_keys(
        ended: Annotated[bool, typer.Option("--all", help="Also those that are revoked or expired.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """List the keys: their names and what they may do, not the keys themselves. The last use may be an hour old."""

        async def work(database: Database, settings: Settings) -> None:
            from db.repositories import api_keys
            from server.access.api_keys import ring_size

            async with database.read() as connection:
                stored = (await api_keys.usable_keys(connection, ring_size(settings.api_keys_max)))[::-1]
                stored += await api_keys.ended_keys(connection, _ENDED_KEYS_MAX) if ended else []
                now_ms = await api_keys.database_now_ms(connection)
            print_keys(stored, now_ms, as_json=as_json)

        on_database(work, False)

    @app.command()
    def audit(
        since: Annotated[str, typer.Option(help="Only what happened in the last 24h, 7d, 30m.")] = "7d",
        caller: Annotated[str, typer.Option(help="Only what this caller did.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=AUDIT_ENTRIES_MAX, help="Entries at the most.")] = 100,
        as_json: AsJson = False,
    ) -> None:
        """List what callers changed, and what they were refused, newest first."""

        async def work(database: Database, _settings: Settings) -> None:
            from db.repositories import api_keys
            from db.repositories.audit import list_entries

            async with database.read() as connection:
                since_ms = await api_keys.database_now_ms(connection) - seconds_of(since) * 1000
                found = await list_entries(connection, limit=limit, since_ms=since_ms, caller=caller)
            print_audit(found, as_json=as_json)

        on_database(work, False)


def _add_key_changes(keys: typer.Typer, on_database: OnDatabase) -> None:
    @keys.command()
    def create(
        name: Annotated[str, typer.Argument(help="Of who gets it; the audit has it.")],
        scope: Scopes,
        expires: Annotated[str, typer.Option(help="It lets in for 90d, 24h, 30m. Default: until it is revoked.")] = "",
        source: Sources = [],  # noqa: B006 - typer makes a list of its own
        root: Roots = [],  # noqa: B006
        host: Hosts = [],  # noqa: B006
        secret: Secrets = [],  # noqa: B006
    ) -> None:
        """Make a key and print it, this once."""

        async def work(database: Database, settings: Settings) -> None:
            from server.access import api_keys

            lifetime = seconds_of(expires) if expires else None
            new = api_keys.NewKey(name, frozenset(scope), reach_of(source, root, host, secret), lifetime)
            print(await api_keys.create(database, new, settings.api_keys_max))

        on_database(work, True)

    @keys.command()
    def rotate(
        name: Annotated[str, typer.Argument(help="Whose key.")],
        overlap: Annotated[str, typer.Option(help="The old key goes on to let in for 24h, 30m.")] = "24h",
    ) -> None:
        """Make another key of the same name and scopes, and print it; the old one expires."""

        async def work(database: Database, settings: Settings) -> None:
            from server.access import api_keys

            print(await api_keys.rotate(database, name, seconds_of(overlap), settings.api_keys_max))

        on_database(work, False)

    @keys.command()
    def revoke(
        name_or_id: Annotated[
            str, typer.Argument(help="The name of the keys, or the id of one (`keys list` has both).")
        ],
    ) -> None:
        """Let nobody in any more by a key; it takes TECHAURA_SYNC_API_KEY_REFRESH_SECONDS at the most."""

        async def work(database: Database, _settings: Settings) -> None:
            from server.access import api_keys

            count = await api_keys.revoke(database, name_or_id)
            if not count:
                text = f"there is no key in use with the name or the id {name_or_id[:100]!r}: see `techaura-syncd keys list`"
                raise InvalidRequestError(Reason.INVALID_REQUEST, text)
            print("1 key is revoked" if count == 1 else f"{count} keys are revoked")

        on_database(work, False)
