"""What techaura-sync prints: tables and progress bars for people, one JSON value a line with --json.

Progress goes to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from techaura.sync.v1 import resources_pb2, sync_service_pb2

from techaura_sync.cli.terminal import shown, shown_json
from techaura_sync.views.runs import status_name


@dataclass(frozen=True, slots=True)
class Output:
    """Where and how a command prints.

    Args:
        as_json: one JSON value a line instead of text for people.
        console: takes text for people; a terminal or not.
        progress: takes progress bars.
    """

    as_json: bool
    console: Console
    progress: Console

    def value(self, view: Mapping[str, object], *lines: str) -> None:
        """Print one result: the view as JSON, or the lines, each as it is but for what would steer a terminal."""
        if self.as_json:
            self._print(self.console, shown_json(json.dumps(view, ensure_ascii=False)))
            return
        self.lines(*lines)

    def lines(self, *lines: str) -> None:
        """Print lines for a person, each as it is but for what would steer a terminal."""
        for line in lines:
            self._print(self.console, shown(line))

    def draw(self, table: Table) -> None:
        """Print a table whose cells are fit for a terminal."""
        self.console.print(table)

    def table(self, title: str, columns: tuple[str, ...], views: Sequence[Mapping[str, object]]) -> None:
        """Print views as rows; `columns` are the keys to show."""
        if self.as_json:
            for view in views:
                self.value(view)
            return
        # A text is no markup; rich would read one that is given as a plain string.
        table = Table(*columns, title=Text(shown(title)), title_justify="left")
        for view in views:
            table.add_row(*(Text("" if view[column] is None else shown(str(view[column]))) for column in columns))
        self.console.print(table)

    @contextmanager
    def following(self, label: str) -> Iterator[RunBar]:
        """A progress bar for one run; silent with --json, where each snapshot is a line of its own."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.progress, disable=self.as_json) as progress:
            yield RunBar(progress, progress.add_task(shown(label), total=None, counts=""))

    @staticmethod
    def _print(console: Console, line: str) -> None:
        console.print(Text(line), highlight=False, soft_wrap=True)


class RunBar:
    """The bar of one run."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(
        self,
        status: resources_pb2.SyncStatus.ValueType,
        ledger: resources_pb2.Ledger,
        bytes_done: int = 0,
        bytes_total: int = 0,
    ) -> None:
        """Move the bar; without a known size it only shows the counts."""
        done = status == resources_pb2.SYNC_STATUS_COMPLETED
        total = bytes_total or (1 if done else None)
        self._progress.update(
            self._task,
            total=total,
            completed=total if done and total else bytes_done,
            counts=counts_text(status, ledger),
        )


def counts_text(status: resources_pb2.SyncStatus.ValueType, ledger: resources_pb2.Ledger) -> str:
    """The state and counts of a run in one line."""
    return (
        f"{status_name(status)}: {ledger.rows_read} read, {ledger.inserted} inserted, {ledger.updated} updated, "
        f"{ledger.unchanged} unchanged, {ledger.rejected} rejected, {ledger.skipped} skipped"
    )


def reject_group_lines(groups: Sequence[resources_pb2.RejectGroup]) -> list[str]:
    """Why rows were not loaded, as a table that fits 80 columns whatever the names of columns are; empty for no group."""
    if not groups:
        return []
    lines = [_group_line("rows", "reason", "column", "first line")]
    for group in groups:
        reason = f"{group.reason} (skipped)" if group.skipped else group.reason
        lines.append(_group_line(str(group.count), reason, group.column, str(group.first_line or "")))
    return lines


def _group_line(count: str, reason: str, column: str, first_line: str) -> str:
    return f"{count:>11}  {_cell(reason, 26)}  {_cell(column, 24)}  {first_line:>11}"


def _cell(text: str, width: int) -> str:
    """A text as wide as its column of a table, which counts what a terminal shows and not characters."""
    text = shown(text)
    return set_cell_size(text if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…", width)


def format_text(found: resources_pb2.DetectedFormat) -> str:
    """How files are read, in one line, such as `a.csv: cp1252 (detected, 86 %), delimiter ';' (declared), ...`."""
    name = found.file_name if found.file_count == 1 else f"{found.file_name} and {found.file_count - 1} more"
    encoding = f"{found.encoding} ({_known(found.encoding_how, found.encoding_confidence)})"
    delimiter = f"delimiter {found.delimiter!r} ({_known(found.delimiter_how, found.delimiter_confidence)})"
    header = f"header on line {found.header_line}" if found.header_line else "no header"
    packed = "" if found.compression == "none" else f", {found.compression}"
    return f"{name}: {encoding}, {delimiter}, {header}, {found.column_count} columns, {found.line_break}{packed}"


def _known(how: str, confidence: float) -> str:
    return f"{how}, {confidence:.0%}" if how == "detected" else how


def source_test_lines(found: sync_service_pb2.TestSourceResponse) -> list[str]:
    """What a test of a source found, for a person."""
    size = "the whole source" if found.whole else "its beginning"
    lines = [f"{found.item_count} records in {size}", f"fields: {', '.join(found.fields)}"]
    lines += [f"{name}: {value}" for name, value in sorted(found.detected.items())]
    for number, row in enumerate(found.rows, 1):
        values = (f"{name}={value!r}" for name, value in row.values.items() if name != "metadata")
        lines.append(f"row {number}: {' '.join(values)}")
    lines += [f"rejected: line {error.line}: {error.message}" for error in found.rejected]
    lines += [f"notice: {notice}" for notice in found.notices]
    return lines
