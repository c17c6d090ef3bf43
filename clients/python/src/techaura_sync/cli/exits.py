"""Exit codes of techaura-sync, and the one place where a failure becomes a line on stderr.

0  the call worked; a run that was waited for completed
1  a run that was waited for failed or was cancelled, or the service had a fault
2  the request is wrong: an unknown run, a malformed option, a missing file
3  the service could not be reached
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import typer
from techaura.sync.v1 import resources_pb2

from techaura_sync.cli.terminal import shown
from techaura_sync.errors import SyncServiceError

OK, FAILED, BAD_REQUEST, UNREACHABLE = 0, 1, 2, 3

_CALLERS_FAULT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)

_FIND_IT = (
    "start the service with `techaura-syncd serve`, or say where it is: --target HOST:PORT, or TECHAURA_SYNC_TARGET"
)


def code_of_error(error: SyncServiceError) -> int:
    """The exit code for a call that failed."""
    if error.unreachable:
        return UNREACHABLE
    return BAD_REQUEST if error.code in _CALLERS_FAULT else FAILED


def code_of_status(status: resources_pb2.SyncStatus.ValueType) -> int:
    """The exit code for a run that was waited for."""
    return OK if status == resources_pb2.SYNC_STATUS_COMPLETED else FAILED


@contextmanager
def failures_on_stderr(target: str) -> Iterator[None]:
    """Turn a failed call inside the block into a line on stderr, with the next step below it, and the exit code."""
    try:
        yield
    except SyncServiceError as error:
        code = code_of_error(error)
        place = f" (field {error.json_field})" if error.json_field else ""
        what = f"the service at {target} cannot be reached: " if code == UNREACHABLE else ""
        reason = f" [{error.reason}]" if error.reason else ""
        print(shown(f"techaura-sync: {what}{error.message}{place}{reason}"), file=sys.stderr)
        next_step = _FIND_IT if code == UNREACHABLE else error.next_step
        if next_step:
            print(shown(f"next step: {next_step}"), file=sys.stderr)
        raise typer.Exit(code) from error
