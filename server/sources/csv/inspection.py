"""Looks at the files of a source before anything is read: which are still being written, and what each begins with."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from server.core.config import Settings
from server.core.errors import FatalError, InvalidRequestError, RetryableError
from server.core.reasons import Reason
from server.core.texts import quoted
from server.sources.contract import SourceContext
from server.sources.csv.column_names import counterparts
from server.sources.csv.file_format import FileBeginning, OpenStream, ReadBlock, begin_of
from server.sources.csv.format_choice import LOOK_BYTES, format_of, reads_whole_file
from server.sources.csv.options import CsvOptions
from server.sources.storage import content_kind, files
from server.sources.storage.opened_file import FileState, OpenedFile, changed
from server.sources.storage.streams import Caps, PlainSource, open_stream


@dataclass(frozen=True, slots=True)
class CsvFile:
    """What is known of one file of a source; it need not be open."""

    path: Path
    state: FileState
    compression: str
    bytes_total: int
    fingerprint: str
    format: str
    beginning: FileBeginning
    read_block: ReadBlock
    # What its columns are called, in the order of the first file's.
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name, for people."""
        return files.shown_name(self.path)


async def settled(
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
        raise changed(moving[0].name)
    return still, tuple(f"{files.shown_name(path)} is still being written and was left out" for path in moving)


def _states(paths: Sequence[Path], roots: Sequence[Path]) -> dict[Path, FileState]:
    states: dict[Path, FileState] = {}
    for path in paths:
        opened = files.open_file(path, roots)
        states[path] = opened.state
        opened.close()
    return states


def _first_bytes(opened: OpenedFile) -> bytes:
    return os.pread(opened.descriptor, content_kind.LOOK_BYTES, 0)


def open_stream_of(path: Path, settings: Settings) -> OpenStream:
    """Open a file's content. On an error nothing stays open."""
    opened = files.open_file(path, settings.data_root_paths)
    caps = Caps(settings.csv_decompressed_bytes_max, settings.csv_compression_ratio_max)
    try:
        # What the bytes say wins over what the name says.
        head = _first_bytes(opened)
        if reads_whole_file(opened.descriptor, head) is not None:
            # Its reader unpacks it by itself.
            opened = replace(opened, compression="none")
            return OpenStream(opened, PlainSource(opened.descriptor, opened.state.size_bytes))
        compression = content_kind.compression_by_content(opened.name, opened.compression, head)
        opened = replace(opened, compression=compression)
        return OpenStream(opened, open_stream(opened.descriptor, opened.name, opened.compression, caps))
    except BaseException as error:
        opened.close()
        if isinstance(error, OSError):
            raise unreadable(opened.name) from error
        raise


def inspect_all(
    paths: Sequence[Path], options: CsvOptions, settings: Settings
) -> tuple[tuple[CsvFile, ...], OpenStream | None]:
    """Read the header of each file. An only file stays open; of many, one is open at a time."""
    inspected: list[CsvFile] = []
    for path in paths:
        with contextlib.ExitStack() as undo:
            source = open_stream_of(path, settings)
            undo.callback(source.close)
            inspected.append(_inspect(source, options, settings))
            if len(paths) == 1:
                undo.pop_all()
                return tuple(inspected), source
    return _with_columns_of_the_first(inspected), None


def _inspect(source: OpenStream, options: CsvOptions, settings: Settings) -> CsvFile:
    opened = source.opened
    try:
        found = format_of(opened, source.stream.read(0, LOOK_BYTES), options)
        table = begin_of(found)(source, options, settings)
        fingerprint = opened.fingerprint()
    except FatalError as error:
        # Nothing has been loaded yet, so it is the request that cannot be served.
        raise InvalidRequestError(error.reason, error.message, field="sourceIdentifier") from error
    except OSError as error:
        raise unreadable(opened.name) from error
    opened.check_unchanged()
    return CsvFile(
        path=opened.path,
        state=opened.state,
        compression=opened.compression,
        bytes_total=source.stream.bytes_total,
        fingerprint=fingerprint,
        format=found,
        beginning=table.beginning,
        read_block=table.read_block,
        columns=tuple(table.beginning.columns),
    )


def unreadable(name: str) -> RetryableError:
    """The error of a file whose bytes could not be had."""
    return RetryableError(Reason.SOURCE_UNAVAILABLE, f"{name} could not be read: the disk or the network share failed")


def _with_columns_of_the_first(inspected: Sequence[CsvFile]) -> tuple[CsvFile, ...]:
    """Every file must have the format and the columns of the first, these in any order."""
    first = inspected[0]
    matched = [first]
    for file in inspected[1:]:
        if file.format != first.format:
            raise InvalidRequestError(
                Reason.SOURCE_MALFORMED,
                f"{file.name} is {file.format} and {first.name} is {first.format}: the files of one source have one format",
                field="sourceIdentifier",
            )
        columns, odd = counterparts(first.columns, file.columns)
        if odd:
            raise InvalidRequestError(
                Reason.SOURCE_MALFORMED,
                f"{file.name} has other columns than {first.name}: {quoted(min(odd))} is in only one",
                field="sourceIdentifier",
            )
        matched.append(replace(file, columns=columns))
    return tuple(matched)
