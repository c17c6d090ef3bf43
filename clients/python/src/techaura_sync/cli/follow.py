"""Follows one run on the terminal, from its trigger or from its id, to its end.

A trigger stream that breaks after `accepted` is taken up again as a watch of the same run, so a restart of the
service in between is not a failed command.
"""

from __future__ import annotations

from collections.abc import Iterator

from techaura.sync.v1 import resources_pb2, sync_service_pb2

from techaura_sync.cli.output import Output, counts_text
from techaura_sync.client import SyncClient
from techaura_sync.errors import SyncServiceError, no_answer
from techaura_sync.requests import is_terminal
from techaura_sync.views.runs import progress_view, status_view


def follow_trigger(
    client: SyncClient, responses: Iterator[sync_service_pb2.TriggerSyncResponse], label: str, output: Output
) -> resources_pb2.SyncStatus.ValueType:
    """Show a triggered run until it has ended; gives its terminal status.

    Raises:
        SyncServiceError: the request was refused, or the service stayed away.
    """
    sync_run_id = accepted_run_id(responses)
    last = resources_pb2.SyncProgress()
    with output.following(f"{label} (run {sync_run_id})") as bar:
        try:
            for response in responses:
                last = response.progress
                bar.show(last.status, last.ledger, last.bytes_done, last.bytes_total)
                if output.as_json:
                    output.value(progress_view(last))
        except SyncServiceError as error:
            if not error.unreachable:
                raise
    if not is_terminal(last.status):
        return follow_run(client, sync_run_id, label, output, after_sequence=last.sequence)
    _print_end(output, sync_run_id, last.status, last.ledger, last.failure)
    return last.status


def accepted_run_id(responses: Iterator[sync_service_pb2.TriggerSyncResponse]) -> int:
    """The id in the first message of a trigger.

    Raises:
        SyncServiceError: the request was refused.
    """
    for response in responses:
        return response.accepted.sync_run_id
    raise no_answer()


def follow_run(
    client: SyncClient, sync_run_id: int, label: str, output: Output, *, after_sequence: int = 0
) -> resources_pb2.SyncStatus.ValueType:
    """Show a run until it has ended; gives its terminal status.

    Raises:
        SyncServiceError: there is no such run, or the service stayed away.
    """
    run = resources_pb2.SyncRun()
    with output.following(f"{label} (run {sync_run_id})") as bar:
        for response in client.watch(sync_run_id, after_sequence=after_sequence):
            run = response.run
            bar.show(run.status, run.ledger)
            if output.as_json:
                output.value(status_view(response))
    _print_end(output, sync_run_id, run.status, run.ledger, run.failure)
    return run.status


def _print_end(
    output: Output,
    sync_run_id: int,
    status: resources_pb2.SyncStatus.ValueType,
    ledger: resources_pb2.Ledger,
    failure: resources_pb2.RunFailure,
) -> None:
    if output.as_json:
        return
    lines = [f"run {sync_run_id} {counts_text(status, ledger)}"]
    lines += [failure.message] if failure.message else []
    lines += [f"next step: {failure.next_step}"] if failure.next_step else []
    output.value({}, *lines)
