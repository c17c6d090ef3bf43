"""The oracle of the drills with real processes: what a run left in the database against what its source says.

Row by row: every good row of the file stands in the target exactly once and as the file has it; no other row does. The
ledger adds up to the file, by kind. Every rejected and every skipped row is listed once, with its line. Batch numbers
have no gap and none stands twice; a batch is never written by an owner older than that of the batch before it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pymysql

from tests.drills.catalogue import Catalogue


class ViolationError(Exception):
    """Something that must never happen has happened."""


def query(connection: pymysql.connections.Connection, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def check_completed(connection: pymysql.connections.Connection, run_id: int, catalogue: Catalogue) -> None:
    """A run that ended as completed, of the catalogue's present version, over the one before.

    Raises:
        ViolationError
    """
    ((status, read, *counts),) = query(
        connection,
        "SELECT status, rows_read, rows_inserted, rows_updated, rows_unchanged, rows_rejected, rows_skipped "
        "FROM sync_runs WHERE id = %s",
        run_id,
    )
    if status != "completed":
        raise ViolationError(f"run {run_id} ended as {status}")
    expected = catalogue.expected()
    before = catalogue.before
    inserted = sum(1 for key in expected.rows if key not in before)
    unchanged = sum(1 for key, row in expected.rows.items() if before.get(key) == row)
    wanted = [
        inserted,
        len(expected.rows) - inserted - unchanged,
        unchanged,
        len(expected.rejected_lines),
        len(expected.skipped_lines),
    ]
    if [read, *counts] != [expected.read, *wanted]:
        raise ViolationError(f"run {run_id} has the ledger {[read, *counts]}, the file {[expected.read, *wanted]}")
    check_target(connection, catalogue.name, expected.rows)
    check_batches(connection, run_id, is_whole=True)
    _check_errors(connection, run_id, catalogue)


def check_target(
    connection: pymysql.connections.Connection, identifier: str, rows: dict[str, tuple[str, str, str]]
) -> None:
    """The target has exactly these rows of a source."""
    there = query(
        connection,
        "SELECT external_id, title, artist, genre FROM content_index WHERE source_identifier = %s",
        identifier,
    )
    found = {key: tuple(row) for key, *row in there}
    if len(found) != len(there):
        raise ViolationError(f"{identifier}: {len(there) - len(found)} rows stand twice")
    if found != rows:
        lost, more = rows.keys() - found.keys(), found.keys() - rows.keys()
        altered = [key for key in rows.keys() & found.keys() if rows[key] != found[key]]
        raise ViolationError(f"{identifier}: {len(lost)} rows lost, {len(more)} too many, {len(altered)} altered")


def check_batches(connection: pymysql.connections.Connection, run_id: int, *, is_whole: bool) -> int:
    """The batches of a run, in any state, are whole; answer how many there are.

    Args:
        is_whole: whether the run has ended, so that its counts must be those of its batches.
    """
    batches = query(
        connection,
        "SELECT batch_no, lease_epoch, rows_read, rows_inserted + rows_updated + rows_unchanged + rows_rejected "
        "+ rows_skipped FROM sync_batches WHERE sync_run_id = %s ORDER BY id",
        run_id,
    )
    numbers = [batch[0] for batch in batches]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ViolationError(f"run {run_id} committed the batches {numbers}")
    epochs = [batch[1] for batch in batches]
    if epochs != sorted(epochs):
        raise ViolationError(f"run {run_id} was written by an owner that was taken over: epochs {epochs}")
    if any(batch[2] != batch[3] for batch in batches):
        raise ViolationError(f"run {run_id} has a batch whose counts do not add up")
    if is_whole:
        ((read,),) = query(connection, "SELECT rows_read FROM sync_runs WHERE id = %s", run_id)
        if read != sum(batch[2] for batch in batches):
            raise ViolationError(f"run {run_id} says {read} rows, its batches {sum(batch[2] for batch in batches)}")
    return len(batches)


def check_partial(connection: pymysql.connections.Connection, run_id: int, catalogue: Catalogue) -> None:
    """A run that has not reached its end over an empty target: exactly the rows of its committed batches are there.

    Raises:
        ViolationError
    """
    check_batches(connection, run_id, is_whole=False)
    ((read, written),) = query(
        connection,
        "SELECT COALESCE(SUM(rows_read), 0), COALESCE(SUM(rows_inserted + rows_updated + rows_unchanged), 0) "
        "FROM sync_batches WHERE sync_run_id = %s",
        run_id,
    )
    expected = catalogue.expected()
    rows: dict[str, tuple[str, str, str]] = {}
    skipped = expected.skipped_lines
    for line, (key, title, artist, genre) in enumerate(catalogue.records()[: int(read)], start=2):
        if title and line not in skipped:
            rows[key] = (title, artist, genre)
    if len(rows) != int(written):
        raise ViolationError(
            f"run {run_id} has committed {written} rows; the first {read} of the file have {len(rows)}"
        )
    check_target(connection, catalogue.name, rows)


def _check_errors(connection: pymysql.connections.Connection, run_id: int, catalogue: Catalogue) -> None:
    listed = query(
        connection,
        "SELECT error_code, line_no FROM sync_errors WHERE sync_run_id = %s AND line_no IS NOT NULL",
        run_id,
    )
    lines = Counter(line for _code, line in listed)
    if any(count > 1 for count in lines.values()):
        raise ViolationError(f"run {run_id} lists {sum(count > 1 for count in lines.values())} lines twice")
    expected = catalogue.expected()
    skipped = {line for code, line in listed if code == "duplicate_key"}
    if skipped != expected.skipped_lines or set(lines) - skipped != expected.rejected_lines:
        raise ViolationError(f"run {run_id} does not list exactly the rejected and skipped lines of the file")
