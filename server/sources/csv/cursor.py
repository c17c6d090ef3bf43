"""Where the next batch of a source begins, and the position of a checkpoint that says so.

A position names the file, the block and the part of it, and the limits that blocks depend on, so that a resumed run gets
the very batches that the first one would have got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.core.errors import FatalError
from server.core.reasons import Reason
from server.sources.csv.blocks import BlockStart, Limits
from server.sources.csv.file_format import FileBlock
from server.sources.csv.findings import NOTHING_FOUND, Findings
from server.sources.csv.inspection import CsvFile
from server.sources.storage.opened_file import changed


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next batch begins.

    Args:
        file: index of the file; past the last one at the end of the source.
        place: where its block begins.
        part: index of the batch in the block.
        records_before_file: how many records the files before it have.
        findings: what was met before it that is neither a row nor a reject.
    """

    file: int
    place: BlockStart
    part: int
    records_before_file: int
    findings: Findings = NOTHING_FOUND

    @classmethod
    def at_file(
        cls, inspected: Sequence[CsvFile], index: int, records_before: int, findings: Findings = NOTHING_FOUND
    ) -> Cursor:
        """The first record of a file."""
        place = BlockStart(0, 1, 1)
        if index < len(inspected):
            beginning = inspected[index].beginning
            place = BlockStart(beginning.offset, beginning.line, 1)
            findings = findings.plus(beginning.findings, index)
        return cls(index, place, 0, records_before, findings)

    def after(self, block: FileBlock) -> Cursor:
        """Behind a block that begins here."""
        return replace(self, place=block.next_place, part=0, findings=self.findings.plus(block.findings, self.file))

    def at_part(self, index: int) -> Cursor:
        """A part of the block that begins here."""
        return replace(self, part=index)

    def next_file(self, inspected: Sequence[CsvFile]) -> Cursor:
        """The first record of the next file, seen from the end of this one."""
        records_before = self.records_before_file + self.place.record_no - 1
        return Cursor.at_file(inspected, self.file + 1, records_before, self.findings)


def position_of(cursor: Cursor, limits: Limits, inspected: Sequence[CsvFile]) -> dict[str, Any]:
    """What a checkpoint keeps of a cursor."""
    return {
        "file": cursor.file,
        "fingerprint": inspected[cursor.file].fingerprint if cursor.file < len(inspected) else "",
        "offset": cursor.place.offset,
        "line": cursor.place.line,
        "record_no": cursor.place.record_no,
        "records_before_file": cursor.records_before_file,
        "part": cursor.part,
        "findings": cursor.findings.to_json(),
        "block_bytes": limits.block_bytes,
        "record_bytes_max": limits.record_bytes_max,
        "batch_rows_max": limits.batch_rows_max,
    }


def cursor_of(position: Mapping[str, Any], inspected: Sequence[CsvFile]) -> tuple[Cursor, Limits]:
    """The cursor that a checkpoint keeps, and the limits that its blocks were cut by.

    Raises:
        RetryableError: SOURCE_CHANGED; the file is another one now.
        FatalError: INTERNAL; it is no position of a csv source.
    """
    try:
        limits = Limits(
            int(position["block_bytes"]), int(position["record_bytes_max"]), int(position["batch_rows_max"])
        )
        place = BlockStart(int(position["offset"]), int(position["line"]), int(position["record_no"]))
        cursor = Cursor(int(position["file"]), place, int(position["part"]), int(position["records_before_file"]))
        fingerprint = str(position["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise FatalError(Reason.INTERNAL, "the checkpoint of this run is not one of a csv source") from error
    cursor = replace(cursor, findings=Findings.from_json(position.get("findings")))
    if cursor.file < len(inspected) and inspected[cursor.file].fingerprint != fingerprint:
        raise changed(inspected[cursor.file].name)
    return cursor, limits
