"""Other ways to read a source, as `techaura-sync test` prints them: what was found out, rows side by side, a line to copy.

Nothing is wider than 80 columns, whatever the terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text
from techaura.sync.v1 import sync_service_pb2

from techaura_sync.cli.output import Output
from techaura_sync.cli.terminal import shown
from techaura_sync.command_line import command_words

_WIDTH: Final = 80
# So many readings stand in one table; of more, two.
_BESIDE_MAX: Final = 3
_BESIDE_OF_MANY: Final = 2
# What the row of a file is kept in beside its columns; the fields show it.
_HIDDEN: Final = frozenset({"metadata", "source_type", "source_identifier", "external_id"})


def print_readings(output: Output, found: sync_service_pb2.TestSourceResponse) -> None:
    """Print the findings, and each reading with its first rows and its command."""
    for finding in found.findings:
        output.lines(*_wrapped(f"finding: {finding}", "  "))
    numbered = list(enumerate(found.readings, 1))
    beside = len(numbered) if len(numbered) <= _BESIDE_MAX else _BESIDE_OF_MANY
    for start in range(0, len(numbered), max(beside, 1)):
        group = numbered[start : start + beside]
        output.lines("")
        for number, reading in group:
            loaded = f"{reading.item_count - reading.rejected_count} of {reading.item_count} records load"
            is_proposed = number == 1 and found.HasField("proposed")
            output.lines(
                *_wrapped(f"reading {number}{' (proposed)' if is_proposed else ''}: {reading.name}; {loaded}", "  "),
                *_wrapped(f"  fields: {', '.join(reading.fields)}", "    "),
            )
        output.draw(_side_by_side(group))
        for number, reading in group:
            output.lines(f"to load reading {number}:", *_command_lines(reading))


def _side_by_side(group: Sequence[tuple[int, sync_service_pb2.SourceReading]]) -> Table:
    """A line for each record, a column for each reading."""
    table = Table(width=_WIDTH, show_lines=True)
    table.add_column("line", min_width=4)
    for number, _ in group:
        table.add_column(f"reading {number}", ratio=1)
    records = [{record.line: record for record in reading.records} for _, reading in group]
    for line in sorted(set[int]().union(*records)):
        cells = (_record_text(of[line]) if line in of else "" for of in records)
        table.add_row(str(line), *(Text(shown_lines(cell)) for cell in cells))
    return table


def _record_text(record: sync_service_pb2.ReadingRecord) -> str:
    if not record.HasField("row"):
        return f"rejected: {record.rejected}"
    values = (f"{name}: {value}" for name, value in sorted(record.row.values.items()) if name not in _HIDDEN)
    return "\n".join(shown(value) for value in values)


def shown_lines(text: str) -> str:
    """A text of several lines, each fit for a terminal."""
    return "\n".join(map(shown, text.split("\n")))


def _command_lines(reading: sync_service_pb2.SourceReading) -> Iterator[str]:
    """The command, broken between its words where it is longer than a line."""
    line = " "
    for word in command_words(reading.spec):
        if len(line) + len(word) + 3 > _WIDTH and line.strip():
            yield f"{line} \\"
            line = "   "
        line += f" {word}"
    yield line


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(shown(text), _WIDTH, subsequent_indent=indent, break_long_words=True, break_on_hyphens=False)
