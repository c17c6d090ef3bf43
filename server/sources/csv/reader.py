"""Opens a csv source and yields its batches; the protocol is `SourceReader`.

One block of a file is one batch (or several, when it holds more than `batch_rows_max` records). While a batch is being
written the next block is read and parsed in a thread, and no further: at most two blocks are in memory, whatever the size
of the file. A file that changes under the reader raises SOURCE_CHANGED; no batch of the block that was being read is
handed over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from server.core.config import Settings
from server.sources.contract import Reject, SourceBatch, SourceContext, SourceInfo
from server.sources.csv.block_reader import BlockReader
from server.sources.csv.blocks import Limits, Part
from server.sources.csv.cursor import Cursor, cursor_of, position_of
from server.sources.csv.file_format import FileBlock, OpenStream
from server.sources.csv.findings import NOTHING_FOUND
from server.sources.csv.format_summary import FileFacts, describe, few_notices
from server.sources.csv.inspection import CsvFile, inspect_all, settled, unreadable
from server.sources.csv.options import CsvOptions
from server.sources.storage import files
from server.sources.storage.folders import FolderLimits
from server.sources.storage.opened_file import changed


async def open_csv(identifier: str, options: CsvOptions, context: SourceContext) -> CsvReader:
    """Open the files that an identifier stands for and read their headers.

    Args:
        identifier: a file, a folder, or a pattern (`files.find_paths`).
        options: how to read them; the same for all files.
        context: settings and clock.

    Raises:
        InvalidRequestError: SOURCE_NOT_FOUND.
        InvalidRequestError: SOURCE_FORBIDDEN, SOURCE_UNSUPPORTED, SOURCE_MALFORMED, INVALID_OPTION.
        RetryableError: SOURCE_CHANGED; the only file is still being written.
    """
    settings = context.settings
    roots = settings.data_root_paths
    paths = await asyncio.to_thread(files.find_paths, identifier, roots, FolderLimits.from_settings(settings))
    paths, notices = await settled(paths, roots, context)
    inspected, held = await asyncio.to_thread(inspect_all, paths, options, settings)
    return CsvReader(inspected, held, settings, notices)


class CsvReader:
    """The batches of one or several CSV files."""

    def __init__(
        self,
        inspected: tuple[CsvFile, ...],
        held: OpenStream | None,
        settings: Settings,
        notices: tuple[str, ...],
    ) -> None:
        self._files = inspected
        self._settings = settings
        self._limits = Limits(settings.csv_block_bytes, settings.csv_record_bytes_max, settings.batch_rows_max)
        self._notices = few_notices([*notices, *(notice for file in inspected for notice in file.beginning.notices)])
        self._blocks = BlockReader(inspected, held, settings)
        self._pending: asyncio.Task[tuple[Cursor, FileBlock | None]] | None = None
        self._findings = NOTHING_FOUND
        self._closed = False
        # The size of what is compressed is not known beforehand; then that of the whole is not either.
        is_known = all(file.bytes_total or file.compression == "none" for file in inspected)
        self._info = SourceInfo(
            columns=inspected[0].beginning.columns,
            fingerprint=self._fingerprint(),
            bytes_total=sum(file.bytes_total for file in inspected) if is_known else 0,
            rereadable=True,
            detected=self._detected(),
            modified_at=self._modified_at(),
        )

    @property
    def info(self) -> SourceInfo:
        """Columns of the first file; every file has the same."""
        return self._info

    def notices(self) -> tuple[str, ...]:
        """Files that were left out, headers that were repaired or not trusted, and what was met in the records so far."""
        return few_notices([*self._notices, *self._findings.notices([file.name for file in self._files])])

    def doubts(self) -> tuple[str, ...]:
        """Of the encoding or the sheet that was chosen, and of what was met in the records."""
        chosen = (doubt for file in self._files for doubt in file.beginning.doubts)
        return (*chosen, *self._findings.doubts([file.name for file in self._files]))

    def came_in_parts(self) -> bool:
        """No: a file that changes while it is read is noticed."""
        return False

    async def content_digest(self) -> str:
        """A digest of the bytes of all files, in order; their names and times don't count.

        Raises:
            RetryableError: SOURCE_CHANGED, SOURCE_UNAVAILABLE.
        """
        digest = hashlib.blake2b(digest_size=16)
        for file in self._files:
            opened = await asyncio.to_thread(files.open_file, file.path, self._settings.data_root_paths)
            try:
                if opened.state != file.state:
                    raise changed(opened.name)
                digest.update(f"{file.compression} {file.state.size_bytes}\n".encode())
                await opened.add_content(digest)
            except OSError as error:
                raise unreadable(opened.name) from error
            finally:
                opened.close()
        return digest.hexdigest()

    def _fingerprint(self) -> str:
        if len(self._files) == 1:
            return self._files[0].fingerprint
        whole = "\n".join(f"{file.path.name} {file.fingerprint}" for file in self._files)
        return hashlib.blake2b(whole.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def _modified_at(self) -> datetime:
        latest = max(file.state.mtime_ns for file in self._files)
        return datetime.fromtimestamp(latest / 1e9, UTC).replace(tzinfo=None)

    def _detected(self) -> dict[str, Any]:
        return describe(
            [
                FileFacts(
                    name=file.name,
                    fingerprint=file.fingerprint,
                    size_bytes=file.state.size_bytes,
                    found={**file.beginning.detected, "compression": file.compression, "format": file.format},
                )
                for file in self._files
            ]
        )

    async def batches(self, after: Mapping[str, Any] | None, first_batch_no: int) -> AsyncGenerator[SourceBatch, None]:
        """Yield the batches after a position; one block ahead of them is read meanwhile."""
        cursor, limits = Cursor.at_file(self._files, 0, 0), self._limits
        if after is not None:
            cursor, limits = cursor_of(after, self._files)
        batch_no = first_batch_no
        try:
            while True:
                start = cursor
                self._findings = start.findings
                cursor, block = await self._next(start, limits)
                if block is None:
                    self._findings = cursor.findings
                    return
                following = cursor.after(block)
                self._findings = following.findings
                # The reader owns the task beyond this generator: `_settle` or `close` waits for its thread, which a
                # TaskGroup would only cancel.
                self._pending = asyncio.create_task(asyncio.to_thread(self._blocks.read, following, limits))
                for index in range(cursor.part, block.part_count):
                    is_last = index == block.part_count - 1
                    position = position_of(following if is_last else cursor.at_part(index + 1), limits, self._files)
                    yield self._batch(batch_no, cursor, block.part(index), position)
                    batch_no += 1
                cursor = following
        finally:
            await self._settle()

    async def _next(self, cursor: Cursor, limits: Limits) -> tuple[Cursor, FileBlock | None]:
        """The block that is being read ahead, or the first one."""
        if self._closed:
            raise RuntimeError("the reader is closed")
        if self._pending is None:
            self._pending = asyncio.create_task(asyncio.to_thread(self._blocks.read, cursor, limits))
        try:
            # A caller that is cancelled must not leave the thread with a file that is about to be closed.
            return await asyncio.shield(self._pending)
        finally:
            if self._pending.done():
                self._pending = None

    async def _settle(self) -> None:
        """Wait for the read ahead, if there is one, and forget it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            await asyncio.wait([pending])
            if not pending.cancelled():
                pending.exception()

    def _batch(self, batch_no: int, cursor: Cursor, part: Part, position: dict[str, Any]) -> SourceBatch:
        file = self._files[cursor.file]
        # By literal name: `select` would read a header such as `*` or `^a.*$` as a pattern.
        frame = part.frame[list(file.columns)]
        frame.columns = list(self._info.columns)
        done = sum(other.bytes_total for other in self._files[: cursor.file]) + part.end_offset
        return SourceBatch(
            batch_no=batch_no,
            frame=frame,
            lines=part.lines,
            record_nos=part.record_nos + cursor.records_before_file,
            byte_offsets=part.byte_offsets,
            rejects=part.rejects if len(self._files) == 1 else tuple(_named(file, r) for r in part.rejects),
            position=position,
            raw_text=part.raw_text,
            bytes_done=done,
        )

    async def close(self) -> None:
        """Close the files, once nothing reads them any more. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await self._settle()
        await asyncio.to_thread(self._blocks.close)


def _named(file: CsvFile, reject: Reject) -> Reject:
    """With several files a line number alone says nothing."""
    return replace(reject, message=f"{file.name}: {reject.message}")
