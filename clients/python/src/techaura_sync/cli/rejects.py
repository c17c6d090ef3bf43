"""Writes the rejects of a run to a CSV file, which is there whole or not at all."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import typer
from techaura.sync.v1 import sync_service_pb2

from techaura_sync.cli.output import Output
from techaura_sync.client import SyncClient
from techaura_sync.views.rejects_csv import RejectsCsv

STDOUT: Final = "-"


def write_rejects(
    client: SyncClient, request: sync_service_pb2.ExportSyncRejectsRequest, name: str, output: Output
) -> None:
    """Write the rejects, and say how many they are; to stdout go the rejects only.

    Args:
        name: of the file; STDOUT for stdout.

    Raises:
        SyncServiceError: there is no such run, or the service failed; no file was written.
        typer.BadParameter: the file cannot be written.
    """
    file = RejectsCsv(is_narrowed=bool(request.reason or request.column))
    with _opened(name) as stream:
        for number, message in enumerate(client.export_rejects(request)):
            stream.write((b"" if number else file.head()) + file.piece(message))
        stream.write(file.tail())
    if file.not_stored:
        output.progress.print(file.not_stored_text, markup=False, highlight=False, soft_wrap=True)
    if name != STDOUT:
        view = {"file": name, "rejects": file.count, "notStored": file.not_stored}
        output.value(view, f"{file.count} rejects written to {name}")


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """A file that takes its name when the block has ended well."""
    if name == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    try:
        # Not a temporary file that only its owner may read: the mode is the one that any new file gets.
        part = Path(tempfile.mkdtemp(prefix=".rejects-", dir=path.parent)) / path.name
        try:
            with part.open("wb") as stream:
                yield stream
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
            with suppress(OSError):
                part.parent.rmdir()
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be written: {error.strerror}", param_hint="--csv") from error
