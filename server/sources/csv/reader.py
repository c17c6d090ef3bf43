"""Opens a csv source and yields its batches; the protocol is `SourceReader`.

One block of a file is one batch (or several, when it holds more than `batch_rows_max` records). While a batch is being
written the next block is read and parsed in a thread, and no further: at most two blocks are in memory, whatever the size
of the file. A position names the file, the block and the part of it, and the limits that blocks depend on, so that a
resumed run gets the very batches that the first one would have got. A file that changes under the reader raises
SOURCE_CHANGED; no batch of the block that was being read is handed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.core.config import Settings
from server.core.errors import Fatal, Invalid, Retryable
from server.sources.base import Reject, SourceBatch, SourceContext, SourceInfo
from server.sources.csv import files
from server.sources.csv.blocks import Block, Limits, Part, Place, read_block
from server.sources.csv.described import FileFacts, describe, few_notices
from server.sources.csv.files import FileState, OpenedFile
from server.sources.csv.header import Beginning, read_beginning
from server.sources.csv.options import CsvOptions
from server.sources.csv.streams import ByteSource, Caps, open_stream


@dataclass(frozen=True, slots=True)
class CsvFile:
    """What is known of one file of a source; it need not be open."""

    path: Path
    state: FileState
    compression: str
    bytes_total: int
    fingerprint: str
    beginning: Beginning


@dataclass(frozen=True, slots=True)
class _OpenStream:
    """A file that is open for reading."""

    opened: OpenedFile
    stream: ByteSource

    def close(self) -> None:
        """Let go of the file. Call once."""
        self.stream.close()
        self.opened.close()


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where the next batch begins."""

    file: int
    place: Place
    part: int
    records_before_file: int


async def open_csv(identifier: str, options: CsvOptions, context: SourceContext) -> CsvReader:
    """Open the files that an identifier stands for and read their headers.

    Args:
        identifier: a file, a folder, or a pattern (`files.find_paths`).
        options: how to read them; the same for all files.
        context: settings and clock.

    Raises:
        Invalid: SOURCE_NOT_FOUND.
        Invalid: SOURCE_FORBIDDEN, SOURCE_UNSUPPORTED, SOURCE_MALFORMED, INVALID_OPTION.
        Retryable: SOURCE_CHANGED; the only file is still being written.
    """
    settings = context.settings
    roots = settings.data_root_paths
    paths = await asyncio.to_thread(files.find_paths, identifier, roots, settings.csv_files_max)
    paths, notices = await _settled(paths, roots, context)
    inspected, held = await asyncio.to_thread(_inspect_all, paths, options, settings)
    return CsvReader(inspected, held, settings, notices)


async def _settled(
    paths: list[Path], roots: Sequence[Path], context: SourceContext
) -> tuple[list[Path], tuple[str, ...]]:
    """The files that nobody is writing to: those written to lately are looked at twice."""
    wait_seconds = context.settings.csv_settle_seconds
    before = await asyncio.to_thread(_states, paths, roots)
    newest_ns = int((context.clock.now().timestamp() - wait_seconds) * 1_000_000_000)
    fresh = {path for path, state in before.items() if state.mtime_ns > newest_ns}
    if not fresh or not wait_seconds:
        return paths, ()
    await context.clock.sleep(wait_seconds)
    after = await asyncio.to_thread(_states, sorted(fresh), roots)
    moving = [path for path in paths if path in fresh and after[path] != before[path]]
    still = [path for path in paths if path not in moving]
    if not still:
        raise files.changed(moving[0].name)
    return still, tuple(f"{path.name} is still being written and was left out" for path in moving)


def _states(paths: Sequence[Path], roots: Sequence[Path]) -> dict[Path, files.FileState]:
    states: dict[Path, files.FileState] = {}
    for path in paths:
        opened = files.open_file(path, roots)
        states[path] = opened.state
        opened.close()
    return states


def _open_stream(path: Path, settings: Settings) -> _OpenStream:
    """Open a file's content. On an error nothing stays open."""
    opened = files.open_file(path, settings.data_root_paths)
    caps = Caps(settings.csv_decompressed_bytes_max, settings.csv_compression_ratio_max)
    try:
        return _OpenStream(opened, open_stream(opened.descriptor, opened.name, opened.compression, caps))
    except BaseException:
        opened.close()
        raise


def _inspect_all(
    paths: Sequence[Path], options: CsvOptions, settings: Settings
) -> tuple[tuple[CsvFile, ...], _OpenStream | None]:
    """Read the header of each file. An only file stays open; of many, one is open at a time."""
    inspected: list[CsvFile] = []
    for path in paths:
        with contextlib.ExitStack() as undo:
            source = _open_stream(path, settings)
            undo.callback(source.close)
            inspected.append(_inspect(source, options, settings))
            if len(paths) == 1:
                undo.pop_all()
                return tuple(inspected), source
    _check_same_columns(inspected)
    return tuple(inspected), None


def _inspect(source: _OpenStream, options: CsvOptions, settings: Settings) -> CsvFile:
    opened = source.opened
    try:
        beginning = read_beginning(source.stream, opened.name, options, settings)
        fingerprint = opened.fingerprint()
    except Fatal as error:
        # Nothing has been loaded yet, so it is the request that cannot be served.
        raise Invalid(error.reason, error.message, field="sourceIdentifier") from error
    except OSError as error:
        raise _unreadable(opened.name) from error
    opened.check_unchanged()
    return CsvFile(
        path=opened.path,
        state=opened.state,
        compression=opened.compression,
        bytes_total=source.stream.bytes_total,
        fingerprint=fingerprint,
        beginning=beginning,
    )


def _unreadable(name: str) -> Retryable:
    return Retryable("SOURCE_UNAVAILABLE", f"{name} could not be read: the disk or the network share failed")


def _check_same_columns(inspected: Sequence[CsvFile]) -> None:
    """Every file must have the columns of the first, in any order."""
    first = set(inspected[0].beginning.columns)
    for file in inspected[1:]:
        odd = first.symmetric_difference(file.beginning.columns)
        if odd:
            raise Invalid(
                "SOURCE_MALFORMED",
                f"{file.path.name} has other columns than {inspected[0].path.name}: {min(odd)!r} is in only one",
                field="sourceIdentifier",
            )


class CsvReader:
    """The batches of one or several CSV files."""

    def __init__(
        self,
        inspected: tuple[CsvFile, ...],
        held: _OpenStream | None,
        settings: Settings,
        notices: tuple[str, ...],
    ) -> None:
        self._files = inspected
        self._settings = settings
        self._limits = Limits(settings.csv_block_bytes, settings.csv_record_bytes_max, settings.batch_rows_max)
        self._notices = few_notices([*notices, *(notice for file in inspected for notice in file.beginning.notices)])
        # Which file is open, and the file; used by the reading thread, of which there is one at a time.
        self._open: tuple[int, _OpenStream] | None = None if held is None else (0, held)
        self._pending: asyncio.Task[tuple[_Cursor, Block | None]] | None = None
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
        """Files that were left out, and headers that were repaired or not trusted."""
        return self._notices

    async def content_digest(self) -> str:
        """A digest of the bytes of all files, in order; their names and times don't count.

        Raises:
            Retryable: SOURCE_CHANGED, SOURCE_UNAVAILABLE.
        """
        digest = hashlib.blake2b(digest_size=16)
        for file in self._files:
            opened = await asyncio.to_thread(files.open_file, file.path, self._settings.data_root_paths)
            try:
                if opened.state != file.state:
                    raise files.changed(opened.name)
                digest.update(f"{file.compression} {file.state.size_bytes}\n".encode())
                await opened.add_content(digest)
            except OSError as error:
                raise _unreadable(opened.name) from error
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
                    name=file.path.name,
                    fingerprint=file.fingerprint,
                    size_bytes=file.state.size_bytes,
                    found={**file.beginning.detected, "compression": file.compression},
                )
                for file in self._files
            ]
        )

    async def batches(self, after: Mapping[str, Any] | None, first_batch_no: int) -> AsyncIterator[SourceBatch]:
        """Yield the batches after a position; one block ahead of them is read meanwhile."""
        limits, cursor = self._start(after)
        batch_no = first_batch_no
        try:
            while True:
                start = cursor
                cursor, block = await self._next(start, limits)
                if block is None:
                    return
                following = self._cursor_after(cursor, block)
                self._pending = asyncio.create_task(asyncio.to_thread(self._read, following, limits))
                for index in range(cursor.part, block.part_count):
                    is_last = index == block.part_count - 1
                    position = following if is_last else replace(cursor, part=index + 1)
                    yield self._batch(batch_no, cursor, block.part(index), self._position(position, limits))
                    batch_no += 1
                cursor = following
        finally:
            await self._settle()

    async def _next(self, cursor: _Cursor, limits: Limits) -> tuple[_Cursor, Block | None]:
        """The block that is being read ahead, or the first one."""
        if self._closed:
            raise RuntimeError("the reader is closed")
        if self._pending is None:
            self._pending = asyncio.create_task(asyncio.to_thread(self._read, cursor, limits))
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

    def _read(self, cursor: _Cursor, limits: Limits) -> tuple[_Cursor, Block | None]:
        """Read the block at a cursor, going on to the next file at the end of one. Runs in a thread."""
        while cursor.file < len(self._files):
            file = self._files[cursor.file]
            source = self._source(cursor.file)
            source.opened.check_unchanged()
            try:
                block = read_block(source.stream, file.beginning, cursor.place, limits)
            except OSError as error:
                raise _unreadable(file.path.name) from error
            source.opened.check_unchanged()
            if block is None:
                records_before = cursor.records_before_file + cursor.place.record_no - 1
                cursor = self._at_file(cursor.file + 1, records_before)
            elif block.part_count:
                return cursor, block
            else:
                # Blank lines and comments only.
                cursor = replace(cursor, place=block.next_place, part=0)
        return cursor, None

    def _source(self, index: int) -> _OpenStream:
        """The file of that number, opened if it is not."""
        if self._open is not None and self._open[0] == index:
            return self._open[1]
        self._close_source()
        file = self._files[index]
        try:
            source = _open_stream(file.path, self._settings)
        except Invalid as error:
            raise files.changed(file.path.name) from error
        self._open = (index, source)
        if source.opened.state != file.state:
            raise files.changed(file.path.name)
        return source

    def _close_source(self) -> None:
        held, self._open = self._open, None
        if held is not None:
            held[1].close()

    def _at_file(self, index: int, records_before: int) -> _Cursor:
        place = Place(0, 1, 1)
        if index < len(self._files):
            beginning = self._files[index].beginning
            place = Place(beginning.offset, beginning.line, 1)
        return _Cursor(index, place, 0, records_before)

    def _cursor_after(self, cursor: _Cursor, block: Block) -> _Cursor:
        return replace(cursor, place=block.next_place, part=0)

    def _batch(self, batch_no: int, cursor: _Cursor, part: Part, position: dict[str, Any]) -> SourceBatch:
        file = self._files[cursor.file]
        done = sum(other.bytes_total for other in self._files[: cursor.file]) + part.end_offset
        return SourceBatch(
            batch_no=batch_no,
            frame=part.frame.select(self._info.columns),
            lines=part.lines,
            record_nos=part.record_nos + cursor.records_before_file,
            byte_offsets=part.byte_offsets,
            rejects=part.rejects if len(self._files) == 1 else tuple(_named(file, r) for r in part.rejects),
            position=position,
            raw_text=part.raw_text,
            bytes_done=done,
        )

    def _position(self, cursor: _Cursor, limits: Limits) -> dict[str, Any]:
        named = cursor.file < len(self._files)
        return {
            "file": cursor.file,
            "fingerprint": self._files[cursor.file].fingerprint if named else "",
            "offset": cursor.place.offset,
            "line": cursor.place.line,
            "record_no": cursor.place.record_no,
            "records_before_file": cursor.records_before_file,
            "part": cursor.part,
            "block_bytes": limits.block_bytes,
            "record_bytes_max": limits.record_bytes_max,
            "batch_rows_max": limits.batch_rows_max,
        }

    def _start(self, after: Mapping[str, Any] | None) -> tuple[Limits, _Cursor]:
        if after is None:
            return self._limits, self._at_file(0, 0)
        try:
            limits = Limits(int(after["block_bytes"]), int(after["record_bytes_max"]), int(after["batch_rows_max"]))
            place = Place(int(after["offset"]), int(after["line"]), int(after["record_no"]))
            cursor = _Cursor(int(after["file"]), place, int(after["part"]), int(after["records_before_file"]))
            fingerprint = str(after["fingerprint"])
        except (KeyError, TypeError, ValueError) as error:
            raise Fatal("INTERNAL", "the checkpoint of this run is not one of a csv source") from error
        if cursor.file < len(self._files) and self._files[cursor.file].fingerprint != fingerprint:
            raise files.changed(self._files[cursor.file].path.name)
        return limits, cursor

    async def close(self) -> None:
        """Close the files, once nothing reads them any more. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await self._settle()
        await asyncio.to_thread(self._close_source)


def _named(file: CsvFile, reject: Reject) -> Reject:
    """With several files a line number alone says nothing."""
    return replace(reject, message=f"{file.path.name}: {reject.message}")
