"""What the options before a command say: which service, and how to print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer

from techaura_sync.cli import exits
from techaura_sync.cli.output import Output
from techaura_sync.client import SyncClient


@dataclass(frozen=True, slots=True)
class Session:
    """One call of the command.

    Args:
        target: `host:port` of the service.
        token: the API key of every call; empty for none.
        output: where results go.
    """

    target: str
    output: Output
    token: str = field(default="", repr=False)

    @contextmanager
    def client(self) -> Iterator[SyncClient]:
        """A client; a call that fails inside the block ends the command with its line and exit code."""
        with exits.failures_on_stderr(self.target), SyncClient(self.target, token=self.token) as client:
            yield client


def session_of(context: typer.Context) -> Session:
    """The session of a command."""
    return context.ensure_object(Session)
